"""`olvido restore …`: a backup of a system was put back; what was done since is done again."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from olvido.core.acts import Verb
from olvido.core.errors import InvalidInput
from olvido.core.sinks import OperationKind
from olvido.operators.cli.acting import Confirm, NoInput, Reason, confirm, new_act
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.instants import instant_of, span_of
from olvido.operators.cli.output import Form, Output, messages, show_one, text_of
from olvido.operators.cli.sink_operations import add_commands, database
from olvido.operators.cli.sinks import known_sink

if TYPE_CHECKING:
    from olvido.ledger.sink_operations import AlreadyOpen


def register(app: typer.Typer) -> None:
    """Add the commands."""
    restore = typer.Typer(
        help="After a backup of a system was put back: do again what was done since.", no_args_is_help=True
    )
    restore.command("declare")(declare)
    add_commands(restore, OperationKind.RESTORE)
    app.add_typer(restore, name="restore")


def declare(
    sink: Annotated[str, typer.Option(help="The system whose backup was put back.")],
    backup_taken_at: Annotated[
        str,
        typer.Option(help="When the backup was taken, such as 2026-11-20T03:00:00Z. In doubt, earlier."),
    ],
    reason: Reason = "",
    margin: Annotated[
        str,
        typer.Option(help="So much before that is done again too: clocks differ, and a backup takes time."),
    ] = "5m",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done again.")] = False,
    given: Confirm = None,
    no_input: NoInput = False,
    output: Form = Output.TABLE,
) -> None:
    """Have one sink do again every erasure, restriction, objection and consent change since its backup.

    The sink counts as unsafe until the last receipt is in. No other sink is asked for anything,
    and what people did after they asked is not touched.

    Examples:
        olvido restore declare --sink crm --backup-taken-at 2026-11-20T03:00:00Z --dry-run
        olvido restore declare --sink crm --backup-taken-at 2026-11-20T03:00:00Z --reason OPS-17
        olvido restore declare --sink crm --backup-taken-at 2d --reason OPS-17 --confirm crm
    """
    from uuid_utils.compat import uuid7

    from olvido.ledger.restores import Restores
    from olvido.ledger.sink_operations import AlreadyOpen
    from olvido.operators.settings import deployment

    now = datetime.now(UTC)
    taken_at = instant_of(backup_taken_at, field="--backup-taken-at", now=now)
    if taken_at > now:
        raise InvalidInput("--backup-taken-at", "is in the future: say when the backup was taken")
    since = taken_at - span_of(margin, field="--margin")
    name = f"restore-{sink}-{now:%Y%m%d-%H%M%S}"
    act = None if dry_run else new_act(
        Verb.RESTORE, reason,
        operation=name, sink=sink, backup_taken_at=taken_at.isoformat(), since=since.isoformat(),
    )  # fmt: skip
    declared = deployment()
    known_sink(declared, sink)
    restores = Restores(database(declared))
    first = restores.first_request_at()
    if first is None or since < first:
        messages.print(f"{sink}: the backup is older than all that the ledger knows; all of it counts")
    try:
        with messages.status("counting what was done since"):
            again = restores.preview(sink, backup_taken_at=taken_at, since=since, now=now)
    except AlreadyOpen as open_:
        raise _refused(open_) from None
    would = {
        "sink": sink,
        "since": since,
        "again": {action.value.lower(): count for action, count in again.answered.items()},
        "unanswered": again.unanswered,
        "tasks": again.tasks,
    }
    if act is None or not again.tasks:
        show_one(would, output=output)
        messages.print("nothing was written" if again.tasks else f"{sink} has nothing to do again")
        return
    confirm(sink, given=given, no_input=no_input, effects={what: text_of(v) for what, v in would.items()})
    try:
        with messages.status("declaring"):
            again = restores.declare(
                act, operation_id=uuid7(), name=name, sink=sink, backup_taken_at=taken_at, since=since
            )
    except AlreadyOpen as open_:
        raise _refused(open_) from None
    show_one({"name": name, "sink": sink, "tasks": again.tasks}, output=output)
    messages.print(
        f"{sink} is unsafe until the last receipt is in. How far it is: olvido restore show {name}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _refused(open_: "AlreadyOpen") -> typer.Exit:
    messages.print(
        f"olvido: {open_}. How far it is: olvido restore show {open_.name}. To begin anew, close it first.",
        markup=False,
        soft_wrap=True,
    )
    return typer.Exit(Exit.REFUSED)
