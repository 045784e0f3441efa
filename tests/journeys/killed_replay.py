"""`olvido replay run …`, killed by SIGKILL at a named point: `killed_replay.py POINT NTH ARGUMENTS…`."""

import os
import signal
import sys
from typing import Any

from olvido.broker.kafka import KafkaPublisher
from olvido.ledger.replays import Replays
from olvido.operators.cli.app import main


def die() -> None:
    """Nothing is cleaned up after this."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, nth: int) -> None:
    """Have the process die at the n-th time it comes to a point."""
    left = [nth]

    def comes() -> bool:
        left[0] -= 1
        return left[0] == 0

    publish, note, move = KafkaPublisher.publish, Replays.note, Replays.move

    def publishing(self: KafkaPublisher, records: Any) -> None:
        here = point.endswith("publish") and comes()
        if here and point.startswith("before"):
            die()
        publish(self, records[: len(records) // 2] if here and point.startswith("within") else records)
        if here:
            die()

    def noting(self: Replays, *args: Any, **named: Any) -> Any:
        state = note(self, *args, **named)
        if point == "after note" and comes():
            die()
        return state

    def moving(self: Replays, *args: Any, **named: Any) -> bool:
        if point == "before done" and comes():
            die()
        return move(self, *args, **named)

    KafkaPublisher.publish, Replays.note, Replays.move = publishing, noting, moving  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    main(sys.argv[3:])
