"""The processors on Faust log in as olvido.toml says, or do not start: never with less than it asks for."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from processors.kafka_login import Authority, Listener

from olvido.broker.runtime.movement import Activity
from olvido.core.errors import ConfigError
from olvido.processors.engine_faust.app import build_app
from olvido.schemas.settings.deployment import KafkaSection

USER, PASSWORD = "processors", "correct-horse-battery-staple"
LOGIN = {"sasl.username": USER, "sasl.password": PASSWORD}
TIMEOUT_MS = 5_000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def serving(authority: Authority, *, address: str = "127.0.0.1", client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("broker", address=address))
    if client:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def log_in(listener: Listener, options: Mapping[str, str], *, tls: ssl.SSLContext | None = None) -> None:
    """Connect with the very settings that Faust hands to its driver."""

    async def connect() -> None:
        async with listener.listening(tls):
            kafka = KafkaSection(bootstrap_servers=f"127.0.0.1:{listener.port}", options=dict(options))
            app = build_app(kafka, group="tests", handlers={}, activity=Activity())
            auth = credentials_to_aiokafka_auth(app.conf.broker_credentials, app.conf.ssl_context)
            connection = await create_conn("127.0.0.1", listener.port, request_timeout_ms=TIMEOUT_MS, **auth)
            connection.close()

    asyncio.run(connect())


def a_listener() -> Listener:
    return Listener(user=USER, password=PASSWORD)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("key", ["sasl.mechanism", "sasl.mechanisms"])
def test_the_password_travels_in_tls_alone_by_the_mechanism_that_was_asked_for(
    authority: Authority, mechanism: str, key: str
):
    listener = a_listener()
    options = {
        "security.protocol": "SASL_SSL", "ssl.ca.location": str(authority.file), key: mechanism, **LOGIN,
    }  # fmt: skip
    log_in(listener, options, tls=serving(authority))
    assert (listener.mechanisms, listener.logged_in) == ([mechanism], [USER])
    assert listener.wire
    assert PASSWORD.encode() not in listener.wire
    assert USER.encode() not in listener.wire


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_listener_without_tls_is_told_nothing_where_tls_was_asked_for(authority: Authority, mechanism: str):
    listener = a_listener()
    options = {
        "security.protocol": "SASL_SSL", "ssl.ca.location": str(authority.file),
        "sasl.mechanisms": mechanism, **LOGIN,
    }  # fmt: skip
    with pytest.raises((KafkaError, OSError, asyncio.TimeoutError)):
        log_in(listener, options)
    assert listener.mechanisms == []
    assert listener.wire[:1] in (b"\x16", b"")  # a TLS handshake, to which nobody answers
    assert PASSWORD.encode() not in listener.wire


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_scram_shows_no_password_even_without_tls(mechanism: str):
    listener = a_listener()
    log_in(listener, {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, **LOGIN})
    assert (listener.mechanisms, listener.logged_in) == ([mechanism], [USER])
    assert PASSWORD.encode() not in listener.wire


@pytest.mark.parametrize("password", ["", "of-the-key"])
def test_a_client_certificate_is_shown(authority: Authority, password: str):
    certificate, key = authority.issue("processors", password=password)
    listener = a_listener()
    options = {
        "security.protocol": "ssl", "ssl.ca.location": str(authority.file),
        "ssl.certificate.location": str(certificate), "ssl.key.location": str(key),
        **({"ssl.key.password": password} if password else {}),
    }  # fmt: skip
    log_in(listener, options, tls=serving(authority, client=True))
    assert listener.certificates == ["processors"]


def test_a_broker_of_another_authority_is_not_logged_in_to(authority: Authority, tmp_path: Path):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    listener = a_listener()
    options = {
        "security.protocol": "SASL_SSL", "ssl.ca.location": str(authority.file),
        "sasl.mechanisms": "PLAIN", **LOGIN,
    }  # fmt: skip
    with pytest.raises(ssl.SSLCertVerificationError):
        log_in(listener, options, tls=serving(stranger))
    assert listener.mechanisms == []


def test_a_broker_of_another_name_is_not_logged_in_to_unless_names_are_not_checked(authority: Authority):
    options = {
        "security.protocol": "SASL_SSL", "ssl.ca.pem": authority.file.read_text(),
        "sasl.mechanisms": "PLAIN", **LOGIN,
    }  # fmt: skip
    listener = a_listener()
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        log_in(listener, options, tls=serving(authority, address="192.0.2.1"))
    assert listener.mechanisms == []
    log_in(
        listener, {**options, "ssl.endpoint.identification.algorithm": "none"},
        tls=serving(authority, address="192.0.2.1"),
    )  # fmt: skip
    assert listener.logged_in == [USER]


TLS = {"security.protocol": "SSL"}
BOTH = {"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN", **LOGIN}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"security.protocol": "TLS"}, "security.protocol"),
        ({"ssl.ca.location": "ca.pem"}, "ssl.ca.location"),
        ({"sasl.username": "u"}, "sasl.username"),
        ({**TLS, "sasl.password": "p"}, "sasl.password"),
        ({**TLS, "ssl.ca.location": "/nowhere/ca.pem"}, "ssl.ca.location"),
        ({**TLS, "ssl.ca.location": __file__}, "ssl.ca.location"),
        ({**TLS, "ssl.ca.pem": "no certificate"}, "ssl.ca.pem"),
        ({**TLS, "ssl.certificate.location": "/nowhere/c.pem"}, "ssl.certificate.location"),
        ({**TLS, "ssl.key.location": "k.pem"}, "ssl.key.location"),
        ({**TLS, "ssl.keystore.location": "k.p12"}, "ssl.keystore.location"),
        ({**TLS, "ssl.crl.location": "c.pem"}, "ssl.crl.location"),
        ({**TLS, "ssl.cipher.suites": "NULL"}, "ssl.cipher.suites"),
        ({**TLS, "enable.ssl.certificate.verification": "false"}, "enable.ssl.certificate.verification"),
        ({**TLS, "https.ca.location": "c.pem"}, "https.ca.location"),
        ({**TLS, "ssl.endpoint.identification.algorithm": ""}, "ssl.endpoint.identification.algorithm"),
        ({**BOTH, "sasl.mechanisms": "GSSAPI"}, "sasl.mechanisms"),
        ({**BOTH, "sasl.mechanisms": "OAUTHBEARER"}, "sasl.mechanisms"),
        ({**BOTH, "sasl.mechanism": "SCRAM-SHA-512"}, "sasl.mechanisms"),
        ({**BOTH, "sasl.oauthbearer.config": "x"}, "sasl.oauthbearer.config"),
        ({**BOTH, "sasl.password": ""}, "sasl.password"),
        ({"security.protocol": "SASL_SSL", **LOGIN}, "sasl.mechanisms"),
        ({"bootstrap.servers": "elsewhere:9092"}, "bootstrap.servers"),
    ],
)  # fmt: skip
def test_what_it_does_not_understand_is_refused_by_name_and_shows_no_value(
    options: Mapping[str, str], named: str
):
    with pytest.raises(ConfigError, match=re.escape(f"kafka.options.{named} ")) as refused:
        build_app(
            KafkaSection(bootstrap_servers="127.0.0.1:1", options=dict(options)), group="tests", handlers={},
            activity=Activity(),
        )  # fmt: skip
    assert PASSWORD not in str(refused.value)


def test_a_key_whose_password_is_missing_is_refused_and_nobody_is_asked_for_it(authority: Authority):
    certificate, key = authority.issue("processors", password="of-the-key")
    options = {
        **TLS, "ssl.ca.location": str(authority.file), "ssl.certificate.location": str(certificate),
        "ssl.key.location": str(key),
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"ssl\.certificate\.location"):
        log_in(a_listener(), options, tls=serving(authority))


def test_options_that_say_nothing_about_the_login_are_left_to_librdkafka():
    listener = a_listener()
    with contextlib.suppress(KafkaError):
        log_in(listener, {"linger.ms": "5", "socket.timeout.ms": "1000"})
    assert listener.wire
