"""What the laws ask for, and by when a request is to be answered by each of them."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from olvido.core.acts import Verb
from olvido.core.errors import did_you_mean
from olvido.core.law.deadlines import deadlines, extension
from olvido.core.law.regimes import Regime, RuleKind, load
from olvido.core.rights.names import Right
from olvido.ledger.last_days import Extensible, LastDays
from olvido.ledger.rows import Due
from olvido.operators.desk.acts import new_act
from olvido.operators.desk.faults import NotAllowed, NotThere
from olvido.operators.desk.ledger import database
from olvido.schemas.settings.deployment import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeView:
    """A law, and whether this deployment says that it applies."""

    code: str
    title: str
    applies: bool
    rules: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineView:
    """By when one rule of one law wants something done."""

    law: str  # its code; ``promise`` where it is the deployment's own
    kind: str
    last_day: date
    due_at: datetime
    certainty: str
    provisional: bool  # its calendar did not know the holidays of that time yet
    text: str


def regimes(declared: Deployment) -> list[RegimeView]:
    """Every law whose numbers are known, those that apply here first."""
    places = (declared.law.jurisdiction, *declared.law.declared.values())
    applying = {one.code for place in places for one in place.regimes}
    return sorted(
        (
            RegimeView(code=code, title=one.title, applies=code in applying, rules=len(one.rules))
            for code, one in load().items()
        ),
        key=lambda view: (not view.applies, view.code),
    )


def regime(code: str) -> Regime:
    """One law.

    Raises:
        NotThere: no law has that code; with the nearest that there is.
    """
    known = load()
    if code not in known:
        raise NotThere("law", f"{code}{did_you_mean(code, known)}")
    return known[code]


def last_days(
    declared: Deployment, right: Right, received_at: datetime, *, jurisdiction: str = "",
    verified_at: datetime | None = None,
    extended: bool = False,
) -> tuple[DeadlineView, ...]:  # fmt: skip
    """What each law that applies here says of a request: acknowledgements and answers, the earliest first."""
    place = declared.catalogue.law_of(jurisdiction)
    received_on = place.day_of(received_at)
    verified_on = None if verified_at is None else place.day_of(verified_at)
    found = [
        (kind, one)
        for kind in (RuleKind.ACKNOWLEDGEMENT, RuleKind.ANSWER)
        for one in deadlines(place, right, received_on, kind=kind, verified_on=verified_on, extended=extended)
    ]
    return tuple(
        DeadlineView(
            law=one.regime, kind=kind.value, last_day=one.last_day, due_at=one.due_at,
            certainty=one.certainty.value, provisional=one.provisional,
            text="what the deployment promises" if one.rule is None else one.rule.text,
        )
        for kind, one in sorted(found, key=lambda pair: pair[1].due_at)
    )  # fmt: skip


def extend(declared: Deployment, request_id: UUID, reason: str, *, now: datetime) -> Due:
    """Record that the extension was announced which the laws allow, and keep the later last day.

    It is to be announced before the last day without it is over. A second one is refused: laws allow one.

    Returns:
        The new last day.

    Raises:
        NotThere: the ledger knows no such request.
        NotAllowed: it is finished, was extended, or the last day is over; or no clock runs yet, or the
            earliest law allows no extension. Nothing was done.
        InvalidInput: the reason cannot be recorded.
        Unavailable: the ledger does not answer.
    """
    act = new_act(Verb.EXTEND, reason, request_id=str(request_id))
    due = LastDays(database(declared)).extend(
        act, request_id, lambda request: _extended(declared, request, now)
    )
    if due is None:
        raise NotThere("request", str(request_id))
    return due


def _extended(declared: Deployment, request: Extensible, now: datetime) -> Due:
    if request.finished_at is not None:
        raise NotAllowed("the request is finished; nothing was extended")
    if request.extended_at is not None:
        raise NotAllowed(f"it was extended on {request.extended_at:%Y-%m-%d}; nothing was done")
    place = declared.catalogue.law_of(request.jurisdiction or "")
    proved_at = request.identity_verified_at
    verified_on = None if proved_at is None else place.day_of(proved_at)
    found = extension(
        place, Right(request.right), place.day_of(request.requested_at), verified_on=verified_on
    )
    if found is None:
        codes = ", ".join(one.code for one in place.regimes) or "none"
        raise NotAllowed(
            f"the earliest of the laws that apply ({codes}) allows no extension; "
            f"see: olvido law due {request.right}"
        )
    before, after = found
    if before.due_at <= now:
        raise NotAllowed(
            "an extension is announced before the last day is over, and that was "
            f"{before.last_day} by {before.regime}"
        )
    return Due(at=after.due_at, by=after.regime, provisional=after.provisional)
