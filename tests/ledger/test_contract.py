"""One suite for PostgreSQL and for its twin in the simulation: both answer the named queries alike."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from key_files import UNSIGNED
from simulation.ledger_twin import DatabaseTwin, Tables, ledger_on
from values import (
    CATALOGUE,
    NOW,
    a_change,
    a_handle,
    a_verification,
    an_erasure,
    an_id,
    read,
    received,
)

from olvido.broker.reading import dead_letter_of
from olvido.core.acts import Act, Verb
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import Decision
from olvido.core.lifecycle import RequestState
from olvido.core.looks import LookResult, NotVerified, look_of
from olvido.core.offsets import OffsetRange
from olvido.core.outcomes import Outcome
from olvido.core.receipts import receipt_for
from olvido.ledger.connection import Database, Overtaken
from olvido.ledger.handled_offsets import ranges_of
from olvido.ledger.restores import Restores
from olvido.ledger.rows import About, ConsentRow, Place, RequestRow, Snapshot, StateRow, Try
from olvido.ledger.sink_operations import SinkOperations
from olvido.ledger.store import Ledger
from olvido.processors import consents, requests, verifications
from olvido.processors.receipts import fold
from olvido.processors.sources import Planned

MINUTE = timedelta(minutes=1)
HELD = {"topic": "olvido.requests.v1", "now": NOW, "due_after": MINUTE}


@dataclass(frozen=True, slots=True)
class Kept:
    """A ledger, and the database below it."""

    ledger: Ledger
    database: Any


@pytest.fixture(params=["memory", "postgres"])
def kept(request: pytest.FixtureRequest) -> Kept:
    """Either of them, empty."""
    return _memory() if request.param == "memory" else _postgres(request.getfixturevalue("ledger_dsn"))


def _memory() -> Kept:
    database = DatabaseTwin(Tables())
    return Kept(ledger_on(database), database)


def _postgres(dsn: str) -> Kept:
    return Kept(Ledger(Database(dsn, application="tests")), Database(dsn, application="tests"))


def save(ledger: Ledger, *batch: Any) -> Planned[RequestRow]:
    known, verified, _ = ledger.requests.known([item.value.request_id for item in batch])
    output = requests.step(
        batch, requests.KnownRequests(requests=known, verifications=verified), CATALOGUE, UNSIGNED, NOW
    )
    rows = output.new_tasks
    ledger.requests.save(output.rows, rows, **HELD)
    return output


def settle(ledger: Ledger, *receipts: Any) -> list[str]:
    with ledger.recording({one.request_id for one in receipts}) as recording:
        settled = recording.settle(receipts, now=NOW)
        recording.write_states(fold(recording.heads, recording.outcomes())[0], now=NOW)
    return sorted(f"{one.sink} {one.outcome.value}" for one in settled)


def test_what_was_saved_is_known_with_its_place_and_its_open_tasks(kept: Kept):
    save(kept.ledger, read(an_erasure(1), 7, partition=3))
    known, _, _ = kept.ledger.requests.known([an_id(1), an_id(2)])
    assert [(one.place.partition, one.place.offset) for one in known.values()] == [(3, 7)]
    assert known[an_id(1)].outcomes == {"crm": None, "marketing": None}


def test_an_id_is_saved_once_and_a_transaction_that_fails_leaves_nothing(kept: Kept):
    save(kept.ledger, read(an_erasure(1), 1))
    both = requests.step(
        [read(an_erasure(1), 9), read(an_erasure(2), 10)],
        requests.KnownRequests(requests={}, verifications={}), CATALOGUE, UNSIGNED, NOW,
    )  # fmt: skip
    with pytest.raises(Overtaken):
        kept.ledger.requests.save(both.rows, [], **HELD)
    known, _, _ = kept.ledger.requests.known([an_id(1), an_id(2)])
    assert set(known) == {an_id(1)}


def test_an_id_of_the_other_kind_is_known_as_such_and_is_not_saved(kept: Kept):
    save(kept.ledger, read(an_erasure(1)))
    _say(kept, read(a_change(2)))
    assert kept.ledger.requests.known([an_id(1), an_id(2)])[2] == {an_id(2)}
    assert kept.ledger.consents.known([an_id(1), an_id(2)], [])[2] == {an_id(1)}
    with pytest.raises(Overtaken):
        _say(kept, read(a_change(1)))
    assert set(kept.ledger.consents.known([an_id(1)], [])[0]) == set()


def test_holes_are_what_nobody_has_handled(kept: Kept):
    kept.ledger.progress.add(ranges_of([("t", 0, offset) for offset in (0, 1, 4, 5, 9)]))
    asked = [OffsetRange("t", 0, 0, 12), OffsetRange("t", 1, 2, 4)]
    assert kept.ledger.progress.holes(asked) == [
        OffsetRange("t", 0, 2, 4),
        OffsetRange("t", 0, 6, 9),
        OffsetRange("t", 0, 10, 12),
        OffsetRange("t", 1, 2, 4),
    ]


def test_of_two_final_receipts_the_one_received_first_stands(kept: Kept):
    (task, _) = save(kept.ledger, read(an_erasure(1))).tasks
    late = receipt_for(task, Outcome.FAILED, applied_at=NOW + MINUTE)
    assert settle(kept.ledger, receipt_for(task, Outcome.DEFERRED, applied_at=NOW)) == ["crm deferred"]
    assert settle(kept.ledger, late) == ["crm failed"]
    assert settle(kept.ledger, receipt_for(task, Outcome.ERASED, applied_at=NOW)) == []
    assert settle(kept.ledger, late) == []


def test_a_word_about_somebody_else_is_kept_beside_the_right_one(kept: Kept):
    request = an_erasure(1, verification_required=True)
    words = [a_verification(request, 901, subject_id=an_erasure(2).subject_id), a_verification(request, 902)]
    given = [
        verifications.Given(word, Place(0, offset), received(offset)) for offset, word in enumerate(words)
    ]
    unknown = verifications.KnownVerifications(requests={}, events={}, verifications={})
    output = verifications.step(given, unknown, CATALOGUE, UNSIGNED, NOW)
    for _ in range(2):  # a repeat changes nothing
        kept.ledger.verifications.save(output.rows, (), (), now=NOW, due_after=MINUTE)
    _, verified, _ = kept.ledger.requests.known([an_id(1)])
    assert {one.event_id for one in verified.values()} == {an_id(901), an_id(902)}
    assert [task.sink for task in save(kept.ledger, read(request)).tasks] == ["crm", "marketing"]


def test_what_came_in_the_same_moment_is_found_by_request_and_subject(kept: Kept):
    request = an_erasure(1, verification_required=True)
    save(kept.ledger, read(request))
    foreign = a_verification(request, 901, subject_id=an_erasure(2).subject_id)
    for number, word in enumerate((foreign, a_verification(request, 902))):
        given = [verifications.Given(word, Place(0, number), received(number))]
        unknown = verifications.KnownVerifications(requests={}, events={}, verifications={})
        rows = verifications.step(given, unknown, CATALOGUE, UNSIGNED, NOW).rows
        kept.ledger.verifications.save(rows, (), (), now=NOW, due_after=MINUTE)
    assert [row.event_id for row in kept.ledger.verifications.crossed(limit=1)] == [an_id(902)]


def test_what_was_started_is_awaiting_until_somebody_was_told(kept: Kept):
    request = an_erasure(1, verification_required=True)
    save(kept.ledger, read(request))
    given = [verifications.Given(a_verification(request, 901), Place(0, 0), received(0))]

    def start() -> verifications.Released:
        known, verified, _ = kept.ledger.requests.known([an_id(1)])
        found = verifications.KnownVerifications(
            requests=known, events={an_id(1): request}, verifications=verified
        )
        output = verifications.step(given, found, CATALOGUE, UNSIGNED, NOW)
        rows = output.tasks
        kept.ledger.verifications.save(output.rows, output.started, rows, now=NOW, due_after=MINUTE)
        return output

    first = start()
    # Here the process dies: nobody was told, and the record does not come again.
    assert [row.event_id for row in kept.ledger.verifications.crossed(limit=9)] == [an_id(901)]
    again = start()
    assert (again.started, again.statuses, again.tasks) == ((), first.statuses, first.tasks)
    kept.ledger.verifications.end_awaiting([status.request_id for status in again.statuses])
    assert kept.ledger.verifications.crossed(limit=9) == []


def test_a_request_that_another_process_moved_meanwhile_is_not_moved_from_where_it_was(kept: Kept):
    """Two processes start one request: the later one, which read before the other wrote, looks again."""
    save(kept.ledger, read(an_erasure(1, verification_required=True)))
    started = StateRow(
        request_id=an_id(1), before=RequestState.IDENTITY_PENDING, state=RequestState.IN_PROGRESS,
        tasks=2, answered=0,
    )  # fmt: skip
    kept.ledger.verifications.save((), [started], (), now=NOW, due_after=MINUTE)
    late = replace(started, state=RequestState.NOT_APPLICABLE, tasks=0)
    with pytest.raises(Overtaken):
        kept.ledger.verifications.save((), [late], (), now=NOW, due_after=MINUTE)
    row = kept.ledger.figures.request(an_id(1))
    assert (row["state"], row["tasks"], row["finished_at"]) == ("in_progress", 2, None)


def test_a_dead_letter_parks_its_task_once(kept: Kept):
    (task, _) = save(kept.ledger, read(an_erasure(1))).tasks
    letter = dead_letter_of(
        received(4), Refused(Cause.STILL_THERE), group="g", now=NOW, task_id=task.task_id,
        source_id=task.request_id,
    )  # fmt: skip
    for _ in range(2):
        with kept.ledger.recording(()) as recording:
            recording.write_dead_letters([letter])
    with kept.ledger.tasks.owed(now=NOW + 2 * MINUTE, limit=9) as due:
        assert [item.sink for item in due.owed] == ["marketing"]


def test_a_publication_ends_when_nothing_has_changed_since(kept: Kept):
    request, change = read(an_erasure(1), 1), read(a_change(2), 2)
    published = Snapshot(statuses=save(kept.ledger, request).statuses, states=_say(kept, change).states)
    place = OffsetRange("t", 0, 1, 2)
    publication_id = kept.ledger.publications.begin(published.about)
    settle(kept.ledger, receipt_for(_task_of(request), Outcome.ERASED, applied_at=NOW))
    _say(kept, read(a_change(3, Decision.GRANTED, occurred_at=NOW), 3))

    changed = kept.ledger.publications.end(publication_id, published, handled=[place])
    assert [status.outcomes for status in changed.statuses] == [{"crm": Outcome.ERASED}]
    assert [state.decision for state in changed.states] == [Decision.GRANTED]
    assert kept.ledger.progress.holes([place]) == [place]  # nothing is handled before all of it is published
    assert kept.ledger.publications.unended(older_than=MINUTE, limit=9) == ([], About())
    assert kept.ledger.publications.unended(older_than=0 * MINUTE, limit=9) == (
        [publication_id],
        published.about,
    )

    assert not kept.ledger.publications.end(publication_id, published.updated_by(changed), handled=[place])
    assert kept.ledger.progress.holes([place]) == []
    assert kept.ledger.publications.unended(older_than=0 * MINUTE, limit=9) == ([], About())


def test_a_publication_begins_with_the_save(kept: Kept):
    """Who saved and died before telling leaves word of it, even if nobody is brought the record again."""
    output = requests.step(
        [read(an_erasure(1), 1)],
        requests.KnownRequests(requests={}, verifications={}),
        CATALOGUE,
        UNSIGNED,
        NOW,
    )
    rows = output.new_tasks
    about = Snapshot(statuses=output.statuses).about
    publication_id = kept.ledger.requests.save(output.rows, rows, **HELD, publication=about)
    assert kept.ledger.publications.unended(older_than=0 * MINUTE, limit=9) == ([publication_id], about)
    with pytest.raises(Overtaken):
        kept.ledger.requests.save(output.rows, rows, **HELD, publication=about)
    assert kept.ledger.publications.unended(older_than=0 * MINUTE, limit=9) == ([publication_id], about)


def test_what_several_publications_left_behind_is_found_once(kept: Kept):
    about = save(kept.ledger, read(an_erasure(1), 1), read(an_erasure(2), 2)).statuses
    begun = [kept.ledger.publications.begin(Snapshot(statuses=about).about) for _ in range(3)]
    left, what = kept.ledger.publications.unended(older_than=0 * MINUTE, limit=2)
    assert (left, what) == (begun[:2], About(request_ids=(an_id(1), an_id(2))))
    kept.ledger.publications.end_all(left)
    assert kept.ledger.publications.unended(older_than=0 * MINUTE, limit=9)[0] == begun[2:]


def _task_of(request: Any) -> Any:
    return requests.plan_tasks(request.value, CATALOGUE)[0]


@pytest.mark.parametrize("seed", range(8))
def test_a_random_walk_gives_the_same_answers_on_both(seed: int, ledger_dsn: str):
    assert _walk(_memory(), random.Random(seed)) == _walk(_postgres(ledger_dsn), random.Random(seed))


def _walk(kept: Kept, rng: random.Random) -> list[Any]:
    """A hundred acts, and what each of them was answered."""
    ledger, told = kept.ledger, []
    steps: list[Callable[[Kept, random.Random, int], Any]] = [
        _asks, _asks, _says, _verifies, _answers, _answers, _refuses, _sends_again, _handles, _restores,
        _looks,
        _sends_first, _tells,
    ]  # fmt: skip
    for turn in range(100):
        step = rng.choice(steps)
        told.append((turn, step.__name__, step(kept, rng, turn)))
    for number in range(20):
        request = ledger.figures.request(an_id(number))
        told.append(request and {name: request[name] for name in _SHOWN_OF_REQUESTS})
        told.append([{name: row[name] for name in _SHOWN} for row in ledger.figures.tasks(an_id(number))])
    return told


_SHOWN_OF_REQUESTS = ("right_", "subject_id", "state", "tasks", "answered", "received_at", "finished_at")
_SHOWN = ("sink", "generation", "task_id", "outcome", "attempts", "parked", "due_at", "applied_at")


def _asks(kept: Kept, rng: random.Random, turn: int) -> Any:
    request = an_erasure(rng.randrange(10), person=rng.randrange(3), verification_required=rng.random() < 0.4)
    try:
        return repr(save(kept.ledger, read(request, turn)))
    except Overtaken:
        return "overtaken"


def _says(kept: Kept, rng: random.Random, turn: int) -> Any:
    change = a_change(
        10 + rng.randrange(10), rng.choice(list(Decision)), person=rng.randrange(3),
        occurred_at=NOW - rng.randrange(3) * MINUTE,
    )  # fmt: skip
    batch = read(change, turn)
    return repr((_say(kept, batch), kept.ledger.consents.known([], consents.keys_of([batch]))))


def _say(kept: Kept, *batch: Any) -> Planned[ConsentRow]:
    ids = [item.value.event_id for item in batch]
    changes, states, _ = kept.ledger.consents.known(ids, consents.keys_of(batch))
    output = consents.step(
        batch, consents.KnownConsents(changes=changes, states=states), CATALOGUE, UNSIGNED, NOW
    )
    rows = output.new_tasks
    kept.ledger.consents.save(output.rows, output.states, rows, **HELD)
    return output


def _in_order(words: Sequence[Any]) -> list[str]:
    return sorted(map(repr, words))


def _tells(kept: Kept, rng: random.Random, turn: int) -> Any:
    about = About(
        request_ids=[an_id(number) for number in sorted(rng.sample(range(20), 4))],
        consents=[(a_handle(person).value, "marketing") for person in range(3)],
    )
    snapshot = kept.ledger.publications.snapshot(about)
    publication_id = kept.ledger.publications.begin(about)
    # As they were published when they were saved: all that was answered since has changed.
    at_first = [replace(one, outcomes={}, state=RequestState.IN_PROGRESS) for one in snapshot.statuses]
    published = replace(snapshot, statuses=at_first)
    changed = kept.ledger.publications.end(publication_id, published)
    assert _in_order(changed.statuses) == _in_order(snapshot.changed_since(published).statuses)
    left, what = kept.ledger.publications.unended(older_than=0 * MINUTE, limit=2)
    kept.ledger.publications.end_all(left[: rng.randrange(3)])
    return (
        _in_order(snapshot.statuses),
        _in_order(snapshot.states),
        _in_order(changed.statuses),
        left,
        what,
    )


def _verifies(kept: Kept, rng: random.Random, turn: int) -> Any:
    request = an_erasure(rng.randrange(10), person=rng.randrange(3), verification_required=True)
    ids = [request.request_id]
    known, verified, _ = kept.ledger.requests.known(ids)
    events = {one: replace(request, subject_id=row.subject_id) for one, row in known.items()}
    given = [verifications.Given(a_verification(request, 100 + turn), Place(0, turn), received(turn))]
    output = verifications.step(
        given,
        verifications.KnownVerifications(requests=known, events=events, verifications=verified),
        CATALOGUE,
        UNSIGNED,
        NOW,
    )
    rows = output.tasks
    kept.ledger.verifications.save(output.rows, output.started, rows, now=NOW, due_after=MINUTE)
    if turn % 2:
        kept.ledger.verifications.end_awaiting([status.request_id for status in output.statuses])
    waiting = sorted(repr(row) for row in kept.ledger.verifications.crossed(limit=100))
    return repr((sorted(map(repr, verified.values())), output.started, output.dead_letters, waiting))


def _answers(kept: Kept, rng: random.Random, turn: int) -> Any:
    (task,) = rng.sample(list(requests.plan_tasks(an_erasure(rng.randrange(10)), CATALOGUE)), 1)
    outcome = rng.choice((Outcome.ERASED, Outcome.NOT_FOUND, Outcome.FAILED, Outcome.DEFERRED))
    receipt = receipt_for(
        replace(task, generation=rng.choice((0, 0, 1))), outcome, applied_at=NOW + rng.randrange(3) * MINUTE
    )
    with kept.ledger.recording({task.source_id}) as recording:
        refusals = recording.refusals([receipt])
        settled = recording.settle([receipt], now=NOW + turn * MINUTE)
        outcomes = recording.outcomes()
        rows = [
            StateRow(
                request_id=one,
                before=recording.heads[one].state,
                tasks=len(said),
                answered=len(said),
                state=rng.choice((RequestState.IN_PROGRESS, RequestState.FULFILLED)),
            )
            for one, said in outcomes.items()
        ]
        recording.write_states(rows, now=NOW)
        recording.add_progress([OffsetRange("olvido.receipts.v1", 0, turn, turn + 1)])
        return repr((refusals, settled, sorted(recording.heads), outcomes))


def _refuses(kept: Kept, rng: random.Random, turn: int) -> Any:
    (task,) = rng.sample(list(requests.plan_tasks(an_erasure(rng.randrange(10)), CATALOGUE)), 1)
    letter = dead_letter_of(
        received(rng.randrange(4)), Refused(Cause.STILL_THERE), group="g", now=NOW,
        task_id=task.task_id, source_id=task.source_id,
    )  # fmt: skip
    with kept.ledger.recording(()) as recording:
        recording.write_dead_letters([letter])
    return None


def _sends_again(kept: Kept, rng: random.Random, turn: int) -> Any:
    now = NOW + rng.randrange(5) * MINUTE
    with kept.ledger.tasks.owed(now=now, limit=100) as due:
        told = sorted(repr(item) for item in due.owed)
        due.until([Try(attempts=item.attempts + 1, due_at=now + MINUTE) for item in due.owed], now=now)
    return told


def _handles(kept: Kept, rng: random.Random, turn: int) -> Any:
    kept.ledger.progress.add(ranges_of(("t", 0, rng.randrange(60)) for _ in range(rng.randint(1, 6))))
    kept.ledger.progress.fill(OffsetRange("t", 0, 0, rng.randrange(1, 4)), reread=1)
    return kept.ledger.progress.holes([OffsetRange("t", 0, 0, 60)])


def _looks(kept: Kept, rng: random.Random, turn: int) -> Any:
    named = [
        NotVerified(
            request_id=an_id(rng.randrange(12)),
            generation=rng.choice((0, 0, 1)),
            result=rng.choice([*LookResult]),
        )
        for _ in range(3)
    ]
    look = look_of(
        rng.choice(("crm", "marketing")), MINUTE, [NOW], NOW + rng.randrange(3) * MINUTE,
        looked=3, forgotten=0, not_verified=list(dict.fromkeys(named)),
    )  # fmt: skip
    with kept.ledger.recording({one.request_id for one in look.found_again}) as recording:
        asked = recording.write_looks([look], now=NOW)
        return repr((sorted(asked), _in_order(list(recording.known_erasures([look]))), recording.outcomes()))


def _restores(kept: Kept, rng: random.Random, turn: int) -> Any:
    act = Act(
        act_id=an_id(1000 + turn), at=NOW + turn * timedelta(seconds=1), who="o", verb=Verb.RESTORE,
        reason="r", details={},
    )  # fmt: skip
    again = Restores(kept.database).declare(
        act, operation_id=an_id(2000 + turn), name=f"restore-{turn}", sink=rng.choice(("crm", "marketing")),
        backup_taken_at=NOW + turn * MINUTE, since=NOW + rng.randrange(2) * MINUTE,
    )  # fmt: skip
    return repr(again)


def _sends_first(kept: Kept, rng: random.Random, turn: int) -> Any:
    operations, told = SinkOperations(kept.database), []
    for one in operations.open():
        with kept.ledger.tasks.unsent(one.operation_id, limit=100) as due:
            told.append((one.name, sorted(repr(item) for item in due.owed)))
            due.until([Try(attempts=1, due_at=NOW + 2 * MINUTE) for _ in due.owed], now=NOW)
    return repr((told, sorted(operations.finish(now=NOW))))
