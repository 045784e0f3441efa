"""Requests to tasks, ledger included: how fast one process is, and where the time goes.

    python bench/processors.py [--requests 20000] [--profile]

Starts its own broker, registry and database. Figures move with the machine; ratios within one run hold.
"""

import argparse
import cProfile
import os
import pstats
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from olvido.broker import topics
from olvido.broker.contract import Received, Record
from olvido.broker.kafka import KafkaPublisher
from olvido.core.sessions import CONTROL
from olvido.ledger.connection import Database
from olvido.ledger.store import Ledger
from olvido.operators.desk import keys
from olvido.operators.desk import ledger as desk_ledger
from olvido.operators.local.stack import temporary_stack
from olvido.operators.settings import private_keys
from olvido.processors.emission import Emission
from olvido.processors.handlers.batches import RequestsHandler
from olvido.producers.build import Builder
from olvido.producers.emitter import Writer
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.privacy.principal_keys import KeyRing
from olvido.schemas.privacy.seals import ControlSeals
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, KeysSection

PROJECT = Path(__file__).parent.parent
BATCH = 1000


class Nowhere:
    """A publisher that drops everything: what encoding and SQL cost alone."""

    def publish(self, records: Sequence[Record]) -> None:
        """Drop them."""


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with temporary_stack() as stack, TemporaryDirectory() as folder:
        os.environ.update(stack.environment)
        for limit in ("ERASURES_PER_HOUR", "ERASURES_PER_HOUR_OF_ONE"):
            os.environ[f"OLVIDO_BRAKE__{limit}"] = "1000000000"  # it counts here, and holds nothing
        deployment = Deployment.load(PROJECT / "olvido.toml")
        registry = Registry(deployment.registry)
        topics.apply(deployment.kafka, registry, deployment.catalogue)
        desk_ledger.migrate(deployment)
        keys.create(deployment, Path(folder))
        batches = _batches(deployment, registry, Path(folder), arguments.requests)
        half = len(batches) // 2
        seals = ControlSeals(
            deployment.all_principals,
            KeyRing(Path(folder) / deployment.keys.public_dir, {}),
            Opener(CONTROL, private_keys(CONTROL, Path(folder))),
            accept_unsigned_until=deployment.unsigned_until,
        )
        ledger = Ledger(Database(deployment.ledger_dsn, application="bench"))
        publisher = KafkaPublisher(deployment.kafka, client_id="bench")
        for name, target, share in (
            ("decode, step, save, encode", Nowhere(), batches[:half]),
            ("and produce", publisher, batches[half:]),
        ):
            emission = Emission(registry, deployment.catalogue, target, source="bench")
            handler = RequestsHandler(
                registry, ledger, emission, deployment.catalogue, seals,
                clock=lambda: datetime.now(UTC), due_after=timedelta(hours=1),
            )  # fmt: skip
            profile = cProfile.Profile()
            began = time.perf_counter()
            if arguments.profile:
                profile.enable()
            for batch in share:
                handler(batch)
            profile.disable()
            took = time.perf_counter() - began
            print(f"{name}: {len(share) * BATCH / took:,.0f} requests/s")
            if arguments.profile:
                pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def _batches(deployment: Deployment, registry: Registry, folder: Path, count: int) -> list[list[Received]]:
    connections = deployment.model_copy(
        update={
            "keys": KeysSection(
                handle_file=folder / deployment.keys.handle_file,
                public_dir=folder / deployment.keys.public_dir,
                signing_file=folder / deployment.keys.signing_file,
            )
        }
    )
    builder = Builder.of(connections)
    writer = Writer(builder, registry, source="bench")
    records = [
        writer.envelope(
            builder.request(
                "ERASE",
                {"email": f"ana{number}@example.es", "customer_id": f"C-{number}"},
                regions=["cn", "sg"],
                purposes=(),
                request_id=None,
                requested_at=None,
                verification_required=False,
                verified=None,
            ),
            traceparent="",
        ).record
        for number in range(count)
    ]
    return [
        [
            Received(record.topic, 0, start + at, record.key, record.value, record.headers)
            for at, record in enumerate(records[start : start + BATCH])
        ]
        for start in range(0, count, BATCH)
    ]


if __name__ == "__main__":
    main()
