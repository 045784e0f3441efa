"""Traces across topics, by OpenTelemetry: one trace from a request to its receipts, over all processes.

The context travels in the ``traceparent`` header. Only what came with one is followed: no trace begins
in the middle. Where nobody imports OpenTelemetry this module does not either, and hands on what came.
No span says which person: keys are dropped and what could name somebody is redacted, in libraries' spans too.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from olvido.core.redaction import redacted

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import Attributes

logger = logging.getLogger("olvido.broker")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# What the instrumentations of Kafka's clients record: https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
KEYS = frozenset({"messaging.kafka.message.key", "messaging.kafka.message_key", "messaging.message.key"})

HandOn = Callable[[str], str]  # what to hand on in place of a traceparent that came


def set_up(service: str) -> None:
    """Send this process's spans to where OpenTelemetry's own variables say; without one nothing is done.

    Args:
        service: the process's name among the spans, unless ``OTEL_SERVICE_NAME`` says another.
    """
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        logger.warning("%s is set, and no traces are sent: pip install 'olvido[otel]'", ENDPOINTS[0])
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", service)
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(nameless(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)


@contextmanager
def following(step: str, topic: str, traceparents: Iterable[str]) -> Iterator[HandOn]:
    """Follow the traces that came with a batch: a span for each, for as long as the block lasts.

    Args:
        step: what is done: ``plan``, ``apply`` or ``record``.
        topic: what was read.
        traceparents: as they came; an empty one is not followed.
    """
    tracer = _tracer()
    if tracer is None:
        yield _as_it_came
        return
    spans = {came: _begin(tracer, step, topic, came) for came in set(traceparents) if came}
    try:
        yield lambda came: _traceparent_of(spans[came]) if came in spans else came
    except BaseException as error:
        for span in spans.values():
            _failed(span, error)
        raise
    finally:
        for span in spans.values():
            span.end()


@contextmanager
def emitting(topic: str, traceparent: str) -> Iterator[str]:
    """A span of a record that is sent, under the trace that is given, or else under the caller's own.

    Yields:
        What to send along; nothing where nobody traces.
    """
    tracer = _tracer()
    if tracer is None:
        yield traceparent
        return
    span = _begin(tracer, "send", topic, traceparent, sends=True)
    try:
        yield _traceparent_of(span) or traceparent
    except BaseException as error:
        _failed(span, error)
        raise
    finally:
        span.end()


def nameless(exporter: "SpanExporter") -> "SpanExporter":
    """An exporter that is given no message keys, and nothing that names a person or opens a door."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    def clean(attributes: "Attributes") -> "dict[str, Any]":
        return {name: _clean(value) for name, value in (attributes or {}).items() if name not in KEYS}

    class Nameless(SpanExporter):
        def export(self, spans: Any) -> Any:  # noqa: ANN401 - as the exporter has it
            return exporter.export(
                [
                    ReadableSpan(
                        name=redacted(span.name),
                        context=span.context,
                        parent=span.parent,
                        resource=span.resource,
                        attributes=clean(span.attributes),
                        events=[
                            Event(event.name, clean(event.attributes), event.timestamp)
                            for event in span.events
                        ],
                        links=span.links,
                        kind=span.kind,
                        status=span.status,
                        start_time=span.start_time,
                        end_time=span.end_time,
                        instrumentation_scope=span.instrumentation_scope,
                    )
                    for span in spans
                ]
            )

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return exporter.force_flush(timeout_millis)

    return Nameless()


def _tracer() -> "Tracer | None":
    """Where spans are made, if anybody in this process uses OpenTelemetry."""
    trace = sys.modules.get("opentelemetry.trace")
    return None if trace is None else trace.get_tracer("olvido")


def _begin(tracer: "Tracer", step: str, topic: str, came: str, *, sends: bool = False) -> "Span":
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    # Without one that came: under the caller's own span, if there is one.
    context = TraceContextTextMapPropagator().extract({"traceparent": came}) if came else None
    return tracer.start_span(
        f"{step} {topic}",
        context=context,
        kind=SpanKind.PRODUCER if sends else SpanKind.CONSUMER,
        attributes={
            "messaging.system": "kafka",
            "messaging.destination.name": topic,
            "messaging.operation.type": "send" if sends else "process",
        },
    )


def _traceparent_of(span: "Span") -> str:
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, context=set_span_in_context(span))
    return carrier.get("traceparent", "")


def _failed(span: "Span", error: BaseException) -> None:
    """The kind of an error and not its message, which may hold a value."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR)


def _as_it_came(traceparent: str) -> str:
    return traceparent


def _clean(value: Any) -> Any:  # noqa: ANN401 - an attribute's
    if isinstance(value, str):
        return redacted(value)
    return [_clean(one) for one in value] if isinstance(value, (list, tuple)) else value
