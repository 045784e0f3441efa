"""The shop whose systems the sinks are tried on: whole, boring values to make tests of."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from olvido.core.events import Decision, SealedBox
from olvido.core.ids import task_id
from olvido.core.rights.access import Access
from olvido.core.rights.consent import Consent
from olvido.core.rights.erase import Erase
from olvido.core.rights.lift_restriction import LiftRestriction
from olvido.core.rights.names import Action
from olvido.core.rights.object import Object
from olvido.core.rights.portability import Portability
from olvido.core.rights.rectify import Rectify
from olvido.core.rights.restrict import Restrict
from olvido.core.rights.unknown import Unknown
from olvido.core.rights.what import What
from olvido.core.rights.withdraw_objection import WithdrawObjection
from olvido.core.subject import Handle, Identity, IdentityKind
from olvido.core.tasks import ConsentChangeId, RequestId, Task
from olvido.sinks.contract import OpenedTask, SinkSettings

SINK = "crm"
KINDS = (IdentityKind.CUSTOMER_ID, IdentityKind.EMAIL, IdentityKind.PHONE)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ASKED_AT = datetime(2026, 6, 1, tzinfo=UTC)
LATER = datetime(2026, 7, 1, tzinfo=UTC)
NO_BOX = SealedBox(region="cn", key_id="cn-2026-11", wrapped_key=b"", nonce=b"", ciphertext=b"")

# The tables of the crm in the repository's olvido.toml, in words that PostgreSQL and DuckDB both understand.
DDL = """
CREATE TABLE addresses (id bigint PRIMARY KEY, street text);
CREATE TABLE customers (id bigint PRIMARY KEY, customer_no text, email text, phone text,
    marketing_allowed boolean, restricted boolean, address_id bigint, created_at timestamptz);
CREATE TABLE contacts (id bigint PRIMARY KEY, customer_id bigint, note text);
CREATE TABLE enquiries (id bigint PRIMARY KEY, customer_id bigint, from_email text, body text,
    received_at timestamptz);
