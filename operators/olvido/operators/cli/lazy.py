"""The root of the command line: it knows every command by name and one line, and loads only what is typed."""

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from olvido.operators.cli.helping import commands_of, finish


@dataclass(frozen=True, slots=True)
class Entry:
    """One command or group, before its module is loaded."""

    module: str  # below `olvido.operators.cli`
    help: str  # one line, as the command itself has it: a test compares the two


# In the order in which `olvido --help` lists them.
ENTRIES = {
    "up": Entry("stack", "Start Kafka, the registry, PostgreSQL and Olvido's processes here"),
    "down": Entry("stack", "Stop everything that `olvido up` started"),
    "restart": Entry(
        "stack",
        "Start Olvido's processes here anew, one or all; broker, registry and database go on",
    ),
    "doctor": Entry("stack", "Check every part and say what to do about what is wrong"),
    "status": Entry("status", "Show what runs, how far each reader is, and what is owed"),
    "top": Entry("top", "Watch how fast records are handled, how far everybody is, how long people wait"),
    "audit": Entry(
        "audit",
        "Show who did what, when and why: every replay, restore, redrive, discard, release and reveal",
    ),
    "support-bundle": Entry(
        "bundle",
        "Write a file to attach to a question: versions, settings, what doctor finds, ends of logs",
    ),
    "completion": Entry(
        "completing", "Print the script that makes a shell complete commands, options and names on TAB"
    ),
    "run": Entry("run", "Run one process in the foreground, until SIGTERM or Ctrl-C"),
    "request": Entry("emitting", "Emit a privacy request"),
    "consent": Entry("emitting", "Emit a consent change, or look at what stands"),
    "requests": Entry("requests", "Look at privacy requests, withdraw one, or extend it"),
    "law": Entry("law", "What privacy laws ask for, and by when"),
    "dead-letters": Entry(
        "dead_letters", "Look at records that could not be handled, send them again, or give them up"
    ),
    "topics": Entry("topics", "Topics and schemas, as the table of topics declares them"),
    "ledger": Entry("topics", "The ledger database"),
    "keys": Entry("keys", "The keys that make handles, seal identities, and say who may ask"),
    "config": Entry("config", "The settings: what is in force, where from, and whether it is right"),
    "sinks": Entry("sinks", "Look at the systems that hold personal data"),
    "restore": Entry("restore", "After a backup of a system was put back: do again what was done since"),
    "backfill": Entry(
        "backfill",
        "Give a sink that joins late all past erasures, restrictions and objections, "
        "and the present consents",
    ),
    "brake": Entry("brake", "Erasures above a limit: two people release or discard them"),
    "replay": Entry("replay", "Send the tasks of past requests and consent changes again"),
    "generate": Entry("generate", "Write what Prometheus, Grafana and editors need"),
}

Finish = Callable[[tuple[str, ...], Any], None]


class Commands(MutableMapping[str, Any]):
    """Commands by name. Looking one up loads its module; counting and naming them loads none."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}
        self.finishing: list[Finish] = [finish]  # what is done with each command once it is loaded

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - Typer's commands are not public by type
        if name not in self._loaded:
            self._load(ENTRIES[name].module)
        return self._loaded[name]

    def _load(self, module: str) -> None:
        part = typer.Typer(rich_markup_mode=None, add_completion=False)
        part.callback()(lambda: None)  # so that a single command stays one of a group
        import_module(f"olvido.operators.cli.{module}").register(part)
        group: Any = typer.main.get_command(part)
        for name, command in group.commands.items():
            for words, below in commands_of(command):
                for do in self.finishing:
                    do((name, *words), below)
            self._loaded[name] = command

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise NotImplementedError("no command is taken away")

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)

    def __contains__(self, name: object) -> bool:
        return name in ENTRIES


class Root(TyperGroup):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - what Typer gives a group
        super().__init__(**given)
        self.commands = Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """List what there is, by the one line that is known of each."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in ENTRIES.items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:  # noqa: ANN401
        """The commands that begin with what is typed; options are known to the command alone."""
        from typer._click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=entry.help)
            for name, entry in ENTRIES.items()
            if name.startswith(incomplete)
        ]
