"""What is asked of a sink again: which work lasts, what the answers come to, and the standing of the sink."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.outcomes import Outcome
from olvido.core.receipts import outcome_of
from olvido.core.rights.known import ACTIONS
from olvido.core.rights.names import Action
from olvido.core.sinks import OperationKind, Standing, standing_of

said = st.one_of(st.none(), st.sampled_from(Outcome))


def test_what_leaves_nothing_behind_is_not_asked_again():
    assert {action for action, asked in ACTIONS.items() if not asked.lasting} == {
        Action.ACCESS, Action.PORTABILITY, Action.UNKNOWN,
    }  # fmt: skip


@given(st.lists(said), said.filter(lambda one: one is not Outcome.NOT_FOUND))
def test_the_newest_word_counts(before, newest):
    assert outcome_of([*before, newest]) is newest


@given(st.lists(said))
def test_to_find_nobody_hides_no_effect(before):
    outcome = outcome_of([*before, Outcome.NOT_FOUND])
    assert outcome is Outcome.NOT_FOUND or outcome in before
    assert outcome not in {None, Outcome.FAILED, Outcome.UNSUPPORTED, Outcome.DEFERRED}


@pytest.mark.parametrize(
    ("generations", "outcome"),
    [
        ([Outcome.ERASED, Outcome.NOT_FOUND], Outcome.ERASED),
        ([Outcome.ERASED, Outcome.RETAINED, Outcome.NOT_FOUND], Outcome.RETAINED),
        ([Outcome.FAILED, Outcome.NOT_FOUND], Outcome.NOT_FOUND),
        ([None, Outcome.NOT_FOUND], Outcome.NOT_FOUND),
        ([Outcome.ERASED, None], None),
        ([Outcome.ERASED, Outcome.FAILED], Outcome.FAILED),
    ],
)
def test_what_a_sink_has_come_to(generations, outcome):
    assert outcome_of(generations) is outcome


def test_of_two_operations_the_worse_one_counts():
    assert standing_of([]) is Standing.LIVE
    assert standing_of([OperationKind.BACKFILL]) is Standing.JOINING
    assert standing_of([OperationKind.BACKFILL, OperationKind.RESTORE]) is Standing.UNSAFE
