"""Any value of each topic, as Hypothesis draws it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState
from olvido.core.dead_letters import DeadLetter
from olvido.core.events import (
    ConsentChange,
    Decision,
    PrivacyRequest,
    Seal,
    SealedBox,
    Verification,
    Verified,
)
from olvido.core.lifecycle import RequestState
from olvido.core.looks import LaterLook, LookResult, NotVerified
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.access import Access
from olvido.core.rights.consent import Consent
from olvido.core.rights.erase import Erase
from olvido.core.rights.names import Action, Right
from olvido.core.rights.object import Object
from olvido.core.rights.portability import Portability
from olvido.core.rights.rectify import Rectify
from olvido.core.rights.restrict import Restrict
from olvido.core.rights.unknown import Unknown
from olvido.core.status import RequestStatus
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import ConsentChangeId, Release, RequestId, Task

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

uuids = st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number))
# To the microsecond, from the year 2000 to the last one that Python knows.
instants = st.integers(946_684_800_000_000, 253_402_300_799_999_999).map(
    lambda micros: EPOCH + timedelta(microseconds=micros)
)
# No zero character: the codec refuses it.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
numbers = st.integers(-(2**31), 2**31 - 1)
longs = st.integers(-(2**63), 2**63 - 1)
handles = st.builds(Handle, kind=st.sampled_from(IdentityKind), value=texts)
boxes = st.builds(
    SealedBox,
    region=texts,
    key_id=texts,
    wrapped_key=st.binary(max_size=100),
    nonce=st.binary(max_size=12),
    ciphertext=st.binary(max_size=300),
)
seals = st.none() | st.builds(
    Seal,
    header=st.binary(max_size=300),
    signature=st.binary(max_size=64),
    nonce=st.binary(max_size=12),
    tag=st.binary(max_size=16),
)
verified = st.builds(Verified, method=texts, verified_at=instants)


def some(one: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(one, max_size=4).map(tuple)


requests = st.builds(
    PrivacyRequest,
    request_id=uuids,
    right=st.sampled_from(Right),
    subject_id=texts,
    handles=some(handles),
    regions=some(texts),
    boxes=some(boxes),
    purposes=some(texts),
    requested_at=instants,
    verification_required=st.booleans(),
    verified=st.none() | verified,
    seal=seals,
)
consents = st.builds(
    ConsentChange,
    event_id=uuids,
    purpose=texts,
    decision=st.sampled_from(Decision),
    subject_id=texts,
    handles=some(handles),
    regions=some(texts),
    boxes=some(boxes),
    occurred_at=instants,
    policy_version=texts,
    seal=seals,
)
verifications = st.builds(
    Verification, event_id=uuids, request_id=uuids, subject_id=texts, verified=verified, seal=seals
)


unknowns = st.builds(
    Unknown,
    asked_at=instants,
    purposes=some(texts),
    decision=st.none() | st.sampled_from(Decision),
    policy_version=texts,
)
of_requests = st.one_of(
    st.builds(Erase, asked_at=instants),
    st.builds(Object, purposes=some(texts), asked_at=instants),
    *(st.builds(way, asked_at=instants) for way in (Access, Portability, Rectify, Restrict)),
    unknowns,
)
of_changes = st.one_of(
    st.builds(
        Consent, purpose=texts, decision=st.sampled_from(Decision), occurred_at=instants, policy_version=texts
    ),
    unknowns,
)


def tasks(sink: str = "crm") -> st.SearchStrategy[Task]:
    def of(source: st.SearchStrategy[object], what: st.SearchStrategy[object]) -> st.SearchStrategy[Task]:
        return st.builds(
            Task,
            task_id=uuids,
            generation=numbers,
            sink=st.just(sink),
            source=source,
            what=what,
            subject_id=texts,
            handles=some(handles),
            box=boxes,
            seal=seals,
            appended_at=st.none() | instants,
            release=st.none() | st.builds(Release, principal=texts, key_id=texts, signature=st.binary()),
        )

    return of(st.builds(RequestId, uuids), of_requests) | of(st.builds(ConsentChangeId, uuids), of_changes)


receipts = st.builds(
    Receipt,
    receipt_id=uuids,
    task_id=uuids,
    generation=numbers,
    sink=texts,
    action=st.sampled_from(Action),
    request_id=st.none() | uuids,
    event_id=st.none() | uuids,
    subject_id=texts,
    outcome=st.sampled_from(Outcome),
    counts=st.dictionaries(texts, longs, max_size=4),
    detail=texts,
    applied_at=instants,
    verified_at=st.none() | instants,
    seal=seals,
)
looks = st.builds(
    LaterLook,
    look_id=uuids,
    sink=texts,
    after_s=longs,
    applied_from=instants,
    applied_to=instants,
    looked_at=instants,
    looked=longs,
    forgotten=longs,
    not_verified=st.lists(
        st.builds(NotVerified, request_id=uuids, generation=numbers, result=st.sampled_from(LookResult)),
        max_size=4,
    ).map(tuple),
    seal=seals,
)
statuses = st.builds(
    RequestStatus,
    request_id=uuids,
    right=st.sampled_from(Right),
    subject_id=texts,
    state=st.sampled_from(RequestState),
    tasks=numbers,
    outcomes=st.dictionaries(texts, st.sampled_from(Outcome), max_size=4),
    requested_at=instants,
)
consent_states = st.builds(
    ConsentState,
    handle=texts,
    purpose=texts,
    decision=st.sampled_from(Decision),
    occurred_at=instants,
    event_id=uuids,
    policy_version=texts,
)
dead_letters = st.builds(
    DeadLetter,
    dead_letter_id=uuids,
    group=texts,
    topic=texts,
    partition=numbers,
    offset=longs,
    cause=st.sampled_from(Cause),
    field=texts,
    reason=texts,
    sha256=st.binary(min_size=32, max_size=32),
    size=numbers,
    attempts=numbers,
    failed_at=instants,
    task_id=st.none() | uuids,
    generation=numbers,
)
