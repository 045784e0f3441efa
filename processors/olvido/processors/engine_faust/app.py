"""The Faust app: it hosts the steps, and is given nothing it could lose.

Measured (docs/decisions/0002): batches taken without acknowledgement (``stream.py``), and an ``ack``
for each event after the flush, lose nothing under SIGKILL and SIGTERM; an exception that leaves an
agent loses a quarter of what flows. So none ever leaves one: what is down is waited for, anything
else ends the process before a single ack, and the supervisor starts it again.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import faust

from olvido.broker.contract import Handler, Received
from olvido.broker.runtime.metrics import BATCH_SECONDS, RECORDS_HANDLED, RETRIES
from olvido.broker.runtime.movement import Activity
from olvido.broker.runtime.patience import delays
from olvido.core.errors import ConfigError, Unavailable
from olvido.processors.engine_faust.credentials import credentials_of
from olvido.processors.engine_faust.stream import AsRead, NoMonitor, Stream
from olvido.processors.engine_faust.transport import Transport
from olvido.processors.watchdog import EXIT_TRY_AGAIN
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import CANARIES

logger = logging.getLogger("olvido.processors")

RECORDS_MAX = 1000
LOG_APPEND_TIME = 1  # of a record's timestamp_type: the broker set it
WITHIN_S = 0.05
PATIENCE = timedelta(minutes=4)  # below the group's patience with us; then a fresh start is cheaper
EXIT_BUG = 70  # EX_SOFTWARE


class _App(faust.App):  # type: ignore[misc]  # Faust is untyped to us
    """An app that leaves nothing on the disk."""

    def _create_directories(self) -> None:
        """Folders are for Faust's tables, of which there are none."""


def build_app(
    kafka: KafkaSection,
    *,
    group: str,
    handlers: Mapping[str, Handler],
    activity: Activity,
) -> Any:  # noqa: ANN401 - Faust is untyped to us
    """A Faust app that reads each topic with its handler, and the canaries beside them.

    Args:
        kafka: where the broker is.
        group: the consumer group; also Faust's app id.
        handlers: by topic name.
        activity: is given what is in hand and which partitions are read.

    Raises:
        ConfigError: an option about the login that Faust's driver cannot keep.
    """
    app = _App(
        group,
        monitor=NoMonitor(),
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=credentials_of(kafka),
        autodiscover=False,
        broker_commit_interval=0.5,
        broker_heartbeat_interval=3.0,
        broker_max_poll_interval=600.0,
        broker_session_timeout=10.0,
        consumer_auto_offset_reset="earliest",
        cython_optimizations=True,
        processing_guarantee="at_least_once",
        reply_create_topic=False,
        store="memory://",
        Stream=Stream,
        stream_buffer_maxsize=4 * RECORDS_MAX,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    app.transport = Transport(app.conf.broker_consumer, app)
    # One thread for each agent, that of the canaries too: a step blocks its own topic only.
    pool = ThreadPoolExecutor(max_workers=len(handlers) + 1, thread_name_prefix="step")
    # Faust shares out topics that have as many partitions alike, and others on their own. There are as many
    # canaries as the largest topic has partitions: no worker that has work is left without.
    for topic, handler in {**handlers, CANARIES.name: _arrived}.items():
        _read(app, topic, handler, pool, activity)
    activity.add_reader(lambda: [(place.topic, place.partition) for place in app.consumer.assignment()])
    return app


def _arrived(batch: Sequence[Received]) -> None:
    """Of canaries: that they are acknowledged is all they are for."""


def _read(
    app: Any,  # noqa: ANN401
    name: str,
    handler: Handler,
    pool: ThreadPoolExecutor,
    activity: Activity,
) -> None:
    topic = app.topic(name, schema=AsRead())

    async def agent(stream: Stream) -> AsyncIterable[None]:
        async for events in stream.batches(RECORDS_MAX, within_s=WITHIN_S):
            batch = [_received(event.message) for event in events]
            with activity.batch_in_hand([name]):
                await _or_end(partial(_carry_out, handler, batch, pool, activity))
            # All is durable: the ledger's transaction is committed and every record delivered. A
            # crash before these acks brings the batch again; a crash after them does not.
            for event in events:
                event.ack()
            yield None

    app.agent(topic, name=f"olvido.{name}", concurrency=1)(agent)


async def _carry_out(
    handler: Handler, batch: list[Received], pool: ThreadPoolExecutor, activity: Activity
) -> None:
    """Bring the same batch until it is handled; after long enough, let a fresh process try."""
    loop = asyncio.get_running_loop()
    began, topic = loop.time(), batch[0].topic
    give_up_at = began + PATIENCE.total_seconds()
    for delay_s in delays():
        try:
            await loop.run_in_executor(pool, handler, batch)
        except Unavailable as error:
            if loop.time() > give_up_at:
                logger.error("%s; giving up after %s, a fresh process will go on", error, PATIENCE)
                _end(EXIT_TRY_AGAIN)
            logger.warning("%s; trying again in %.1f s", error, delay_s)
            RETRIES.labels(topic).inc()
            with activity.resting([topic], str(error)):
                await asyncio.sleep(delay_s)
        else:
            if topic != CANARIES.name:
                RECORDS_HANDLED.labels(topic).inc(len(batch))
                BATCH_SECONDS.labels(topic).observe(loop.time() - began)
            return


async def _or_end(act: Callable[[], Awaitable[None]]) -> None:
    """Let nothing but cancellation leave: Faust would go on past the records that raised it."""
    try:
        await act()
    except ConfigError as error:
        logger.critical("%s", error)
        _end(EXIT_BUG)
    except Exception as error:  # noqa: BLE001 - the process ends; nothing is swallowed
        # The traceback names lines and types; messages of unknown exceptions may hold values.
        logger.critical("a step failed with %s; ending the process, the batch comes again", _where(error))
        _end(EXIT_BUG)


def _end(code: int) -> None:
    logging.shutdown()
    os._exit(code)  # sys.exit in an agent hangs the worker (faust#324)


def _where(error: BaseException) -> str:
    """Type and place of an error, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"


def _received(message: Any) -> Received:  # noqa: ANN401
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Received(
        message.topic, message.partition, message.offset, message.key, message.value, tuple(pairs),
        round(message.timestamp * 1000), by_broker=message.timestamp_type == LOG_APPEND_TIME,
    )  # fmt: skip
