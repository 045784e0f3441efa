"""Planning: one event in, one task for each sink concerned out."""

from datetime import timedelta

import pytest
from values import CATALOGUE, NOW, a_box, a_change, a_handle, an_erasure

from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.plan import check_consent, check_request, plan_tasks
from olvido.core.rights.consent import Consent
from olvido.core.rights.known import RIGHTS, of_right
from olvido.core.rights.names import Right
from olvido.core.subject import IdentityKind


def sinks(tasks):
    return [task.sink for task in tasks]


def test_a_request_becomes_one_task_for_each_sink_that_can_match_it():
    assert sinks(plan_tasks(an_erasure(), CATALOGUE)) == ["crm", "marketing"]


def test_a_sink_outside_the_regions_named_gets_no_task():
    assert sinks(plan_tasks(an_erasure(regions=["sg"]), CATALOGUE)) == ["marketing"]


def test_a_sink_that_knows_none_of_the_identities_gets_no_task():
    request = an_erasure(kinds=[IdentityKind.COOKIE_ID])
    assert sinks(plan_tasks(request, CATALOGUE)) == ["analytics"]


@pytest.mark.parametrize("right", list(RIGHTS))
def test_every_right_reaches_every_sink_concerned_also_one_that_may_not_support_it(right):
    tasks = plan_tasks(an_erasure(right=right), CATALOGUE)
    assert [(task.sink, task.action) for task in tasks] == [
        ("crm", of_right(right).action),
        ("marketing", of_right(right).action),
    ]


def test_planning_twice_gives_the_same_tasks():
    assert plan_tasks(an_erasure(), CATALOGUE) == plan_tasks(an_erasure(), CATALOGUE)


def test_another_generation_is_the_same_task_to_be_done_again():
    first = plan_tasks(an_erasure(), CATALOGUE)
    again = plan_tasks(an_erasure(), CATALOGUE, generation=1)
    assert [task.task_id for task in first] == [task.task_id for task in again]
    assert {task.generation for task in again} == {1}


def test_a_task_carries_the_box_of_its_sinks_region_only():
    assert {task.sink: task.box.region for task in plan_tasks(an_erasure(), CATALOGUE)} == {
        "crm": "cn",
        "marketing": "sg",
    }


def test_the_fence_of_an_erasure_is_when_the_person_asked():
    request = an_erasure(requested_at=NOW - timedelta(days=3))
    assert {task.occurred_at for task in plan_tasks(request, CATALOGUE)} == {NOW - timedelta(days=3)}


@pytest.mark.parametrize("right", list(RIGHTS))
def test_a_task_has_what_its_right_has_and_nothing_else(right):
    """Purposes of another right than an objection are nothing to it; the request as such is not refused."""
    request = replaced(an_erasure(right=right), purposes=("marketing",))
    task = plan_tasks(request, CATALOGUE)[0]
    assert (task.action.value, task.occurred_at) == (right.value, request.requested_at)
    assert (task.request_id, task.event_id) == (request.request_id, None)
    assert getattr(task.what, "purposes", None) == (("marketing",) if RIGHTS[right].takes_purposes else None)


def test_a_task_of_a_consent_change_has_its_decision():
    change = a_change()
    task = plan_tasks(change, CATALOGUE)[0]
    assert task.what == Consent(
        purpose="marketing",
        decision=change.decision,
        occurred_at=change.occurred_at,
        policy_version=change.policy_version,
    )
    assert (task.request_id, task.event_id) == (None, change.event_id)


def test_a_consent_change_reaches_the_sinks_that_act_on_its_purpose():
    assert sinks(plan_tasks(a_change(), CATALOGUE)) == ["crm", "marketing"]
    assert sinks(plan_tasks(a_change(purpose="analytics"), CATALOGUE)) == []  # it knows no e-mail


def replaced(event, **changes):
    from dataclasses import replace

    return replace(event, **changes)


@pytest.mark.parametrize(
    ("request_", "cause", "field"),
    [
        (an_erasure(right=Right.UNKNOWN), Cause.UNKNOWN_RIGHT, "right"),
        (replaced(an_erasure(), regions=("mx",), boxes=(a_box("mx"),)), Cause.UNKNOWN_REGION, "regions"),
        (replaced(an_erasure(), regions=()), Cause.UNKNOWN_REGION, "regions"),
        (replaced(an_erasure(), boxes=(a_box("cn"),)), Cause.NO_BOX, "boxes"),
        (replaced(an_erasure(), boxes=(a_box("cn"), a_box("cn"), a_box("sg"))), Cause.NO_BOX, "boxes"),
        (replaced(an_erasure(), purposes=("spam",)), Cause.UNKNOWN_PURPOSE, "purposes"),
        (replaced(an_erasure(), subject_id="%"), Cause.BAD_HANDLE, "subject_id"),
        (replaced(an_erasure(), handles=()), Cause.BAD_HANDLE, "handles"),
        (an_erasure(requested_at=NOW + timedelta(hours=1)), Cause.FUTURE, "requested_at"),
        (an_erasure(requested_at=NOW.replace(year=1970)), Cause.BAD_TIME, "requested_at"),
        (an_erasure(requested_at=NOW.replace(tzinfo=None)), Cause.BAD_TIME, "requested_at"),
    ],
)
def test_a_request_that_means_nothing_here_is_refused_with_its_field(request_, cause, field):
    """B24-B27, B34: never a default, never a guess."""
    with pytest.raises(Refused) as refused:
        check_request(request_, CATALOGUE, NOW)
    assert (refused.value.cause, refused.value.field) == (cause, field)


@pytest.mark.parametrize("value", ["", " ", "%", "*", "\0", "ana@example.es", "h1_short", "x" * 10_240])
def test_a_handle_that_is_no_keyed_pseudonym_is_refused_and_not_repeated(value):
    """B34: and an identity in clear that was put in a handle's place goes no further."""
    change = replaced(a_change(), subject_id=value, handles=(replaced(a_handle(), value=value),))
    with pytest.raises(Refused) as refused:
        check_consent(change, CATALOGUE, NOW)
    assert refused.value.cause is Cause.BAD_HANDLE
    assert not value.strip() or value not in str(refused.value)


def test_an_unknown_purpose_is_never_allowed_by_default():
    with pytest.raises(Refused) as refused:
        check_consent(a_change(purpose="unheard-of"), CATALOGUE, NOW)
    assert refused.value.cause is Cause.UNKNOWN_PURPOSE
