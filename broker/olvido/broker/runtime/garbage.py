"""How often Python's collector looks for garbage in a process that works in batches.

By default it looks after every 700 objects that were made and not freed (`gc.set_threshold`), and a batch of
1,000 records makes hundreds of thousands, none of them garbage before its end: a fifth of the time of a
processor went there (bench/README.md).
"""

import atexit
import gc

# Of the youngest: some tens of records. Of the oldest: every 2,000 of those looks.
THRESHOLDS = (20_000, 20, 100)


def collect_rarely() -> None:
    """Look less often from now on, and never again at what is there already. A repeat does the same again.

    What is there already is looked at once more when the interpreter ends: a library in C++ would print as
    leaked whatever of its own is not freed by then, as DuckDB's does, line by line into the process's log.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)
    gc.set_threshold(*THRESHOLDS)
