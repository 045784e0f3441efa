"""Starting a deployment on one machine: the parts, what must be prepared, the processes."""

import os
import time
from pathlib import Path

from rich.console import Console

from olvido.broker import admin
from olvido.core.errors import Unavailable
from olvido.operators.desk.prepare import prepare
from olvido.operators.local import stack
from olvido.operators.local.program import Program
from olvido.operators.local.programs import programs_of
from olvido.operators.local.shop import open_shop
from olvido.operators.local.stack import Stack
from olvido.operators.settings import deployment
from olvido.processors.figures import readers_of
from olvido.schemas.settings.deployment import Deployment

READERS_S_MAX = 40.0  # 3 to 6 s on an idle machine
POLL_S = 0.3


def start(directory: Path, console: Console, *, parts_only: bool = False) -> Stack:
    """Have everything up and healthy. What runs already is left alone.

    Raises:
        ConfigError: olvido.toml, an address or a topic is not as it may be; the message has the fix.
    """

    def programs(parts: Stack) -> list[Program]:
        # The addresses of the embedded parts are known only now. What the caller's environment
        # says wins, here as everywhere.
        for name, value in parts.environment.items():
            os.environ.setdefault(name, value)
        shop = open_shop(parts, directory, console)
        declared = deployment()
        prepare(declared, directory, lambda text: console.print(text, markup=False))
        return [*shop, *programs_of(declared, directory)]

    started = stack.up(directory, programs, console, parts_only=parts_only)
    if not parts_only:
        wait_for_readers(console)
    return started


def wait_for_readers(console: Console) -> None:
    """Wait until somebody reads each topic: only then does what is emitted travel to its end.

    A process that never starts to read is named; what is wrong with it, `olvido doctor` says.
    """
    declared = deployment()
    missing = set(readers_of(declared))
    deadline = time.monotonic() + READERS_S_MAX
    with console.status("waiting until every process reads its topics"):
        while missing and time.monotonic() < deadline:
            missing = {group for group in missing if not _has_members(declared, group)}
            if missing:
                time.sleep(POLL_S)
    for group in sorted(missing):
        console.print(f"nobody reads for {group} yet; what is wrong: olvido doctor", markup=False)


def _has_members(declared: Deployment, group: str) -> bool:
    try:
        return admin.group_state(declared.kafka, group).members > 0
    except Unavailable:  # the broker still looks for the group's coordinator
        return False
