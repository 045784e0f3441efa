"""Tasks that are encoded together are the same bytes as tasks encoded one by one."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemas.codecs import forged
from values import CATALOGUE, a_change, an_erasure, an_id

from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import Decision
from olvido.core.plan import plan_tasks
from olvido.core.rights.known import RIGHTS
from olvido.core.subject import IdentityKind
from olvido.schemas.codec import TaskPieces, tasks_codec

NAMES = ("crm", "marketing", "analytics", "store-cn", "store-sg")
EVERYBODY = Catalogue(
    regions=CATALOGUE.regions,
    purposes=CATALOGUE.purposes,
    sinks=tuple(
        SinkEntry(
            name=name,
            region="sg" if name in {"marketing", "store-sg"} else "cn",
            identities=frozenset(IdentityKind),
            purposes=frozenset({"marketing"}),
        )
        for name in NAMES
    ),
)
events = st.lists(
    st.one_of(
        st.builds(
            lambda number, right, kinds: plan_tasks(an_erasure(number, right=right, kinds=kinds), EVERYBODY),
            st.integers(0, 5),
            st.sampled_from(list(RIGHTS)),
            st.lists(st.sampled_from(IdentityKind), min_size=1, unique=True),
        ),
        st.builds(
            lambda number, decision: plan_tasks(a_change(number, decision), EVERYBODY),
            st.integers(6, 9),
            st.sampled_from(Decision),
        ),
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def codecs(registry):
    """A codec for each sink."""
    return {name: tasks_codec(registry, name) for name in NAMES}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events, generation=st.integers(0, 2**31 - 1))
def test_sharing_what_tasks_have_in_common_changes_no_byte(codecs, events, generation):
    pieces = TaskPieces()
    for tasks in events:
        for task in tasks:
            numbered = replace(task, generation=generation)
            encoded = codecs[task.sink].encode_shared(numbered, pieces)
            assert encoded == codecs[task.sink].encode(numbered)
            assert codecs[task.sink].decode(encoded) == numbered


FORGED = {
    "an erasure with a decision": ("ERASE", {"decision": "WITHDRAWN"}, "decision"),
    "an erasure of a policy": ("ERASE", {"policy_version": "7"}, "decision"),
    "an erasure for some purposes": ("ERASE", {"purposes": ["marketing"]}, "purposes"),
    "an erasure by a consent change": ("ERASE", {"request_id": None, "event_id": an_id(1)}, "action"),
    "an objection with a decision": ("OBJECT", {"decision": "GRANTED"}, "decision"),
    "a consent without a decision": ("CONSENT", {"purposes": ["marketing"]}, "decision"),
    "a consent about nothing": ("CONSENT", {"decision": "GRANTED"}, "decision"),
    "a consent by a request": ("CONSENT", {"purposes": ["marketing"], "decision": "GRANTED"}, "action"),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_task_with_what_its_action_does_not_have_is_refused(codecs, case):
    """Nobody of ours writes one: whoever did may mean anything, and a sink does none of it."""
    action, changes, field = FORGED[case]
    written = codecs["crm"].encode(plan_tasks(an_erasure(), EVERYBODY)[0])
    with pytest.raises(Refused) as refused:
        codecs["crm"].decode(forged("task", written, action=action, **changes))
    assert (refused.value.cause, refused.value.field) == (Cause.NON_CANONICAL, field)


@pytest.mark.parametrize("changes", [{"event_id": an_id(1)}, {"request_id": None}])
def test_a_task_has_one_source(codecs, changes):
    written = codecs["crm"].encode(plan_tasks(an_erasure(), EVERYBODY)[0])
    with pytest.raises(Refused) as refused:
        codecs["crm"].decode(forged("task", written, **changes))
    assert (refused.value.cause, refused.value.field) == (Cause.BAD_UUID, "request_id")
