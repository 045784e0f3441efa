"""`olvido restore …`: a backup of a system was put back; what was done since is done again."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from olvido.core.sinks import OperationKind
from olvido.operators.cli.acting import Agreement
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.instants import instant_of, span_of
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import Form, Output, messages, show_one
from olvido.operators.cli.sink_operations import add_commands
from olvido.operators.desk.text import text_of

if TYPE_CHECKING:
    from olvido.ledger.sink_operations import AlreadyOpen
    from olvido.operators.desk.restore import Restore
    from olvido.schemas.settings.deployment import Deployment


def register(app: typer.Typer) -> None:
    """Add the commands."""
    restore = typer.Typer(
        help="After a backup of a system was put back: do again what was done since.", no_args_is_help=True
    )
    restore.command("declare")(spread(declare))
    add_commands(restore, OperationKind.RESTORE)
    app.add_typer(restore, name="restore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """Which backup was put back, and where."""

    sink: Annotated[str, typer.Option(help="The system whose backup was put back.")]
    backup_taken_at: Annotated[
        str,
        typer.Option(help="When the backup was taken, such as 2026-11-20T03:00:00Z. In doubt, earlier."),
    ]
    margin: Annotated[
        str,
        typer.Option(help="So much before that is done again too: clocks differ, and a backup takes time."),
    ] = "5m"

    def restore(self, declared: "Deployment", now: datetime) -> "Restore":
        """The same as the desk takes it."""
        from olvido.operators.desk.restore import restore_of

        return restore_of(
            declared,
            self.sink,
            backup_taken_at=instant_of(self.backup_taken_at, field="backup_taken_at", now=now),
            margin=span_of(self.margin, field="margin"),
            now=now,
        )


def declare(
    backup: Backup,
    agreement: Agreement,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done again.")] = False,
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
    from olvido.ledger.sink_operations import AlreadyOpen
    from olvido.operators.desk import restore as desk
    from olvido.operators.desk.acts import check_reason
    from olvido.operators.settings import deployment

    if not dry_run:
        check_reason(agreement.reason)
    declared = deployment()
    restore = backup.restore(declared, datetime.now(UTC))
    sink, name = restore.sink, restore.name
    try:
        with messages.status("counting what was done since"):
            preview = desk.preview(declared, restore)
        again = preview.again
        if preview.older_than_ledger:
            messages.print(f"{sink}: the backup is older than all that the ledger knows; all of it counts")
        would = {
            "sink": sink,
            "since": restore.since,
            "again": {action.value.lower(): count for action, count in again.answered.items()},
            "unanswered": again.unanswered,
            "tasks": again.tasks,
        }
        if dry_run or not again.tasks:
            show_one(would, output=output)
            messages.print("nothing was written" if again.tasks else f"{sink} has nothing to do again")
            return
        agreement.obtain(sink, {what: text_of(value) for what, value in would.items()})
        with messages.status("declaring"):
            again = desk.declare(declared, restore, agreement.reason)
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
