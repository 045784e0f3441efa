"""The promises, each judged by what was read and by nothing that Olvido says of itself.

Pure: the same story and findings give the same verdicts. Evidence names no person, only numbers of people.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from demo.evidence import Findings, NewRow, Promise, Said, Story, TaskRow
from olvido.core.lifecycle import FINAL_STATES, RequestState
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from shop.people import SYSTEMS
from shop.plan import FATES, Fate

EXAMPLES_MAX = 3  # of what is wrong, in the evidence of a broken promise

# What is left of an anonymised row; all else of it stays.
BLANK: Mapping[tuple[str, str], Mapping[str, str | None]] = {
    ("crm", "tickets"): {"customer_id": None, "author_name": "", "body": ""},
    ("store-cn", "accounts"): {"customer_id": None, "phone": None, "name": ""},
}
# The column in which a row of somebody else's names a second person: empty when that person has left.
MENTIONS: Mapping[tuple[str, str], str] = {("store-cn", "messages"): "recipient_id"}
# The columns that a consent change sets, by purpose.
FLAGS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "marketing": (("crm", "customers", "marketing_allowed"), ("marketing", "contacts", "allowed")),
    "analytics": (("analytics", "visitors", "tracking_allowed"),),
}
# The identities by which a system can be asked for a person.
KINDS: Mapping[str, frozenset[str]] = {
    "crm": frozenset({"customer_id", "email", "phone"}),
    "marketing": frozenset({"email"}),
    "analytics": frozenset({"customer_id", "device_id", "cookie_id"}),
    "store-cn": frozenset({"customer_id", "email", "phone"}),
    "store-sg": frozenset({"customer_id", "email", "phone"}),
}


class Row(NamedTuple):
    """One planted row: whose it is, what it was, and what it is now (None: it is gone)."""

    system: str
    table: str
    key: str
    owners: tuple[int, ...]
    before: str
    after: str | None
    cut_loose: bool  # whether it names, in a column for that, somebody who leaves

    @property
    def fate(self) -> Fate:
        return FATES[self.system][self.table]

    def __str__(self) -> str:
        return f"{self.system}.{self.table} {self.key}"


Check = Callable[[Story, Findings], Promise]


def judge(story: Story, findings: Findings) -> list[Promise]:
    """Judge every promise, in the order in which they are told."""
    return [check(story, findings) for check in CHECKS]


def gone(story: Story, findings: Findings) -> Promise:
    """Who should be gone is gone."""
    fates: Counter[Fate] = Counter()
    wrong: list[str] = []
    for row in _rows_of_leavers(story, findings):
        fates[row.fate] += 1
        if not _as_expected(row):
            wrong.append(f"{row} is not {row.fate}")
    cut_loose = [row for row in _rows_of_stayers(story, findings) if row.cut_loose]
    wrong += [f"{row} still names a second person, who left" for row in cut_loose if not _is_cut_loose(row)]
    wrong += [
        f"{system}.{table} names {found} who left"
        for system, tables in findings.named.items()
        for table, found in tables.items()
        if found != _named_again(story, system, table)
    ]
    wrong += [
        f"{system}: {leak.what} in {leak.where}"
        for system in findings.traces
        for leak in findings.traces[system]
    ]
    people = len(story.cast.leaving)
    return _promise(
        "Who asked to be forgotten is gone, in all five systems",
        wrong,
        f"{people} people: {fates[Fate.GONE]:,} rows deleted, {fates[Fate.ANONYMISED]:,} anonymised, "
        f"{len(cut_loose):,} messages to them to nobody now, "
        f"{fates[Fate.KEPT]:,} orders kept by law and nobody's; no other table names them",
    )


def others(story: Story, findings: Findings) -> Promise:
    """Everyone else's rows are the same byte for byte."""
    flagged = {(system, table): column for flags in FLAGS.values() for system, table, column in flags}
    consenting = {person.number for person in story.cast.consenting}
    same = 0
    wrong: list[str] = []
    for row in _rows_of_stayers(story, findings):
        before, after = row.before, row.after
        column = flagged.get((row.system, row.table))
        if column and consenting.issuperset(row.owners) and after is not None:
            # What these people changed themselves is judged by the promise about consents.
            before, after = _without(before, column), _without(after, column)
        if row.cut_loose and after is not None:
            # Written by somebody who stays to somebody who left: it is to nobody now, and the rest as it was.
            after = _filled_again(row, before, after)
        same += before == after
        if before != after:
            wrong.append(f"{row} was {'deleted' if after is None else 'changed'}")
    wrong += [f"{place} came from nowhere" for place in _unplanned(story, findings)]
    return _promise(
        "Everyone else's rows are the same, byte for byte",
        wrong,
        f"{len(story.cast.staying):,} people, {same:,} rows compared, none changed, none lost, none added",
    )


