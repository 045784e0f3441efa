"""Why a broker that listens is no use to us: a wrong protocol, certificate or login, and the setting to mend.

librdkafka says of all of these that the broker's transport failed, and of a certificate for another host that
its authority may be unknown. So where something failed, one look of our own tells them apart.
"""

# pyright: reportPrivateImportUsage=false
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from olvido.broker.login import CLIENT_ID, CLIENT_SECRET, OAUTHBEARER, PASSWORD, TOKEN_URL, USER, Login
from olvido.schemas.settings.deployment import KafkaSection, host_and_port
from olvido.schemas.tls import NAMES_ANOTHER, distrust_of

LOOK_S_MAX = 3.0
# An ApiVersions request without a client id: what each broker that understands Kafka answers.
_HELLO = b"\0\0\0\x0a\0\x12\0\0\0\0\0\0\xff\xff"
_TLS_ALERT = b"\x15"


def fault_of_login(kafka: KafkaSection, login: Login, ask: Callable[..., AdminClient]) -> str:
    """What is wrong with how we log in, and the fix; empty where that is not what is wrong.

    Args:
        kafka: where the broker is.
        login: how we log in.
        ask: makes an admin client that reports its errors to what is given as ``error_cb``.
    """
    host, port = host_and_port(kafka.servers[0])
    try:
        with socket.create_connection((host, port), timeout=LOOK_S_MAX) as connection:
            if login.context is None:
                found = _of_clear(connection)
            else:
                found = _of_certificate(connection, host, login.context)
    except OSError:
        return ""  # nobody listens: no login would help
    if found or login.mechanism is None:
        return found
    return _of_user(login.mechanism, ask)


def _of_clear(connection: socket.socket) -> str:
    connection.sendall(_HELLO)
    if connection.recv(1) == _TLS_ALERT:
        return "what listens there wants TLS: give kafka.options security.protocol as SSL or SASL_SSL"
    return ""


def _of_certificate(connection: socket.socket, host: str, context: ssl.SSLContext) -> str:
    try:
        with context.wrap_socket(connection, server_hostname=host):
            return ""
    except (ssl.SSLEOFError, ConnectionResetError):
        return "what listens there speaks no TLS: check its port, and kafka.options security.protocol"
    except ssl.SSLError as error:
        distrust = distrust_of(error)
        if distrust == NAMES_ANOTHER:
            return f"{distrust}: write kafka.bootstrap_servers with the name that stands in it"
        if distrust is not None:
            return f"{distrust}: check kafka.options ssl.ca.location"
        return ""


def _of_user(mechanism: str, ask: Callable[..., AdminClient]) -> str:
    refused: list[KafkaError] = []

    def look() -> None:
        admin = ask(error_cb=refused.append)
        with contextlib.suppress(KafkaException):
            admin.list_topics(timeout=LOOK_S_MAX)
        admin.poll(0)  # brings the errors that came meanwhile

    # Whoever asks handles the failure of a client. What is handled in the thread that librdkafka's binding
    # calls back in is kept for ever, and by its frames the client that failed. So it is another thread.
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    if any(error.code() == KafkaError._AUTHENTICATION for error in refused):
        if mechanism == OAUTHBEARER:
            names = f"{TOKEN_URL}, {CLIENT_ID} and {CLIENT_SECRET}"
            return f"it refuses the login, or there is no token to show: check kafka.options {names}"
        return f"it refuses the login: check kafka.options {USER}, {PASSWORD} and sasl.mechanisms"
    return ""
