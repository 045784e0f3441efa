"""How fast PostgresSink carries out erasures: 10,000 tasks in batches of 1,000 on 100,000 customers.

    OLVIDO_BENCH_POSTGRES_DSN=postgresql://… python bench/sink_postgres.py

The database is a scratch one: its tables customers, contacts, enquiries, tickets and addresses
are dropped and made anew. It takes about fifteen seconds; ``--profile`` shows where Python's time goes.
"""

import cProfile
import gc
import os
import pstats
import sys
import time
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg2

from olvido.core.events import SealedBox
from olvido.core.ids import task_id
from olvido.core.rights.erase import Erase
from olvido.core.subject import Handle, Identity, IdentityKind
from olvido.core.tasks import RequestId, Task
from olvido.sinks.contract import OpenedTask, SinkSettings
from olvido.sinks.kinds.postgres import PostgresSink

CUSTOMERS = 100_000
TASKS = 10_000
BATCH = 1_000
DSN = "OLVIDO_BENCH_POSTGRES_DSN"
ASKED_AT = datetime(2026, 6, 1, tzinfo=UTC)

TABLES = """
DROP TABLE IF EXISTS tickets, enquiries, contacts, customers, addresses;
DROP SCHEMA IF EXISTS olvido CASCADE;
CREATE TABLE addresses (id bigint PRIMARY KEY, street text NOT NULL);
CREATE TABLE customers (
    id bigint PRIMARY KEY, customer_no text UNIQUE, email text, phone text,
    marketing_allowed boolean NOT NULL DEFAULT true, restricted boolean NOT NULL DEFAULT false,
    address_id bigint REFERENCES addresses, created_at timestamptz NOT NULL);
CREATE TABLE contacts (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, note text);
CREATE TABLE enquiries (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, from_email text,
    body text, received_at timestamptz NOT NULL);
CREATE TABLE tickets (id bigint PRIMARY KEY, customer_id bigint REFERENCES customers, author_name text,
    body text);
INSERT INTO addresses SELECT n, 'Calle ' || n FROM generate_series(1, {customers} / 2) AS n;
INSERT INTO customers SELECT n, 'C-' || n, 'Person' || n || '@Example.com', '+34600' || lpad(n::text, 6, '0'),
    true, false, 1 + n / 2 % ({customers} / 2), '2026-01-01' FROM generate_series(1, {customers}) AS n;
INSERT INTO contacts SELECT n * 2 + k, n, 'note'
    FROM generate_series(1, {customers}) AS n, generate_series(0, 1) AS k;
INSERT INTO enquiries SELECT n, n, 'person' || n || '@example.com', 'body', '2026-01-02'
    FROM generate_series(1, {customers}) AS n;
INSERT INTO tickets SELECT n, n, 'Person ' || n, 'body' FROM generate_series(1, {customers}) AS n;
CREATE INDEX ON customers (lower(email));
CREATE INDEX ON customers (phone);
CREATE INDEX ON customers (address_id);
CREATE INDEX ON contacts (customer_id);
CREATE INDEX ON enquiries (customer_id);
CREATE INDEX ON enquiries (lower(from_email));
CREATE INDEX ON tickets (customer_id);
ANALYZE addresses, customers, contacts, enquiries, tickets;
"""


def settings() -> SinkSettings:
    """The crm of the repository's own olvido.toml."""
    text = (Path(__file__).parent.parent / "olvido.toml").read_text(encoding="utf-8")
    own = tomllib.loads(text)["sinks"]["crm"]
    known = {key: own.pop(key) for key in ("kind", "region", "identities", "purposes")}
    return SinkSettings(
        name="crm",
        region=known["region"],
        identities=tuple(IdentityKind(kind) for kind in known["identities"]),
        purposes=tuple(known["purposes"]),
        own={**own, "dsn": {"env": DSN}},
    )


def an_erasure(n: int) -> OpenedTask:
    """The erasure of one customer, by number, e-mail address and telephone."""
    request_id = UUID(int=n)
    kinds = (IdentityKind.CUSTOMER_ID, IdentityKind.EMAIL, IdentityKind.PHONE)
    values = (f"C-{n}", f"person{n}@example.com", f"+34600{n:06d}")
    handles = tuple(Handle(kind=kind, value=f"h1_{n:0>43}") for kind in kinds)
    task = Task(
        task_id=task_id(request_id, "crm", "ERASE"), generation=0, sink="crm",
        what=Erase(asked_at=ASKED_AT + timedelta(seconds=n)),
        source=RequestId(request_id), subject_id=handles[0].value, handles=handles,
        box=SealedBox(region="cn", key_id="cn-2026-11", wrapped_key=b"", nonce=b"", ciphertext=b""),
    )  # fmt: skip
    identities = tuple(Identity(kind=k, value=v, normalised=v) for k, v in zip(kinds, values, strict=True))
    return OpenedTask(task=task, identities=identities)


def main() -> None:
    """Print the figures: the first time, and redelivered."""
    dsn = os.environ.get(DSN) or sys.exit(f"give {DSN}: a scratch database, its tables are dropped")
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(TABLES.format(customers=CUSTOMERS))
    sink = PostgresSink.from_section(settings())
    sink.check()
    sink.install()
    tasks = [an_erasure(n * 10 + 1) for n in range(TASKS)]
    gc.freeze()  # a sink's process never holds ten thousand tasks for its collector to walk over
    profile = cProfile.Profile()
    for name in ("first time", "redelivered"):
        if "--profile" in sys.argv:
            profile.enable()
        print(f"{name}: {measure(sink, tasks)}")
        profile.disable()
    sink.close()
    if "--profile" in sys.argv:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def measure(sink: PostgresSink, tasks: list[OpenedTask]) -> str:
    """Carry out all tasks in batches, and say how fast that was."""
    began, cpu_began = time.perf_counter(), time.process_time()
    batches_s, rows = [], 0
    for at in range(0, TASKS, BATCH):
        batch_began = time.perf_counter()
        receipts = sink.apply(tasks[at : at + BATCH])
        batches_s.append(time.perf_counter() - batch_began)
        rows += sum(sum(receipt.counts.values()) for receipt in receipts)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    return (
        f"{TASKS / took:,.0f} tasks/s, {rows / took:,.0f} rows/s ({rows:,} rows in {took:.2f} s); "
        f"batches of {BATCH:,}: {min(batches_s) * 1000:.0f} to {max(batches_s) * 1000:.0f} ms, "
        f"of which {cpu / len(batches_s) * 1000:.0f} ms is Python"
    )


if __name__ == "__main__":
    main()
