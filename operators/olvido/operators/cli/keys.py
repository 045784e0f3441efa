"""`olvido keys …`: the keys that make handles, seal identities, and say who may ask."""

from typing import Annotated

import typer

from olvido.operators.cli.output import Form, Output, console, messages, show

Principal = Annotated[str, typer.Argument(help="A principal, such as producer or sink-crm.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(
        help="The keys that make handles, seal identities, and say who may ask.", no_args_is_help=True
    )
    keys.command("create")(create_keys)
    keys.command("list")(list_keys)
    keys.command("rotate")(rotate)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys")


def create_keys(
    epoch: Annotated[
        str | None,
        typer.Option(help="YYYY-MM: make each region a key of this epoch, and seal to it from now on."),
    ] = None,
) -> None:
    """Make the keys that are missing. Those that are there are never replaced.

    Examples:
        olvido keys create
        olvido keys create --epoch 2026-12
    """
    from olvido.operators.desk import keys
    from olvido.operators.settings import deployment, project

    made = keys.create(deployment(), project(), epoch=epoch)
    for key_id in made:
        console.print(key_id)
    if not made:
        messages.print("all keys are there; for a new epoch: olvido keys create --epoch YYYY-MM")


def list_keys(output: Form = Output.TABLE) -> None:
    """Show what each principal signs with, and since when it may not.

    Examples:
        olvido keys list
        olvido keys list -o json
    """
    from olvido.operators.desk import keys
    from olvido.operators.settings import deployment, project

    columns = ("principal", "role", "key_id", "signs", "revoked_at")
    show(keys.principals(deployment(), project()), columns, output=output, empty="no principal has a key")


def rotate(principal: Principal) -> None:
    """Make a principal a new key to sign with. What the old one signed is good until that is revoked.

    Examples:
        olvido keys rotate producer
    """
    from olvido.operators.desk import keys
    from olvido.operators.settings import deployment, project

    made = keys.rotate(deployment(), project(), principal)
    console.print(f"{principal}.{made.key_id}", soft_wrap=True)
    messages.print("it signs with it within ten minutes, once it has the file of its new key")
    for key_id in made.before:
        messages.print(f"then: olvido keys revoke {principal} {key_id}", soft_wrap=True)


def revoke(
    principal: Principal,
    key_id: Annotated[str, typer.Argument(help="The key, as `olvido keys list` shows it.")],
) -> None:
    """Have nothing taken any more that is signed with a key. What it had signed before is done.

    Examples:
        olvido keys revoke producer 7f3a90c1d2e4b5c2
    """
    from olvido.operators.desk import keys
    from olvido.operators.settings import deployment, project

    keys.revoke(deployment(), project(), principal, key_id)
    messages.print("nothing that comes from now on is taken from it; copy the folder of public keys to where")
    messages.print("processors, recorder and sinks read it: they see it within seconds")
