"""What a run must leave behind, looked at from outside: the journal against targets, ledger and topics.

It shares no rule with the product. What the targets' own triggers saw is what happened; what people are to
have and to have lost follows from their numbers; which word is the last is decided here once more.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.journal import Journal, Told
from chaos.people import NEW_LIFE, WORD, Part, Person, people
from chaos.stage import Stage
from olvido.broker.groups import end_offsets, start_offsets
from olvido.broker.ranges import read_range
from olvido.schemas.codec import receipts_codec, tasks_codec
from olvido.schemas.registry import Registry
from olvido.schemas.topics import RECEIPTS, tasks_topic

CHECKS: Mapping[str, str] = {
    "lost": "everything that was accepted is done: in the ledger, and in each system",
    "twice": "no row was touched twice",
    "receipts": "what the receipts say is what the systems' own triggers saw",
    "consents": "the last word of each person holds, in every system and the ledger",
    "bystanders": "nobody else was touched, nor what was made after the person had asked",
    "states": "each request is in the state that its outcomes give",
    "regions": "every box is in tasks of its own region alone",
    "letters": "nothing became a dead letter, and no task is parked",
    "offsets": "every record up to the end of its topic is handled and committed",
}
EXAMPLES_MAX = 3
Effect = tuple[str, int]
SINKS = {"crm": "crm", "store-sg": "store_sg", "marketing": "marketing"}


@dataclass
class Findings:
    """What broke, by check; numbers of people and ids only."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    people: int = 0
    events: int = 0
    effects: int = 0
    reread: int = 0  # records that the offset audit found unhandled: healed, and no loss
    resent: int = 0  # tasks that the reconciler sent again

    def add(self, check: str, what: str) -> None:
        """Something is not as it must be."""
        assert check in CHECKS
        self.found[check].append(what)

    @property
    def red(self) -> frozenset[str]:
        """The checks that failed."""
        return frozenset(self.found)

    def lines(self) -> Iterator[str]:
        """For people to read."""
        for check, whats in self.found.items():
            more = f", and {len(whats) - EXAMPLES_MAX} more" if len(whats) > EXAMPLES_MAX else ""
            yield f"{check}: {'; '.join(whats[:EXAMPLES_MAX])}{more}"


@dataclass(frozen=True, slots=True)
class TaskSeen:
    """One task as the ledger has it."""

    sink: str
    outcome: str | None
    counts: Mapping[str, int]
    verified: bool
    parked: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What an earlier run on the same stage has left: not this one's doing."""

    letters: int
    ends: Mapping[tuple[str, int], int]

    @classmethod
    def of(cls, stage: Stage) -> "Before":
        """As it is now, with nobody at work."""
        letters = stage.chain.sql("ledger", "select count(*) from dead_letters")[0][0]
        return cls(letters=letters, ends=end_offsets(stage.chain.deployment.kafka, stage.ledger_topics()))


