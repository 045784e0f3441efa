"""Tasks that are encoded together are the same bytes as tasks encoded one by one."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from values import CATALOGUE, a_change, an_erasure

from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.events import Decision, Right
from olvido.core.plan import plan_consent, plan_request
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
            lambda number, right, kinds: plan_request(
                an_erasure(number, right=right, kinds=kinds), EVERYBODY
            ),
            st.integers(0, 5),
            st.sampled_from([right for right in Right if right is not Right.UNKNOWN]),
            st.lists(st.sampled_from(IdentityKind), min_size=1, unique=True),
        ),
        st.builds(
            lambda number, decision: plan_consent(a_change(number, decision), EVERYBODY),
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
