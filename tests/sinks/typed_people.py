"""People whose keys and names are of one type: an erasure takes whom it is about, and nobody else."""

from collections.abc import Callable, Iterable

from sinks.shop import an_erasure

from olvido.core.outcomes import Outcome
from olvido.sinks.contract import Sink

IDS = tuple(f"0000000{n}-0000-4000-8000-00000000000{n}" for n in range(1, 6))
TABLES = {
    "people": {"key": "ref", "identities": {"customer_id": "name"}, "erase": "delete"},
    "notes": {"key": "id", "parent": {"table": "people", "column": "person_ref"}, "erase": "delete"},
}


def go_one_by_one(
    sink: Sink, people: Iterable[str], *, names: Callable[[], set[str]], notes: Callable[[], int]
) -> None:
    """Erase all of them, in that order.

    Args:
        sink: knows them by their names.
        people: their names, each with one note.
        names: those that are left in the target.
        notes: how many are left there.
    """
    left = {*people}
    for asked in people:
        [receipt] = sink.apply([an_erasure(customer_id=asked)])
        assert receipt.outcome is Outcome.ERASED
        assert receipt.counts == {"people.deleted": 1, "notes.deleted": 1}
        left.discard(asked)
        assert names() == left
        assert notes() == len(left)
