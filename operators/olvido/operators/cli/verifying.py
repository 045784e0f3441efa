"""`olvido sinks verify`: a sink looks again, now, at what it erased."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from olvido.operators.cli.exits import Exit
from olvido.operators.cli.instants import instant_of
from olvido.operators.cli.output import Form, Output, messages, print_data, show
from olvido.operators.cli.targets import Name
from olvido.operators.desk.text import counted, text_of

if TYPE_CHECKING:
    from olvido.operators.desk.verifying import LookedAgain

Since = Annotated[
    str, typer.Option(help="Look at what was erased since an instant, or since so long ago, such as 7d.")
]


def register(sinks: typer.Typer) -> None:
    """Add the command to those of `olvido sinks`."""
    sinks.command("verify")(verify)


def verify(sink: Name, since: Since = "7d", output: Form = Output.TABLE) -> None:
    """Have a sink look again now, whether it is due or not, at whom it erased and still keeps the boxes of.

    Run it where the sink runs: it needs the address of the target and the private keys of its region. Who is
    found again is asked for again, as after a look of the sink's own.

    Examples:
        olvido sinks verify crm
        olvido sinks verify crm --since 30d
        olvido sinks verify crm -o json
    """
    from olvido.operators.desk import verifying as desk
    from olvido.operators.settings import deployment

    now = datetime.now(UTC)
    from_ = instant_of(since, field="since", now=now)
    found = desk.verify(deployment(), sink, since=from_)
    if not print_data(_record(found), output=output):
        show(found.not_verified, ("request_id", "generation", "result"), output=output, empty="")
        messages.print(_told(found), markup=False, soft_wrap=True)
    if found.found_again:
        raise typer.Exit(Exit.UNHEALTHY)


def _record(found: "LookedAgain") -> dict[str, Any]:
    return {
        "sink": found.sink,
        "since": found.since,
        "looked": found.looked,
        "found_again": found.found_again,
        "forgotten": found.forgotten,
        "not_verified": list(found.not_verified),
    }


def _told(found: "LookedAgain") -> str:
    looked = f"{found.sink}: looked again at {counted(found.looked, 'erasure')} since {text_of(found.since)}"
    if found.forgotten:
        looked += f", and not at {found.forgotten} whose key is destroyed"
    if found.found_again:
        return f"{looked}; {found.found_again} were found again, and are asked for again"
    return f"{looked}; {'nobody' if not found.not_verified else 'none of them'} was found again"
