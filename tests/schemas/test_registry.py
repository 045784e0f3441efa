"""The real registry: incompatible schemas are refused, whatever its default is."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from authority import Authority
from values import an_erasure

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.events import PrivacyRequest
from olvido.schemas.codec import Codec, requests_codec
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import RegistrySection, Secret
from olvido.schemas.shipped import schema_text
from olvido.schemas.topics import REQUESTS, topics_of

NOBODY = Registry(RegistrySection(url="http://127.0.0.1:1/apis/ccompat/v7"))  # no registry ever listens there
Schema = dict[str, Any]


@pytest.fixture
def subject() -> str:
    return f"test-{uuid4().hex[:12]}-value"


def changed(change: Callable[[Schema], None]) -> str:
    schema = json.loads(schema_text("privacy_request"))
    change(schema)
    return json.dumps(schema)


def drop_a_field(schema: Schema) -> None:
    del schema["fields"][2]


def add_a_field_without_a_default(schema: Schema) -> None:
    schema["fields"].append({"name": "note", "type": "string"})


def change_a_type(schema: Schema) -> None:
    schema["fields"][2]["type"] = "long"


def rename_a_field(schema: Schema) -> None:
    schema["fields"][2]["name"] = "person"


def add_a_field_with_a_default(schema: Schema) -> None:
    schema["fields"].append({"name": "note", "type": "string", "default": ""})


def add_a_symbol(schema: Schema) -> None:
    right = next(field for field in schema["fields"] if field["name"] == "right")
    right["type"]["symbols"].append("EXPLAIN")


@pytest.mark.parametrize(
    "change", [drop_a_field, add_a_field_without_a_default, change_a_type, rename_a_field]
)
def test_a_schema_that_old_or_new_readers_would_die_of_is_refused(
    registry: Registry, subject: str, change: Callable[[Schema], None]
) -> None:
    registry.register(subject, "privacy_request")
    with pytest.raises(ConfigError, match=f"refuses the schema under {subject} as not FULL_TRANSITIVE"):
        registry.register_text(subject, changed(change))
    assert len(registry.versions(subject)) == 1


@pytest.mark.parametrize("change", [add_a_field_with_a_default, add_a_symbol])
def test_a_schema_that_everybody_can_read_is_taken(
    registry: Registry, subject: str, change: Callable[[Schema], None]
) -> None:
    registry.register(subject, "privacy_request")
    registry.register_text(subject, changed(change))
    assert len(registry.versions(subject)) == 2


def test_a_schema_must_be_readable_with_every_version_and_not_only_the_last(
    registry: Registry, subject: str
) -> None:
    """FULL_TRANSITIVE: an event of any age can be replayed."""
    registry.register_text(subject, changed(lambda schema: None))
    registry.register_text(subject, changed(add_a_field_with_a_default))

    def of_another_type(schema: Schema) -> None:
        schema["fields"].append({"name": "note", "type": "long", "default": 0})

    with pytest.raises(ConfigError):
        registry.register_text(subject, changed(of_another_type))


def test_registering_again_changes_nothing(registry: Registry, subject: str) -> None:
    first = registry.register(subject, "privacy_request")
    assert registry.register(subject, "privacy_request") == first
    assert registry.id_of(subject, "privacy_request") == first
    assert len(registry.versions(subject)) == 1


def test_every_topic_has_its_schema(registry: Registry, deployment: Any) -> None:
    for topic in topics_of(deployment.catalogue):
        assert registry.id_of(topic.subject, topic.schema) > 0


def nesting(schema: Schema, number: int) -> None:
    """A record of it nests as deep as its bytes say."""
    more = {"name": "more", "type": ["null", f"Nesting{number}"], "default": None}
    record = {"type": "record", "name": f"Nesting{number}", "fields": [more]}
    schema["fields"].append({"name": f"nesting{number}", "type": ["null", record], "default": None})


def of_nothing(schema: Schema, number: int) -> None:
    """An array of a billion items is five bytes."""
    nothing = {"type": "array", "items": "null"}
    schema["fields"].append({"name": f"nothing{number}", "type": nothing, "default": []})


def test_a_registry_full_of_hostile_versions_changes_nothing(registry: Registry) -> None:
    """They are compatible by Avro's rules, so any producer that registers its schemas itself may add them."""
    topic = replace(REQUESTS, name=f"test-{uuid4().hex[:12]}")
    registry.register(topic.subject, topic.schema)
    good = Codec(registry, topic).encode(an_erasure())
    hostile = [
        registry.register_text(topic.subject, changed(partial(change, number=number)))
        for number in range(10)
        for change in (nesting, of_nothing)
    ]
    codec: Codec[PrivacyRequest] = Codec(registry, topic)
    assert (len(registry.versions(topic.subject)), codec.decode(good)) == (21, an_erasure())
    for schema_id, bomb in zip(hostile, cycle([b"\2" * 1_000 + b"\0", b"\xd0\x0f\0"]), strict=False):
        with pytest.raises(Refused) as refused:
            codec.decode(b"\0" + schema_id.to_bytes(4, "big") + good[5:] + bomb)
        assert refused.value.cause is Cause.UNKNOWN_SCHEMA


