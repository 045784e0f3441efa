"""`python -m demo`, in examples/: what `make demo` runs. Exit 1 if a promise is broken, 130 after Ctrl-C."""

import argparse
import sys
from pathlib import Path

from demo.run import run_demo
from olvido.core.errors import OlvidoError
from olvido.operators.cli import logs
from olvido.operators.cli.output import console, messages
from shop.people import SEED

PROJECT = Path(__file__).parents[2]


def main() -> int:
    """Tell the story once, as the options say."""
    parser = argparse.ArgumentParser(prog="demo", description="Tell the story, and check every promise.")
    parser.add_argument("--keep", action="store_true", help="leave the demo's stack running at the end")
    parser.add_argument("--seed", type=int, default=SEED, help=f"other people, the same story ({SEED})")
    given = parser.parse_args()
    logs.set_up(level="WARNING")
    try:
        return run_demo(PROJECT, console, keep=given.keep, seed=given.seed)
    except OlvidoError as error:
        messages.print(f"demo: {error}", markup=False, soft_wrap=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
