"""`olvido up | down | restart | doctor`: the whole of Olvido on one machine."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from olvido.operators.cli.acting import NoInput, NotConfirmed
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import Form, Output, console, messages, print_data
from olvido.operators.settings import process_of, project

if TYPE_CHECKING:
    from olvido.operators.desk.doctor import Finding


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("restart")(restart)
    app.command("doctor")(doctor)


def up(
    parts_only: Annotated[
        bool,
        typer.Option("--parts-only", help="Only broker, registry and database: none of Olvido's processes."),
    ] = False,
) -> None:
    """Start Kafka, the registry, PostgreSQL and Olvido's processes here. A repeat changes nothing.

    olvido.toml is checked first. A process that was started with another olvido.toml is started anew.

    Examples:
        olvido up
        olvido up --parts-only
    """
    from olvido.operators.cli.card import print_card
    from olvido.operators.local.shop import A_CUSTOMER, shop_folder
    from olvido.operators.local.starting import start

    started = start(project(), messages, parts_only=parts_only)
    has_shop = shop_folder(project()).is_dir()
    print_card(started, console, somebody=A_CUSTOMER if has_shop else "ana@example.es")


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete the data as well: topics, databases, keys, logs.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --purge.")] = False,
    no_input: NoInput = False,
) -> None:
    """Stop everything that `olvido up` started. A repeat changes nothing.

    Examples:
        olvido down
        olvido down --purge --yes        # deletes the data and the keys as well
    """
    from olvido.operators.local import stack

    if purge and not yes:
        if no_input or not sys.stdin.isatty():
            raise NotConfirmed(
                "not confirmed; nothing was done. To delete all data and keys under .olvido: --yes"
            )
        if not typer.confirm("Delete all data and keys under .olvido?", err=True):
            raise NotConfirmed("not confirmed; nothing was done")
    stack.down(project(), purge=purge, console=messages)
    messages.print("stopped" + ("; its data is deleted" if purge else "; its data is kept in .olvido"))


def restart(
    process: Annotated[
        str | None,
        typer.Argument(help="Its name, or a sink's, as `olvido status` has it; without one, all."),
    ] = None,
) -> None:
    """Start Olvido's processes here anew, one or all; broker, registry and database go on.

    A changed olvido.toml needs none of this: `olvido up` starts anew what it concerns.

    Examples:
        olvido restart
        olvido restart crm
    """
    from olvido.operators.local.starting import restart

    restarted = restart(project(), messages, process)
    messages.print(f"started anew: {', '.join(restarted)}", markup=False)


def doctor(output: Form = Output.TABLE) -> None:
    """Check every part and say what to do about what is wrong. Exit 10 if anything is.

    Examples:
        olvido doctor
        olvido doctor -o json
    """
    from olvido.operators.desk.doctor import examine

    with messages.status("checking every part"):
        findings = examine(project())
    rows = [_row(finding) for finding in findings]
    if not print_data(rows, output=output):
        # What is wrong comes last: there is more to say than fits on a small screen.
        for row in sorted(rows, key=lambda row: not row["good"]):
            mark = "[green]✓[/green]" if row["good"] else "[red]✗[/red]"
            console.print(f"{mark} {'ok  ' if row['good'] else 'WRONG'} ", end="")
            console.print(row["text"], markup=False, soft_wrap=True)
            for text in row["slow"]:
                console.print(f"        slow: {text}", markup=False, soft_wrap=True)
            if row["fix"]:
                console.print(f"        → {row['fix']}", markup=False, soft_wrap=True)
    if not all(finding.good for finding in findings):
        raise typer.Exit(Exit.UNHEALTHY)


def _row(finding: "Finding") -> dict[str, Any]:
    from olvido.operators.desk.doctor import FindingRemedy

    # What to do about it, as a command wherever there is one.
    fixes = {
        None: "",
        FindingRemedy.START_PART: "start it, or mend its address; here: olvido up",
        FindingRemedy.CREATE_KEYS: "olvido keys create",
        FindingRemedy.CLOSE_KEYS: f"chmod 600 {finding.about}/*.pem",
        FindingRemedy.RUN_READER: f"olvido run {process_of(finding.about).replace('-', ' ', 1)}",
        FindingRemedy.LENGTHEN_RETENTION: "lengthen retention; what has no receipt is sent again by itself",
        FindingRemedy.FIND_SILENT_SINK: "find the sink that does not answer: olvido status",
        FindingRemedy.DECIDE_DEAD_LETTERS: "olvido dead-letters list --group-by cause",
        FindingRemedy.ANSWER_OVERDUE: "olvido requests list --overdue",
        FindingRemedy.DECIDE_HELD: "olvido brake list",
        FindingRemedy.DECLARE_RESTORE: "olvido restore declare "
        f"--sink {finding.about} --backup-taken-at {finding.since:%Y-%m-%dT%H:%M:%SZ} --dry-run"
        if finding.since
        else "",
        FindingRemedy.AS_TOLD: finding.about,
    }
    return {
        "good": finding.good,
        "text": finding.text,
        "fix": fixes[finding.remedy],
        "slow": finding.slow,
    }
