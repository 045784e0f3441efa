"""Does it answer? One question for each part, in its own protocol, without its client library."""

import socket
import ssl
import struct
import urllib.error
import urllib.request

import psycopg2

ANSWER_S_MAX = 3.0
API_VERSIONS = 18  # https://kafka.apache.org/protocol#The_Messages_ApiVersions
CORRELATION_ID = 7


def kafka_answers(address: str) -> bool:
    """Whether the first of `host:port[,host:port…]` that can be reached speaks Kafka's protocol in clear."""
    for server in address.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            if _asks_api_versions(host.strip("[]"), int(port)):
                return True
        except (OSError, ValueError, struct.error):
            continue
    return False


def _asks_api_versions(host: str, port: int) -> bool:
    request = struct.pack(">hhih", API_VERSIONS, 0, CORRELATION_ID, -1)  # -1: no client id
    with socket.create_connection((host, port), timeout=ANSWER_S_MAX) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        head = connection.recv(10, socket.MSG_WAITALL)
    _size, correlation, error = struct.unpack(">iih", head)
    return bool(correlation == CORRELATION_ID and error == 0)


def connects(address: str) -> bool:
    """Whether one of `host:port[,host:port…]` takes a TCP connection."""
    for server in address.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S_MAX):
                return True
        except (OSError, ValueError):
            continue
    return False


def speaks_tls(address: str) -> bool:
    """Whether one of `host:port[,host:port…]` speaks TLS, whoever it is. Nothing is said to it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for server in address.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S_MAX) as connection:
                context.wrap_socket(connection, server_hostname=host.strip("[]")).close()
                return True
        except ssl.SSLError as error:
            if "ALERT" in (error.reason or ""):  # it wants a certificate of ours
                return True
        except (OSError, ValueError):
            continue
    return False


def registry_answers(url: str) -> bool:
    """Whether something at this address answers as a schema registry does, or asks who we are."""
    if not url.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/subjects", timeout=ANSWER_S_MAX) as answer:  # noqa: S310
            return bool(answer.read(1) == b"[")
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)
    except (OSError, ValueError):
        return False


def postgres_refuses(dsn: str) -> str | None:
    """Why a database can't be used, or None when it can. Never holds the password."""
    try:
        psycopg2.connect(dsn, connect_timeout=int(ANSWER_S_MAX)).close()
    except psycopg2.Error as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def listens(pid: int, port: int) -> bool:
    """Whether this process, and not another, is the one that listens on the port."""
    import psutil  # type: ignore[import-untyped, unused-ignore]

    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.AccessDenied:
        return True  # some systems don't tell; the probe must do
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)
