"""What must be there before the first process starts: keys, topics, schemas, the ledger's tables.

A repeat of any of it changes nothing.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from olvido.broker import topics as broker_topics
from olvido.broker.runtime.patience import patiently
from olvido.ledger import schema
from olvido.operators.settings import private_keys
from olvido.schemas.privacy.sealing import create_handle_key, create_region_key, key_epochs
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment


def create_keys(deployment: Deployment, directory: Path, *, epoch: str | None = None) -> list[str]:
    """Make the keys that are missing: the handle key, and for each region one of this month.

    A region that has a public key of any epoch keeps it, unless ``epoch`` names another: its private keys may
    well be on other machines. One that has a private key alone, of a call that was interrupted, gets its
    other half.

    Returns:
        The ids of the keys that are new.

    Raises:
        ConfigError: ``epoch`` names a key whose private half is elsewhere.
    """
    public_dir = directory / deployment.keys.public_dir
    create_handle_key(directory / deployment.keys.handle_file)
    made = []
    for region in deployment.regions:
        private_dir = private_keys(region, directory)
        if epoch is None and key_epochs(public_dir, region):
            continue
        wanted = epoch or next(reversed(key_epochs(private_dir, region)), datetime.now(UTC).strftime("%Y-%m"))
        is_new = not (private_dir / f"{region}-{wanted}.pem").exists()
        key_id = create_region_key(region, wanted, public_dir=public_dir, private_dir=private_dir)
        if is_new:
            made.append(key_id)
    return made


def prepare(deployment: Deployment, directory: Path, say: Callable[[str], None]) -> None:
    """Bring a deployment to where its processes can start. A repeat changes nothing.

    Raises:
        ConfigError: the cluster, the registry or the database is not as it may be.
    """
    made = create_keys(deployment, directory)
    if made:
        say(f"keys made: {', '.join(made)}")
    stop = threading.Event()
    applied = patiently("ledger", lambda: schema.migrate(deployment.ledger_dsn), stop)
    if applied:
        say(f"ledger migrated: {', '.join(applied)}")
    registry = Registry(deployment.registry.url)
    mended = patiently(
        "topics", lambda: broker_topics.apply(deployment.kafka, registry, deployment.catalogue), stop
    )
    if mended:
        say(f"topics and schemas applied: {len({difference.topic for difference in mended})} topics")