def receipts(story: Story, findings: Findings) -> Promise:
    """Every request has one final receipt per sink, and it says the truth."""
    told: dict[tuple[object, str], list[Receipt]] = defaultdict(list)
    for receipt in findings.receipts:
        same = told[receipt.request_id, receipt.sink]
        if receipt not in same:
            same.append(receipt)
    in_ledger = {(task.source_id, task.sink): task for task in findings.tasks}
    states = {row.request_id: row.state for row in findings.requests}
    wrong = [f"request {unknown} was asked by nobody" for unknown in states.keys() - story.asked.keys()]
    right = 0
    for request_id, person in story.asked.items():
        if states.get(request_id) not in FINAL_STATES:
            wrong.append(f"request {request_id} is {states.get(request_id, 'unknown to the ledger')}")
        for sink in _concerned(story.cast.asks_with(person)):
            fault = _fault(
                told[request_id, sink],
                in_ledger.get((request_id, sink)),
                known=sink in story.cast.systems_of(person),
            )
            right += not fault
            if fault:
                wrong.append(f"request {request_id} at {sink}: {fault}")
    repeats = len(findings.receipts) - len({receipt.receipt_id for receipt in findings.receipts})
    return _promise(
        "Every request has one final receipt from each system, and it says the truth",
        wrong,
        f"{len(story.asked)} requests, {right:,} receipts; {repeats} of them came again, and said the same",
    )


def nowhere(story: Story, findings: Findings) -> Promise:
    """Whoever is known nowhere is told so."""
    states = {row.request_id: row.state for row in findings.requests}
    strangers = {person.number for person in story.cast.nowhere}
    asked = [request_id for request_id, person in story.asked.items() if person.number in strangers]
    wrong = [
        f"request {request_id} is {states.get(request_id)}"
        for request_id in asked
        if states.get(request_id) is not RequestState.NOT_APPLICABLE
    ]
    return _promise(
        "Whoever is known nowhere is told so, and no error is made of it",
        wrong or ([] if asked else ["nobody of that kind asked"]),
        f"{len(asked)} requests: not_applicable",
    )


def once(story: Story, findings: Findings) -> Promise:
    """Nothing was applied twice."""
    wrong: list[str] = []
    for sink in SYSTEMS:
        owed = Counter(task.key for task in findings.tasks if task.sink == sink)
        done = Counter(findings.journals.get(sink, {}))
        if done != owed:
            wrong.append(f"{sink} remembers {sum(done.values())} tasks of {sum(owed.values())}")
    counted = _counted(findings.tasks)
    happened = _happened(story, findings)
    for place in sorted(counted.keys() | happened.keys()):
        if counted[place] != happened[place]:
            wrong.append(f"{place}: receipts count {counted[place]}, the rows say {happened[place]}")
    sent_again = len(story.repeated)
    ids = [row.request_id for row in findings.requests]
    wrong += [f"request {one} is in the ledger twice" for one, times in Counter(ids).items() if times > 1]
    return _promise(
        "Nothing was applied twice",
        wrong,
        f"{len(findings.tasks):,} tasks, each remembered once where it was done; the "
        f"{sum(counted.values()):,} rows in receipts are the rows that changed; "
        f"{sent_again} requests were sent twice",
    )


