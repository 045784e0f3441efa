"""Look at a whole target: each table's catalogue entry, a few of its rows, and what they are.

The rows are judged as soon as they are read, and forgotten.
"""

from collections.abc import Callable, Sequence

from olvido.sinks.discovery.evidence import SeenTable, judge
from olvido.sinks.discovery.live import SAMPLED, LiveTable, Sample, TargetReader

ROWS = 200  # of each table: 80 % of 200 is told from 60 % with near certainty


def look_at(
    reader: TargetReader,
    tables: Sequence[LiveTable],
    *,
    rows: int = ROWS,
    advance: Callable[[int], None] = lambda _: None,
) -> list[SeenTable]:
    """Judge every column of some tables.

    Args:
        reader: reads the target.
        tables: what to look at.
        rows: how many rows of each table to read at most; 0 goes by names alone.
        advance: is called with 1 after each table.

    Raises:
        Unavailable: the target does not answer.
    """
    seen = []
    for table in tables:
        columns = [column.name for column in table.columns if column.family in SAMPLED]
        if not table.readable:
            sample = Sample(why_not="this role may not read it")
        else:
            sample = reader.sample(table, columns, rows) if rows and columns else Sample()
        seen.append(judge(table, sample))
        advance(1)
    return seen
