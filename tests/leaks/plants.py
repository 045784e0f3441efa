"""Twenty leaks, made on purpose: one in each place and spelling, each of somebody else.

Each is made as it would come about, as far as that can be had: a record on the real broker, a row in the real
ledger, an error that PostgreSQL logs, a series that is scraped, a span that is sent.
"""

import base64
import hashlib
import json
import logging
import os
import subprocess
import sys
import tarfile
import unicodedata
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import psycopg2
from confluent_kafka import Producer as Client
from confluent_kafka.admin import AdminClient, NewTopic
from leaks.stage import Stage
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from prometheus_client import CollectorRegistry, Counter, start_http_server

from shop.people import Person, spaced


def _send(stage: Stage, *, packing: str, value: bytes = b"", key: bytes = b"", header: bytes = b"") -> None:
    servers = {"bootstrap.servers": stage.chain.deployment.kafka.bootstrap_servers}
    topic = f"leaks.planted.{packing}"
    admin = AdminClient(servers)
    if topic not in admin.list_topics(timeout=30).topics:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    client = Client({**servers, "compression.type": packing})
    delivered: list[bool] = []
    # Something before and after it, or it would not be packed.
    client.produce(
        topic,
        value=b"before " * 50 + value + b" after" * 50,
        key=key or None,
        headers=[("h", header)],
        on_delivery=lambda error, _: delivered.append(error is None),
    )
    client.flush(30)
    assert delivered == [True]


def _ledger(stage: Stage, *statements: tuple[str, tuple]) -> None:
    with psycopg2.connect(stage.chain.stack.ledger_owner_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "create table if not exists leaks_planted (id serial, text text, raw bytea, doc jsonb)"
        )
        for statement, values in statements:
            cursor.execute(statement, values)


def _database_error(stage: Stage, person: Person, _: Path) -> None:
    def fail() -> None:
        with psycopg2.connect(stage.chain.stack.dsn("ledger")) as connection, connection.cursor() as cursor:
            cursor.execute("select %s::integer", (person.email,))

    try:
        fail()
    except psycopg2.DataError:
        return
    raise AssertionError("an address was taken for a number")


def _log(stage: Stage, line: str, program: str = "sink-crm") -> None:
    """A library that writes to the process's standard error, past every logger."""
    with stage.chain.stack.folder.log(program).open("a") as file:
        file.write(line + "\n")


def _metric(stage: Stage, person: Person, _: Path) -> None:
    registry = CollectorRegistry()
    Counter("planted", "Planted.", ["who"], registry=registry).labels(person.email).inc()
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    stage.look_at(f"http://127.0.0.1:{server.server_port}/metrics")
    server.shutdown()
    server.server_close()
    thread.join()


def _span(stage: Stage, name: str, **attributes: str) -> None:
    endpoint = stage.collector.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    with provider.get_tracer("planted").start_as_current_span(name, attributes=attributes):
        pass
    provider.shutdown()


def _bundle(stage: Stage, person: Person, folder: Path) -> None:
    path = folder / "planted.tar.gz"
    with tarfile.open(path, "w:gz") as bundle:
        body = unicodedata.normalize("NFD", person.email).encode()
        info = tarfile.TarInfo("olvido-support/config.txt")
        info.size = len(body)
        bundle.addfile(info, BytesIO(body))
    stage.bundles.append(path)


def _command(stage: Stage, person: Person, _: Path) -> None:
    program = f"print({person.email.upper()!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30,
                          env={**os.environ, "PYTHONIOENCODING": "utf-8"})  # fmt: skip
    stage.said.append(("planted", done.stdout))


def _traceback(stage: Stage, person: Person, _: Path) -> None:
    def fail() -> None:
        raise ValueError(f"no such customer: {person.customer_id}")

    stage.failing(fail)


def _record_logged(stage: Stage, person: Person, folder: Path) -> None:
    """A logger of the standard library, as JSON, with the person in an extra field."""
    path = stage.chain.stack.folder.log("recorder")
    handler = logging.FileHandler(path)
    logger = logging.getLogger("planted")
    logger.addHandler(handler)
    logger.error(json.dumps({"message": "failed", "body": json.dumps({"email": person.email})}))
    logger.removeHandler(handler)
    handler.close()


def _hash(name: str, text: str) -> bytes:
    return hashlib.new(name, text.encode(), usedforsecurity=False).digest()


_INSERT = "insert into leaks_planted ({0}) values (%s)"
Plant = Callable[[Stage, Person, Path], None]
PLANTS: tuple[tuple[str, str, Plant], ...] = (
    ("Kafka", "a value in clear", lambda s, p, _: _send(s, packing="none", value=p.email.encode())),
    ("Kafka", "a key", lambda s, p, _: _send(s, packing="none", key=p.phone.encode())),
    ("Kafka", "a header in base64",
     lambda s, p, _: _send(s, packing="none", header=base64.b64encode(b"{" + p.email.encode() + b"}"))),
    ("Kafka", "JSON, packed with zstd",
     lambda s, p, _: _send(s, packing="zstd", value=json.dumps({"e": p.email}).encode())),
    ("Kafka", "UTF-16, packed with lz4",
     lambda s, p, _: _send(s, packing="lz4", value=p.email.encode("utf-16-le"))),
    ("Kafka", "packed with gzip", lambda s, p, _: _send(s, packing="gzip", value=p.customer_id.encode())),
    ("Kafka", "packed with snappy",
     lambda s, p, _: _send(s, packing="snappy", value=spaced(p.phone).encode())),
    ("ledger", "a row, in capitals",
     lambda s, p, _: _ledger(s, (_INSERT.format("text"), (p.email.upper(),)))),
    ("ledger", "a row that was deleted again, as SHA-256",
     lambda s, p, _: _ledger(s, (_INSERT.format("raw"), (_hash("sha256", p.email),)),
                             ("delete from leaks_planted where raw is not null", ()))),
    ("ledger", "JSON, updated away",
     lambda s, p, _: _ledger(s, (_INSERT.format("doc"), (json.dumps({"d": p.device_id}),)),
                             ("update leaks_planted set doc = null where doc is not null", ()))),
    ("logs", "an error that PostgreSQL logs", _database_error),
    ("logs", "a line with a URL", lambda s, p, _: _log(s, f"GET /people/{quote(p.email, safe='')} 404")),
    ("logs", "a line with an MD5", lambda s, p, _: _log(s, f"gravatar {_hash('md5', p.email).hex()}")),
    ("logs", "JSON in JSON", _record_logged),
    ("metrics", "a label", _metric),
    ("traces", "an attribute",
     lambda s, p, _: _span(s, "planted", **{"http.target": f"/p?{p.email.lower()}"})),
    ("traces", "a span's name", lambda s, p, _: _span(s, base64.b64encode(p.cookie_id.encode()).decode())),
    ("bundles", "a setting, letters and accents apart", _bundle),
    ("commands", "standard output", _command),
    ("tracebacks", "a message", _traceback),
)  # fmt: skip
"""Each leak: the place it is made in, what it is, and how."""