def new_lives(story: Story, findings: Findings) -> Promise:
    """The re-signed accounts live."""
    wrong = []
    for new in story.new_rows:
        content = findings.after[new.system][new.table].get(new.key)
        if content != new.content:
            state = "gone" if content is None else "changed"
            wrong.append(f"the new {new.system}.{new.table} row of person {new.person.number} is {state}")
    early = sum(new.written_at < _arrived_at(story, findings, new) for new in story.new_rows)
    if not early:
        wrong.append("no new row was there before its task arrived, so nothing was shown")
    people = {new.person.number for new in story.new_rows}
    missing = [person for person in story.cast.resigned if person.number not in people]
    wrong += [f"person {person.number} did not sign up again" for person in missing]
    return _promise(
        "Whoever signed up again after asking keeps the new account",
        wrong,
        f"{len(people)} people, {len(story.new_rows)} new rows as they were written, "
        f"{early} of them before the erasure came by",
    )


def addresses(story: Story, findings: Findings) -> Promise:
    """The shared address lives, until the last who lives there has left."""
    leaving = {person.number for person in story.cast.leaving}
    kept = left = 0
    wrong = []
    for row in _rows(story, findings):
        if row.table != "addresses" or len(row.owners) < 2:
            continue
        if leaving.issuperset(row.owners):
            left += 1
            if row.after is not None:
                wrong.append(f"{row} is there although nobody lives there")
        else:
            kept += 1
            if row.after != row.before:
                wrong.append(f"{row} is not as it was although somebody lives there")
    if not kept or not left:
        wrong.append("nobody shared an address")
    return _promise(
        "A shared address lives until the last one there has left",
        wrong,
        f"{kept} still in use: kept; {left} whose two customers both left: gone",
    )


def consents(story: Story, findings: Findings) -> Promise:
    """The last word counts, in whatever order words arrive."""
    words: dict[tuple[int, str], list[Said]] = defaultdict(list)
    for said in story.consents:
        words[said.person.number, said.purpose].append(said)
    last = {about: max(said, key=lambda one: one.order) for about, said in words.items()}
    changed_order = sum(said[-1] is not last[about] for about, said in words.items())
    flags, wrong = 0, []
    for row, purpose, column in _flagged(story, findings):
        word = last.get((row.owners[0], purpose))
        if word is None or row.after is None:
            continue
        flags += 1
        if bool(json.loads(row.after)[column]) != word.granted:
            wrong.append(f"{row} says {'no' if word.granted else 'yes'} to {purpose}")
    if not changed_order:
        wrong.append("all consents arrived in order, so nothing was shown")
    return _promise(
        "The last word about a consent counts, whatever order words arrive in",
        wrong,
        f"{len(story.consents)} changes by {len(story.cast.consenting)} people, {changed_order} last words "
        f"overtaken on the way; {flags} rows say what was said last",
    )


def unreadable(story: Story, findings: Findings) -> Promise:
    """A record that nobody can read is kept as a dead letter, and holds nobody up."""
    mine = [letter for letter in findings.letters if letter.sha256 == story.garbage_sha256]
    wrong = [f"it made {len(mine)} dead letters"] if len(mine) != 1 else []
    strange = [letter for letter in findings.letters if letter.sha256 != story.garbage_sha256]
    wrong += [f"another record of {letter.topic} is dead: {letter.cause}" for letter in strange]
    cause = mine[0].cause if mine else "unknown"
    return _promise(
        "A record that nobody can read is set aside and holds nobody up",
        wrong,
        f"1 dead letter ({cause}), the only one; what came after it went through",
    )


def outage(story: Story, findings: Findings) -> Promise:
    """A target that is down stops its own sink and nobody else."""
    seen = story.outage
    if seen is None:
        return _promise("A target that is down holds nobody else up", ["it never came up"], "")
    wrong = []
    if seen.answered:
        wrong.append(f"{seen.sink} had answered {seen.answered} while it was down")
    if seen.answered_by_others * 2 < seen.owed_to_others:
        wrong.append(f"the others had answered {seen.answered_by_others} of {seen.owed_to_others}")
    owed = [task for task in findings.tasks if task.sink == seen.sink and task.outcome is None]
    if owed:
        wrong.append(f"{seen.sink} still owes {len(owed)}")
    done = sum(task.sink == seen.sink for task in findings.tasks)
    return _promise(
        "A target that is down holds nobody else up, and catches up by itself",
        wrong,
        f"the others had answered {seen.answered_by_others:,} before {seen.sink} came up; "
        f"it then did {done:,}",
    )


