"""Starting a deployment on one machine: the parts, what must be prepared, the processes."""

import os
from pathlib import Path

from rich.console import Console

from olvido.operators.prepare import prepare
from olvido.operators.programs import programs_of
from olvido.operators.settings import deployment
from olvido.operators.shop import open_shop
from olvido.operators.stack import stack
from olvido.operators.stack.program import Program
from olvido.operators.stack.stack import Stack


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

    return stack.up(directory, programs, console, parts_only=parts_only)
