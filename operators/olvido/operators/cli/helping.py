"""What `--help` says: the meaning, then examples, then the options, then the page to read on.

A command's docstring holds the first two: a sentence, and a paragraph that begins with ``Examples:``.
"""

import re
from collections.abc import Iterator
from typing import Any

import typer

from olvido.core.errors import did_you_mean
from olvido.operators.cli.options import named_as_typed

EXAMPLES = "Examples:\n"
LINE_MAX = 74  # of 80: two of margin on either side, two for a backslash
CHOICES_MAX = 40  # letters; more values than fit beside an option's name are listed in its help
PAGE = "docs/operations.md"
PAGES = {  # of a command or a group, by its words or the first of them; the others are in PAGE
    "audit": "docs/operations.md#who-did-what",
    "backfill": "docs/backfill.md",
    "completion": "docs/operations.md#completion",
    "config": "docs/configuration.md",
    "consent": "docs/producers.md",
    "dead-letters": "docs/dead-letters.md",
    "generate": "docs/monitoring.md",
    "keys": "docs/keys.md",
    "replay": "docs/replay.md",
    "request": "docs/producers.md",
    "restore": "docs/restore.md",
    "run": "docs/configuration.md#who-needs-what",
    "sinks": "docs/restore.md#the-standing-of-a-sink",
    "sinks check": "docs/sinks/check.md",
    "sinks discover": "docs/sinks/discover.md",
    "sinks grants": "docs/sinks/grants.md",
    "sinks plan": "docs/sinks/plan.md",
    "support-bundle": "docs/operations.md#when-you-ask-somebody-else",
    "topics": "docs/topics.md",
}

Words = tuple[str, ...]


def finished(app: typer.Typer) -> Any:  # noqa: ANN401 - Typer's commands are not public by type
    """A command line, with every command's help as people read it."""
    root = typer.main.get_command(app)
    finish((), root)
    return root


def finish(words: Words, command: Any) -> None:  # noqa: ANN401
    """Give one command, known by its words, its help as people read it."""
    meaning, examples = parts_of(command.help or "")
    listed = "\n".join(line for example in examples for line in _wrapped(example))
    command.help = f"{meaning}\n\n\b\n{EXAMPLES}{listed}" if examples else meaning
    command.short_help = " ".join(meaning.split()).split(". ")[0].rstrip(".")
    command.epilog = command.epilog or f"More: {_page(words)}"
    for param in command.params:
        _finish(param)
    _name_as_typed(command)


def _page(words: Words) -> str:
    if not words:
        return "README.md, docs/"
    return PAGES.get(" ".join(words)) or PAGES.get(words[0], PAGE)


def _name_as_typed(command: Any) -> None:  # noqa: ANN401
    """Have a fault in an argument named as it was typed: a use case knows no options."""
    invoke = command.invoke

    def invoked(context: Any) -> Any:  # noqa: ANN401
        with named_as_typed(command):
            return invoke(context)

    command.invoke = invoked


def commands_of(root: Any) -> Iterator[tuple[Words, Any]]:  # noqa: ANN401
    """Every command and group below a command, and itself, each by its words."""
    waiting: list[tuple[Words, Any]] = [((), root)]
    while waiting:
        words, command = waiting.pop(0)
        yield words, command
        below = getattr(command, "commands", {})
        waiting = [((*words, name), found) for name, found in below.items()] + waiting


def parts_of(text: str) -> tuple[str, list[str]]:
    """A docstring as its meaning and its examples."""
    meaning, _, examples = re.sub(r" \\\n\s*", " ", text.replace("\b\n", "")).partition(EXAMPLES)
    return meaning.strip(), [line.strip() for line in examples.splitlines() if line.strip()]


def _wrapped(example: str) -> Iterator[str]:
    """An example as lines that fit beside the margin, broken before an option as the shell allows."""
    line = "  "
    for piece in re.split(r"\s(?=-|[|>] |&& )", example):
        if len(line) + len(piece) > LINE_MAX and line.strip():
            yield f"{line} \\"
            line = "     "
        line += f" {piece}" if line.strip() else piece
    yield line


def show_misuse(error: Exception) -> bool:
    """Say on stderr what was wrong with a flag, an argument or a command, and what was meant perhaps.

    Returns:
        Whether it was that. Anything else the caller has to report.
    """
    show = getattr(error, "show", None)
    if show is None:
        return False
    message = getattr(error, "message", "").removeprefix("Value error, ")
    choices = _choices(error.param) if getattr(error, "param", None) is not None else []  # type: ignore[attr-defined]
    given = re.match(r"'([^']*)' is not one of", message)
    if choices and given:
        message = f"there is no {given[1]!r}{did_you_mean(given[1], choices)}"
    error.message = message  # type: ignore[attr-defined]
    show()
    return True


def _finish(param: Any) -> None:  # noqa: ANN401
    if param.name in {"install_completion", "show_completion"}:
        param.hidden = True  # `olvido completion` prints the script; what to do with it is the user's
    choices = _choices(param)
    if len("|".join(choices)) > CHOICES_MAX and param.show_choices:
        param.show_choices = False
        param.help = f"{param.help or ''} One of: {', '.join(choices)}.".strip()


def _choices(param: Any) -> list[str]:  # noqa: ANN401
    return [str(getattr(choice, "value", choice)) for choice in param.type_descriptor.choices or ()]
