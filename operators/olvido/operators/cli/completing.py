"""What the shell offers when TAB is pressed: names that are known here, at once, or nothing at all."""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

VARIABLE = "_OLVIDO_COMPLETE"  # is set where a shell asks us, and not a person
PATIENCE_S = 1.0  # a person waits with a finger on the key
NEWEST = 30


class Shell(StrEnum):
    """The shells there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("completion")(completion)


def completion(shell: Annotated[Shell, typer.Argument(help="The shell to complete in.")]) -> None:
    """Print the script that makes a shell complete commands, options and names on TAB.

    Examples:
        source <(olvido completion bash)     # in ~/.bashrc, to have it for good
        olvido completion zsh > ~/.zfunc/_olvido
        olvido completion fish > ~/.config/fish/completions/olvido.fish
        olvido completion powershell >> $PROFILE
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # there, and not marked so

    script = get_completion_script(prog_name="olvido", complete_var=VARIABLE, shell=shell.value)
    sys.stdout.write(f"{script}\n")


def is_asked() -> bool:
    """Whether a shell asks for completions."""
    return VARIABLE in os.environ


def silence() -> None:
    """Say nothing on stderr from now on: it would stand in the middle of what somebody types."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def attach(_words: Sequence[str], command: Any) -> None:  # noqa: ANN401 - Typer's commands are not public by type
    """Have every option and argument complete that takes a name we know, by what it is called."""
    from typer._click.shell_completion import CompletionItem

    def completing(names: Callable[[], Iterable[str]]) -> Callable[[object, str], list[CompletionItem]]:
        # A file answers always. On a busy machine reading it took longer than a person waits for a server.
        offered = in_time if names in _ASKING else or_none

        def complete(_context: object, begun: str) -> list[CompletionItem]:
            return [CompletionItem(name) for name in offered(names) if name.startswith(begun)]

        return complete

    for param in command.params:
        if param.name in NAMES and not param.type_descriptor.is_choice:
            param.shell_complete = completing(NAMES[param.name])


def in_time(names: Callable[[], Iterable[str]]) -> list[str]:
    """The names, or none: if something is wrong, or if they take longer than a person waits."""
    found: list[str] = []

    def ask() -> None:
        found.extend(or_none(names))

    asking = threading.Thread(target=ask, daemon=True)  # it does not keep the process from ending
    asking.start()
    asking.join(PATIENCE_S)
    return [] if asking.is_alive() else list(found)


def or_none(names: Callable[[], Iterable[str]]) -> list[str]:
    """The names, or none if something is wrong."""
    try:
        return list(names())
    except Exception:  # noqa: BLE001 - whatever it is, `olvido doctor` says it
        return []


def _sinks() -> Iterable[str]:
    from olvido.operators.settings import deployment

    return deployment().sinks


def _regions() -> Iterable[str]:
    from olvido.operators.settings import deployment

    return deployment().regions


def _purposes() -> Iterable[str]:
    from olvido.operators.settings import deployment

    return deployment().purposes


def _topics() -> Iterable[str]:
    from olvido.operators.settings import deployment
    from olvido.schemas.topics import topics_of

    return [topic.name for topic in topics_of(deployment().catalogue)]


def _requests() -> Iterable[str]:
    from olvido.operators.cli.requests import newest_ids

    return map(str, newest_ids(NEWEST))


def _operations() -> Iterable[str]:
    from olvido.operators.desk.sink_operations import names
    from olvido.operators.settings import deployment

    return names(deployment(), limit=NEWEST)


def _rights() -> Iterable[str]:
    from olvido.core.rights.known import RIGHTS

    return [right.value for right in RIGHTS]


def _processes() -> Iterable[str]:
    from olvido.operators.local.part_status import status
    from olvido.operators.settings import project

    return [part.name for part in status(project()) if part.kind == "process"]


_ASKING = frozenset({_requests, _operations, _processes})  # these ask a server, which may not answer

# By the name of the parameter, whatever command it belongs to.
NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "operation": _operations,
    "plan": _operations,
    "process": _processes,
    "purpose": _purposes,
    "region": _regions,
    "request": _requests,
    "request_id": _requests,
    "right": _rights,
    "sink": _sinks,
    "topic": _topics,
}
