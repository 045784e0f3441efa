"""What every sink must hold, run over all of them on real targets."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sinks.shop import (
    ASKED_AT,
    LATER,
    LONG_AGO,
    a_consent,
    a_customer,
    a_task,
    an_erasure,
    an_objection,
    identities,
)
from sinks.targets import HttpTarget, Target
from starlette.responses import Response

from olvido.core.errors import Refused
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.sinks.contract import Remembering, Sink

GRANTED, WITHDRAWN = Decision.GRANTED, Decision.WITHDRAWN
THREE = tuple(a_customer(number) for number in (1, 2, 3))


@pytest.fixture
def sink(target: Target) -> Iterator[Sink]:
    """A sink of the target."""
    sink = target.sink()
    yield sink
    sink.close()


def allowed(target: Target) -> dict[str, bool]:
    """Who may be written to."""
    return {row[1]: row[4] for row in target.rows("customers")}


def outcomes(receipts: object) -> list[Outcome]:
    """Of receipts, in their order."""
    return [receipt.outcome for receipt in receipts]  # type: ignore[attr-defined]


def without_lookups(target: Target) -> None:
    """Let an HTTP target not be read back: it would say, rightly, that the person is there again."""
    if isinstance(target, HttpTarget):
        target.app.before = lambda path, _: Response(status_code=404) if path.endswith("lookups") else None


def test_an_erased_person_is_gone_and_everyone_else_is_untouched(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    before = target.rows("customers")
    [receipt] = sink.apply([an_erasure(customer_id="C-2", email="person2@example.com")])
    assert target.rows("customers") == [before[0], before[2]]
    assert receipt.outcome is Outcome.ERASED
    assert receipt.counts == {"customers.deleted": 1}
    assert receipt.verified_at is not None


def test_a_task_applied_twice_gives_the_same_receipt_and_no_second_effect(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    without_lookups(target)
    task = an_erasure(customer_id="C-2")
    [first] = sink.apply([task])
    target.add("customers", a_customer(2))  # a second effect would show
    [second] = sink.apply([task])
    assert first == second
    assert len(target.rows("customers")) == 3


def test_another_sink_process_remembers_too(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    task = an_erasure(customer_id="C-2")
    [first] = sink.apply([task])
    other = target.sink()
    [second] = other.apply([task])
    other.close()
    assert first == second


def test_what_was_done_is_known_without_opening_a_box(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    done, new = an_erasure(customer_id="C-2"), an_erasure(customer_id="C-3")
    [receipt] = sink.apply([done])
    before = target.rows("customers")
    if isinstance(target, HttpTarget):  # it has no way to ask, and is asked nothing
        assert not isinstance(sink, Remembering)
    else:
        assert isinstance(sink, Remembering)
        assert sink.remembered([new.task, done.task]) == [None, receipt]
    assert target.rows("customers") == before


def test_the_next_generation_does_the_work_again(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    source_id = UUID(int=77)
    sink.apply([an_erasure(customer_id="C-2", source_id=source_id)])
    target.add("customers", a_customer(2))
    [again] = sink.apply([an_erasure(customer_id="C-2", source_id=source_id, generation=1)])
    assert again.outcome is Outcome.ERASED
    assert len(target.rows("customers")) == 2


def test_one_person_twice_in_a_batch_is_counted_once(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    first, second = sink.apply([an_erasure(customer_id="C-2"), an_erasure(email="person2@example.com")])
    assert outcomes([first, second]) == [Outcome.ERASED, Outcome.NOT_FOUND]


def test_receipts_come_in_the_order_of_the_tasks(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    batch = [an_erasure(customer_id=name) for name in ("C-3", "C-9", "C-1")]
    receipts = sink.apply(batch)
    assert [receipt.task_id for receipt in receipts] == [one.task.task_id for one in batch]
    assert outcomes(receipts) == [Outcome.ERASED, Outcome.NOT_FOUND, Outcome.ERASED]


def test_what_was_made_after_the_person_asked_is_a_new_life(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1, email="a@x.org"), a_customer(2, email="b@x.org", created_at=LATER))
    receipts = sink.apply([an_erasure(email="a@x.org"), an_erasure(email="b@x.org")])
    assert outcomes(receipts) == [Outcome.ERASED, Outcome.NOT_FOUND]
    assert [row[1] for row in target.rows("customers")] == ["C-2"]


def test_a_row_made_at_the_very_fence_goes(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1, created_at=ASKED_AT))
    target.add("customers", a_customer(2, created_at=ASKED_AT + timedelta(microseconds=1)))
    receipts = sink.apply([an_erasure(customer_id="C-1"), an_erasure(customer_id="C-2")])
    assert outcomes(receipts) == [Outcome.ERASED, Outcome.NOT_FOUND]


def test_an_address_is_found_in_whatever_case_it_was_typed(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1, email="MiXed@Example.COM"))
    assert outcomes(sink.apply([an_erasure(email="mixed@example.com")])) == [Outcome.ERASED]


def test_nobody_is_found_by_a_pattern(target: Target, sink: Sink) -> None:
    """Threat T13: an identity is compared, never matched."""
    target.add("customers", *THREE)
    before = target.rows("customers")
    strange = ["%", "*", "_", "' OR '1'='1", "C-1' --", "{}", '"', "\\", "C-1 ", "c-1", "null", "ＣC-1"]
    receipts = sink.apply([an_erasure(customer_id=value) for value in strange])
    assert set(outcomes(receipts)) == {Outcome.NOT_FOUND}
    assert target.rows("customers") == before


@pytest.mark.parametrize("strange", ["C-2\0", "\ud800", "\u202e2-C"])
def test_what_no_text_column_holds_is_nobodys(target: Target, sink: Sink, strange: str) -> None:
    """A box of somebody else's may hold anything: the sink answers, and does the others' tasks."""
    target.add("customers", *THREE)
    batch = [an_erasure(customer_id=strange), an_erasure(customer_id="C-1")]
    assert [one.outcome for one in sink.apply(batch)] == [Outcome.NOT_FOUND, Outcome.ERASED]


def test_an_address_shared_by_two_people_destroys_nothing_unless_it_is_said_who_asks(
    target: Target, sink: Sink
) -> None:
    target.add("customers", a_customer(1, email="us@x.org"), a_customer(2, email="us@x.org"))
    before = target.rows("customers")
    [unsaid] = sink.apply([an_erasure(email="us@x.org")])
    assert (unsaid.outcome, unsaid.verified_at) == (Outcome.AMBIGUOUS, None)
    assert "share" in unsaid.detail
    assert target.rows("customers") == before
    [said] = sink.apply([an_erasure(customer_id="C-1", email="us@x.org")])
    assert (said.outcome, said.counts) == (Outcome.AMBIGUOUS, {"customers.deleted": 1})
    assert said.verified_at is None  # a row that names the address is there
    assert target.rows("customers") == [before[1]]


def test_a_consent_sets_its_own_person_and_nobody_else(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1, email="us@x.org"), a_customer(2, email="us@x.org"))
    [receipt] = sink.apply([a_consent(WITHDRAWN, customer_id="C-1", email="us@x.org")])
    assert receipt.outcome is Outcome.SUPPRESSED
    assert allowed(target) == {"C-1": False, "C-2": True}


def test_the_later_decision_holds_in_whatever_order_it_comes(target: Target, sink: Sink) -> None:
    for number, order in enumerate(permutations(range(3)), start=10):
        target.add("customers", a_customer(number))
        decisions = [(GRANTED, 1), (WITHDRAWN, 3), (GRANTED, 2)]
        for place in order:
            decision, hour = decisions[place]
            sink.apply([a_consent(decision, at=LONG_AGO + timedelta(hours=hour), customer_id=f"C-{number}")])
    assert set(allowed(target).values()) == {False}


def test_in_a_tie_the_withdrawal_holds(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1), a_customer(2))
    sink.apply([a_consent(WITHDRAWN, customer_id="C-1")])
    [late] = sink.apply([a_consent(GRANTED, customer_id="C-1")])
    assert late.outcome is Outcome.SUPERSEDED
    sink.apply([a_consent(GRANTED, customer_id="C-2"), a_consent(WITHDRAWN, customer_id="C-2")])
    assert allowed(target) == {"C-1": False, "C-2": False}


def test_a_decision_is_known_before_its_person_is(target: Target, sink: Sink) -> None:
    [early] = sink.apply([a_consent(WITHDRAWN, at=LATER, customer_id="C-1")])
    assert early.outcome is Outcome.SUPPRESSED
    target.add("customers", a_customer(1))
    [late] = sink.apply([a_consent(GRANTED, at=ASKED_AT, customer_id="C-1")])
    assert late.outcome is Outcome.SUPERSEDED


def test_a_grant_from_a_clock_ahead_does_not_undo_a_later_withdrawal(target: Target, sink: Sink) -> None:
    """Review B15 (e19): dated four minutes ahead of when the broker took it, withdrawn a minute later."""
    target.add("customers", *THREE)
    minute = timedelta(minutes=1)
    for number, order in ((1, 1), (2, -1)):
        grant = a_consent(GRANTED, at=ASKED_AT + 4 * minute, appended_at=ASKED_AT, customer_id=f"C-{number}")
        withdrawal = a_consent(
            WITHDRAWN, at=ASKED_AT + minute, appended_at=ASKED_AT + minute, customer_id=f"C-{number}"
        )
        for task in [grant, withdrawal][::order]:
            sink.apply([task])
    assert allowed(target) == {"C-1": False, "C-2": False, "C-3": True}


def test_what_a_person_did_after_the_broker_took_the_erasure_stays(target: Target, sink: Sink) -> None:
    """The clock that dates it is four minutes ahead."""
    without_lookups(target)
    minute = timedelta(minutes=1)
    target.add(
        "customers",
        a_customer(1, created_at=ASKED_AT - minute),
        a_customer(2, created_at=ASKED_AT + minute, customer_no="C-1"),
    )
    sink.apply([an_erasure(customer_id="C-1", at=ASKED_AT + 4 * minute, appended_at=ASKED_AT)])
    assert [row[0] for row in target.rows("customers")] == [2]


def test_an_objection_stands_over_a_later_grant(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    [objection] = sink.apply([an_objection(customer_id="C-1")])
    assert objection.outcome is Outcome.SUPPRESSED
    [grant] = sink.apply([a_consent(GRANTED, at=LATER, customer_id="C-1")])
    assert grant.outcome is Outcome.SUPPRESSED
    assert "objection" in grant.detail
    assert allowed(target) == {"C-1": False, "C-2": True, "C-3": True}


@pytest.mark.parametrize("action", [Action.ACCESS, Action.PORTABILITY, Action.RECTIFY])
def test_what_cannot_be_done_is_said_and_nothing_changes(target: Target, sink: Sink, action: Action) -> None:
    target.add("customers", *THREE)
    before = target.rows("customers")
    [receipt] = sink.apply([a_task(action, identities(customer_id="C-1"))])
    assert receipt.outcome is Outcome.UNSUPPORTED
    assert action.value in receipt.detail
    assert target.rows("customers") == before


def test_check_and_ping_change_nothing_and_may_be_repeated(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    before = target.rows("customers")
    for look in (sink.check, sink.ping, sink.check, sink.ping):
        look()
    assert target.rows("customers") == before


def test_installing_and_pinging_change_nothing_that_was_there(target: Target, sink: Sink) -> None:
    target.add("customers", *THREE)
    task = an_erasure(customer_id="C-2")
    without_lookups(target)
    [first] = sink.apply([task])
    before = target.rows("customers")
    sink.install()
    sink.ping()
    assert sink.apply([task]) == [first]
    assert target.rows("customers") == before


def test_closing_twice_is_closing_once(target: Target, sink: Sink) -> None:
    sink.close()
    sink.close()


def test_killed_between_effect_and_receipt_a_task_has_one_effect(target: Target, sink: Sink) -> None:
    """Failure F29. The process dies by SIGKILL at the moment it would publish the receipt."""
    target.add("customers", *THREE)
    without_lookups(target)
    child = subprocess.run(
        [sys.executable, Path(__file__).parent / "killed_before_receipt.py"],
        env={**target.environment, "PATH": "", "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert child.returncode == -9, child.stderr.decode()
    assert [row[1] for row in target.rows("customers")] == ["C-1", "C-3"]
    target.add("customers", a_customer(2))  # a second effect would show
    [receipt] = sink.apply([an_erasure(customer_id="C-2", source_id=UUID(int=4711))])
    assert receipt.outcome is Outcome.ERASED
    assert receipt.counts == {"customers.deleted": 1}
    assert len(target.rows("customers")) == 3


# What is decided, when, of whom, and how long after that the broker takes it: before it, by a clock ahead.
decisions = st.tuples(
    st.sampled_from([GRANTED, WITHDRAWN]), st.integers(0, 4), st.integers(1, 3), st.sampled_from([-2, 0, 1])
)


@given(said=st.lists(decisions, min_size=1, max_size=6), data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_repetition_and_cutting_of_consents_leaves_the_same_columns(
    target: Target, said: list[tuple[Decision, int, int, int]], data: st.DataObject
) -> None:
    """The decisions are those of three people; each has the columns of the latest."""
    numbers = sorted({row[0] for row in target.rows("customers")} or {0})
    base = numbers[-1] + 1
    target.add("customers", *(a_customer(base + number) for number in (1, 2, 3)))
    tasks = [
        a_consent(
            decision,
            at=LONG_AGO + timedelta(hours=hour),
            appended_at=LONG_AGO + timedelta(hours=hour + after),
            customer_id=f"C-{base + number}",
        )
        for decision, hour, number, after in said
    ]
    order = data.draw(st.permutations(tasks + tasks[:2]))
    cut = data.draw(st.integers(0, len(order)))
    sink = target.sink()
    for batch in (order[:cut], order[cut:]):
        if batch:
            sink.apply(list({one.task.key: one for one in batch}.values()))  # as the runner brings them
    sink.close()
    latest: dict[int, tuple[int, bool]] = {}
    for decision, hour, number, after in said:
        effective = min(hour, hour + after)
        latest[number] = max((effective, decision is WITHDRAWN), latest.get(number, (-9, False)))
    expected = {f"C-{base + n}": not latest[n][1] if n in latest else True for n in (1, 2, 3)}
    assert {name: allows for name, allows in allowed(target).items() if name in expected} == expected


def test_all_of_a_batch_is_done_or_none_of_it(target: Target) -> None:
    target.add("customers", *THREE)
    before = target.rows("customers")
    sink = target.sink()
    if isinstance(target, HttpTarget):
        bad = an_erasure(customer_id="broken")
    else:
        bad = an_erasure(customer_id="C-3")
        target.run("create table letters (customer bigint references customers (id))")
        target.run("insert into letters select id from customers where customer_no = 'C-3'")
    with pytest.raises(Refused):
        sink.apply([an_erasure(customer_id="C-1"), bad, an_erasure(customer_id="C-2")])
    assert target.rows("customers") == before
    [receipt] = sink.apply([an_erasure(customer_id="C-1")])
    assert receipt.outcome is Outcome.ERASED
    sink.close()
