"""Files of DuckDB, each opened for as long as a test looks into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import duckdb

_numbers = count()


@cache
def _instance() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:")


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the file. It is made if it is not there, and locked only within the block.

    An instance of its own for each look takes 20 ms of CPU, so one is kept, and the file is attached to it.
    """
    name, where = f"file_{next(_numbers)}", str(path).replace("'", "''")
    with _instance().cursor() as connection:
        connection.execute(f"ATTACH '{where}' AS {name}")
        try:
            connection.execute(f"USE {name}")
            yield connection
        finally:
            connection.execute("USE memory")
            connection.execute(f"DETACH {name}")
