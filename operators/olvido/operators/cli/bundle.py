"""`olvido support-bundle`: what somebody else needs to see what is wrong here, in one file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from olvido.operators.cli.output import Form, Output, messages, show


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("support-bundle")(support_bundle)


def support_bundle(
    to: Annotated[Path | None, typer.Option(help="Where to write it, if not into this folder.")] = None,
    output: Form = Output.TABLE,
) -> None:
    """Write a file to attach to a question: versions, settings, what doctor finds, ends of logs. No secrets.

    It works when parts are down. Look at what is in it before you send it: tar -xzf.

    Examples:
        olvido support-bundle
        olvido support-bundle --to bundle.tar.gz
    """
    from olvido.operators.desk import bundle
    from olvido.operators.settings import project

    now = datetime.now(UTC)
    path = to or Path(f"olvido-support-{now:%Y%m%d-%H%M%S}.tar.gz")
    with messages.status("looking at everything"):
        files = bundle.collect(project(), now)
    bundle.write(path, files)
    rows = [{"file": name, "bytes": len(content)} for name, content in files.items()]
    show(rows, ("file", "bytes"), output=output, empty="")
    messages.print(
        f"written to {path}, readable by you alone; look into it before you send it", soft_wrap=True
    )
