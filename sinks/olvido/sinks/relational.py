"""The recipe for a target that has tables: recall, hear, find, mark, erase, read back, remember.

One call is one transaction of the target. The statements it asks for grow with the tables of
the data map, never with tasks or rows. What a target's SQL looks like is behind :class:`Rows`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Protocol
from uuid import UUID

from olvido.core.causes import Cause
from olvido.core.consents import ConsentState, later
from olvido.core.errors import Refused
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.consent import Consent
from olvido.core.rights.erase import Erase as Erasure
from olvido.core.rights.names import Action
from olvido.core.rights.object import Object
from olvido.core.rights.restrict import Restrict
from olvido.core.subject import Identity, IdentityKind
from olvido.core.tasks import Task
from olvido.sinks.contract import OpenedTask, SinkSettings
from olvido.sinks.data_map import DataMap, Erase, Scalar, Table
from olvido.sinks.journal import Answer, TaskKey, key_of
from olvido.sinks.ownership import Judgement, Key, Match, Row, judge

DETAIL_MAX = 1000  # characters: a receipt is read by people

Wanted = tuple[int, str, datetime | None]  # the task's place, one spelling, and the fence if there is one
Child = tuple[Key, Key, tuple[Key | None, ...]]  # key, parent, and the shared rows it points at
GRANTED, WITHDRAWN, OBJECTED = 0, 1, 2  # at one instant the greater is the later word; an objection ends all
_SHARED = "several people share the identity, and the request does not say which of them asks"
_KEPT = "rows that name the person belong to somebody else, or may do so, and were kept as they are"
_SAID = {GRANTED: "granted", WITHDRAWN: "withdrawn", OBJECTED: "objected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWord:
    """What was last said about one purpose of one row.

    A row may be reached by several handles, so the latest word is kept for the row as well:
    then all orders of the same changes leave the same columns.
    """

    n: int
    key: Key
    purpose: str
    rank: int
    occurred_at: datetime
    event_id: UUID

    @property
    def order(self) -> tuple[bool, datetime, int, str]:
        """Its place: the greater is the word that holds."""
        return (self.rank == OBJECTED, self.occurred_at, self.rank, str(self.event_id))


class Rows(Protocol):
    """One open transaction of a target. Whoever opened it commits it, or rolls it back."""

    @property
    def at(self) -> datetime:
        """When the transaction began, by the target's clock if it has one."""
        ...

    def remembered(self, keys: Sequence[TaskKey]) -> Mapping[TaskKey, Answer]:
        """The answers given before."""
        ...

    def remember(self, answers: Mapping[TaskKey, Answer]) -> None:
        """Keep new answers; the transaction fails if somebody else has done one of these tasks meanwhile."""
        ...

    def match(self, name: str, wanted: Mapping[IdentityKind, Sequence[Wanted]]) -> Sequence[Match]:
        """Every row of a table that names one of the identities and is not newer than its fence."""
        ...

    def children(self, name: str, parents: Sequence[Key]) -> Sequence[Child]:
        """The rows of a table that hang on these parents."""
        ...

    def erase(self, name: str, column: str, values: Sequence[Key]) -> Mapping[Key, int]:
        """Do what the table says of an erasure to the rows whose column is one of values; rows by value."""
        ...

    def left(self, name: str, column: str, values: Sequence[Key]) -> int:
        """How many of those rows are still there, or are not as anonymising leaves them."""
        ...

    def prune(self, name: str, keys: Sequence[Key]) -> Sequence[Key]:
        """Delete the shared rows that no row points at any more; their keys."""
        ...

    def set_columns(self, name: str, values: Mapping[str, Scalar], keys: Sequence[Key]) -> None:
        """Set columns of the rows with these keys."""
        ...

    def save_states(self, states: Sequence[ConsentState]) -> Mapping[tuple[str, str], UUID]:
        """Keep the later word of each (handle, purpose); the event that now holds for each of them."""
        ...

    def save_objections(self, objections: Sequence[tuple[str, str, datetime, UUID]]) -> None:
        """Keep (handle, purpose, time, request); the first stands."""
        ...

    def objected(self, pairs: Sequence[tuple[str, str]]) -> Set[tuple[str, str]]:
        """Those of the (handle, purpose) pairs that were objected to."""
        ...

    def save_row_words(self, name: str, words: Sequence[RowWord]) -> Set[tuple[Key, str]]:
        """Keep the word that holds for each row and purpose; those for which it is the given one."""
        ...

    def forget_row_words(self, name: str, keys: Sequence[Key]) -> None:
        """The rows are gone, and so is what was said of them."""
        ...


