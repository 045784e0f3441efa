"""`olvido config …`: every setting that is in force, and where it comes from."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from olvido.core.redaction import redacted
from olvido.operators.cli.output import Form, Output, console, messages, print_data
from olvido.operators.desk.text import counted, text_of

MASK = "***"
_SECRET = re.compile(r"(password|secret|token|credential|\.pem|api[-_.]?key)s?$", re.IGNORECASE)

Key = tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    config = typer.Typer(help="The settings: what is in force, where from, and whether it is right.",
                         no_args_is_help=True)  # fmt: skip
    config.command("show")(show_config)
    config.command("check")(check)
    app.add_typer(config, name="config")


def show_config(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each setting comes from.")] = False,
    output: Form = Output.TABLE,
) -> None:
    """Show every setting that is in force. Passwords are masked.

    Flags stand above the environment, then .olvido/stack.env, olvido.toml, the user's own file, defaults.

    Examples:
        olvido config show --origin
        olvido config show -o yaml
    """
    rows = settings()
    if not origin:
        rows = [{name: row[name] for name in ("key", "value")} for row in rows]
    if not print_data(rows, output=output):
        for row in rows:
            said = f"  # {row['origin']}" if origin else ""
            console.print(
                f"{row['key']} = {text_of(row['value'])}{said}",
                markup=False,
                soft_wrap=not console.is_terminal,
            )


def check(output: Form = Output.TABLE) -> None:
    """Check olvido.toml and every sink's part of it, without asking any system. Exit 2 if one is wrong.

    Examples:
        olvido config check
    """
    from olvido.operators.desk.checking import checked

    declared = checked()
    rows = [{"sink": n, "kind": s.kind, "region": s.region} for n, s in declared.sinks.items()]
    if not print_data(rows, output=output):
        messages.print(f"right: {counted(len(rows), 'sink')} in regions {', '.join(declared.regions)}")


def settings() -> list[dict[str, Any]]:
    """Each setting: key, value with secrets masked, and where it comes from.

    Raises:
        ConfigError: olvido.toml is missing or wrong.
    """
    from olvido.operators.settings import deployment, deployment_file, is_supervised, stack_env, user_file
    from olvido.schemas.settings.deployment import read_toml, variable_of
    from olvido.schemas.settings.lines import line_of

    of_the_stack = stack_env()
    declared = deployment()
    files = [deployment_file()] + ([user_file()] if user_file().exists() and not is_supervised() else [])
    read = [(path, *read_toml(path)) for path in files]

    def origin(key: Key) -> str:
        variable = variable_of(key)
        if variable is not None:
            value, file = of_the_stack.get(variable, (None, None))
            from_stack = file is not None and value == os.environ[variable]
            return f"{_shown(file)} ({variable})" if file and from_stack else f"environment ({variable})"
        for path, text, content in read:
            if _holds(content, key):
                return f"{_shown(path)}:{line_of(text, key)}"
        return "default"

    return [
        {"key": ".".join(key), "value": masked(key, value), "origin": origin(key)}
        for key, value in leaves(declared.model_dump(mode="json"))
    ]


def leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Each value that is no table, by the way that leads to it. A table that is empty counts as one."""
    for name, value in values.items():
        key = (*above, str(name))
        if isinstance(value, Mapping) and value:
            yield from leaves(value, key)
        else:
            yield key, value or None if isinstance(value, Mapping) else value


def masked(key: Key, value: Any) -> Any:  # noqa: ANN401 - any setting
    """A value without what must not be read: a secret by its key's name, a password inside of an address."""
    if value is None or key[-1] in {"env", "file"}:  # where a secret is, which is none itself
        return value
    if _SECRET.search(key[-1]):
        return MASK
    return redacted(value) if isinstance(value, str) else value


def _holds(content: Mapping[str, Any], key: Key) -> bool:
    here: Any = content
    for name in key:
        if not isinstance(here, Mapping) or name not in here:
            return False
        here = here[name]
    return True


def _shown(path: Path) -> str:
    """A path as a person would type it."""
    for base, name in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return f"{name}{path.relative_to(base)}"
    return str(path)
