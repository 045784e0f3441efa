"""One trace leads from a request to its receipt in the ledger; no span names a person."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from key_files import KeyFiles, principals_of
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from values import CATALOGUE, NOW, Journal

from olvido.broker.contract import Received, Record
from olvido.broker.runtime.tracing import KEYS, emitting, following, nameless
from olvido.core.catalogue import Catalogue
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.ledger.store import Ledger
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import RequestsHandler
from olvido.processors.handlers.receipts import ReceiptsHandler
from olvido.producers.build import Builder
from olvido.producers.emitter import Emitter, Outgoing, Writer
from olvido.schemas.codec import dead_letters_codec, receipts_codec, tasks_codec
from olvido.schemas.privacy.handle_key import HandleKey, create_handle_key
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.topics import RECEIPTS, REQUESTS, tasks_topic
from olvido.sinks.contract import OpenedTask
from olvido.sinks.runner import SinkRunner

EMAIL = "ana@example.es"
ONE_SINK = Catalogue(
    regions=frozenset({"cn"}), purposes=CATALOGUE.purposes, sinks=CATALOGUE.sinks[:1]
)  # fmt: skip


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    """Of one test alone: OpenTelemetry's own is one for each process, for good."""
    provider = TracerProvider()
    monkeypatch.setattr("olvido.broker.runtime.tracing._tracer", lambda: provider.get_tracer("olvido"))
    yield provider
    provider.shutdown()


@pytest.fixture
def spans(provider: TracerProvider) -> InMemorySpanExporter:
    """What is exported in one test."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(nameless(exporter)))
    return exporter


class Obedient:
    """A sink that does what it is asked, and has nothing to do it to."""

    def apply(self, batch: Sequence[OpenedTask]) -> Sequence[Receipt]:
        return [receipt_for(one.task, Outcome.ERASED, applied_at=NOW) for one in batch]

    def check(self) -> tuple[str, ...]:
        """Always there."""
        return ()

    def install(self) -> None:
        pass

    def ping(self) -> None:
        pass

    def idle(self) -> None:
        """Nothing that could wait."""

    def close(self) -> None:
        """Nothing to close."""


def record_of(outgoing: Outgoing) -> Record:
    """The record, to be carried by hand."""
    return outgoing.record


@dataclass
class Carrier:
    """Carries records from their writers to their readers."""

    registry: Registry
    ledger: Ledger
    keys: Path
    written: Journal = field(default_factory=Journal)

    @cached_property
    def files(self) -> KeyFiles:
        return KeyFiles(self.keys, ("cn",))

    @cached_property
    def seals(self) -> ControlSeals:
        # A key that is made later is known some seconds later.
        self.files.signing_file("sink-crm")
        return self.files.control_seals(principals_of(ONE_SINK))

    def emitter(self) -> Emitter[Record]:
        create_handle_key(self.keys / "handle.key")
        builder = Builder(
            handle_key=HandleKey.load(self.keys / "handle.key"),
            sealer=self.files.sealer(),
            purposes=tuple(ONE_SINK.purposes),
        )
        return Emitter(Writer(builder, self.registry, source="shop"), record_of)

    def carry(self, record: Record) -> None:
        """From the request to the ledger."""
        emission = Emission(self.registry, ONE_SINK, self.written, source="test")
        RequestsHandler(
            self.registry, self.ledger, emission, ONE_SINK, self.seals,
            clock=lambda: NOW, due_after=timedelta(minutes=1),
        )([came(record)])  # fmt: skip
        SinkRunner(
            Obedient(),
            name="crm",
            opener=self.files.opener("cn"),
            seals=self.seals,
            sealer=self.files.sealer("sink-crm"),
            tasks=tasks_codec(self.registry, "crm"),
            receipts=receipts_codec(self.registry),
            dead_letters=dead_letters_codec(self.registry),
            publisher=self.written,
            group="olvido.sink.crm",
            source="test",
            clock=lambda: NOW,
        )([came(self.newest(tasks_topic("crm").name))])
        ReceiptsHandler(self.registry, self.ledger, emission, self.seals, clock=lambda: NOW)(
            [came(self.newest(RECEIPTS.name))]
        )

    def newest(self, topic: str) -> Record:
        return [record for record in self.written.records if record.topic == topic][-1]


def came(record: Record) -> Received:
    """A record as its reader gets it."""
    return Received(record.topic, 0, 0, record.key, record.value, record.headers)


@pytest.fixture
def carrier(registry: Registry, ledger: Ledger, tmp_path: Path) -> Carrier:
    for sink in ONE_SINK.sinks:
        registry.register(tasks_topic(sink.name).subject, "task")
    return Carrier(registry, ledger, tmp_path)


def ask(emitter: Emitter[Record]) -> Record:
    return emitter.request_erasure(
        identities={"email": EMAIL}, regions=["cn"], requested_at=NOW - timedelta(minutes=1)
    )


def test_one_trace_leads_from_the_shops_own_span_to_the_receipt_in_the_ledger(
    carrier: Carrier, spans: InMemorySpanExporter, provider: TracerProvider
) -> None:
    with provider.get_tracer("shop").start_as_current_span("POST /forget-me"):
        record = ask(carrier.emitter())
    carrier.carry(record)
    told = {span.name: span for span in spans.get_finished_spans()}
    path = [
        "POST /forget-me",
        f"send {REQUESTS.name}",
        f"plan {REQUESTS.name}",
        f"apply {tasks_topic('crm').name}",
        f"record {RECEIPTS.name}",
    ]
    assert set(told) == set(path)
    assert len({span.context.trace_id for span in told.values()}) == 1
    parents = {span.context.span_id: name for name, span in told.items()}
    assert [parents[told[name].parent.span_id] for name in path[1:]] == path[:-1]


def test_no_span_holds_the_person_the_handle_or_the_key(
    carrier: Carrier, spans: InMemorySpanExporter, provider: TracerProvider
) -> None:
    with provider.get_tracer("shop").start_as_current_span("POST /forget-me"):
        record = ask(carrier.emitter())
    carrier.carry(record)
    said = "".join(span.to_json() for span in spans.get_finished_spans())
    assert [word for word in (EMAIL, record.key.decode()) if word in said] == []


def test_what_came_without_a_trace_begins_none(carrier: Carrier, spans: InMemorySpanExporter) -> None:
    record = ask(carrier.emitter())
    spans.clear()
    carrier.carry(replace(record, headers=tuple(h for h in record.headers if h[0] != "traceparent")))
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize("key", sorted(KEYS))
def test_keys_and_identities_of_libraries_spans_are_not_exported(
    key: str, spans: InMemorySpanExporter, provider: TracerProvider
) -> None:
    with provider.get_tracer("a library").start_as_current_span(f"GET /people/{EMAIL}") as span:
        span.set_attribute(key, "h1_email1xxxxxxx")
        span.set_attribute("db.statement", f"select '{EMAIL}'")
        span.set_attribute("people", [EMAIL])
        span.set_attribute("rows", 3)
        span.record_exception(ValueError(f"Key (email)=({EMAIL})"))
    [told] = spans.get_finished_spans()
    assert key not in told.attributes
    assert (told.attributes["db.statement"], told.attributes["rows"]) == ("select '[e-mail]'", 3)
    assert EMAIL not in told.to_json()
    assert told.name == "GET /people/[e-mail]"


def test_a_step_that_fails_says_the_kind_of_error_and_not_its_message(spans: InMemorySpanExporter) -> None:
    with emitting("t", "") as traceparent:
        pass
    spans.clear()
    with pytest.raises(ValueError), following("apply", "t", [traceparent, ""]):
        raise ValueError(f"no row for {EMAIL}")
    [told] = spans.get_finished_spans()
    assert told.attributes["error.type"] == "ValueError"
    assert "no row" not in told.to_json()


PLAIN = """
import sys, json
from olvido.broker.runtime import tracing
tracing.set_up("test")
with tracing.following("plan", "t", ["00-" + "1" * 32 + "-" + "2" * 16 + "-01"]) as hand_on:
    same = hand_on("00-" + "1" * 32 + "-" + "2" * 16 + "-01") == "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
