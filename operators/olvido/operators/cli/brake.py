"""`olvido brake …`: erasures above a limit, and what two people decide about them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from olvido.core.brake import HeldDecision
from olvido.operators.cli.acting import Reason
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import Form, Output, console, messages, show, show_one
from olvido.operators.cli.words import uuid_of
from olvido.operators.desk.data import record_of
from olvido.operators.desk.text import counted

if TYPE_CHECKING:
    from olvido.operators.desk.brake import WhichHeld

WIDTH_WITH_PEOPLE = 110  # columns; narrower, an id would be folded

Ids = Annotated[list[str] | None, typer.Argument(help="Requests, by their ids.", show_default=False)]
AskedBy = Annotated[str | None, typer.Option(help="Only what this principal has asked for.")]
SinkName = Annotated[str | None, typer.Option("--sink", help="Only what is above a limit of this sink.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldChoice:
    """HeldChoice erasures, beside some by their ids."""

    asked_by: AskedBy = None
    sink: SinkName = None
    all: Annotated[bool, typer.Option("--all", help="All that wait.")] = False

    def held(self, ids: list[str] | None) -> "WhichHeld":
        """The same as the desk takes it."""
        from olvido.operators.desk.brake import WhichHeld

        return WhichHeld(
            ids=tuple(uuid_of(text, "ids") for text in ids or ()),
            asked_by=self.asked_by,
            sink=self.sink,
            every=self.all,
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    brake = typer.Typer(
        help="Erasures above a limit: two people release or discard them.\n\n"
        "Examples:\n"
        "    olvido brake list\n"
        '    olvido brake release --asked-by shop --reason "OPS-17, the yearly clean-up"',
        no_args_is_help=True,
    )
    brake.command("list")(list_held)
    brake.command("release")(spread(release))
    brake.command("discard")(spread(discard))
    app.add_typer(brake, name="brake")


def list_held(
    asked_by: AskedBy = None,
    sink: SinkName = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, oldest first.")] = 20,
    output: Form = Output.TABLE,
) -> None:
    """List what is held: requests above what may start in an hour or within their grace period, and
    tasks above what an erasure may take from their sink.

    Examples:
        olvido brake list
        olvido brake list --sink crm
        olvido brake list --asked-by shop --limit 1000 -o csv
    """
    from olvido.operators.desk.held import held
    from olvido.operators.settings import deployment

    rows = [record_of(one) for one in held(deployment(), asked_by=asked_by, sink=sink, limit=limit)]
    more = ("start_at", "proposal", "proposed_by", "reason") if console.width >= WIDTH_WITH_PEOPLE else ()
    show(rows, ("request_id", "sink", "held_for", "asked_by", *more), output=output, empty="nothing is held")


def release(which: HeldChoice, ids: Ids = None, reason: Reason = "", output: Form = Output.TABLE) -> None:
    """Let erasures above a limit start, or pass the limits of their sink. It takes two people: the second
    one decides the same.

    Examples:
        olvido brake release --all --reason OPS-17
        olvido brake release --sink crm --reason OPS-17
        olvido brake release 019ac8d2-9a4e-7c30-8f6b-2b1d4c5e6f70 --reason OPS-17
    """
    _decide(which, ids, HeldDecision.RELEASE, reason, output)


def discard(which: HeldChoice, ids: Ids = None, reason: Reason = "", output: Form = Output.TABLE) -> None:
    """Refuse erasures above a limit for good. It takes two people: the second one decides the same.

    Examples:
        olvido brake discard --asked-by shop --reason "INC-3, its key was stolen"
    """
    _decide(which, ids, HeldDecision.DISCARD, reason, output)


def _decide(
    which: HeldChoice, ids: list[str] | None, decision: HeldDecision, reason: str, output: Output
) -> None:
    from olvido.operators.desk import brake as desk
    from olvido.operators.desk.acts import who
    from olvido.operators.settings import deployment

    decided = desk.decide(deployment(), which.held(ids), decision, reason)
    show_one({"decision": decision.value, **record_of(decided)}, output=output)
    if decided.proposed:
        wait = counted(decided.proposed, "erasure waits", "erasures wait")
        messages.print(
            f"{wait} for a second person: somebody other than {who()} has to {decision.value} the same",
            markup=False,
            soft_wrap=True,
        )
