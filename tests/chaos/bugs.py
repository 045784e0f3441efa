"""Ten bugs that are known to lose, double or lie. Each is planted in turn, and the rig must go red.

They are put into the victim's process by replacing what the real code calls; there is no switch for them in
the product. Where a bug is healed by design, it is planted together with the healers off: that it is healed
otherwise is what the reconciler, the offset audit and the watchdog are for.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

BUG, HEALERS = "CHAOS_BUG", "CHAOS_HEALERS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One planted bug."""

    says: str
    plant: Callable[[], None]
    red: frozenset[str]  # the checks of which one must go red
    orders: tuple[tuple[str, str, int], ...] = ()  # where it shows: victim, point, at which passing
    cut: str = ""  # or a line that is cut
    healed: str = ""  # by what, and so planted with the healers off


def plant(name: str) -> None:
    """Plant a bug in this process."""
    BUGS[name].plant()


def put_healers_off() -> None:
    """Without the reconciler, the offset audit and the watchdog, which begins anew who commits no more."""
    from olvido.processors.offset_audit import Audit
    from olvido.processors.reconciler import Reconciler
    from olvido.processors.watchdog import Watchdog

    Reconciler.run_once = lambda self, **_: 0  # type: ignore[method-assign]
    Audit._holes = lambda self, lags: []  # type: ignore[method-assign]
    Watchdog.look = lambda self, still: None  # type: ignore[method-assign]


def _commit_first() -> None:
    from olvido.broker.loop import Loop

    carry_out = Loop._carry_out

    def committing(self: Loop, consumer: Any, batch: Sequence[Any], stop: Any) -> None:
        self.commits.handled(batch)
        self.commits.send_and_wait(consumer)
        carry_out(self, consumer, batch, stop)

    Loop._carry_out = committing  # type: ignore[assignment, method-assign]
    _change_batches(lambda events: [event for event in events if event.ack() or True])


def _ack_before_flush() -> None:
    from olvido.broker import kafka

    kafka._PRODUCER["linger.ms"] = 1500  # as long as a broker under load may take

    def publish(self: kafka.KafkaPublisher, records: Sequence[Any]) -> None:
        producer = self._current().producer
        for record in records:
            producer.produce(record.topic, value=record.value, key=record.key, headers=list(record.headers))

    kafka.KafkaPublisher.publish = publish  # type: ignore[method-assign]


def _raise_out_of_an_agent() -> None:
    import asyncio

    from olvido.processors.engine_faust import app

    async def once(handler: Any, batch: Any, pool: Any, *_: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, handler, batch)

    async def let_it_out(act: Any) -> None:
        await act()

    app._carry_out = once
    app._or_end = let_it_out


def _hole_of_one() -> None:
    batches = 0

    def without_one(events: list[Any]) -> list[Any]:
        nonlocal batches
        batches += 1
        places = [(event.message.topic, event.message.partition) for event in events]
        inner = [at for at in range(1, len(events) - 1) if places[at - 1] == places[at] == places[at + 1]]
        if batches % 3 or not inner:
            return events
        return [event for at, event in enumerate(events) if at != inner[0]]

    _change_batches(without_one)


def _no_dedupe() -> None:
    from olvido.sinks.tables.engine import TableRows

    def nothing(self: TableRows, keys: Sequence[Any]) -> Any:
        return {}

    TableRows.remembered = nothing  # type: ignore[method-assign]


def _erased_without_looking() -> None:
    from olvido.sinks.rights.erase import EraseInTables
    from olvido.sinks.tables.engine import Reached, TableRows

    erase = TableRows.erase

    def claimed(
        self: TableRows, name: str, number: int | None, reached: Sequence[Reached]
    ) -> Mapping[int, int]:
        if name == "accounts":
            return dict.fromkeys(range(len(reached)), 1)
        return erase(self, name, number, reached)

    TableRows.erase = claimed  # type: ignore[method-assign]
    EraseInTables._read_back = staticmethod(lambda asking, found, target: None)  # type: ignore[method-assign]


def _old_consent_wins() -> None:
    from olvido.sinks.rights import consent
    from olvido.sinks.tables import journal

    journal.later = lambda one, other: other
    journal._order = lambda rank, occurred_at, event_id: (False, occurred_at.replace(year=1), 0, "")
    consent.later = lambda one, other: other


