"""Whole, boring values for tests. All people are made up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from olvido.broker.contract import Received
from olvido.broker.reading import Read
from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.core.events import ConsentChange, Decision, PrivacyRequest, SealedBox, Verification, Verified
from olvido.core.ids import NAMESPACE
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt, receipt_for
from olvido.core.rights.names import Right
from olvido.core.subject import Handle, IdentityKind
from olvido.core.tasks import Task

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CATALOGUE = Catalogue(
    regions=frozenset({"cn", "sg"}),
    purposes=frozenset({"marketing", "analytics"}),
    sinks=(
        SinkEntry(
            name="crm",
            region="cn",
            identities=frozenset({IdentityKind.EMAIL, IdentityKind.CUSTOMER_ID}),
            purposes=frozenset({"marketing"}),
        ),
        SinkEntry(
            name="marketing",
            region="sg",
            identities=frozenset({IdentityKind.EMAIL}),
            purposes=frozenset({"marketing"}),
        ),
        SinkEntry(
            name="analytics",
            region="cn",
            identities=frozenset({IdentityKind.COOKIE_ID}),
            purposes=frozenset({"analytics"}),
        ),
    ),
)


def an_id(number: int) -> UUID:
    """The n-th id."""
    return uuid5(NAMESPACE, f"test/{number}")


def a_handle(number: int = 1, kind: IdentityKind = IdentityKind.EMAIL) -> Handle:
    """The handle of the n-th person's identity of a kind."""
    return Handle(kind=kind, value="h1_" + f"{kind.value}{number}".ljust(43, "x").replace("_", "-"))


def a_box(region: str = "cn") -> SealedBox:
    """A box that nobody can open."""
    return SealedBox(
        region=region, key_id=f"{region}-2026-11", wrapped_key=b"w", nonce=b"n" * 12, ciphertext=b"c"
    )


def an_erasure(
    number: int = 1,
    *,
    person: int | None = None,
    regions: Sequence[str] = ("cn", "sg"),
    right: Right = Right.ERASE,
    verification_required: bool = False,
    verified: Verified | None = None,
    requested_at: datetime = NOW - timedelta(minutes=1),
    kinds: Sequence[IdentityKind] = (IdentityKind.EMAIL,),
    jurisdiction: str = "",
) -> PrivacyRequest:
    """The n-th request."""
    handles = tuple(a_handle(number if person is None else person, kind) for kind in kinds)
    return PrivacyRequest(
        request_id=an_id(number),
        right=right,
        subject_id=handles[0].value,
        handles=handles,
        regions=tuple(regions),
        boxes=tuple(a_box(region) for region in regions),
        purposes=(),
        requested_at=requested_at,
        verification_required=verification_required,
        verified=verified,
        jurisdiction=jurisdiction,
    )


def a_change(
    number: int = 1,
    decision: Decision = Decision.WITHDRAWN,
    *,
    person: int = 1,
    purpose: str = "marketing",
    occurred_at: datetime = NOW - timedelta(minutes=1),
) -> ConsentChange:
    """The n-th consent change."""
    handle = a_handle(person)
    return ConsentChange(
        event_id=an_id(number),
        purpose=purpose,
        decision=decision,
        subject_id=handle.value,
        handles=(handle,),
        regions=("cn", "sg"),
        boxes=(a_box("cn"), a_box("sg")),
        occurred_at=occurred_at,
        policy_version="2026-01",
    )


def a_verification(request: PrivacyRequest, number: int = 900, *, subject_id: str = "") -> Verification:
    """A verification of a request."""
    return Verification(
        event_id=an_id(number),
        request_id=request.request_id,
        subject_id=subject_id or request.subject_id,
        verified=Verified(method="email_link", verified_at=NOW - timedelta(seconds=30)),
    )


def a_receipt(task: Task, outcome: Outcome = Outcome.ERASED, *, applied_at: datetime = NOW) -> Receipt:
    """A receipt of a task."""
    return receipt_for(task, outcome, applied_at=applied_at, counts={"customers.deleted": 1})


def received(
    offset: int = 0, *, partition: int = 0, topic: str = "t", key: bytes = b"", value: bytes = b"value"
) -> Received:
    """A record at some place."""
    return Received(topic, partition, offset, key, value)


def read(value: object, offset: int = 0, *, partition: int = 0) -> Read:
    """A value that was read at some place."""
    return Read(value, received(offset, partition=partition))


@dataclass
class Journal:
    """A publisher that remembers: what was written, in order."""

    records: list = field(default_factory=list)

    def publish(self, records: Sequence) -> None:
        """Remember records."""
        self.records.extend(records)

    def close(self) -> None:
        """There is nothing to let go of."""
