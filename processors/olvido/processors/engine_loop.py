"""Runs the processors on the plain loop, without Faust, until they are asked to stop."""

import logging
import os
import threading

from olvido.broker.loop import Loop
from olvido.broker.runtime import tracing
from olvido.broker.runtime.health import ReaderHealth
from olvido.broker.runtime.movement import Activity
from olvido.broker.runtime.patience import Stopped, patiently
from olvido.broker.runtime.serving import serving
from olvido.processors.parts import Parts, work_of
from olvido.processors.timers import running
from olvido.processors.watchdog import EXIT_TRY_AGAIN
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import (
    PROCESSORS_GROUP,
    REQUESTS,
    UPSTREAM,
)

logger = logging.getLogger("olvido.processors")


def run_loop_engine(deployment: Deployment, stop: threading.Event) -> None:
    """Run the same steps and timers on the plain loop instead of Faust.

    Raises:
        ConfigError: before anything is read.
    """
    tracing.set_up(PROCESSORS_GROUP)
    activity = Activity()
    health = ReaderHealth(
        deployment.kafka,
        group=PROCESSORS_GROUP,
        topics=[topic.name for topic in UPSTREAM],
        activity=activity,
        apart=True,
    )
    with serving(deployment.metrics, health):
        try:
            parts = patiently(
                "processors", lambda: Parts(deployment, name=PROCESSORS_GROUP, reads=UPSTREAM), stop
            )
        except Stopped:
            return
        handlers, timers = work_of(parts)
        loops = [
            Loop(
                deployment.kafka, group=PROCESSORS_GROUP, topics=[topic], handler=handler,
                activity=activity, canaries=topic == REQUESTS.name,
            )
            for topic, handler in handlers.items()
        ]  # fmt: skip
        health.started(parts.ask())
        threading.Thread(target=health.watch, args=(stop,), name="health", daemon=True).start()
        threads = [threading.Thread(target=_or_exit, args=(loop, stop), daemon=True) for loop in loops]
        for thread in threads:
            thread.start()
        with running(timers, stop):
            stop.wait()
        for thread in threads:
            thread.join(timeout=10)
        parts.publisher.close()


def _or_exit(loop: Loop, stop: threading.Event) -> None:
    """A thread that fails must not leave its topic unread behind a process that looks alive."""
    try:
        loop.run(stop)
    except Exception as error:  # noqa: BLE001 - the process ends; nothing is swallowed
        logger.critical("the loop failed with %s; ending the process", type(error).__name__)
        os._exit(EXIT_TRY_AGAIN)
