"""The watchdog: a process that looks alive and stands still is ended."""

from olvido.broker.runtime.movement import Still
from olvido.processors.watchdog import BUSY_S_MAX, EXIT_TRY_AGAIN, IDLE_S_MAX, Watchdog


def ends_after(for_s: float, *, busy: bool = False) -> list[int]:
    ends: list[int] = []
    Watchdog(end=ends.append).look(Still(records=5, for_s=for_s, busy=busy, down=""))
    return ends


def test_a_process_before_which_records_wait_and_nothing_moves_is_ended():
    assert (ends_after(IDLE_S_MAX), ends_after(IDLE_S_MAX + 1)) == ([], [EXIT_TRY_AGAIN])


def test_a_process_with_a_batch_in_hand_is_given_longer():
    assert (ends_after(BUSY_S_MAX, busy=True), ends_after(BUSY_S_MAX + 1, busy=True)) == (
        [],
        [EXIT_TRY_AGAIN],
    )


def test_a_process_that_moves_is_left_alone():
    ends: list[int] = []
    Watchdog(end=ends.append).look(None)
    assert ends == []
