"""What a request would do in one target now: tried there by the sink's own code, and rolled back.

A task is made for it that is published nowhere. Nothing is kept: neither in the target nor in the ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from olvido.core.errors import InvalidInput
from olvido.core.events import SealedBox
from olvido.core.ids import task_id
from olvido.core.rights.erase import Erase
from olvido.core.subject import Handle, Identity
from olvido.core.tasks import RequestId, Task
from olvido.operators.desk.faults import NotAllowed, check_declared
from olvido.schemas.privacy.identities import identities_from
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.contract import OpenedTask, Rehearsing
from olvido.sinks.plugins import load_sink

# Nobody opens it: the identities are at hand.
_NO_BOX = SealedBox(region="", key_id="", wrapped_key=b"", nonce=b"", ciphertext=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOfTable:
    """What would be done to how many rows of one table."""

    table: str
    done: str  # such as deleted
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What an erasure would come to in one target."""

    sink: str
    kinds: tuple[str, ...]  # the kinds of identity that were searched for; never a value
    outcome: str
    detail: str
    as_of: datetime  # rows made later would stay
    rows: tuple[RowsOfTable, ...]


def rehearse_erasure(
    declared: Deployment, name: str, identities: Mapping[str, str], *, now: datetime | None = None
) -> Rehearsed:
    """Try an erasure in a target, take it back, and say what it would have done.

    Args:
        declared: the deployment.
        name: of the sink.
        identities: of the person, by kind.
        now: when the person asks.

    Raises:
        InvalidInput: there is no such sink, an identity is none, or the sink is given none of these kinds.
        NotAllowed: this target can try nothing out, or refuses what would be done there.
        ConfigError: the sink's section or its data map is wrong.
        Unavailable: the target does not answer.
    """
    check_declared(name, declared.sinks)
    given = identities_from(identities, declared.identity_order)
    known = [one for one in given if one.kind in declared.sinks[name].identities]
    if not known:
        kinds = ", ".join(declared.sinks[name].identities)
        raise InvalidInput("identities", f"{name} knows people by {kinds}: give one of these")
    task = _a_task(name, known, now or datetime.now(UTC))

    def opened(one: Task) -> OpenedTask:
        # Without limits: people decide by this what is above one.
        return OpenedTask(task=one, identities=tuple(known), released=True)

    sink = load_sink(declared, name)
    try:
        if not isinstance(sink, Rehearsing):
            why = getattr(sink, "not_rehearsed", "its kind has no way to try something out")
            raise NotAllowed(f"{name} cannot be asked what it would do: {why}")
        [rehearsal] = sink.rehearse([task], opened)
    finally:
        sink.close()
    if rehearsal.receipt is None:
        raise NotAllowed(
            f"{name}'s target refuses this erasure, so it would become a dead letter. Whether the data map "
            "fits its tables: olvido doctor"
        )
    receipt = rehearsal.receipt
    counted = [(*what.rpartition("."), rows) for what, rows in receipt.counts.items()]
    return Rehearsed(
        sink=name,
        kinds=tuple(one.kind.value for one in known),
        outcome=receipt.outcome.value,
        detail=receipt.detail,
        as_of=task.occurred_at,
        rows=tuple(RowsOfTable(table=table, done=done, rows=rows) for table, _, done, rows in counted),
    )


def _a_task(sink: str, identities: list[Identity], now: datetime) -> Task:
    """A task of a request that nobody has made. Its handles are nobody's: an erasure looks none up."""
    request, what = uuid4(), Erase(asked_at=now)
    handles = tuple(Handle(kind=one.kind, value=f"h1_{uuid4().hex}{uuid4().hex[:11]}") for one in identities)
    return Task(
        task_id=task_id(request, sink, what.action.value),
        generation=0,
        sink=sink,
        source=RequestId(request),
        what=what,
        subject_id=handles[0].value,
        handles=handles,
        box=_NO_BOX,
    )
