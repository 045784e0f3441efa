"""How fast something may go: a rate as people write it, and a pace that keeps to it. No clock of its own."""

import re

_RATE = re.compile(r"(?P<count>[1-9]\d*)(?:/(?P<period>s|min|hour|day))?")
_SECONDS = {"s": 1, "min": 60, "hour": 3600, "day": 86_400}


def rate_of(text: str) -> float:
    """How many a second ``50``, ``50/s``, ``600/min``, ``5000/hour`` or ``20000/day`` is.

    Raises:
        ValueError: the text is no rate; it says what one looks like.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError("is a whole number above 0 with /s, /min, /hour or /day, such as 50/s")
    return int(match["count"]) / _SECONDS[match["period"] or "s"]


class Pace:
    """Keeps to a rate by spreading evenly: nothing that was not used is saved up.

    So a process that begins anew, after a crash too, never goes over the rate by more than one taking.
    """

    def __init__(self, rate: float) -> None:
        """
        Args:
            rate: how many a second.
        """
        self._rate = rate
        self._free_at = float("-inf")

    def take(self, count: int, now: float) -> float:
        """Take so many; how many seconds to wait before they may go.

        Args:
            count: how many.
            now: the time in seconds, of any clock that never goes back.
        """
        begins_at = max(self._free_at, now)
        self._free_at = begins_at + count / self._rate
        return begins_at - now
