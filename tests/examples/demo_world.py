"""A story in which every promise was kept, made without any system: tests break it in one place at a time."""

import itertools
import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from demo.evidence import (
    Findings,
    Kill,
    LetterRow,
    NewRow,
    Outage,
    RequestRow,
    Story,
    TaskRow,
)
from demo.promises import BLANK, FATES, FLAGS, KINDS, MENTIONS
from demo.story import consents_of
from olvido.core.ids import NAMESPACE, receipt_id, task_id
from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from shop.leaks import Scan
from shop.people import SYSTEMS, Person, Scale, make_cast
from shop.plan import Fate, Table, plan_rows

SMALL = Scale(
    people=120, everywhere=10, only_in_one=2, nowhere=3, resigned=2, pairs=2, couples=1, consenting=5,
    repeated=3, heavy_rows=3_000,
)  # fmt: skip
T0 = datetime(2026, 11, 23, 12, tzinfo=UTC)
GARBAGE = b"\x01" * 32
# What a system adds to each row by itself.
DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("crm", "customers"): {"marketing_allowed": True, "restricted": False},
    ("marketing", "contacts"): {"allowed": 1},
    ("analytics", "visitors"): {"tracking_allowed": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A story and what was found at its end."""

    story: Story
    findings: Findings


def perfect_world() -> World:
    """Everything happened as it was promised."""
    cast = make_cast(5, SMALL)
    plan = plan_rows(cast)
    chance = random.Random(5)
    before = {s: {n: _content(s, n, t) for n, t in tables.items()} for s, tables in plan.tables.items()}
    asked = {uuid5(NAMESPACE, f"request {person.number}"): person for person in cast.leaving}
    consents = consents_of(cast, chance)
    chance.shuffle(consents)
    new_rows = [
        NewRow(person=person, system=system, table=table, key=f"10000{person.number}",
               content=json.dumps({"id": person.number}), written_at=T0 + timedelta(seconds=1))
        for person in cast.resigned
        for system, table in (("crm", "customers"), ("store-sg", "accounts"), ("marketing", "contacts"))
    ]  # fmt: skip
    story = Story(
        cast=cast, plan=plan, before=before, asked=asked,
        repeated=frozenset(list(asked)[:3]), consents=consents, garbage_sha256=GARBAGE, new_rows=new_rows,
        kills=[Kill(program="processors", pid=1, waiting=5, pid_after=3),
               Kill(program="sink-store-cn", pid=2, waiting=7, pid_after=4)],
        outage=Outage(sink="marketing", answered=0, answered_by_others=90, owed_to_others=100),
    )  # fmt: skip
    tasks = [*_erasures(story), *_consent_tasks(story)]
    after = _after(story)
    for new in new_rows:
        after[new.system][new.table][new.key] = new.content
    return World(
        story=story,
        findings=Findings(
            after=after,
            named=_named(new_rows),
            traces={system: [] for system in SYSTEMS},
            journals={s: {task.key: 1 for task in tasks if task.sink == s} for s in SYSTEMS},
            requests=[_request(story, one) for one in asked],
            tasks=tasks,
            letters=[LetterRow(topic="olvido.requests.v1", cause="UNKNOWN_SCHEMA", sha256=GARBAGE)],
            receipts=[_receipt(task) for task in tasks],
            scans=[Scan(place=place, files=3, size=1000) for place in ("Kafka", "ledger", "logs")],
            spellings=1000, planted=84, planted_found=84,
        ),
    )  # fmt: skip


def change_row(world: World, system: str, table: str, key: str, **columns: Any) -> World:
    """The same world, but for some columns of one row."""
    row = json.loads(world.findings.after[system][table][key]) | columns
    return set_row(world, system, table, key, _written(row))


def set_row(world: World, system: str, table: str, key: str, content: str | None) -> World:
    """The same world, but for one row: another, a new or no row."""
    rows = {k: v for k, v in world.findings.after[system][table].items() if k != key}
    if content is not None:
        rows[key] = content
    after = {**world.findings.after, system: {**world.findings.after[system], table: rows}}
    return with_findings(world, after=after)


def with_findings(world: World, **changes: Any) -> World:
    """The same world, but something else was found."""
    return replace(world, findings=replace(world.findings, **changes))


def with_story(world: World, **changes: Any) -> World:
    """The same world, but something else was said or done."""
    return replace(world, story=replace(world.story, **changes))


def key_of(world: World, system: str, table: str, person: Person) -> str:
    """The key of one row that is a person's alone."""
    owners = world.story.plan.tables[system][table].owners
    return next(key for key, numbers in owners.items() if numbers == (person.number,))


def _written(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, default=str)


def _named(new_rows: list[NewRow]) -> dict[str, dict[str, int]]:
    searched = {
        "crm": ("customers", "enquiries"), "marketing": ("contacts",), "analytics": ("visitors",),
        "store-cn": ("accounts", "emails"), "store-sg": ("accounts",),
    }  # fmt: skip
    found = Counter((new.system, new.table) for new in new_rows)
    return {system: {table: found[system, table] for table in tables} for system, tables in searched.items()}


def _content(system: str, name: str, table: Table) -> dict[str, str]:
    defaults = DEFAULTS.get((system, name), {})
    return {
        key: _written(dict(zip(table.columns, row, strict=True)) | defaults)
        for key, row in zip(table.owners, table.rows, strict=True)
    }


def _after(story: Story) -> dict[str, dict[str, dict[str, str]]]:
    leaving = {person.number for person in story.cast.leaving}
    after: dict[str, dict[str, dict[str, str]]] = {}
    for system, tables in story.plan.tables.items():
        after[system] = {}
        for name, table in tables.items():
            rows = dict(story.before[system][name])
            for key, owners in table.owners.items():
                if owners and leaving.issuperset(owners):
                    _leave(rows, key, FATES[system][name], BLANK.get((system, name), {}))
                elif table.named.get(key) in leaving:
                    row = json.loads(rows[key]) | {MENTIONS[system, name]: None}
                    rows[key] = _written(row)
            after[system][name] = rows
    _follow_consents(story, after)
    return after


def _leave(rows: dict[str, str], key: str, fate: Fate, blank: Any) -> None:
    if fate is Fate.GONE:
        del rows[key]
    elif fate is Fate.ANONYMISED:
        rows[key] = _written(json.loads(rows[key]) | blank)


def _follow_consents(story: Story, after: dict[str, dict[str, dict[str, str]]]) -> None:
    for said in sorted(story.consents, key=lambda one: one.order):
        for system, name, column in FLAGS[said.purpose]:
            for key, owners in story.plan.tables[system][name].owners.items():
                if owners == (said.person.number,):
                    row = json.loads(after[system][name][key]) | {column: said.granted}
                    after[system][name][key] = _written(row)


def _erasures(story: Story) -> list[TaskRow]:
    """The tasks of all requests; what one of two who shared a row did is not counted by the other."""
    words = {Fate.GONE: "deleted", Fate.ANONYMISED: "anonymised", Fate.KEPT: "retained"}
    leaving = {person.number for person in story.cast.leaving}
    counts: dict[tuple[int, str], dict[str, int]] = {}
    for system, tables in story.plan.tables.items():
        for name, table in tables.items():
            for key, owners in table.owners.items():
                if owners and leaving.issuperset(owners):
                    whose, done = owners[-1], words[FATES[system][name]]
                elif (named := table.named.get(key)) in leaving:
                    whose, done = named, "unlinked"
                else:
                    continue
                mine = counts.setdefault((whose, system), {})
                mine[f"{name}.{done}"] = mine.get(f"{name}.{done}", 0) + 1
    return [
        _task(request_id, sink, Action.ERASE,
              Outcome.ERASED if sink in story.cast.systems_of(person) else Outcome.NOT_FOUND,
              counts.get((person.number, sink), {}))
        for request_id, person in story.asked.items()
        for sink in SYSTEMS
        if KINDS[sink] & story.cast.asks_with(person).keys()
    ]  # fmt: skip


def _consent_tasks(story: Story) -> list[TaskRow]:
    return [
        _task(said.event_id, system, Action.CONSENT, Outcome.CONSENT_APPLIED, {})
        for said, (system, _, _) in itertools.chain.from_iterable(
            ((said, flag) for flag in FLAGS[said.purpose]) for said in story.consents
        )
    ]


def _task(source: UUID, sink: str, action: Action, outcome: Outcome, counts: dict[str, int]) -> TaskRow:
    return TaskRow(
        source_id=source, sink=sink, task_id=task_id(source, sink, action.value), generation=0,
        action=action.value, outcome=outcome, counts=counts, applied_at=T0 + timedelta(seconds=2), attempts=1,
    )  # fmt: skip


def _receipt(task: TaskRow) -> Receipt:
    asked = task.action == Action.ERASE
    assert task.outcome is not None
    assert task.applied_at is not None
    return Receipt(
        receipt_id=receipt_id(task.task_id, 0), task_id=task.task_id, generation=0, sink=task.sink,
        action=Action(task.action), request_id=task.source_id if asked else None,
        event_id=None if asked else task.source_id, subject_id="h1_x", outcome=task.outcome,
        counts=task.counts, detail="", applied_at=task.applied_at, verified_at=None,
    )  # fmt: skip


def _request(story: Story, request_id: UUID) -> RequestRow:
    stranger = story.asked[request_id] in story.cast.nowhere
    return RequestRow(
        request_id=request_id,
        state=RequestState.NOT_APPLICABLE if stranger else RequestState.FULFILLED,
        requested_at=T0,
        finished_at=T0 + timedelta(seconds=3),
    )
