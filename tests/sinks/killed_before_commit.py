"""A sink's process that is killed when all is done and nothing is committed. Run by test_tables.py."""

import os
import signal
from importlib import import_module
from typing import Any, NoReturn
from uuid import UUID

from sinks.shop import an_erasure
from sinks.targets import make_sink

kind = os.environ["OLVIDO_TEST_KIND"]
# Where a batch is carried out: DuckDB's own kind has that, the others share it.
module = import_module("olvido.sinks." + ("kinds.duckdb" if kind == "duckdb" else "tables.sink"))
carry_out = module.carry_out


def die(*arguments: Any) -> NoReturn:
    """As the machine's out-of-memory killer would."""
    carry_out(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


sink = make_sink(kind)
sink.check()
sink.install()
module.carry_out = die  # type: ignore[attr-defined]
sink.apply([an_erasure(customer_id="C-2", source_id=UUID(int=4712))])
