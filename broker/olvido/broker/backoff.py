"""How long to wait before something that is down is asked again."""

import random
from collections.abc import Iterator

DELAY_FIRST_S = 0.5
DELAY_S_MAX = 30.0  # doubling from 0.5 s: reached at the seventh attempt


def delays() -> Iterator[float]:
    """0.5 s, doubling to 30 s, each shortened by up to a half, so that many waiters do not knock at once."""
    delay_s = DELAY_FIRST_S
    while True:
        yield delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        delay_s = min(delay_s * 2, DELAY_S_MAX)
