"""The watchdog: a process that looks alive and stands still is ended."""

from olvido.broker.admin import Lag
from olvido.processors.watchdog import BUSY_S_MAX, EXIT_TRY_AGAIN, STILL_S_MAX, Activity, Watchdog


def lags(committed: int, end: int, partition: int = 0) -> list[Lag]:
    return [Lag(topic="t", partition=partition, committed=committed, start=0, end=end)]


def a_watchdog(activity: Activity | None = None) -> tuple[Watchdog, list[int]]:
    ends: list[int] = []
    return Watchdog(activity or Activity(), end=ends.append), ends


def test_a_process_before_which_records_wait_and_nothing_moves_is_ended():
    watchdog, ends = a_watchdog()
    for second in (0, 10, STILL_S_MAX, STILL_S_MAX + 1):
        watchdog.look(lags(5, 10), second)
    assert ends == [EXIT_TRY_AGAIN]


def test_a_process_that_moves_or_has_nothing_to_do_is_left_alone():
    watchdog, ends = a_watchdog()
    for second in range(0, 300, 10):
        watchdog.look(lags(second, second + 5), second)
    for second in range(300, 600, 10):
        watchdog.look(lags(10, 10), second)
    watchdog.look(lags(10, 11), 600)
    assert ends == []


def test_a_process_that_waits_for_a_part_with_a_batch_in_hand_is_given_longer():
    activity = Activity()
    watchdog, ends = a_watchdog(activity)
    with activity.batch_in_hand():
        for second in (0, STILL_S_MAX + 1, BUSY_S_MAX):
            watchdog.look(lags(5, 10), second)
        assert ends == []
        watchdog.look(lags(5, 10), BUSY_S_MAX + 1)
    assert ends == [EXIT_TRY_AGAIN]


def test_a_process_is_not_ended_for_partitions_that_another_reads():
    activity = Activity()
    activity.assigned = lambda: [("t", 1)]
    watchdog, ends = a_watchdog(activity)
    for second in (0, STILL_S_MAX + 1, 10 * STILL_S_MAX):
        watchdog.look([*lags(5, 10, partition=0), *lags(7, 7, partition=1)], second)
    assert ends == []


def test_while_the_broker_is_silent_no_time_counts():
    watchdog, ends = a_watchdog()
    watchdog.look(lags(5, 10), 0)
    watchdog.reset()
    watchdog.look(lags(5, 10), 10 * STILL_S_MAX)
    assert ends == []
