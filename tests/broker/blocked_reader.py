"""A process that reads a topic as every process does, and whose handler stands still while a file is there.

python blocked_reader.py BOOTSTRAP_SERVERS TOPIC GROUP PORT FILE

Its clock runs three times as fast as ours, so the minute after which it counts as dead takes 20 seconds.
"""

import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from olvido.broker.contract import Received
from olvido.broker.loop import Loop
from olvido.broker.runtime.health import ReaderHealth
from olvido.broker.runtime.movement import Activity
from olvido.broker.runtime.serving import serving
from olvido.schemas.settings.deployment import KafkaSection, MetricsSection


def clock() -> float:
    return time.monotonic() * 3


def main() -> None:
    servers, topic, group, port, file = sys.argv[1:]
    kafka, stop, activity = KafkaSection(bootstrap_servers=servers), threading.Event(), Activity(clock=clock)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def handle(_: Sequence[Received]) -> None:
        while Path(file).exists() and not stop.is_set():
            threading.Event().wait(0.1)

    health = ReaderHealth(kafka, group=group, topics=[topic], activity=activity, clock=clock)
    with serving(MetricsSection(port=int(port)), health):
        health.started({})
        threading.Thread(target=health.watch, args=(stop,), daemon=True).start()
        Loop(
            kafka, group=group, topics=[topic], handler=handle, activity=activity, canaries=True
        ).run(stop)  # fmt: skip


if __name__ == "__main__":
    main()
