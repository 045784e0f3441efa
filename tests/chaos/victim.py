"""Runs the real ``olvido`` as the rig wants it: with points it may die at, and perhaps one planted bug.

python -m chaos.victim run processors
"""

import os

from chaos.bugs import BUG, HEALERS, plant, put_healers_off
from chaos.points import put_points


def main() -> None:
    """Change what was asked for, then be the program."""
    # Bugs first: a point that stands around a function stands around the faulty one too.
    if bug := os.environ.get(BUG):
        plant(bug)
    if os.environ.get(HEALERS) == "off":
        put_healers_off()
    put_points()
    from olvido.operators.entry import main as olvido

    olvido()


if __name__ == "__main__":
    main()
