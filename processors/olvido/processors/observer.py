"""What the recorder reads at an interval for who watches: lag of every group, what is owed, what is dead.

In a thread and not at each scrape: a scrape must be cheap, also when the ledger is slow or down.
"""

import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime

from olvido.broker.groups import lag
from olvido.broker.runtime.metrics import FIGURES
from olvido.core.brake import HeldFor
from olvido.core.errors import Unavailable
from olvido.core.requests import DUE_SOON
from olvido.core.sinks import Standing
from olvido.ledger.brake import Brake
from olvido.ledger.connection import Database
from olvido.ledger.figures import Figures
from olvido.ledger.letters import Letters
from olvido.ledger.sink_operations import SinkOperations
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import (
    readers_of,
)

logger = logging.getLogger("olvido.processors")

REFRESH_EVERY_S = 15.0

Values = dict[str, Mapping[tuple[str, ...], float]]  # by gauge, then by labels


class Observer:
    """Reads the figures and hands them to the metrics."""

    def __init__(self, deployment: Deployment, database: Database) -> None:
        self._deployment = deployment
        self._database = database

    def watch(self, stop: threading.Event) -> None:
        """Read them every fifteen seconds until ``stop`` is set. What does not answer keeps its last ones."""
        while not stop.is_set():
            for read in (self.broker, self.ledger):
                try:
                    FIGURES.replace(read())
                except Unavailable as error:
                    logger.warning("figures: %s; trying again in %.0f s", error, REFRESH_EVERY_S)
            stop.wait(REFRESH_EVERY_S)

    def broker(self) -> Values:
        """How far each group is.

        Raises:
            Unavailable: the broker does not answer.
        """
        behind: dict[tuple[str, ...], float] = {}
        committed: dict[tuple[str, ...], float] = {}
        ends: dict[tuple[str, ...], float] = {}
        for group, topics in readers_of(self._deployment.sinks).items():
            for one in lag(self._deployment.kafka, group, topics):
                place = (one.topic, str(one.partition))
                behind[group, *place] = float(one.behind)
                ends[place] = float(one.end)
                if one.committed is not None:
                    committed[group, *place] = float(one.committed)
        return {
            "kafka_consumergroup_lag": behind,
            "kafka_consumergroup_current_offset": committed,
            "kafka_topic_partition_current_offset": ends,
        }

    def ledger(self) -> Values:
        """What is owed, parked, dead and unsafe.

        Raises:
            Unavailable: the ledger does not answer.
        """
        now = datetime.now(UTC)
        sinks = self._deployment.sinks
        figures = Figures(self._database)
        owed = figures.owed_by_sink()
        parked = figures.parked_by_sink()
        due = figures.due(now=now, soon=DUE_SOON)
        letters = Letters(self._database).counts()
        brake = Brake(self._database)
        held, above = brake.counts(), brake.task_counts()
        standings = SinkOperations(self._database).standings()
        # A sink that owes nothing is counted as well: an alert must be able to end.
        none: dict[tuple[str, ...], float] = {(sink,): 0.0 for sink in sinks}
        return {
            "olvido_tasks_owed": none | {(row["sink"],): float(row["owed"]) for row in owed},
            "olvido_tasks_parked": none | {(sink,): float(count) for sink, count in parked.items()},
            "olvido_tasks_above_limit": none | {(sink,): float(count) for sink, count in above.items()},
            "olvido_oldest_unacknowledged_seconds": none
            | {(row["sink"],): _age_s(row["oldest_at"], now) for row in owed},
            "olvido_dead_letters": {(row["what"], row["state"]): float(row["letters"]) for row in letters},
            "olvido_dead_letters_oldest_seconds": {
                (row["what"],): _age_s(row["oldest_failed_at"], now)
                for row in letters
                if row["state"] == "open"
            },
            # One that is over is counted as well: an alert must be able to end.
            "olvido_requests_held": {
                (held_for.value,): float(held[held_for][0] if held_for in held else 0) for held_for in HeldFor
            },
            "olvido_requests_due": {
                ("overdue",): float(due["requests_overdue"]),
                ("soon",): float(due["requests_due_soon"]),
            },
            "olvido_sink_unsafe": {
                (sink,): float(sink in standings and standings[sink][0] is Standing.UNSAFE) for sink in sinks
            },
        }


def _age_s(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0
