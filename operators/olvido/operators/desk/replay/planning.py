"""What a replay would come to: offsets out of times, counts out of the ledger, durations out of quotas.

Nothing is sent. A year of it is counted in seconds, by a few statements over the whole.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from olvido.broker.contract import Lag
from olvido.broker.groups import lag, offsets_at, reach
from olvido.core.errors import InvalidInput, OlvidoError
from olvido.core.offsets import OffsetRange, Partition
from olvido.core.rates import rate_of
from olvido.core.replay import KeptRange, PartitionCount, Plan, SinkCount, Window, check_times, window
from olvido.ledger.replays import Counted, Replays
from olvido.operators.desk.faults import NoTopic
from olvido.operators.desk.replay.asking import ReplayQuery
from olvido.schemas.codec import avro_text
from olvido.schemas.privacy.region_keys import destroyed_keys
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import PROCESSORS_GROUP

Keys = Mapping[str, Sequence[str]]  # by sink: ids of keys that are known here to be destroyed


class NothingSelected(OlvidoError):
    """There is nothing to replay, and nothing was saved."""


def make_plan(
    deployment: Deployment,
    replays: Replays,
    asked: ReplayQuery,
    *,
    rate: float,
    destroyed: Keys,
    now: datetime,
) -> Plan:
    """Count what is asked for.

    Raises:
        InvalidInput: what is asked for is not there; with the fix.
        NothingSelected: it is there, and nothing in it is selected.
        Unavailable: the broker or the ledger does not answer.
    """
    check_times(asked.selection.since, asked.selection.until, now=now)
    lags = {(one.topic, one.partition): one for one in lag(deployment.kafka, PROCESSORS_GROUP, asked.topics)}
    plan = Plan(
        cluster_id=reach(deployment.kafka).cluster_id,
        ledger_id=replays.identity(),
        selection=asked.selection,
        issued=asked.selection.sinks or tuple(deployment.sinks),
        windows=_windows(deployment, replays, asked, lags),
        places=(),
        sinks=(),
        waiting=0,
        rate=rate,
    )
    counted = replays.count(
        plan,
        destroyed=[(sink, avro_text(key_id)) for sink, key_ids in destroyed.items() for key_id in key_ids],
    )
    unread = sum_by_partition(unknown_ranges(replays, plan, lags))
    plan = replace(
        plan,
        places=tuple(_partition_counts(plan.windows, counted, unread)),
        sinks=tuple(_sink_counts(deployment, plan, counted)),
        waiting=0 if plan.selection.needs_ledger else sum(_waiting(one, lags) for one in plan.windows),
    )
    if not plan.records:
        waiting = f"; {plan.waiting:,} records wait for the processors to read them" if plan.waiting else ""
        raise NothingSelected(f"nothing is selected, so no plan was saved{waiting}")
    return plan


def unknown_ranges(replays: Replays, plan: Plan, lags: Mapping[Partition, Lag]) -> list[OffsetRange]:
    """The records within a plan that the processors are past and the ledger has no row of.

    What the processors have yet to read is theirs. With a filter that only the ledger can answer there are
    none.
    """
    if plan.selection.needs_ledger:
        return []
    ranges = []
    for one in plan.windows:
        low, high = max(one.low, one.kept), min(one.high, _read_up_to(one, lags))
        if low < high:
            ranges.append(OffsetRange(one.topic, one.partition, low, high))
    return replays.unknown_records(ranges, group=PROCESSORS_GROUP)


def destroyed_here(deployment: Deployment, private_dirs: Mapping[str, Path]) -> Keys:
    """The keys of each sink's region that are known on this machine to be destroyed.

    Args:
        deployment: the sinks.
        private_dirs: by region, where its private keys would be.
    """
    return {
        name: found
        for name, section in deployment.sinks.items()
        if (found := destroyed_keys(section.region, private_dirs[section.region]))
    }


def check_same(deployment: Deployment, replays: Replays, plan: Plan) -> None:
    """Check that a plan was made against this cluster and this ledger.

    Raises:
        InvalidInput: it was not; nothing was sent.
    """
    fix = "offsets and rows mean other things here: make a new plan"
    if reach(deployment.kafka).cluster_id != plan.cluster_id:
        raise InvalidInput("plan", f"was made against another Kafka cluster; {fix}")
    if replays.identity() != plan.ledger_id:
        raise InvalidInput("plan", f"was made against another ledger database; {fix}")
    gone = sorted(set(plan.issued) - set(deployment.sinks))
    if gone:
        raise InvalidInput("plan", f"names sinks that olvido.toml lacks: {', '.join(gone)}; plan anew")


def _windows(
    deployment: Deployment, replays: Replays, asked: ReplayQuery, lags: Mapping[Partition, Lag]
) -> tuple[Window, ...]:
    for topic in asked.topics:
        there = [partition for name, partition in lags if name == topic]
        if not there:
            raise NoTopic("topic", f"{topic} is not at the broker")
        wanted = [*asked.partitions, *(one.partition for one in asked.ranges if one.topic == topic)]
        unknown = sorted(set(wanted) - set(there))
        if unknown:
            field = "ranges" if asked.ranges else "partition"
            raise InvalidInput(field, f"{topic} has no partition {unknown[0]}; it has 0 to {max(there)}")
    known_ends = replays.known_ends()
    selection = asked.selection
    at_since = offsets_at(deployment.kafka, asked.topics, selection.since) if selection.since else {}
    at_until = offsets_at(deployment.kafka, asked.topics, selection.until) if selection.until else {}
    if asked.ranges:
        return tuple(
            window(
                _kept(lags[one.topic, one.partition]),
                known_end=known_ends.get((one.topic, one.partition), 0),
                low=one.low,
                high=one.high,
            )
            for one in asked.ranges
        )
    return tuple(
        window(
            _kept(one),
            known_end=known_ends.get(partition, 0),
            low=asked.from_offset,
            high=asked.to_offset,
            at_since=at_since.get(partition),
            at_until=at_until.get(partition),
        )
        for partition, one in lags.items()
        if not asked.partitions or one.partition in asked.partitions
    )


def _kept(one: Lag) -> KeptRange:
    return KeptRange(topic=one.topic, partition=one.partition, start=one.start, end=one.end)


def _read_up_to(one: Window, lags: Mapping[Partition, Lag]) -> int:
    committed = lags[one.topic, one.partition].committed
    return 0 if committed is None else committed


def _waiting(one: Window, lags: Mapping[Partition, Lag]) -> int:
    end = lags[one.topic, one.partition].end
    return max(0, min(one.high, end) - max(one.low, one.kept, _read_up_to(one, lags)))


def sum_by_partition(ranges: Sequence[OffsetRange]) -> dict[Partition, int]:
    """How many offsets some ranges hold, by partition."""
    widths: dict[Partition, int] = defaultdict(int)
    for one in ranges:
        widths[one.topic, one.partition] += one.high - one.low
    return widths


def _partition_counts(
    windows: Sequence[Window], counted: Counted, unread: Mapping[Partition, int]
) -> list[PartitionCount]:
    tasks: dict[Partition, int] = defaultdict(int)
    new: dict[Partition, int] = defaultdict(int)
    forgotten: dict[Partition, int] = defaultdict(int)
    for (topic, number, _), (count, open_) in counted.tasks.items():
        tasks[topic, number] += count
        new[topic, number] += open_
    for (topic, number, _), (count, open_) in counted.forgotten.items():
        forgotten[topic, number] += count
        new[topic, number] -= open_
    by_partition: dict[Partition, list[Window]] = defaultdict(list)
    for one in windows:
        by_partition[one.topic, one.partition].append(one)
    counts = []
    for partition, ones in sorted(by_partition.items()):
        records, first = counted.records.get(partition, (0, None))
        low, high = min(one.low for one in ones), max(one.high for one in ones)
        kept = max(low, min(ones[0].kept, high))
        sent = tasks[partition] - forgotten[partition]
        counts.append(
            PartitionCount(
                topic=partition[0],
                partition=partition[1],
                from_offset=kept if first is None else max(low, min(kept, first)),
                to_offset=high,
                records=records,
                tasks=sent,
                new=new[partition],
                applied=sent - new[partition],
                forgotten=forgotten[partition],
                unread=unread.get(partition, 0),
            )
        )
    return counts


def _sink_counts(deployment: Deployment, plan: Plan, counted: Counted) -> list[SinkCount]:
    counts = []
    for sink in plan.issued:
        tasks, new, forgotten = 0, 0, 0
        for (_, _, name), (count, open_) in counted.tasks.items():
            if name == sink:
                tasks, new = tasks + count, new + open_
        for (_, _, name), (count, open_) in counted.forgotten.items():
            if name == sink:
                tasks, new, forgotten = tasks - count, new - open_, forgotten + count
        counts.append(
            SinkCount(
                sink=sink,
                tasks=tasks,
                new=new,
                applied=tasks - new,
                forgotten=forgotten,
                rate=pace_of(deployment, sink, plan.rate),
            )
        )
    return counts


def pace_of(deployment: Deployment, sink: str, rate: float) -> float:
    """How many tasks a second a sink is sent at most: its quota, or what the whole may go at."""
    quota = deployment.sinks[sink].quota
    return rate if quota is None else min(rate, rate_of(quota))
