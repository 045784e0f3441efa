"""The numbered steps that bring a target's journal to the version of this program.

A step is the statement ``install_1``, ``install_2``, … of ``sql/<dialect>.sql``. The last thing it does is to
write its number into the journal, so an administrator can run its text as well. Each dialect counts for
itself: what is wrong in one of them is no step of the others.

A journal of before there were versions has tables of the first step, which makes only those that are not
there: so it is taken as version 1, and goes on.
"""

from collections.abc import Callable, Sequence
from itertools import count, takewhile

from olvido.sinks.section import fault
from olvido.sinks.tables.journal import queries


def steps(dialect: str) -> Sequence[str]:
    """All there are, in order: the first one brings a journal to version 1."""
    known = queries(dialect)
    return [known[name] for name in takewhile(known.__contains__, map("install_{}".format, count(1)))]


def missing_steps(dialect: str, sink: str, ask: Callable[[str], int]) -> Sequence[str]:
    """The steps that a target's journal lacks, in order.

    Args:
        dialect: its name.
        sink: whose journal it is.
        ask: runs a query and returns its one value.

    Raises:
        ConfigError: a newer program has brought the journal to a version that this one does not know.
    """
    known = steps(dialect)
    version = ask(queries(dialect)["journal_version"]) if ask(queries(dialect)["has_version"]) else 0
    if version > len(known):
        raise fault(
            f"sinks.{sink}",
            f"its journal in the target has version {version}, and this program knows {len(known)} at most; "
            "run the newer Olvido that has updated it. Nothing was changed",
        )
    return known[version:]


def first_of(dialect: str, missing: Sequence[str]) -> str:
    """The name of the first of the steps that are missing, as it stands in the file."""
    return f"install_{len(steps(dialect)) - len(missing) + 1}"
