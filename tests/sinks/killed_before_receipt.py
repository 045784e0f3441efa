"""A sink's process that is killed after its effect and before its receipt. Run by test_contract.py."""

import os
import signal
from uuid import UUID

from sinks.shop import an_erasure
from sinks.targets import make_sink

sink = make_sink(os.environ["OLVIDO_TEST_KIND"])
sink.apply([an_erasure(customer_id="C-2", source_id=UUID(int=4711))])
os.kill(os.getpid(), signal.SIGKILL)
