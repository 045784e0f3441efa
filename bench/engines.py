"""Requests to tasks, ledger included, one process each: Faust as shipped, our loop, quixstreams, a bare loop.

    python bench/engines.py [--requests 20000] [--runs 5] [--peers PYTHON] [--keep]

All four run the same handler: the same decoding, step, saving, encoding and producing. What differs is
who reads, batches and commits. Each run starts from an empty ledger and reads the same records; rounds
are interleaved, so that a noisy minute falls on all of them. ``--peers`` is the Python of the virtual
environment that holds quixstreams (``make bench`` makes it); without it quixstreams is left out.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from figures import Comparison, options, tell
from rich.progress import track
from stage import HANDLED

from olvido.broker import topics
from olvido.core.sessions import CONTROL
from olvido.operators.desk import keys, ledger
from olvido.operators.local.stack import Stack, temporary_stack
from olvido.operators.settings import private_keys, signing_file
from olvido.producers import Producer
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import DESK, PRODUCER, Connections, Deployment, KeysSection
from olvido.schemas.topics import REQUESTS

PROJECT = Path(__file__).parent.parent
HERE = Path(__file__).parent
GROUPS = ("olvido.processors", "bench.bare", "bench.quixstreams")
POLL_S = 0.02
START_S_MAX = 60.0
STILL_S_MAX = 60.0
LEAVE_S_MAX = 60.0
FORGET = """
do $$ declare name text; begin
    for name in select tablename from pg_tables
                where schemaname = 'public' and tablename not in ('migrations', 'acts') loop
        execute format('truncate %I cascade', name);
    end loop;
end $$
"""


def main() -> None:
    """Measure, and print a table and the figures as JSON."""
    parser = options(__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--peers", type=Path, help="the Python that has quixstreams")
    parser.add_argument("--only", action="append", help="measure these alone, to profile one of them")
    arguments = parser.parse_args()
    contestants = _contestants(arguments.peers, arguments.only)
    with temporary_stack() as stack, TemporaryDirectory() as folder:
        environ = _environment(stack, Path(folder))
        os.environ.update(environ)
        deployment = Deployment.load()
        topics.apply(deployment.kafka, Registry(deployment.registry), deployment.catalogue)
        ledger.migrate(deployment)
        keys.create(deployment, Path(folder))
        _emit(deployment, Path(folder), arguments.requests)
        figures: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(arguments.runs):
            for name, command in contestants.items():
                _start_anew(deployment)
                rate = _measure(command, environ, deployment, arguments.requests)
                figures[name].append(rate)
                print(f"{name:12} {rate:8,.0f} requests/s", file=sys.stderr, flush=True)
    rates = Comparison(title="request to tasks", unit="requests/s", against="bare loop", runs=figures)
    tell("engines", [rates], keep=arguments.keep)


def _contestants(peers: Path | None, only: list[str] | None) -> dict[str, list[str]]:
    olvido = [sys.executable, "-m", "olvido.operators.cli", "run", "processors"]
    contestants = {
        "faust": olvido,
        "loop": [*olvido, "--engine", "loop"],
        "bare loop": [sys.executable, str(HERE / "contestants" / "bare.py")],
    }
    if peers is not None:
        contestants["quixstreams"] = [str(peers), str(HERE / "contestants" / "quix.py")]
    return {name: command for name, command in contestants.items() if not only or name in only}


def _environment(stack: Stack, folder: Path) -> dict[str, str]:
    return {
        **stack.environment,
        "OLVIDO_CONFIG": str(PROJECT / "olvido.toml"),
        "OLVIDO_ENV_FILES": "none",
        "OLVIDO_BRAKE__ERASURES_PER_HOUR": "1000000000",  # the brake counts here, and holds nothing
        "OLVIDO_BRAKE__ERASURES_PER_HOUR_OF_ONE": "1000000000",
        "OLVIDO_RECONCILER__FIRST_AFTER_S": "3600",  # no sink answers here: nothing is to be sent twice
        "OLVIDO_KEYS__PUBLIC_DIR": str(folder / ".olvido/keys/public"),
        "OLVIDO_KEYS__HANDLE_FILE": str(folder / ".olvido/keys/handle.key"),
        "OLVIDO_KEYS__PRIVATE_DIR": str(private_keys(CONTROL, folder)),
        "OLVIDO_KEYS__SIGNING_FILE": str(signing_file(DESK, folder)),
        "PYTHONPATH": str(HERE / "contestants"),
    }


def _emit(deployment: Deployment, folder: Path, count: int) -> None:
    keys = KeysSection(
        handle_file=folder / ".olvido/keys/handle.key",
        public_dir=folder / ".olvido/keys/public",
        signing_file=signing_file(PRODUCER, folder),
    )
    connections = Connections(kafka=deployment.kafka, registry=deployment.registry, source="bench")
    # The processors' environment names the desk's key, and it goes before what is given above.
    connections = connections.model_copy(update={"keys": keys})
    with Producer.of(connections) as producer, producer.batch() as batch:
        for number in track(range(count), description="emitting", transient=True):
            batch.request_erasure(
                identities={"email": f"ana{number}@example.es", "customer_id": f"C-{number}"},
                regions=["cn", "sg"],
            )


def _start_anew(deployment: Deployment) -> None:
    """An empty ledger and no committed offsets."""
    with psycopg2.connect(deployment.ledger_owner_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(FORGET)
    client = AdminClient({"bootstrap.servers": deployment.kafka.bootstrap_servers})
    deadline = time.monotonic() + LEAVE_S_MAX
    while groups := _groups(client):
        # One that was ended without leaving its group is in it until the session times out.
        for answer in client.delete_consumer_groups(groups).values():
            with contextlib.suppress(KafkaException):
                answer.result()
        if time.monotonic() > deadline:
            raise SystemExit(f"still there: {', '.join(groups)}")
        time.sleep(0.2)


def _groups(client: AdminClient) -> list[str]:
    known = {group.group_id for group in client.list_consumer_groups().result().valid}
    return [group for group in GROUPS if group in known]


def _measure(command: list[str], environ: Mapping[str, str], deployment: Deployment, count: int) -> float:
    """Requests per second from the first batch that is saved to the last: starting up does not count."""
    process = subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.PIPE)
    try:
        with psycopg2.connect(deployment.ledger_dsn) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            first, done, moved_at = None, 0, time.perf_counter()
            while done < count:
                cursor.execute(HANDLED, (REQUESTS.name,))
                row = cursor.fetchone()
                now = time.perf_counter()
                if row is not None and row[0] > done:
                    done, moved_at = row[0], now
                    first = first or (done, now)
                patience = START_S_MAX if first is None else STILL_S_MAX
                if process.poll() is not None or now - moved_at > patience:
                    raise SystemExit(f"{command}: stopped at {done} of {count}: {_last_words(process)}")
                time.sleep(POLL_S)
        assert first is not None
        return (count - first[0]) / (moved_at - first[1])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _last_words(process: "subprocess.Popen[bytes]") -> str:
    process.kill()
    return process.communicate()[1].decode(errors="replace")[-2000:]


if __name__ == "__main__":
    main()
