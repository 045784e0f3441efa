"""A sink's process that is killed after a look is published and before it is noted. Run by test_looks.py."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sinks.looking import Boxes
from sinks.targets import make_sink

from olvido.broker.contract import Record


class LastWords:
    """Writes the record down, as the broker would have it, and the process is gone."""

    def publish(self, records: Sequence[Record]) -> None:
        (record,) = records
        assert record.value is not None
        Path(sys.argv[2]).write_bytes(record.value)
        os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None: ...


folder = Path(sys.argv[1])
Boxes(folder).sweeping(make_sink("postgres"), LastWords()).step()