def carry_out(
    rows: Rows,
    data_map: DataMap,
    settings: SinkSettings,
    batch: Sequence[OpenedTask],
) -> list[Receipt]:
    """Do what a batch asks for inside one transaction, and answer each task in its order.

    A task that was done before, or stands twice in the batch, gets the answer of the first time.

    Raises:
        Refused: a task is malformed, or ``STILL_THERE`` after reading back: roll back.
    """
    opened = {key_of(one.task): one for one in batch}
    answers = dict(rows.remembered(list(opened)))
    todo = [one for key, one in opened.items() if key not in answers]
    if todo:
        new = _Batch(rows, data_map, settings, todo).answers(rows.at)
        rows.remember(new)
        answers.update(new)
    return [answers[key_of(one.task)].receipt(one.task) for one in batch]


@dataclass(slots=True)
class _Progress:
    """What has come of one task so far."""

    task: Task
    identities: tuple[Identity, ...]
    spellings: Sequence[tuple[IdentityKind, str]]
    outcome: Outcome | None = None  # None: it must still look for rows
    counts: dict[str, int] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    decisions: tuple[tuple[str, int], ...] = ()  # purpose and rank that its rows must be marked with
    verified: bool = False

    @property
    def searches(self) -> bool:
        return self.outcome is None or bool(self.decisions)

    @property
    def fence(self) -> datetime | None:
        return self.task.what.fence if isinstance(self.task.what, Erasure) else None

    @property
    def restrains(self) -> bool:
        """Whether it only ever protects, so that it may reach everybody who shares an identity."""
        return bool(self.decisions) and all(rank != GRANTED for _, rank in self.decisions)

    def count(self, what: str, rows: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + rows

    def close(self, outcome: Outcome, detail: str = "") -> None:
        self.outcome = outcome
        if detail:
            self.details.append(detail)

    def answer(self, at: datetime) -> Answer:
        assert self.outcome is not None, f"task {self.task.task_id} was left without an outcome"
        return Answer(
            outcome=self.outcome,
            counts=self.counts,
            detail="; ".join(self.details)[:DETAIL_MAX],
            applied_at=at,
            verified_at=at if self.verified else None,
        )


Owned = Mapping[str, Mapping[Key, Row]]  # by table, then by key


class _Batch:
    """The tasks of one transaction that were never done before."""

    def __init__(
        self,
        rows: Rows,
        data_map: DataMap,
        settings: SinkSettings,
        todo: Sequence[OpenedTask],
    ) -> None:
        self._rows = rows
        self._map = data_map
        self._purposes = settings.purposes
        self._order = data_map.erasing_order()
        self._work = [_Progress(one.task, one.identities, _spelled(one.identities)) for one in todo]

    def answers(self, at: datetime) -> Mapping[TaskKey, Answer]:
        self._decline()
        self._record_objections()
        self._record_consents()
        if any(work.searches for work in self._work):
            judgement = self._find(range(len(self._work)))
            self._leave_shared(judgement)
            owned = self._own(judgement)
            self._mark(owned, judgement)
            self._restrict(owned, judgement)
            self._erase(owned, judgement)
        return {key_of(work.task): work.answer(at) for work in self._work}

    def _of(self, action: Action) -> Iterator[tuple[int, _Progress]]:
        """The tasks of one action that are still to be done."""
        return (
            (n, work)
            for n, work in enumerate(self._work)
            if work.task.action is action and work.outcome is None
        )

    # --- what cannot be done -----------------------------------------------------------------

    def _decline(self) -> None:
        """Say of each task that the data map has no way of doing what is not covered."""
        for work in self._work:
            match work.task.what:
                case Erasure():
                    pass
                case Restrict():
                    if not self._map.restricts:
                        work.close(Outcome.UNSUPPORTED, "not covered: no table has restrict")
                case Consent(purpose=purpose):
                    if purpose not in self._map.purposes:
                        work.close(Outcome.UNSUPPORTED, f"not covered: no table has consent.{purpose}")
                case Object(purposes=purposes):
                    self._decline_objection(work, purposes)
                case other:
                    way = other.action.value
                    work.close(Outcome.UNSUPPORTED, f"not covered: the data map has no way of {way}")

    def _decline_objection(self, work: _Progress, purposes: tuple[str, ...]) -> None:
        asked = purposes or self._purposes  # against nothing named is against everything
        used = [purpose for purpose in asked if purpose in self._purposes]
        if not used:
            work.close(Outcome.NOT_FOUND, f"nothing here is used for {_list(asked)}")
        elif not any(self._map.objects_to(purpose) for purpose in used):
            work.close(Outcome.UNSUPPORTED, f"not covered: no table has objection.{_list(used)}")

    # --- what people said --------------------------------------------------------------------

    def _record_objections(self) -> None:
        objections: dict[tuple[str, str], tuple[str, str, datetime, UUID]] = {}
        for _, work in self._of(Action.OBJECT):
            task, what = work.task, work.task.what
            assert isinstance(what, Object)
            used = [p for p in (what.purposes or self._purposes) if p in self._purposes]
            covered = [p for p in used if self._map.objects_to(p)]
            work.decisions = tuple((purpose, OBJECTED) for purpose in covered)
            for purpose in covered:
                for handle in task.handles:
                    objections.setdefault(
                        (handle.value, purpose), (handle.value, purpose, task.occurred_at, task.source_id)
                    )
            missing = [p for p in used if p not in covered]
            if missing:
                done = f"done for {_list(covered)}; not covered: no table has objection.{_list(missing)}"
                work.close(Outcome.UNSUPPORTED, done)
            else:
                work.close(Outcome.SUPPRESSED)
        if objections:
            self._rows.save_objections([objections[pair] for pair in sorted(objections)])

    def _record_consents(self) -> None:
        """Keep the latest word of each (handle, purpose), and see which tasks still have it."""
        latest: dict[tuple[str, str], ConsentState] = {}
        tasks = list(self._of(Action.CONSENT))
        for _, work in tasks:
            for state in _states(work.task):
                known = latest.setdefault((state.handle, state.purpose), state)
                latest[state.handle, state.purpose] = later(known, state)
        if not tasks:
            return
        holds = self._rows.save_states([latest[pair] for pair in sorted(latest)])
        objected = self._rows.objected(sorted(latest))
        for _, work in tasks:
            self._record_consent(work, holds, objected)

    def _record_consent(
        self, work: _Progress, holds: Mapping[tuple[str, str], UUID], objected: Set[tuple[str, str]]
    ) -> None:
        task, what = work.task, work.task.what
        assert isinstance(what, Consent)
        pairs = [(handle.value, what.purpose) for handle in task.handles]
        if not any(holds[pair] == task.source_id for pair in pairs):
            work.close(Outcome.SUPERSEDED, "a later word is known")
        elif what.decision is Decision.WITHDRAWN:
            work.decisions = ((what.purpose, WITHDRAWN),)
            work.close(Outcome.SUPPRESSED)
        elif any(pair in objected for pair in pairs):
            work.close(Outcome.SUPPRESSED, f"an objection to {what.purpose} stands")
        else:
            work.decisions = ((what.purpose, GRANTED),)
            work.close(Outcome.CONSENT_APPLIED)

    # --- whose rows --------------------------------------------------------------------------

    def _find(self, places: Iterable[int]) -> Judgement:
        """Every row that names an identity of these tasks, and whose it is."""
        wanted: dict[IdentityKind, list[Wanted]] = defaultdict(list)
        names: dict[IdentityKind, set[int]] = defaultdict(set)
        for n in places:
            work = self._work[n]
            if work.searches:
                fence = work.fence
                for kind, value in work.spellings:
                    names[kind].add(n)
                    wanted[kind].append((n, value, fence))
        tables = self._map.found_by_identity
        found = {
            name: self._rows.match(name, {k: wanted[k] for k in table.identities if wanted[k]})
            for name, table in tables.items()
        }
        return judge(tables, found, names)

    def _leave_shared(self, judgement: Judgement) -> None:
        """An identity of several people, and no word on which of them: touch nobody, and say so."""
        for n in judgement.shared:
            work = self._work[n]
            if not work.restrains:
                work.decisions = ()
                work.close(Outcome.AMBIGUOUS, f"no row was changed: {_SHARED}")

    def _own(self, judgement: Judgement) -> Owned:
        """All rows that are the tasks' persons': those found, and those that hang on them."""
        silent = {n for n in judgement.shared if not self._work[n].restrains}
        owned: dict[str, dict[Key, Row]] = {}
        for name, table in self._map.tables.items():
            mine = owned[name] = {}
            for key, row in judgement.roots.get(name, {}).items():
                owners = tuple(n for n in row.owners if n not in silent) if silent else row.owners
                if owners:
                    mine[key] = Row(owners, row.shares)
            if table.parent is None:
                continue
            parents = owned[table.parent.table]
            for parent, named in judgement.hanging.get(name, {}).items():
                owners = parents[parent].owners if parent in parents else ()
                judgement.others.update(n for n, _ in named if n not in owners)
            if parents and self._keys_needed(name):
                for key, parent, shares in self._rows.children(name, list(parents)):
                    mine[key] = Row(parents[parent].owners, shares)
        return owned

    def _keys_needed(self, name: str) -> bool:
        """Whether rows of a table must be known one by one; else they are done by their parents' keys."""
        return self._map.has_dependants(name) or bool(self._map.tables[name].marked)

    # --- marks -------------------------------------------------------------------------------

    def _mark(self, owned: Owned, judgement: Judgement) -> None:
        asking = [(n, work) for n, work in enumerate(self._work) if work.decisions]
        if not asking:
            return
        reached: set[int] = set()
        for name, table in self._map.tables.items():
            words: dict[tuple[Key, str], RowWord] = {}
            for key, row in owned[name].items():
                for word in self._words(table, key, row):
                    reached.add(word.n)
                    known = words.get((key, word.purpose))
                    if known is None or word.order > known.order:
                        words[key, word.purpose] = word
            if words:
                self._mark_table(name, table, words)
        for n, work in asking:
            # The decision is recorded for its handles, but of the rows that name the person none follows it.
            if n in judgement.others and n not in reached:
                work.close(Outcome.AMBIGUOUS, _KEPT)

    def _words(self, table: Table, key: Key, row: Row) -> Iterator[RowWord]:
        for n in row.owners:
            task = self._work[n].task
            for purpose, rank in self._work[n].decisions:
                if purpose in table.consent or purpose in table.objection:
                    yield RowWord(
                        n=n,
                        key=key,
                        purpose=purpose,
                        rank=rank,
                        occurred_at=task.occurred_at,
                        event_id=task.source_id,
                    )

    def _mark_table(self, name: str, table: Table, words: Mapping[tuple[Key, str], RowWord]) -> None:
        holding = self._rows.save_row_words(name, list(words.values()))
        ours = sorted((words[pair] for pair in holding), key=lambda word: (word.purpose, word.rank))
        for (purpose, rank), group in groupby(ours, key=lambda word: (word.purpose, word.rank)):
            values = _values(table, purpose, rank)
            said = list(group)
            if values:
                self._rows.set_columns(name, values, [word.key for word in said])
                for word in said:
                    self._work[word.n].count(f"{name}.{_SAID[rank]}")

    def _restrict(self, owned: Owned, judgement: Judgement) -> None:
        asking = dict(self._of(Action.RESTRICT))
        for name, table in self._map.tables.items():
            if not table.restrict or not asking:
                continue
            keys = {key: [n for n in row.owners if n in asking] for key, row in owned[name].items()}
            keys = {key: owners for key, owners in keys.items() if owners}
            if keys:
                self._rows.set_columns(name, table.restrict, list(keys))
            for owners in keys.values():
                for n in owners:
                    asking[n].count(f"{name}.restricted")
        for n, work in asking.items():
            if work.counts:
                work.close(Outcome.RESTRICTED)
            elif n in judgement.others:
                work.close(Outcome.AMBIGUOUS, _KEPT)
            elif n in judgement.named:
                work.close(Outcome.UNSUPPORTED, "not covered: the tables of the rows found have no restrict")
            else:
                work.close(Outcome.NOT_FOUND, self._searched(work))

    # --- erasure -----------------------------------------------------------------------------

    def _erase(self, owned: Owned, judgement: Judgement) -> None:
        asking = dict(self._of(Action.ERASE))
        if not asking:
            return
        doomed = {name: _first_owners(rows, asking) for name, rows in owned.items()}
        for name in self._order:
            if self._map.tables[name].shared_by:
                self._prune(name, owned, doomed)
            else:
                self._erase_table(name, doomed)
        left = self._read_back(asking, judgement)
        for n, work in asking.items():
            named = left is not None and n in left.named
            work.verified = not named
            if named and n in judgement.others:
                work.close(Outcome.AMBIGUOUS, _KEPT)
            elif named:
                # Rows that are retained, though an earlier task of the batch may have counted them.
                work.close(Outcome.RETAINED)
            else:
                work.close(_outcome(work.counts))
            if work.outcome is Outcome.NOT_FOUND:
                work.details.append(self._searched(work))
            work.details += self._grounds(n, work, left)

    def _erase_table(self, name: str, doomed: Mapping[str, Mapping[Key, int]]) -> None:
        table = self._map.tables[name]
        done = f"{name}.{table.erase.done}"
        for column, owners in self._ways(name, table, doomed):
            values = list(owners)
            for value, count in self._rows.erase(name, column, values).items():
                self._work[owners[value]].count(done, count)
            if table.erase is not Erase.RETAIN and self._rows.left(name, column, values):
                raise _still_there(name)
        if (table.consent or table.objection) and doomed[name] and table.erase is not Erase.RETAIN:
            self._rows.forget_row_words(name, list(doomed[name]))

    def _ways(
        self, name: str, table: Table, doomed: Mapping[str, Mapping[Key, int]]
    ) -> Iterator[tuple[str, Mapping[Key, int]]]:
        """By which columns a table's rows are reached: their own keys, and their parents' keys."""
        if doomed[name]:
            yield table.key, doomed[name]
        if table.parent and doomed[table.parent.table] and not self._keys_needed(name):
            yield table.parent.column, doomed[table.parent.table]

    def _prune(self, name: str, owned: Owned, doomed: Mapping[str, Mapping[Key, int]]) -> None:
        """Shared rows go with the last row that points at them."""
        left_by: dict[Key, int] = {}
        for sharer in self._map.tables[name].shared_by:
            place = self._map.sharers(sharer.table).index(sharer.column)
            for key, n in doomed[sharer.table].items():
                shared = owned[sharer.table][key].shares[place]
                if shared is not None:
                    left_by[shared] = min(n, left_by.get(shared, n))
        if left_by:
            for key in self._rows.prune(name, list(left_by)):
                self._work[left_by[key]].count(f"{name}.deleted")

    def _read_back(self, asking: Mapping[int, _Progress], judgement: Judgement) -> Judgement | None:
        """Search again, in the same transaction: nothing that was to go may be found.

        Returns:
            What still names the tasks' identities: rows that are retained, or somebody else's. None if
            no row named them to begin with.
        """
        found = [n for n in asking if n in judgement.named]
        if not found:
            return None  # the search that found nothing is the reading back
        again = self._find(found)
        for name, rows in again.roots.items():
            if rows and self._map.tables[name].erase is not Erase.RETAIN:
                raise _still_there(name)
        return again

    def _searched(self, work: _Progress) -> str:
        kinds = [kind for kind in self._map.kinds if any(i.kind is kind for i in work.identities)]
        return (
            f"searched by {_list(kinds)}"
            if kinds
            else "none of its identities is of a kind that is held here"
        )

    def _grounds(self, n: int, work: _Progress, left: Judgement | None) -> list[str]:
        """Why rows of the task's person stay: those it counted, and those an earlier task has counted."""
        roots = left.roots if left is not None else {}
        kept = {name for name, rows in roots.items() if any(n in row.owners for row in rows.values())}
        return [
            f"{name}: {table.ground}"
            for name, table in self._map.tables.items()
            if table.erase is Erase.RETAIN and (f"{name}.{Erase.RETAIN.done}" in work.counts or name in kept)
        ]


def _spelled(identities: Sequence[Identity]) -> Sequence[tuple[IdentityKind, str]]:
    return [(identity.kind, value) for identity in identities for value in spellings(identity)]


def spellings(identity: Identity) -> Sequence[str]:
    """The values to search for. A blank one is none: it would find strangers."""
    first, given = identity.normalised, identity.value
    if identity.kind is IdentityKind.EMAIL and given.isascii():
        given = given.lower()  # addresses are compared without regard to case anyway
    spelled = (first,) if first == given else (first, given)
    return [value for value in spelled if value.strip() and "\0" not in value]


def _first_owners(rows: Mapping[Key, Row], asking: Mapping[int, _Progress]) -> Mapping[Key, int]:
    """Each row once, for the first task that asks for it: so it is destroyed and counted once."""
    first: dict[Key, int] = {}
    for key, row in rows.items():
        for n in row.owners:
            if n in asking:
                first[key] = n
                break
    return first


def _outcome(counts: Mapping[str, int]) -> Outcome:
    done = {name.rpartition(".")[2] for name, count in counts.items() if count}
    return next((outcome for word, outcome in _OUTCOMES if word in done), Outcome.NOT_FOUND)


_OUTCOMES = (  # of a task that came to several, the first of these
    (Erase.RETAIN.done, Outcome.RETAINED),
    (Erase.ANONYMISE.done, Outcome.ANONYMISED),
    (Erase.DELETE.done, Outcome.ERASED),
)


def _values(table: Table, purpose: str, rank: int) -> Mapping[str, Scalar]:
    """The columns one word sets; an objection falls back on what a withdrawal sets."""
    if rank == OBJECTED:
        return table.objected(purpose) or {}
    consent = table.consent.get(purpose)
    if consent is None:
        return {}
    return consent.granted if rank == GRANTED else consent.withdrawn


def _states(task: Task) -> Iterator[ConsentState]:
    what = task.what
    assert isinstance(what, Consent)
    for handle in task.handles:
        yield ConsentState(
            handle=handle.value,
            purpose=what.purpose,
            decision=what.decision,
            occurred_at=what.occurred_at,
            event_id=task.source_id,
            policy_version=what.policy_version,
        )


def _still_there(name: str) -> Refused:
    return Refused(Cause.STILL_THERE, field=name, reason=f"read back after the work, {name} still held rows")


def _list(words: Iterable[str]) -> str:
    return ", ".join(words) or "anything"
