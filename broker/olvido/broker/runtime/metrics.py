"""Every metric there is, in one place: what it is called, what it counts, by which labels.

No label ever holds a subject, an identity or an id. Names of other people's dashboards are kept
where they have one: lag and offsets are called as the Kafka exporters call them.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter began, as a series of its own
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

# From a batch of one that is answered from memory to a thousand tasks at a slow target.
_BATCH_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_DAY = 86_400
# From one second to the three months that the longest legal clock gives.
_TO_ERASE_S = (
    1, 2, 5, 10, 30, 60, 300, 900, 3_600, 14_400, _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY,
)  # fmt: skip

# --- what each process counts ---------------------------------------------------------------------

BUILD = Info("olvido_build", "The version that runs", registry=REGISTRY)
BUILD.info({"version": version("olvido")})
RECORDS_HANDLED = Counter(
    "olvido_records_handled", "Records whose batch was done, repeats included", ["topic"], registry=REGISTRY
)
BATCH_SECONDS = Histogram(
    "olvido_batch_seconds", "How long a batch took, from its first try to done", ["topic"],
    buckets=_BATCH_S, registry=REGISTRY,
)  # fmt: skip
RETRIES = Counter(
    "olvido_retries", "Batches brought again because something was down", ["topic"], registry=REGISTRY
)
FORGOTTEN = Counter(
    "olvido_forgotten", "Tasks whose box nobody can open: the key of its epoch is destroyed", ["sink"],
    registry=REGISTRY,
)  # fmt: skip
RESURRECTED = Counter(
    "olvido_sink_resurrected", "Erasures that a later look found again: they are asked for again", ["sink"],
    registry=REGISTRY,
)  # fmt: skip
REAPPLIED = Counter(
    "olvido_sink_reapplied",
    "Withdrawals, objections and restrictions that were applied again, to rows that came after them",
    ["sink"], registry=REGISTRY,
)  # fmt: skip
VERIFIED_AGE = Gauge(
    "olvido_sink_verified_age_seconds", "For how long the oldest later look has been due; 0 if none is",
    ["sink"], registry=REGISTRY,
)  # fmt: skip
TIME_TO_FORGET = Gauge(
    "olvido_time_to_forget_seconds",
    "From the request for the newest canary person that is gone to the moment the sink had erased it",
    ["sink"], registry=REGISTRY,
)  # fmt: skip
CANARY_FORGOTTEN_AGE = Gauge(
    "olvido_canary_person_forgotten_age_seconds",
    "How long ago the newest canary person that is gone was erased; eight days if none is",
    ["sink"], registry=REGISTRY,
)  # fmt: skip
CANARY_STANDING = Gauge(
    "olvido_canary_people_standing",
    "Canary people of the last eight days whose rows stand though the sink has answered", ["sink"],
    registry=REGISTRY,
)  # fmt: skip
UNSIGNED = Counter(
    "olvido_unsigned", "Records taken though no principal signed them: accept_unsigned_until allows it",
    ["group"], registry=REGISTRY,
)  # fmt: skip
LATE = Counter(
    "olvido_late_events",
    "Requests and consent changes that the broker took later than instants.late_after_s after their instant",
    ["topic"], registry=REGISTRY,
)  # fmt: skip
UNTIMED = Counter(
    "olvido_untimed_records",
    "Records with their writer's time and not the broker's: the topic is not as it is declared", ["topic"],
    registry=REGISTRY,
)  # fmt: skip
RECEIPTS = Counter("olvido_receipts", "Receipts that settled a task", ["sink", "outcome"], registry=REGISTRY)
TIME_TO_ERASE = Histogram(
    "olvido_time_to_erase_seconds", "From the request to the moment a sink had carried out the erasure",
    ["sink"], buckets=_TO_ERASE_S, registry=REGISTRY,
)  # fmt: skip
TASKS_RESENT = Counter(
    "olvido_tasks_resent", "Tasks sent again because no receipt came in time", registry=REGISTRY
)
AUDIT_GAPS = Gauge(
    "olvido_offset_audit_gaps", "Records that the last look found committed and not handled",
    registry=REGISTRY,
)  # fmt: skip
AUDIT_REREAD = Counter(
    "olvido_offset_audit_reread", "Records that the offset audit has read again", registry=REGISTRY
)
RELAYED = Gauge(
    "olvido_relayed",
    "Events that a relay has brought from an outbox to Kafka since it started",
    registry=REGISTRY,
)
RELAY_REFUSED = Gauge(
    "olvido_relay_refused", "Rows of an outbox that a relay has passed over since it started",
    registry=REGISTRY,
)  # fmt: skip

# --- how each process is --------------------------------------------------------------------------

STANDING_STILL = Gauge(
    "olvido_standing_still_seconds", "How long records have waited and nothing moved; 0 while it moves",
    registry=REGISTRY,
)  # fmt: skip
READY = Gauge("olvido_ready", "1 if /readyz says so", registry=REGISTRY)
PART_UP = Gauge("olvido_part_up", "1 if a part that this process needs answers", ["part"], registry=REGISTRY)

# --- what the recorder reads at an interval -------------------------------------------------------


class Gauges(Collector):
    """Gauges that somebody else counts: read now and then, replaced all at once, never half old."""

    def __init__(self, declared: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        """
        Args:
            declared: for each gauge its meaning and its labels.
        """
        self._declared = declared
        self._values: dict[str, Mapping[tuple[str, ...], float]] = {}
        self._lock = threading.Lock()

    def replace(self, values: Mapping[str, Mapping[tuple[str, ...], float]]) -> None:
        """Show these values from now on; gauges that are not named keep theirs."""
        assert values.keys() <= self._declared.keys()
        with self._lock:
            self._values |= values

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The gauges, without values."""
        for name, (meaning, labels) in self._declared.items():
            yield GaugeMetricFamily(name, meaning, labels=labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges as they were last read. What was never read is not there."""
        with self._lock:
            values = dict(self._values)
        for family in self.describe():
            if family.name in values:
                for labels, value in values[family.name].items():
                    family.add_metric(labels, value)
                yield family


_PLACE = ("consumergroup", "topic", "partition")
FIGURES = Gauges(
    {
        "kafka_consumergroup_lag": ("Records a group has yet to handle", _PLACE),
        "kafka_consumergroup_current_offset": ("The offset a group reads next", _PLACE),
        "kafka_topic_partition_current_offset": ("The offset the next record gets", ("topic", "partition")),
        "olvido_tasks_owed": ("Tasks without a final receipt", ("sink",)),
        "olvido_tasks_parked": ("Tasks that wait for a person to decide", ("sink",)),
        "olvido_oldest_unacknowledged_seconds": ("Age of the oldest task that is owed", ("sink",)),
        "olvido_dead_letters": ("Dead letters", ("cause", "state")),
        "olvido_dead_letters_oldest_seconds": ("Age of the oldest open dead letter", ("cause",)),
        "olvido_tasks_above_limit": ("Tasks above a limit of their sink: two people decide", ("sink",)),
        "olvido_requests_held": ("Requests that no sink is asked for yet", ("held_for",)),
        "olvido_requests_due": (
            "Open requests whose last day is over, or is over within five days",
            ("when",),
        ),
        "olvido_sink_unsafe": ("1 while a sink may hold people who were erased", ("sink",)),
    }
)
REGISTRY.register(FIGURES)