CREATE TABLE tickets (id bigint PRIMARY KEY, customer_id bigint, author_name text, body text);
CREATE TABLE invoices (id bigint PRIMARY KEY, customer_id bigint, total bigint);
"""
INDEXES = """
CREATE INDEX ON customers (lower(email));
CREATE INDEX ON customers (customer_no);
CREATE INDEX ON customers (phone);
CREATE INDEX ON customers (address_id);
CREATE INDEX ON contacts (customer_id);
CREATE INDEX ON enquiries (lower(from_email));
CREATE INDEX ON enquiries (customer_id);
CREATE INDEX ON tickets (customer_id);
CREATE INDEX ON invoices (customer_id);
"""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "addresses": ("id", "street"),
    "customers": ("id", "customer_no", "email", "phone", "marketing_allowed", "restricted", "address_id",
                  "created_at"),
    "contacts": ("id", "customer_id", "note"),
    "enquiries": ("id", "customer_id", "from_email", "body", "received_at"),
    "tickets": ("id", "customer_id", "author_name", "body"),
    "invoices": ("id", "customer_id", "total"),
}  # fmt: skip
CHILD_OF_CUSTOMER = {"table": "customers", "column": "customer_id"}
TABLES: Mapping[str, Mapping[str, Any]] = {
    "customers": {
        "key": "id",
        "person": "customer_no",
        "created": "created_at",
        "identities": {"customer_id": "customer_no", "email": "email", "phone": "phone"},
        "erase": "delete",
        "restrict": {"restricted": True},
        "lift_restriction": {"restricted": False},
        "consent": {
            "marketing": {"granted": {"marketing_allowed": True}, "withdrawn": {"marketing_allowed": False}}
        },
    },
    "contacts": {"key": "id", "parent": CHILD_OF_CUSTOMER, "erase": "delete"},
    "enquiries": {
        "key": "id",
        "parent": CHILD_OF_CUSTOMER,
        "identities": {"email": "from_email"},
        "created": "received_at",
        "erase": "delete",
    },
    "tickets": {
        "key": "id",
        "parent": CHILD_OF_CUSTOMER,
        "erase": "anonymise",
        "set": {"author_name": "", "body": ""},
        "unlink": True,
    },
    "invoices": {
        "key": "id",
        "parent": CHILD_OF_CUSTOMER,
        "erase": "retain",
        "ground": "kept 10 years: tax law",
        "unlink": True,
    },
    "addresses": {
        "key": "id",
        "shared_by": [{"table": "customers", "column": "address_id"}],
        "erase": "delete",
    },
}
WITHOUT_INVOICES = {name: table for name, table in TABLES.items() if name != "invoices"}

_numbers = itertools.count(1)


def settings(own: Mapping[str, Any], *, name: str = SINK) -> SinkSettings:
    """What a sink is told."""
    return SinkSettings(name=name, region="cn", identities=KINDS, purposes=("marketing",), own=own)


def an_identity(kind: IdentityKind, value: str) -> Identity:
    """An identity, as a producer would normalise it, near enough."""
    return Identity(kind=kind, value=value, normalised=value.lower() if kind is IdentityKind.EMAIL else value)


def identities(customer_id: str = "", email: str = "", phone: str = "") -> tuple[Identity, ...]:
    """Those that are given."""
    given = zip(KINDS, (customer_id, email, phone), strict=True)
    return tuple(an_identity(kind, value) for kind, value in given if value)


def a_handle(identity: Identity) -> Handle:
    """A handle that only tells identities apart."""
    text = "".join(c if c.isalnum() and c.isascii() else "_" for c in identity.normalised)
    return Handle(kind=identity.kind, value=f"h1_{identity.kind.value[:1]}{text:_>42}"[:46])


def a_task(
    action: Action,
    person: Sequence[Identity],
    *,
    at: datetime = ASKED_AT,
    source_id: UUID | None = None,
    generation: int = 0,
    decision: Decision | None = None,
    purposes: tuple[str, ...] = (),
    sink: str = SINK,
    appended_at: datetime | None = None,
) -> OpenedTask:
    """A task with its box opened."""
    source_id = source_id or UUID(int=next(_numbers))
    handles = tuple(a_handle(identity) for identity in person)
    task = Task(
        task_id=task_id(source_id, sink, action.value),
        generation=generation,
        sink=sink,
        source=ConsentChangeId(source_id) if action is Action.CONSENT else RequestId(source_id),
        what=what_of(action, at, decision, purposes),
        subject_id=handles[0].value,
        handles=handles,
        box=NO_BOX,
        appended_at=appended_at,
    )
    return OpenedTask(task=task, identities=tuple(person))


def what_of(action: Action, at: datetime, decision: Decision | None, purposes: tuple[str, ...]) -> What:
    """What is asked of a sink, by the name of its action."""
    match action:
        case Action.CONSENT:
            assert decision is not None
            (purpose,) = purposes
            return Consent(purpose=purpose, decision=decision, occurred_at=at, policy_version="2026-01")
        case Action.OBJECT:
            return Object(purposes=purposes, asked_at=at)
        case Action.WITHDRAW_OBJECTION:
            return WithdrawObjection(purposes=purposes, asked_at=at)
        case Action.ERASE:
            return Erase(asked_at=at)
        case _:
            ways = (Access, Portability, Rectify, Restrict, LiftRestriction, Unknown)
            return next(way(asked_at=at) for way in ways if way.action is action)


def an_erasure(*, at: datetime = ASKED_AT, generation: int = 0, source_id: UUID | None = None,
               appended_at: datetime | None = None, **person: str) -> OpenedTask:  # fmt: skip
    """An erasure of whom the keywords name."""
    return a_task(
        Action.ERASE,
        identities(**person),
        at=at,
        generation=generation,
        source_id=source_id,
        appended_at=appended_at,
    )


def a_consent(decision: Decision, *, at: datetime = ASKED_AT, source_id: UUID | None = None,
              appended_at: datetime | None = None, **person: str) -> OpenedTask:  # fmt: skip
    """A consent change about marketing, of whom the keywords name."""
    return a_task(
        Action.CONSENT,
        identities(**person),
        at=at,
        source_id=source_id,
        decision=decision,
        purposes=("marketing",),
        appended_at=appended_at,
    )


def an_objection(
    *, at: datetime = ASKED_AT, purposes: tuple[str, ...] = ("marketing",), **person: str
) -> OpenedTask:
    """An objection, by whom the keywords name."""
    return a_task(Action.OBJECT, identities(**person), at=at, purposes=purposes)


def a_customer(number: int, **columns: Any) -> dict[str, Any]:
    """One row of customers."""
    return {
        "id": number,
        "customer_no": f"C-{number}",
        "email": f"Person{number}@Example.com",
        "phone": f"+3460000{number:04d}",
        "marketing_allowed": True,
        "restricted": False,
        "address_id": None,
        "created_at": LONG_AGO + timedelta(minutes=number),
        **columns,
    }