class Witness:
    """Looks at everything once a run is over."""

    def __init__(self, stage: Stage, journal: Journal, numbers: range, before: Before) -> None:
        self._stage = stage
        self._before = before
        self._chain = stage.chain
        self._people = {one.number: one for one in people(numbers)}
        self._range = numbers
        self._told: dict[int, list[Told]] = defaultdict(list)
        for told in journal.read():
            if told.person in self._people:
                self._told[told.person].append(told)
        self.findings = Findings(
            people=len(self._people), events=sum(len(events) for events in self._told.values())
        )

    def look(self) -> Findings:
        """Check it all."""
        tasks = self._tasks()
        effects = {sink: self._effects(sink) for sink in SINKS}
        self.findings.effects = sum(sum(each.values()) for each in effects.values())
        self._look_at_requests(tasks, effects)
        self._look_at_words(tasks, effects)
        self._look_at_rows()
        self._look_at_topics()
        self._look_at_offsets()
        letters = self._chain.sql("ledger", "select count(*) from dead_letters")[0][0]
        if letters != self._before.letters:
            causes = self._chain.sql(
                "ledger", "select cause, count(*) from dead_letters group by 1 order by 1"
            )
            self.findings.add(
                "letters", f"{letters - self._before.letters} dead letters, all: {dict(causes)}"
            )
        return self.findings

    # --- the ledger ------------------------------------------------------------------------------

    def _ids(self) -> list[str]:
        return [told.id for events in self._told.values() for told in events]

    def _tasks(self) -> Mapping[str, list[TaskSeen]]:
        """By request or event, its tasks."""
        seen: dict[str, list[TaskSeen]] = defaultdict(list)
        for ids in _some(self._ids()):
            for source_id, *rest in self._chain.sql(
                "ledger",
                "select source_id::text, sink, outcome, coalesce(counts, '{}'), verified_at is not null, "
                "parked, attempts from tasks where source_id = any(%s::uuid[])",
                (ids,),
            ):
                *task, attempts = rest
                seen[source_id].append(TaskSeen(*task))
                self.findings.resent += attempts - 1
        return seen

    def _states(self) -> Mapping[str, str]:
        return {
            request_id: state
            for ids in _some(self._ids())
            for request_id, state in self._chain.sql(
                "ledger",
                "select request_id::text, state from requests where request_id = any(%s::uuid[])",
                (ids,),
            )
        }

    # --- the targets -----------------------------------------------------------------------------

    def _effects(self, sink: str) -> Counter[Effect]:
        """What a system's triggers saw of these people's rows, and how often."""
        statement = "select what, id, count(*) from effects group by what, id"
        if sink == "marketing":
            with self._stage.marketing() as connection:
                rows: Iterable[Any] = connection.execute(statement).fetchall()
        else:
            rows = self._chain.sql(SINKS[sink], statement)
        return Counter({(what, number): count for what, number, count in rows if self._is_ours(what, number)})

    def _is_ours(self, what: str, number: int) -> bool:
        return _person_of(what, number) in self._people

    def _look_at_requests(
        self, tasks: Mapping[str, list[TaskSeen]], effects: Mapping[str, Counter[Effect]]
    ) -> None:
        states = self._states()
        allowed: dict[str, set[Effect]] = {sink: set() for sink in SINKS}
        for person, told in self._of(Part.ERASED):
            state = states.get(told.id)
            answered = {task.sink: task for task in tasks.get(told.id, ())}
            if state is None:
                self.findings.add("lost", f"request of person {person.number} is not in the ledger")
                continue
            for sink in SINKS:
                doomed = person.doomed(sink)
                allowed[sink] |= doomed
                self._look_at_task(person, sink, answered.get(sink), doomed, effects[sink])
            wanted = _state([task.outcome for task in answered.values()])
            if state != wanted:
                self.findings.add("states", f"request of person {person.number} is {state} and not {wanted}")
        for sink, seen in effects.items():
            for (what, number), count in seen.items():
                if what == WORD:
                    continue
                person_number = _person_of(what, number)
                if (what, number) not in allowed[sink]:
                    self.findings.add("bystanders", f"{sink}: {what} of person {person_number} was touched")
                elif count > 1:
                    self.findings.add("twice", f"{sink}: {what} of person {person_number}, {count} times")

    def _look_at_task(
        self, person: Person, sink: str, task: TaskSeen | None, doomed: set[Effect], seen: Counter[Effect]
    ) -> None:
        who = f"person {person.number} at {sink}"
        done = {effect for effect in doomed if seen[effect]}
        if done != doomed:
            self.findings.add("lost", f"{who}: {len(doomed - done)} rows are as they were")
        if task is None or task.outcome is None:
            self.findings.add(
                "lost", f"{who}: no receipt" + (f", parked: {task.parked}" if task and task.parked else "")
            )
            return
        deed = "anonymised" if sink == "store-sg" else "erased"
        wanted = Counter(f"{table}.{'deleted' if deed == 'erased' else deed}" for table, _ in done)
        outcome = deed if done else "not_found"
        if task.outcome != outcome or {k: v for k, v in task.counts.items() if v} != dict(wanted):
            said = f"{task.outcome} {dict(task.counts)}"
            self.findings.add("receipts", f"{who}: said {said}, seen {dict(wanted) or 'nothing'}")
        elif outcome != "not_found" and not task.verified:
            self.findings.add("receipts", f"{who}: {outcome}, and nobody looked")

    def _look_at_words(
        self, tasks: Mapping[str, list[TaskSeen]], effects: Mapping[str, Counter[Effect]]
    ) -> None:
        wanted: dict[int, bool] = {}
        said: dict[str, Counter[int]] = {"crm": Counter(), "marketing": Counter()}
        subjects: dict[str, tuple[int, str, str]] = {}
        for number, events in self._told.items():
            if self._people[number].part is not Part.TALKS:
                continue
            last = max(events, key=lambda told: (told.at, told.what == "withdraw", told.id))
            wanted[number] = last.what == "grant"
            decision = "GRANTED" if last.what == "grant" else "WITHDRAWN"
            subjects[last.subject_id] = (number, decision, last.id)
            for told in events:
                answered = {task.sink: task for task in tasks.get(told.id, ())}
                for sink, counted in said.items():
                    task = answered.get(sink)
                    if task is None or task.outcome is None:
                        self.findings.add("lost", f"a word of person {number}: no receipt of {sink}")
                    else:
                        counted[number] += sum(task.counts.values())
        self._look_at_columns(wanted)
        for sink, counted in said.items():
            for number in wanted:
                if effects[sink][WORD, number] != counted[number]:
                    self.findings.add(
                        "receipts",
                        f"{sink}: words of person {number}: counted {counted[number]}, "
                        f"seen {effects[sink][WORD, number]}",
                    )
        for handles in _some(list(subjects)):
            known = {
                handle: rest
                for handle, *rest in self._chain.sql(
                    "ledger",
                    "select handle, decision, event_id::text from consents where handle = any(%s)",
                    (handles,),
                )
            }
            for handle in handles:
                number, *last = subjects[handle]
                if known.get(handle) != last:
                    self.findings.add("consents", f"ledger: not the last word of person {number}")

    def _look_at_columns(self, wanted: Mapping[int, bool]) -> None:
        numbers = (self._range.start, self._range.stop)
        held = {
            "crm": self._chain.sql(
                "crm", "select id, marketing_allowed from customers where id >= %s and id < %s", numbers
            )
        }
        with self._stage.marketing() as connection:
            held["marketing"] = connection.execute(
                "select id, allowed from contacts where id >= ? and id < ?", numbers
            ).fetchall()
        for sink, rows in held.items():
            allowed = dict(rows)
            for number, holds in wanted.items():
                if self._people[number].known_to(sink) and allowed.get(number) != holds:
                    self.findings.add("consents", f"{sink}: not the last word of person {number}")

    def _look_at_rows(self) -> None:
        """Rows that stay are as they were planted; nothing else is there."""
        first, last = self._range.start, self._range.stop
        mine = f"(id >= {first} and id < {last} or id >= {first + NEW_LIFE} and id < {last + NEW_LIFE})"
        customers = {
            row[0]: row[1:]
            for row in self._chain.sql("crm", f"select id, email, created_at from customers where {mine}")
        }
        accounts = {
            row[0]: row[1:]
            for row in self._chain.sql("store_sg", f"select id, email, created_at from accounts where {mine}")
        }
        tickets = set(
            self._chain.sql(
                "crm", f"select id, customer_id from tickets where {mine.replace('id', 'customer_id')}"
            )
        )
        with self._stage.marketing() as connection:
            contacts = {
                row[0]: row[1:] for row in connection.execute(f"select id, email from contacts where {mine}")
            }
        for person in self._people.values():
            gone = person.part is Part.ERASED
            for where, rows, held in (
                ("crm", person.customers(), customers),
                ("store-sg", person.accounts(), accounts),
                ("marketing", person.contacts(), contacts),
            ):
                for number, *row in rows:
                    if gone and number == person.number:
                        continue  # judged by its effects
                    if held.get(number) != tuple(row[: 1 if where == "marketing" else 2]):
                        self.findings.add(
                            "bystanders", f"{where}: a row of person {person.number} has changed"
                        )
            for ticket in person.ticket_rows():
                if not (gone and ticket[1] == person.number) and ticket not in tickets:
                    self.findings.add("bystanders", f"crm: a ticket of person {person.number} is gone")

    # --- the topics ------------------------------------------------------------------------------

    def _look_at_topics(self) -> None:
        deployment = self._chain.deployment
        registry = Registry(deployment.registry)
        ours = set(self._ids())
        for name, sink in deployment.sinks.items():
            codec = tasks_codec(registry, name)
            for value in self._values(tasks_topic(name).name):
                task = codec.decode(value)
                wrong = task.box.region != sink.region or not task.box.key_id.startswith(f"{sink.region}-")
                if str(task.source_id) in ours and wrong:
                    self.findings.add(
                        "regions", f"{name}: task {task.task_id} holds a box of {task.box.region}"
                    )
        first: dict[tuple[str, int], object] = {}
        codec_ = receipts_codec(registry)
        for value in self._values(RECEIPTS.name):
            receipt = codec_.decode(value)
            if str(receipt.request_id or receipt.event_id) not in ours:
                continue
            key = (str(receipt.task_id), receipt.generation)
            content = (
                receipt.outcome,
                json.dumps(dict(receipt.counts), sort_keys=True),
                receipt.detail,
                receipt.applied_at,
            )
            if first.setdefault(key, content) != content:
                self.findings.add("receipts", f"two receipts of task {receipt.task_id} differ")

    def _values(self, topic: str) -> Iterator[bytes]:
        kafka = self._chain.deployment.kafka
        starts, ends = start_offsets(kafka, [topic]), end_offsets(kafka, [topic])
        for place, end in ends.items():
            if starts[place] < end:
                for record in read_range(kafka, *place, [(starts[place], end)]):
                    if record.value is not None:
                        yield record.value

    def _look_at_offsets(self) -> None:
        kafka = self._chain.deployment.kafka
        behind = self._stage.behind()
        if behind:
            self.findings.add("offsets", f"{behind} records are not committed")
        self.findings.reread = self._chain.sql(
            "ledger", "select coalesce(sum(reread), 0)::int from progress"
        )[0][0]
        for (topic, partition), end in end_offsets(kafka, self._stage.ledger_topics()).items():
            start = self._before.ends.get((topic, partition), 0)
            ((missing,),) = self._chain.sql(
                "ledger",
                "select (int8multirange(int8range(%s, %s)) - coalesce((select handled from progress "
                "where topic = %s and partition_ = %s), '{}'))::text",
                (start, end, topic, partition),
            )
            if missing != "{}":
                self.findings.add("offsets", f"{topic}[{partition}]: nobody handled {missing}")

    def _of(self, part: Part) -> Iterator[tuple[Person, Told]]:
        for number, events in self._told.items():
            if self._people[number].part is part:
                for told in events:
                    yield self._people[number], told


def _person_of(what: str, number: int) -> int:
    from chaos.people import TICKETS_MAX

    row = number // TICKETS_MAX if what == "tickets" else number
    return row - NEW_LIFE if row >= NEW_LIFE else row


def _state(outcomes: Sequence[str | None]) -> str:
    """The state of an erasure, said once more in other words than core's."""
    if not outcomes or None in outcomes:
        return "in_progress"
    known = [outcome for outcome in outcomes if outcome != "not_found"]
    if not known:
        return "not_applicable"
    return "fulfilled" if set(known) <= {"erased", "anonymised"} else "partially_fulfilled"


def _some(ids: Sequence[str], count: int = 5000) -> Iterator[list[str]]:
    for start in range(0, len(ids), count):
        yield list(ids[start : start + count])
