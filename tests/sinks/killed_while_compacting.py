"""A sink's process that is killed while it writes a DuckDB file anew. Run by test_duckdb.py."""

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from sinks.targets import make_sink

from olvido.sinks.kinds import duckdb


def die(*_: Any) -> NoReturn:
    """As the machine's out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


sink = make_sink("duckdb")
sink.check()
sink.install()
if sys.argv[1] == "replace":
    replace = Path.replace
    Path.replace = lambda self, target: die(replace(self, target))  # type: ignore[method-assign, assignment]
else:
    setattr(duckdb, sys.argv[1], die)
sink.idle()