def test_a_schema_that_is_not_registered_is_told_with_the_command_that_mends_it(
    registry: Registry, subject: str
) -> None:
    with pytest.raises(ConfigError, match=rf"is not registered under {subject}; run: "):
        registry.id_of(subject, "privacy_request")
    assert (registry.versions(subject), registry.problem_with(subject, "privacy_request")) == ((), None)


def test_what_the_registry_has_against_a_schema_is_told_without_registering_it(
    registry: Registry, subject: str
) -> None:
    registry.register_text(subject, changed(change_a_type))
    assert registry.problem_with(subject, "privacy_request")
    assert len(registry.versions(subject)) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda: NOBODY.id_of(REQUESTS.subject, REQUESTS.schema),
        lambda: NOBODY.versions(REQUESTS.subject),
        lambda: NOBODY.find(REQUESTS.subject, "{}"),
        lambda: NOBODY.register(REQUESTS.subject, REQUESTS.schema),
        lambda: requests_codec(NOBODY),
    ],
)
def test_a_registry_that_is_silent_is_not_a_bad_record(ask: Callable[[], object]) -> None:
    """Or an outage would fill the dead letters."""
    with pytest.raises(Unavailable, match=r"^schema registry at http://127\.0\.0\.1:1"):
        ask()


class _Proxy(BaseHTTPRequestHandler):
    """Answers everything with a page, as a proxy does that wants a login."""

    def do_GET(self) -> None:
        """Answer with HTML."""
        page = b"<html>log in first</html>"
        self.server.heard.append(self.headers["Authorization"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def proxy() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Proxy) as server:
        server.heard = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_no_registry_answers_is_no_answer(proxy: HTTPServer) -> None:
    """A page of a proxy must not make a schema id unknown, and its record a dead letter."""
    registry = Registry(RegistrySection(url=f"http://127.0.0.1:{proxy.server_port}/api"))
    for ask in (lambda: registry.find("a-value", "{}"), lambda: registry.versions("a-value"), registry.reach):
        with pytest.raises(Unavailable):
            ask()


def test_a_password_is_sent_and_not_shown(proxy: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "canary-password")
    url = f"http://127.0.0.1:{proxy.server_port}/api"
    where = RegistrySection(url=url, username="olvido", password=Secret(env="REGISTRY_PASSWORD"))
    registry = Registry(where)
    with pytest.raises(Unavailable) as error:
        registry.reach()
    assert str(error.value).startswith(f"schema registry at {url} ")
    assert "canary-password" not in f"{error.value!r} {registry.url} {where!r}"
    assert proxy.heard == ["Basic b2x2aWRvOmNhbmFyeS1wYXNzd29yZA=="]  # type: ignore[attr-defined]


def test_an_address_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^registry\.url is not the address of a schema registry$"):
        Registry(RegistrySection(url="http://127.0.0.1:half", insecure=True))


def test_a_registry_of_another_machine_is_not_asked_in_clear() -> None:
    with pytest.raises(ConfigError, match=r"^registry\.url: registry\.example is another machine.*https"):
        Registry(RegistrySection(url="http://registry.example/api"))
    Registry(RegistrySection(url="http://registry.example/api", insecure=True))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@contextmanager
def encrypted(
    proxy: HTTPServer, certificate: tuple[Path, Path], *, clients: Path | None = None
) -> Iterator[str]:
    """The same server behind TLS; with ``clients``, only for those whose certificate is of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
    yield f"https://127.0.0.1:{proxy.server_port}/api"


def test_a_registry_is_asked_through_tls_with_a_certificate_of_our_own(
    proxy: HTTPServer, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("of-the-key\n")
    certificate, key = authority.issue("olvido", password="of-the-key")
    with encrypted(proxy, authority.issue("registry"), clients=authority.file) as url:
        registry = Registry(
            RegistrySection(
                url=url, ca_file=authority.file, certificate_file=certificate, key_file=key,
                key_password=Secret(file=tmp_path / "password"),
            )
        )  # fmt: skip
        with pytest.raises(Unavailable, match="JSONDecodeError"):  # of the proxy's page: it was asked
            registry.reach()
    assert proxy.heard == [None]  # type: ignore[attr-defined]


def test_a_registry_that_nobody_vouches_for_is_told_nothing_and_the_fix_is_named(
    proxy: HTTPServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "canary-password")
    login = {"username": "olvido", "password": Secret(env="REGISTRY_PASSWORD")}
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    with encrypted(proxy, authority.issue("registry", address="192.0.2.1")) as url:
        with pytest.raises(Unavailable, match=r"not trusted; check registry\.ca_file"):
            Registry(RegistrySection(url=url, ca_file=stranger.file, **login)).reach()
        with pytest.raises(Unavailable, match="another host name than the address"):
            Registry(RegistrySection(url=url, ca_file=authority.file, **login)).reach()
    assert proxy.heard == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["ca_file", "certificate_file"])
def test_a_file_that_is_no_certificate_is_named_by_its_setting(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.pem").write_text("nothing")
    where = RegistrySection(url="https://127.0.0.1:1", **{name: tmp_path / "file.pem"})
    with pytest.raises(ConfigError, match=rf"^registry\.{name} "):
        Registry(where)
