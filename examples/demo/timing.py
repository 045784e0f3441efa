"""How long it took, by the ledger's clock: from a person's asking to a system's receipt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from demo.evidence import RequestRow, TaskRow
from shop.people import SYSTEMS

Percentiles = tuple[timedelta, timedelta]  # p50 and p99


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times and rates of one story."""

    by_sink: Mapping[str, Percentiles]
    overall: Percentiles  # until the last of a request's systems had answered
    requests: int
    tasks: int
    rows: int  # deleted or anonymised
    span: timedelta  # from the first request to the last receipt

    @property
    def tasks_per_s(self) -> float:
        """Tasks answered, over the whole span."""
        return self.tasks / max(self.span.total_seconds(), 0.001)

    @property
    def rows_per_s(self) -> float:
        """Rows erased, over the whole span."""
        return self.rows / max(self.span.total_seconds(), 0.001)


def timing_of(requests: Sequence[RequestRow], tasks: Sequence[TaskRow]) -> Timing:
    """Work out times and rates. Only what is finished counts."""
    asked_at = {row.request_id: row.requested_at for row in requests}
    finished = [row.finished_at - row.requested_at for row in requests if row.finished_at]
    took: dict[str, list[timedelta]] = {sink: [] for sink in SYSTEMS}
    for task in tasks:
        if task.applied_at and task.source_id in asked_at:
            took[task.sink].append(task.applied_at - asked_at[task.source_id])
    instants = [task.applied_at for task in tasks if task.applied_at]
    began = min(asked_at.values(), default=None)
    return Timing(
        by_sink={sink: _percentiles(spans) for sink, spans in took.items()},
        overall=_percentiles(finished),
        requests=len(requests),
        tasks=len(instants),
        rows=sum(
            count
            for task in tasks
            for what, count in task.counts.items()
            if what.endswith((".deleted", ".anonymised"))
        ),
        span=max(instants) - began if instants and began else timedelta(0),
    )


def _percentiles(spans: Iterable[timedelta]) -> Percentiles:
    ordered = sorted(spans)
    if not ordered:
        return timedelta(0), timedelta(0)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]
