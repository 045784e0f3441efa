"""Whether a reader moves: the rule, on a clock of its own."""

import subprocess
import sys
from dataclasses import dataclass

from olvido.broker.contract import Lag
from olvido.broker.runtime.movement import Activity, Movement, Still


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def lags(committed: int, end: int, *, partition: int = 0, topic: str = "t") -> list[Lag]:
    return [Lag(topic=topic, partition=partition, committed=committed, start=0, end=end)]


def a_movement(*, apart: bool = False) -> tuple[Movement, Activity, Clock]:
    clock = Clock()
    activity = Activity(clock=clock)
    return Movement(activity, apart=apart), activity, clock


def stood_for(movement: Movement, now_s: float) -> float:
    still = movement.still(now_s)
    return still.for_s if still is not None else 0.0


def test_a_reader_stands_still_for_as_long_as_records_wait_and_nothing_is_committed():
    movement, _, clock = a_movement()
    movement.look(lags(5, 10), clock())
    movement.look(lags(5, 12), clock() + 10)
    assert movement.still(clock() + 70) == Still(records=7, for_s=70, busy=False, down="")


def test_a_reader_that_moves_or_has_nothing_to_do_never_stands_still():
    movement, _, _ = a_movement()
    for second in range(0, 300, 10):
        movement.look(lags(second, second + 5), second)
        assert stood_for(movement, second) == 0
    for second in range(300, 600, 10):
        movement.look(lags(10, 10), second)
        assert movement.still(second) is None


def test_how_long_counts_from_when_there_was_something_to_do():
    movement, _, _ = a_movement()
    movement.look(lags(10, 10), 0)
    movement.look(lags(10, 11), 600)
    assert stood_for(movement, 660) == 60


def test_another_members_partitions_are_no_fault_of_ours():
    movement, activity, _ = a_movement()
    activity.add_reader(lambda: [("t", 1)])
    for second in (0, 100):
        movement.look([*lags(5, 10, partition=0), *lags(7, 7, partition=1)], second)
    assert movement.still(100) is None


def test_who_was_given_nothing_answers_for_the_whole_group():
    movement, activity, _ = a_movement()
    activity.add_reader(list)
    for second in (0, 100):
        movement.look(lags(5, 10), second)
    assert stood_for(movement, 100) == 100


def test_of_topics_read_apart_one_may_stand_while_others_move():
    movement, _, _ = a_movement(apart=True)
    for second in (0, 100):
        movement.look([*lags(5, 10, topic="stands"), *lags(second, second + 1, topic="moves")], second)
    assert stood_for(movement, 100) == 100
    together, _, _ = a_movement()
    for second in (0, 100):
        together.look([*lags(5, 10, topic="stands"), *lags(second, second + 1, topic="moves")], second)
    assert stood_for(together, 100) == 0


def test_while_the_broker_is_silent_no_time_counts():
    movement, _, _ = a_movement()
    movement.look(lags(5, 10), 0)
    movement.reset()
    movement.look(lags(5, 10), 1000)
    assert stood_for(movement, 1000) == 0


def test_a_batch_that_rests_because_something_is_down_is_no_fault_until_it_is_tried_and_stuck():
    movement, activity, clock = a_movement()
    movement.look(lags(5, 10), clock())
    with activity.batch_in_hand(["t"]):
        with activity.resting(["t"], "the target is down"):
            clock.now_s += 3600
            movement.look(lags(5, 10), clock())
            assert movement.still(clock()) == Still(records=5, for_s=0, busy=True, down="the target is down")
        clock.now_s += 61
        movement.look(lags(5, 10), clock())
        assert movement.still(clock()) == Still(records=5, for_s=61, busy=True, down="the target is down")
    assert movement.still(clock()) == Still(records=5, for_s=61, busy=False, down="")


def test_the_rule_needs_no_kafka():
    imports = "import sys, olvido.broker.runtime.movement; sys.exit('confluent_kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", imports], check=False).returncode == 0