def _wrong_regions_key() -> None:
    from olvido.processors import requests

    plan = requests.plan_tasks

    def plan_crosswise(request: Any, catalogue: Any, **given: Any) -> Any:
        others = {box.region: box for box in reversed(request.boxes)}
        swapped = dict(zip(others, reversed(others.values()), strict=True))
        return tuple(
            replace(task, box=swapped[task.box.region]) for task in plan(request, catalogue, **given)
        )

    requests.plan_tasks = plan_crosswise


def _receipt_for_another_task() -> None:
    from olvido.sinks.tables import sink as tables

    carry_out = tables.carry_out

    def next_ones(*args: Any, **kwargs: Any) -> Any:
        receipts = carry_out(*args, **kwargs)
        following = [*receipts[1:], *receipts[:1]]
        return [
            replace(mine, outcome=other.outcome, counts=other.counts, detail=other.detail)
            for mine, other in zip(receipts, following, strict=True)
        ]

    tables.carry_out = next_ones


def _fence_ignored() -> None:
    from olvido.sinks.rights.task_progress import TaskProgress

    TaskProgress.fence = property(lambda self: None)  # type: ignore[assignment, method-assign]


def _change_batches(change: Callable[[list[Any]], list[Any]]) -> None:
    """Have Faust's agents see other batches than there were."""
    from olvido.processors.engine_faust.stream import Stream

    batches = Stream.batches

    async def changed(self: Stream, *args: Any, **kwargs: Any) -> AsyncIterator[list[Any]]:
        async for events in batches(self, *args, **kwargs):
            yield change(events)

    Stream.batches = changed  # type: ignore[method-assign]


_RECONCILER = "the reconciler sends again what has no receipt"
_AUDIT = "the offset audit reads the hole again, or the watchdog begins anew"

BUGS: Mapping[str, Bug] = {
    "commit-first": Bug(
        says="the offset is committed before the batch is handled",
        plant=_commit_first,
        red=frozenset({"lost"}),
        orders=(("sink-crm", "read", 3), ("recorder", "read", 3), ("sink-store-sg", "read", 3)),
        healed=_RECONCILER,
    ),
    "ack-before-flush": Bug(
        says="acknowledged when the records are with the client library and not when the broker has them",
        plant=_ack_before_flush,
        red=frozenset({"lost"}),
        orders=(("sink-crm", "read", 4), ("sink-store-sg", "read", 4), ("processors", "read", 8)),
        healed=_RECONCILER,
    ),
    "raise-out-of-an-agent": Bug(
        says="an exception leaves the agent, and Faust goes on past the records",
        plant=_raise_out_of_an_agent,
        red=frozenset({"lost"}),
        cut="ledger",
        healed=_AUDIT,
    ),
    "hole-of-one": Bug(
        says="one record of a batch is neither handled nor acknowledged, and Faust commits over it",
        plant=_hole_of_one,
        red=frozenset({"lost"}),
        healed=_AUDIT,
    ),
    "no-dedupe": Bug(
        says="a sink does a task again that it has done",
        plant=_no_dedupe,
        red=frozenset({"receipts", "twice"}),
        orders=(("sink-crm", "committed", 2), ("sink-store-sg", "committed", 2)),
    ),
    "erased-without-looking": Bug(
        says="a sink answers `anonymised` and has not touched the row",
        plant=_erased_without_looking,
        red=frozenset({"lost", "receipts"}),
    ),
    "old-consent-wins": Bug(
        says="the word that arrives last stands, not the word that was said last",
        plant=_old_consent_wins,
        red=frozenset({"consents"}),
    ),
    "wrong-regions-key": Bug(
        says="a task is given the box that was sealed to another region's key",
        plant=_wrong_regions_key,
        red=frozenset({"regions"}),
    ),
    "receipt-for-another-task": Bug(
        says="a sink answers a task with what came of its neighbour",
        plant=_receipt_for_another_task,
        red=frozenset({"receipts"}),
    ),
    "fence-ignored": Bug(
        says="an erasure reaches rows that were made after it was asked for",
        plant=_fence_ignored,
        red=frozenset({"bystanders"}),
    ),
}