def kills(story: Story, findings: Findings) -> Promise:
    """Processes that are killed come back, and nothing is lost."""
    wrong = [
        f"{kill.program} had nothing to do when it was killed" for kill in story.kills if not kill.waiting
    ]
    wrong += [
        f"{kill.program} did not come back" for kill in story.kills if kill.pid_after in (None, kill.pid)
    ]
    kinds = {kill.program.partition("-")[0] for kill in story.kills}
    wrong += [f"no {kind} was killed" for kind in ("processors", "sink") if kind not in kinds]
    lost = [task for task in findings.tasks if task.outcome is None]
    wrong += [f"{len(lost)} tasks have no outcome"] if lost else []
    told = ", ".join(f"{kill.program} ({kill.waiting} waiting)" for kill in story.kills)
    return _promise("A process killed at work loses nothing", wrong, f"SIGKILL to {told}; both came back")


def silence(_story: Story, findings: Findings) -> Promise:
    """No planted identity is found in any byte of Kafka's log segments, the ledger's dump or the logs."""
    wrong = [f"{scan.place}: {leak.what} in {leak.where}" for scan in findings.scans for leak in scan.leaks]
    wrong += [f"{scan.place}: {unread}" for scan in findings.scans for unread in scan.unread]
    wrong += [f"{scan.place}: there was nothing to read" for scan in findings.scans if not scan.size]
    if findings.planted_found != findings.planted or not findings.planted:
        wrong.append(f"the scanner found {findings.planted_found} of {findings.planted} planted leaks")
    read = ", ".join(f"{scan.place} {scan.size / 1e6:.1f} MB" for scan in findings.scans)
    return _promise(
        "No identity is in any byte of Kafka's segments, the ledger or the logs",
        wrong,
        f"{read}; {findings.spellings:,} spellings looked for; "
        f"of {findings.planted} leaks planted to test the search it found {findings.planted_found}",
    )


CHECKS: Sequence[Check] = (
    gone, others, receipts, nowhere, once, new_lives, addresses, consents, unreadable, outage, kills, silence,
)  # fmt: skip


def _promise(text: str, wrong: Iterable[str], evidence: str) -> Promise:
    faults = list(wrong)
    if not faults:
        return Promise(text=text, kept=True, evidence=evidence)
    more = f"; and {len(faults) - EXAMPLES_MAX} more" if len(faults) > EXAMPLES_MAX else ""
    return Promise(text=text, kept=False, evidence="; ".join(faults[:EXAMPLES_MAX]) + more)


def _rows(story: Story, findings: Findings) -> Iterator[Row]:
    leaving = {person.number for person in story.cast.leaving}
    for system, tables in story.plan.tables.items():
        for name, table in tables.items():
            before, after = story.before[system][name], findings.after[system][name]
            for key, owners in table.owners.items():
                cut_loose = table.named.get(key) in leaving
                yield Row(system, name, key, owners, before[key], after.get(key), cut_loose)


def _rows_of_leavers(story: Story, findings: Findings) -> Iterator[Row]:
    """The rows all of whose people have left."""
    leaving = {person.number for person in story.cast.leaving}
    return (row for row in _rows(story, findings) if row.owners and leaving.issuperset(row.owners))


def _rows_of_stayers(story: Story, findings: Findings) -> Iterator[Row]:
    """The rows of which somebody is still there, and those that are nobody's."""
    leaving = {person.number for person in story.cast.leaving}
    return (row for row in _rows(story, findings) if not row.owners or not leaving.issuperset(row.owners))


def _as_expected(row: Row) -> bool:
    """Whether what is left of a row is what must be left when all its people have left."""
    match row.fate:
        case Fate.GONE:
            return row.after is None
        case Fate.KEPT:
            return row.after == row.before
        case Fate.ANONYMISED:
            blank = BLANK[row.system, row.table]
            return row.after is not None and json.loads(row.after) == {**json.loads(row.before), **blank}


