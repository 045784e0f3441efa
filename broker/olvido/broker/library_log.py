"""librdkafka's log lines: what a broker that is down makes it log, at first and then once a minute."""

import logging
import re
import threading
import time
from collections.abc import Callable

REPEAT_AFTER_S = 60.0
LINES_MAX = 1_000  # kept in mind at once; more different lines than that are new ones

# How often it tried, and how long: "(after 0ms in state CONNECT, 3 identical error(s) suppressed)".
_COUNTED = re.compile(r"\(after [^)]*\)")


class OnceAMinute(logging.Filter):
    """Lets a line pass that was not logged in the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()  # each of librdkafka's threads logs
        self._logged_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log this line."""
        line, now = _COUNTED.sub("", record.getMessage()), self._clock()
        with self._lock:
            if now - self._logged_at.get(line, float("-inf")) < REPEAT_AFTER_S:
                return False
            if len(self._logged_at) >= LINES_MAX:
                self._logged_at.clear()
            self._logged_at[line] = now
        return True
