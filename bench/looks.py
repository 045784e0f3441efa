"""What later looks cost a sink that keeps a million erasures: a step with nothing due, and a full one.

    OLVIDO_BENCH_POSTGRES_DSN=postgresql://… python bench/looks.py

The database is a scratch one, with the tables of ``sink_postgres.py``: 100,000 customers, none of whom is
among the million.
"""

import os
import statistics
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import psycopg2
from sink_postgres import CUSTOMERS, DSN, TABLES, an_erasure, settings

from olvido.core.looks import LaterLook
from olvido.core.tasks import Task
from olvido.schemas.sealed_records import seal_bytes
from olvido.sinks.contract import OpenedTask, Swept
from olvido.sinks.kinds.postgres import PostgresSink

KEPT = 1_000_000
STEPS = 20
DAYS = 30  # the last look; until then an erasure is kept, and it has four of them
LOOKS = 4
# Erased in batches of 100 over thirty days; those of the last hour wait for their first look.
FILL = """
CREATE TEMP TABLE erased AS
SELECT n, md5(n::text)::uuid AS task_id, n / 100 AS batch,
    (n / 100 * 100) * interval '{days} days' / {kept} AS age
FROM generate_series(1, {kept}) AS n;
INSERT INTO olvido.applied (task_id, generation, outcome, counts, detail, applied_at)
SELECT task_id, 0, 'erased', '{{"customers.deleted": 1}}', '', now() - age FROM erased ORDER BY n DESC;
INSERT INTO olvido.kept_erasures (batch_id, sink, place, applied_at, erasures, tasks)
SELECT md5('batch ' || batch)::uuid, 'crm',
    CASE WHEN age < '1 hour' THEN 0 WHEN age < '1 day' THEN 1 WHEN age < '7 days' THEN 2 ELSE 3 END,
    now() - age, count(*), json_build_object(
        'task_ids', json_agg(task_id), 'generations', json_agg(0),
        'request_ids', json_agg(lpad(to_hex(n + {first}), 32, '0')::uuid),
        'subject_ids', json_agg('h1_' || lpad(n::text, 43, '0')), 'handles', json_agg('[]'::json),
        'asked_at', json_agg('2026-06-01T00:00:00+00:00'::text), 'regions', json_agg('cn'::text),
        'key_ids', json_agg('cn-2026-11'::text),
        'wrapped_keys', json_agg(encode(decode(repeat('00', 80), 'hex'), 'base64')),
        'nonces', json_agg(encode(decode(repeat('00', 12), 'hex'), 'base64')),
        'ciphertexts', json_agg(encode(decode(repeat('00', 200), 'hex'), 'base64')),
        'seals', json_agg('{seal}'::text))
FROM erased GROUP BY batch, age;
ANALYZE olvido.kept_erasures, olvido.applied;
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
        seal = b64encode(seal_bytes(an_erasure(1).task)).decode()
        cursor.execute(FILL.format(first=CUSTOMERS, kept=KEPT, days=DAYS, seal=seal))
    nothing = [_timed(lambda: sink.look_again(_opened, _published)) for _ in range(STEPS)]
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE olvido.kept_erasures SET applied_at = applied_at - interval '1 day' WHERE place = 2"
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
