"""One class says all of a right: nothing that may be named is without one."""

from datetime import UTC, datetime

import pytest

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import Decision
from olvido.core.outcomes import NO_EFFECT, Outcome
from olvido.core.rights.known import ACTIONS, RIGHTS, of_right
from olvido.core.rights.names import Action, Right
from olvido.core.rights.what import Particulars

AT = datetime(2026, 11, 20, tzinfo=UTC)


def test_every_name_on_the_wire_has_its_class():
    assert set(RIGHTS) == set(Right) - {Right.UNKNOWN}
    assert set(ACTIONS) == set(Action)


@pytest.mark.parametrize("right", Right)
def test_a_right_and_its_action_have_one_name(right: Right):
    assert of_right(right).right is right
    assert of_right(right).action.value == right.value


@pytest.mark.parametrize("right", list(RIGHTS))
def test_every_right_can_be_done_and_a_claim_that_nothing_is_left_is_one_way(right: Right):
    asked = RIGHTS[right]
    assert asked.done
    assert asked.gone <= asked.done
    assert asked.done.isdisjoint(NO_EFFECT)


def test_only_an_erasure_claims_what_a_search_can_test():
    claims = {right: asked.gone for right, asked in RIGHTS.items() if asked.gone}
    assert claims == {Right.ERASE: {Outcome.ERASED, Outcome.ANONYMISED}}


@pytest.mark.parametrize("right", list(RIGHTS))
def test_a_right_is_made_of_its_fields_on_the_wire_and_gives_them_back(right: Right):
    given = Particulars(purposes=("marketing",) if RIGHTS[right].takes_purposes else ())
    asked = RIGHTS[right].of_wire(AT, given)
    assert (asked.at, asked.particulars) == (AT, given)


@pytest.mark.parametrize("right", list(RIGHTS))
@pytest.mark.parametrize(
    "foreign", [Particulars(decision=Decision.GRANTED), Particulars(policy_version="2026-01")]
)
def test_what_only_a_consent_has_is_refused_of_every_right(right: Right, foreign: Particulars):
    with pytest.raises(Refused) as refused:
        RIGHTS[right].of_wire(AT, foreign)
    assert (refused.value.cause, refused.value.field) == (Cause.NON_CANONICAL, "decision")


@pytest.mark.parametrize("right", [right for right, asked in RIGHTS.items() if not asked.takes_purposes])
def test_purposes_are_refused_of_a_right_that_is_not_against_any(right: Right):
    with pytest.raises(Refused) as refused:
        RIGHTS[right].of_wire(AT, Particulars(purposes=("marketing",)))
    assert (refused.value.cause, refused.value.field) == (Cause.NON_CANONICAL, "purposes")