def _arrived_at(story: Story, findings: Findings, new: NewRow) -> datetime:
    """When the erasure that the person asked for was done where they have a new row."""
    mine = {request_id for request_id, person in story.asked.items() if person == new.person}
    done = [
        t.applied_at for t in findings.tasks if t.source_id in mine and t.sink == new.system and t.applied_at
    ]
    return max(done, default=datetime.min.replace(tzinfo=UTC))


def _named_again(story: Story, system: str, table: str) -> int:
    """How many rows may name people who left: those of their new lives."""
    return sum((new.system, new.table) == (system, table) for new in story.new_rows)


def _flagged(story: Story, findings: Findings) -> Iterator[tuple[Row, str, str]]:
    """The rows that a consent change sets, for which purpose and in which column."""
    places = {(s, t): (purpose, column) for purpose, flags in FLAGS.items() for s, t, column in flags}
    for row in _rows_of_stayers(story, findings):
        if (row.system, row.table) in places:
            yield row, *places[row.system, row.table]


def _unplanned(story: Story, findings: Findings) -> Iterator[str]:
    """Rows that nobody planted and nobody signed up for."""
    expected = {(new.system, new.table, new.key) for new in story.new_rows}
    for system, tables in findings.after.items():
        for table, rows in tables.items():
            planted = story.plan.tables[system][table].owners
            for key in rows.keys() - planted.keys():
                if (system, table, key) not in expected:
                    yield f"{system}.{table} {key}"


def _without(row: str, column: str) -> str:
    """A row without one column, byte for byte otherwise."""
    value = json.dumps(json.loads(row)[column])
    for written in (f'"{column}":{value}', f'"{column}": {value}'):
        row = row.replace(written, f'"{column}"')
    return row


def _is_cut_loose(row: Row) -> bool:
    """Whether a row of somebody else's is there, and names nobody as its second person."""
    return row.after is not None and json.loads(row.after)[MENTIONS[row.system, row.table]] is None


def _filled_again(row: Row, before: str, after: str) -> str:
    """A row that names nobody any more, as it was when it named somebody; any other as it is."""
    column = MENTIONS[row.system, row.table]
    if not _is_cut_loose(row):
        return after
    return json.dumps(json.loads(after) | {column: json.loads(before)[column]}, ensure_ascii=False)


def _concerned(identities: Mapping[str, str]) -> list[str]:
    return [system for system in SYSTEMS if KINDS[system] & identities.keys()]


def _fault(told: Sequence[Receipt], task: TaskRow | None, *, known: bool) -> str:
    """What is wrong with one system's answer to one request; empty if nothing."""
    if len(told) != 1:
        return f"{len(told)} different receipts"
    (receipt,) = told
    if not receipt.outcome.final or receipt.outcome in (Outcome.FAILED, Outcome.UNSUPPORTED):
        return f"its receipt says {receipt.outcome}"
    if task is None or task.outcome is not receipt.outcome:
        return "the ledger says something else than the receipt"
    if (receipt.outcome is not Outcome.NOT_FOUND) != known:
        return f"it says {receipt.outcome} of somebody who was {'there' if known else 'never there'}"
    return ""


def _counted(tasks: Iterable[TaskRow]) -> Counter[str]:
    """The rows that receipts count, by system, table and what was done."""
    counted: Counter[str] = Counter()
    for task in tasks:
        if task.action == Action.ERASE:
            counted.update({f"{task.sink}.{place}": count for place, count in task.counts.items() if count})
    return counted


def _happened(story: Story, findings: Findings) -> Counter[str]:
    """The rows that really changed, by the same names."""
    words = {Fate.GONE: "deleted", Fate.ANONYMISED: "anonymised", Fate.KEPT: "retained"}
    happened = Counter(
        f"{row.system}.{row.table}.{words[row.fate]}"
        for row in _rows_of_leavers(story, findings)
        if row.fate is Fate.KEPT or row.after != row.before
    )
    happened.update(
        f"{row.system}.{row.table}.unlinked"
        for row in _rows_of_stayers(story, findings)
        if row.cut_loose and row.after != row.before
    )
    return happened
