"""Starting a deployment on one machine: the parts, what must be prepared, the processes."""

import json
import os
import time
from pathlib import Path

from rich.console import Console

from olvido.broker import groups
from olvido.core.errors import Unavailable
from olvido.operators.desk.checking import checked
from olvido.operators.desk.prepare import prepare
from olvido.operators.local import stack
from olvido.operators.local.program import Program
from olvido.operators.local.programs import programs_of, secrets_of
from olvido.operators.local.shop import open_shop, stand_ins
from olvido.operators.local.stack import Stack
from olvido.operators.settings import deployment, load_stack_env, process_of
from olvido.schemas.settings.deployment import PROTOCOL, Deployment
from olvido.schemas.topics import readers_of

READERS_S_MAX = 40.0  # 3 to 6 s on an idle machine
LOOK_AGAIN_AFTER_S = 0.3
TRIES = 2  # of a process that ends by itself; then `up` says what is wrong with it
COMPLAINT = "olvido: "  # how a command that ends by an error begins its last line
BAD_LEVELS = ("warning", "error", "critical")


def start(directory: Path, console: Console, *, parts_only: bool = False) -> Stack:
    """Have everything up and healthy. What runs already is left alone.

    Raises:
        ConfigError: olvido.toml, an address or a topic is not as it may be; the message has the fix.
    """

    declared = None if parts_only else _checked_map(directory)
    hidden = frozenset[str]() if declared is None else secrets_of(declared)
    logs_in = declared is not None and PROTOCOL in declared.kafka.options

    def programs(parts: Stack) -> list[Program]:
        # The addresses of the embedded parts are known only now. What the caller's environment
        # says wins, here as everywhere.
        for name, value in parts.environment.items():
            os.environ.setdefault(name, value)
        shop = open_shop(parts, directory, console)
        declared = deployment()
        prepare(declared, directory, lambda text: console.print(text, markup=False))
        return [*shop, *programs_of(declared, directory)]

    started = stack.up(directory, programs, console, parts_only=parts_only, hidden=hidden, logs_in=logs_in)
    if not parts_only:
        wait_for_readers(console, started)
    return started


def restart(directory: Path, console: Console, name: str | None = None) -> list[str]:
    """Start one process anew, or all of them, and wait until each reads its topics.

    Returns:
        The names of those that were started anew.

    Raises:
        InvalidInput: there is no process of this name.
        StackError: nothing runs here.
    """
    restarted = stack.restart(directory, name, console=console)
    wait_for_readers(console, stack.running(directory))
    return restarted


def wait_for_readers(console: Console, running: Stack) -> None:
    """Wait until every group has a reader: only then does what is emitted travel to its end.

    A process that does not come to read is named with its last error. One that the supervisor had to start
    again and again is not waited for.
    """
    declared = deployment()
    missing = {group: process_of(group) for group in readers_of(declared.sinks)}
    deadline = time.monotonic() + READERS_S_MAX
    before = _restarts(running)
    with console.status("waiting until every process reads its topics"):
        while missing and time.monotonic() < deadline:
            missing = {group: name for group, name in missing.items() if not _has_members(declared, group)}
            now = _restarts(running)
            if all(now.get(name, 0) - before.get(name, 0) >= TRIES for name in missing.values()):
                break
            time.sleep(LOOK_AGAIN_AFTER_S)
    for name in sorted(missing.values()):
        log = running.folder.log(name)
        console.print(
            f"{name} does not read yet: {last_error(log) or 'it has logged no error'}\n"
            f"  what is wrong and what to do: olvido doctor; its log: {log}",
            markup=False,
            soft_wrap=True,
        )


def last_error(log: Path) -> str:
    """The last error or warning in a process's log, or what it printed when it ended; empty if none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    for line in reversed(lines):
        if line.startswith(COMPLAINT):
            return line.removeprefix(COMPLAINT)
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("level") in BAD_LEVELS:
            return str(record.get("message", ""))
    return ""


def _checked_map(directory: Path) -> Deployment:
    """What olvido.toml declares, checked as `olvido config check` does before anything is started.

    Nobody knows the addresses of the embedded parts yet: those of an earlier `up` or something else stands in
    for them, and none of it stays in the environment. A part whose port is taken by now moves to another.
    """
    before = dict(os.environ)
    try:
        load_stack_env(directory)
        for name, value in {**stack.STAND_INS, **stand_ins(directory)}.items():
            os.environ.setdefault(name, value)
        return checked()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _restarts(running: Stack) -> dict[str, int]:
    return {name: now.restarts for name, now in running.supervisor.status().items()}


def _has_members(declared: Deployment, group: str) -> bool:
    try:
        return groups.group_state(declared.kafka, group).members > 0
    except Unavailable:  # the broker still looks for the group's coordinator
        return False