with tracing.emitting("t", "") as traceparent:
    print(json.dumps([same, traceparent, [name for name in sys.modules if name.startswith("opentelemetry")]]))
"""


def test_where_nobody_traces_nothing_is_imported_and_what_came_is_handed_on() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == [True, "", []]


SENDING = """
from olvido.broker.runtime import tracing
tracing.set_up("olvido.test")
with tracing.emitting("olvido.requests.v1", ""):
    pass
"""


def test_a_process_sends_its_spans_to_the_endpoint_under_its_name() -> None:
    """By OTLP over HTTP, to a collector that listens; what is left is sent when the process ends."""
    came: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    endpoint = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    try:
        subprocess.run([sys.executable, "-c", SENDING], env=environment | endpoint, check=True, timeout=60)
    finally:
        server.shutdown()
        server.server_close()
    [(path, body)] = came
    assert path == "/v1/traces"
    assert [word for word in (b"olvido.test", b"send olvido.requests.v1") if word not in body] == []


MISSING = """
import sys, logging
logging.basicConfig()
sys.modules["opentelemetry"] = None  # as if the extra were not installed
from olvido.broker.runtime import tracing
tracing.set_up("test")
"""


def test_an_endpoint_without_the_extra_is_said_and_stops_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "olvido[otel]" in done.stderr


def test_a_span_is_what_opentelemetry_makes_of_it(spans: InMemorySpanExporter) -> None:
    with emitting("olvido.requests.v1", ""):
        pass
    [told] = spans.get_finished_spans()
    assert isinstance(told, ReadableSpan)
    assert dict(told.attributes) == {
        "messaging.system": "kafka",
        "messaging.destination.name": "olvido.requests.v1",
        "messaging.operation.type": "send",
    }
