"""What must be there before the first process starts: keys, topics, schemas, the ledger's tables.

A repeat of any of it changes nothing.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from olvido.broker import topics as broker_topics
from olvido.broker.runtime.patience import patiently
from olvido.operators.desk import keys, ledger
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment


def prepare(deployment: Deployment, directory: Path, say: Callable[[str], None]) -> None:
    """Bring a deployment to where its processes can start. A repeat changes nothing.

    Raises:
        ConfigError: the cluster, the registry or the database is not as it may be.
    """
    made = keys.create(deployment, directory)
    if made:
        say(f"keys made: {', '.join(made)}")
    stop = threading.Event()
    applied = patiently("ledger", lambda: ledger.migrate(deployment), stop)
    if applied:
        say(f"ledger migrated: {', '.join(applied)}")
    registry = Registry(deployment.registry)
    mended = patiently(
        "topics", lambda: broker_topics.apply(deployment.kafka, registry, deployment.catalogue), stop
    )
    if mended:
        say(f"topics and schemas applied: {len({difference.topic for difference in mended})} topics")
