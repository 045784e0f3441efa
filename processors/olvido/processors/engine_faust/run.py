"""Runs the processors on Faust until they are asked to stop."""

import contextlib
import io
import logging
import threading

import faust

from olvido.broker.runtime import tracing
from olvido.broker.runtime.health import ReaderHealth
from olvido.broker.runtime.movement import Activity
from olvido.broker.runtime.patience import patiently
from olvido.broker.runtime.serving import serving
from olvido.processors.engine_faust.app import build_app
from olvido.processors.parts import Parts, work_of
from olvido.processors.timers import running
from olvido.processors.watchdog import Watchdog
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import PROCESSORS_GROUP, UPSTREAM

logger = logging.getLogger("olvido.processors")


def run_processors(deployment: Deployment) -> None:
    """Run the Faust worker: requests, consents, verifications, the reconciler and the offset audit.

    Returns after SIGTERM or SIGINT, when the batches at hand are done.

    Raises:
        ConfigError: before anything is read.
    """
    tracing.set_up(PROCESSORS_GROUP)
    activity = Activity()
    health = ReaderHealth(
        deployment.kafka, group=PROCESSORS_GROUP, topics=[topic.name for topic in UPSTREAM],
        activity=activity, apart=True, on_look=Watchdog().look,
    )  # fmt: skip
    with serving(deployment.metrics, health):
        _plan(deployment, activity, health)


def _plan(deployment: Deployment, activity: Activity, health: ReaderHealth) -> None:
    stop = threading.Event()
    parts = patiently("processors", lambda: Parts(deployment, name=PROCESSORS_GROUP, reads=UPSTREAM), stop)
    handlers, timers = work_of(parts)
    app = build_app(deployment.kafka, group=PROCESSORS_GROUP, handlers=handlers, activity=activity)
    health.started(parts.ask())
    # In a thread of its own: it looks also when the event loop stands still.
    threading.Thread(target=health.watch, args=(stop,), name="health", daemon=True).start()
    logger.info("processors start: %d sinks, ledger and registry answer", len(parts.catalogue.sinks))
    with running(timers, stop), contextlib.suppress(SystemExit):
        faust.Worker(
            app, quiet=True, loglevel="WARNING", override_logging=False, redirect_stdouts=False,
            stdout=io.StringIO(), stderr=io.StringIO(),  # its spinner is not for logs
        ).execute_from_commandline()  # fmt: skip
    parts.publisher.close()
