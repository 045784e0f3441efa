"""A sink that dies by SIGKILL just after one chunk of a heavy person was committed; which one is given."""

import os
import signal
import sys
from uuid import UUID

from sinks.shop import an_erasure
from sinks.targets import make_sink

from olvido.sinks.contract import OpenedTask
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.tables.sink import CHUNK_ROWS_MIN

last = int(sys.argv[1])
done = 0
chunk = PostgresSink._chunk


def counted(sink: PostgresSink, one: OpenedTask, limit: int) -> bool:
    """Die after the given chunk."""
    global done  # noqa: PLW0603 - this process is one test
    more = chunk(sink, one, limit)
    done += 1
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return more


PostgresSink._chunk = counted  # type: ignore[method-assign]
sink = make_sink("postgres")
assert isinstance(sink, PostgresSink)
sink._chunk_rows = CHUNK_ROWS_MIN
sink.apply([an_erasure(customer_id="C-1", source_id=UUID(int=7))])
