"""The processors on Faust log in as olvido.toml says, or do not start: never with less than it asks for."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError
from authority import Authority
from processors.kafka_login import Listener, as_faust
from token_server import TokenServer

from olvido.broker.admin import admin_client
from olvido.broker.kafka import KafkaPublisher, open_consumer
from olvido.broker.login import login_of
from olvido.broker.runtime.movement import Activity
from olvido.core.errors import ConfigError, Unavailable
from olvido.processors.engine_faust.app import build_app
from olvido.processors.engine_faust.tokens import Tokens
from olvido.schemas.settings.deployment import KafkaSection, Secret

USER, PASSWORD = "processors", "correct-horse-battery-staple"
LOGIN = {"sasl.username": USER, "sasl.password": Secret(env="KAFKA_PASSWORD")}


@pytest.fixture(autouse=True)
def the_secrets_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("KEY_PASSWORD", "of-the-key")
    monkeypatch.setenv("EMPTY", "")


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


def log_in(
    listener: Listener, options: Mapping[str, str | Secret], *, tls: ssl.SSLContext | None = None
) -> None:
    """Connect with the very settings that Faust hands to its driver."""

    async def connect() -> None:
        async with listener.listening(tls):
            kafka = KafkaSection(bootstrap_servers=f"127.0.0.1:{listener.port}", options=dict(options))
            await as_faust(kafka)

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
        **({"ssl.key.password": Secret(env="KEY_PASSWORD")} if password else {}),
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
TOKENS = {
    "security.protocol": "SASL_SSL", "sasl.mechanisms": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc",
    "sasl.oauthbearer.client.id": USER, "sasl.oauthbearer.client.secret": Secret(env="KAFKA_PASSWORD"),
    "sasl.oauthbearer.token.endpoint.url": "https://tokens.example/token",
}  # fmt: skip
# What librdkafka understands beyond that, and Faust's driver does not.
BEYOND = (
    {**TLS, "ssl.keystore.location": "k.p12"}, {**TLS, "ssl.cipher.suites": "NULL"},
    {**BOTH, "sasl.mechanisms": "GSSAPI"}, {"security.protocol": "SASL_SSL", **LOGIN},
    {**BOTH, "sasl.oauthbearer.config": "x"}, {**TLS, "https.ca.pem": "x"},
    {**TOKENS, "sasl.oauthbearer.extensions": "a=b"}, {**TLS, "ssl.crl.location": "c.pem"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"security.protocol": "TLS"}, "security.protocol"),
        ({"ssl.ca.location": "ca.pem"}, "ssl.ca.location"),
        ({"sasl.username": "u"}, "sasl.username"),
        ({**TLS, "sasl.password": Secret(env="KAFKA_PASSWORD")}, "sasl.password"),
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
        ({**TLS, "https.ca.pem": "x"}, "https.ca.pem"),
        ({**TLS, "ssl.endpoint.identification.algorithm": ""}, "ssl.endpoint.identification.algorithm"),
        ({**BOTH, "sasl.mechanisms": "GSSAPI"}, "sasl.mechanisms"),
        ({**BOTH, "sasl.mechanisms": "OAUTHBEARER"}, "sasl.password"),
        ({**TOKENS, "sasl.oauthbearer.method": "default"}, "sasl.oauthbearer.method"),
        ({**TOKENS, "sasl.oauthbearer.client.id": ""}, "sasl.oauthbearer.client.id"),
        ({**TOKENS, "sasl.oauthbearer.extensions": "a=b"}, "sasl.oauthbearer.extensions"),
        ({**TOKENS, "https.ca.location": __file__}, "https.ca.location"),
        (
            {**TOKENS, "sasl.oauthbearer.token.endpoint.url": "http://tokens.example"},
            "sasl.oauthbearer.token.endpoint.url",
        ),
        ({**BOTH, "sasl.mechanism": "SCRAM-SHA-512"}, "sasl.mechanisms"),
        ({**BOTH, "sasl.oauthbearer.config": "x"}, "sasl.oauthbearer.config"),
        ({**BOTH, "sasl.username": ""}, "sasl.username"),
        ({"security.protocol": "SASL_SSL", **LOGIN}, "sasl.mechanisms"),
    ],
)  # fmt: skip
def test_what_it_does_not_understand_is_refused_by_name_and_shows_no_value(
    options: Mapping[str, str | Secret], named: str
):
    with pytest.raises(ConfigError, match=re.escape(f"kafka.options.{named} ")) as refused:
        build_app(
            KafkaSection(bootstrap_servers="127.0.0.1:1", options=dict(options)), group="tests", handlers={},
            activity=Activity(),
        )  # fmt: skip
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("options", BEYOND)
def test_what_librdkafka_alone_understands_is_handed_on_to_it_whole(options: Mapping[str, str | Secret]):
    login = login_of(KafkaSection(options=dict(options)))
    assert login.only_librdkafka
    assert login.options.keys() == options.keys()


@pytest.mark.parametrize(
    "options",
    [
        {**TLS, "enable.ssl.certificate.verification": "false"},
        {**TLS, "ssl.ca.location": "/nowhere/ca.pem"},
        {"ssl.ca.location": "ca.pem"},
        {**TLS, "sasl.username": "u"},
        {**BOTH, "sasl.mechanism": "SCRAM-SHA-512"},
        {**TLS, "ssl.ca.pem": "no certificate"},
    ],
)
def test_both_clients_refuse_the_same_in_the_same_words(options: Mapping[str, str | Secret]):
    kafka, refused = KafkaSection(options=dict(options)), []
    for start in (
        lambda: build_app(kafka, group="tests", handlers={}, activity=Activity()),
        lambda: KafkaPublisher(kafka, client_id="tests"),
        lambda: open_consumer(kafka, group="tests", client_id="tests"),
        lambda: admin_client(kafka),
    ):
        with pytest.raises(ConfigError) as error:
            start()
        refused.append(str(error.value))
    assert len(set(refused)) == 1


ABROAD = "kafka-1.example:9093"
FROM_ABROAD = (
    ({}, "kafka.bootstrap_servers: kafka-1.example:9093 is another machine"),
    ({**BOTH, "security.protocol": "sasl_plaintext"}, "kafka.bootstrap_servers: "),
    ({**TLS, "ssl.endpoint.identification.algorithm": "none"}, "kafka.options.ssl.endpoint."),
)  # fmt: skip


@pytest.mark.parametrize(("options", "says"), FROM_ABROAD)
def test_nothing_goes_to_another_machine_in_clear_unless_that_is_said(
    options: Mapping[str, str | Secret], says: str
):
    kafka = KafkaSection(bootstrap_servers=f"127.0.0.1:9092, {ABROAD}", options=dict(options))
    with pytest.raises(ConfigError, match=re.escape(says)) as refused:
        login_of(kafka)
    assert "insecure = true" in str(refused.value)
    login_of(kafka.model_copy(update={"insecure": True}))
    login_of(kafka.model_copy(update={"bootstrap_servers": "[::1]:9092, 127.0.0.9:1, localhost:9092"}))


def a_token_server(life_s: float) -> TokenServer:
    return TokenServer({USER: PASSWORD}, life_s, lambda _, number: f"token-{number}")


def test_a_token_is_fetched_with_the_secret_and_shown_to_the_broker_alone(authority: Authority):
    listener = a_listener()
    with a_token_server(3600) as tokens:
        options = {
            **TOKENS, "ssl.ca.location": str(authority.file),
            "sasl.oauthbearer.token.endpoint.url": tokens.url, "sasl.oauthbearer.scope": "kafka",
        }  # fmt: skip
        log_in(listener, options, tls=serving(authority))
    assert [form for _, form in tokens.asked] == ["grant_type=client_credentials&scope=kafka"]
    assert (listener.mechanisms, listener.tokens) == (["OAUTHBEARER"], ["token-1"])
    assert b"token-1" not in listener.wire


def test_a_token_is_kept_for_most_of_its_life_and_no_longer():
    async def two(life_s: float) -> list[str]:
        with a_token_server(life_s) as tokens:
            options = {**TOKENS, "sasl.oauthbearer.token.endpoint.url": tokens.url}
            provider = Tokens(login_of(KafkaSection(options=options)).options)
            return [await provider.token(), await provider.token()]

    assert asyncio.run(two(3600)) == ["token-1", "token-1"]
    assert asyncio.run(two(0)) == ["token-1", "token-2"]


def test_a_wrong_secret_is_named_by_its_option_and_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAFKA_PASSWORD", "not-the-secret")
    with a_token_server(60) as tokens:
        options = {**TOKENS, "sasl.oauthbearer.token.endpoint.url": tokens.url}
        provider = Tokens(login_of(KafkaSection(options=options)).options)
        with pytest.raises(Unavailable, match=r"401: .*sasl\.oauthbearer\.client\.secret") as refused:
            asyncio.run(provider.token())
    assert "not-the-secret" not in str(refused.value)


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
