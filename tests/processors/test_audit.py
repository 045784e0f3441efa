"""The watchdog: a process that looks alive and stands still is ended."""

from olvido.broker.admin import Lag
from olvido.processors.audit import EXIT_TRY_AGAIN, STILL_S_MAX, Watchdog


def lags(committed: int, end: int) -> list[Lag]:
    return [Lag(topic="t", partition=0, committed=committed, start=0, end=end)]


def test_a_process_before_which_records_wait_and_nothing_moves_is_ended():
    ends: list[int] = []
    watchdog = Watchdog(end=ends.append)
    for second in (0, 100, STILL_S_MAX, STILL_S_MAX + 1):
        watchdog.look(lags(5, 10), second)
    assert ends == [EXIT_TRY_AGAIN]


def test_a_process_that_moves_or_has_nothing_to_do_is_left_alone():
    ends: list[int] = []
    watchdog = Watchdog(end=ends.append)
    for second in range(0, 3000, 100):
        watchdog.look(lags(second, second + 5), second)
    for second in range(3000, 6000, 100):
        watchdog.look(lags(10, 10), second)
    watchdog.look(lags(10, 11), 6000)
    assert ends == []
