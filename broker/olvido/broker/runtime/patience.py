"""Waiting for what is down: with back-off and jitter, one clear line each time, until it is asked to stop."""

import logging
import random
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from olvido.core.errors import Unavailable

logger = logging.getLogger("olvido.broker")

DELAY_FIRST_S = 0.5
DELAY_S_MAX = 10.0  # doubling from 0.5 s: reached at the sixth attempt

T = TypeVar("T")


class Stopped(Exception):
    """Somebody asked us to stop while we waited."""


def delays() -> Iterator[float]:
    """0.5 s, doubling to 10 s, each shortened by up to a half, so that many do not knock at once."""
    delay_s = DELAY_FIRST_S
    while True:
        yield delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        delay_s = min(delay_s * 2, DELAY_S_MAX)


def patiently(what: str, act: Callable[[], T], stop: threading.Event) -> T:
    """Act, and try again for as long as something it needs is down.

    Raises:
        Stopped: ``stop`` was set in the meantime.
        ConfigError: at once: waiting does not mend a setting.
    """
    for delay_s in delays():
        try:
            return act()
        except Unavailable as error:
            logger.warning("%s: %s; trying again in %.1f s", what, error, delay_s)
        if stop.wait(delay_s):
            break
    raise Stopped(what)
