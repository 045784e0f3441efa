"""What later looks cost a sink that keeps a million erasures: a step with nothing due, and a full one.

    OLVIDO_BENCH_POSTGRES_DSN=postgresql://… python bench/looks.py

The database is a scratch one, with the tables of ``sink_postgres.py``: 100,000 customers, none of whom is
among the million.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import psycopg2
from sink_postgres import CUSTOMERS, DSN, TABLES, an_erasure, settings

from olvido.core.looks import LaterLook
from olvido.core.tasks import Task
from olvido.sinks.contract import OpenedTask, Swept
from olvido.sinks.kinds.postgres import PostgresSink

KEPT = 1_000_000
STEPS = 20
DAYS = 30  # the last look; until then an erasure is kept, and it has four of them
LOOKS = 4
# Erased in batches of 100 over thirty days; those of the last hour wait for their first look.
FILL = """
INSERT INTO olvido.later_looks (task_id, generation, sink, request_id, subject_id, handles, asked_at, region,
    key_id, wrapped_key, nonce, ciphertext, place, applied_at)
SELECT md5(n::text)::uuid, 0, 'crm', lpad(to_hex(n + {first}), 32, '0')::uuid,
    'h1_' || lpad(n::text, 43, '0'), '[]', '2026-06-01', 'cn', 'cn-2026-11', decode(repeat('00', 80), 'hex'),
    decode(repeat('00', 12), 'hex'), decode(repeat('00', 200), 'hex'),
    CASE WHEN age < '1 hour' THEN 0 WHEN age < '1 day' THEN 1 WHEN age < '7 days' THEN 2 ELSE 3 END,
    now() - age
FROM (SELECT n, (n / 100 * 100) * interval '{days} days' / {kept} AS age
      FROM generate_series(1, {kept}) AS n) AS t;
ANALYZE olvido.later_looks;
"""


def main() -> None:
    """Print the figures."""
    dsn = os.environ.get(DSN) or sys.exit(f"give {DSN}: a scratch database, its tables are dropped")
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(TABLES.format(customers=CUSTOMERS))
    sink = PostgresSink.from_section(settings())
    sink.check()
    sink.install()
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(FILL.format(first=CUSTOMERS, kept=KEPT, days=DAYS))
    nothing = [_timed(lambda: sink.look_again(_opened, _published)) for _ in range(STEPS)]
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE olvido.later_looks SET applied_at = applied_at - interval '1 day' WHERE place = 2"
        )
    full = [_timed(lambda: sink.look_again(_opened, _published)) for _ in range(STEPS)]
    sink.close()
    looked = sum(swept.look.looked for swept, _ in full if swept and swept.look)
    wall, each = sum(took for _, took in full), KEPT * LOOKS / (DAYS * 86_400)
    print(f"nothing due: {statistics.median(took for _, took in nothing) * 1000:.1f} ms a step")
    print(f"full steps: {looked:,} erasures in {wall:.2f} s, {looked / wall:,.0f}/s")
    part = each * wall / looked
    print(f"{KEPT:,} erasures in {DAYS} days are {each:.2f} looks/s: {part * 100:.2f} % of the time")


def _timed(act: Callable[[], Swept | None]) -> tuple[Swept | None, float]:
    began = time.perf_counter()
    return act(), time.perf_counter() - began


def _opened(task: Task) -> OpenedTask | None:
    """Somebody who is not there: opening a box costs some microseconds more (bench/README.md)."""
    return replace(an_erasure(int(task.source_id)), task=task)


def _published(_: LaterLook) -> Sequence[object]:
    return ()


if __name__ == "__main__":
    main()
