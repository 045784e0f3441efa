"""What must hold of every history, said a second time: nothing here comes from ``olvido.core``.

The checker reads what upstream was told, the bytes on the topics, the rows of the ledger, and
what the targets say was done to them. The numbers in brackets name the invariants of docs/proof.md.
"""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fastavro import schemaless_reader
from simulation.targets import SYSTEMS, System
from simulation.workload import PLANTED, Item
from simulation.world import World

from olvido.broker.contract import Received
from olvido.schemas.shipped import schema_of

Place = tuple[str, int, int]  # topic, partition, offset
Key = tuple[str, int]  # task_id, generation

REQUESTS, CONSENTS = "olvido.requests.v1", "olvido.consents.v1"
VERIFICATIONS, RECEIPTS = "olvido.verifications.v1", "olvido.receipts.v1"
STATUS, CONSENT_STATE = "olvido.request-status.v1", "olvido.consent-state.v1"
LETTERS, LOOKS = "olvido.dead-letters.v1", "olvido.looks.v1"

DONE = {
    "ERASE": {"erased", "anonymised"},
    "ACCESS": {"exported"},
    "PORTABILITY": {"exported"},
    "RECTIFY": {"rectified"},
    "RESTRICT": {"restricted", "blocked", "superseded"},
    "OBJECT": {"suppressed", "superseded"},
    "LIFT_RESTRICTION": {"released", "superseded"},
    "WITHDRAW_OBJECTION": {"released", "superseded"},
}
PARTLY = {"suppressed", "retained", "blocked", "superseded"}
SAYS_NOTHING_DONE = {None, "not_found", "failed", "unsupported", "deferred"}


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must hold, and does not."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def check(world: World) -> list[Violation]:
    """Everything that is wrong with a world that has come to rest."""
    return list(_Check(world).violations())


def check_replay(world: World, before: "Standing") -> list[Violation]:
    """What reading every topic once more has changed, which is to be nothing [I12]."""
    found = []
    after = Standing.of(world)
    for event in world.history.events[before.events :]:
        if event[1] == "effect" and event[2] not in before.restored and (event[3], event[4]) in before.done:
            found.append(Violation("replay", f"{event[2]} did {event[3]} once more"))
    for what in ("requests", "tasks", "consents"):
        was, now = getattr(before, what), getattr(after, what)
        for key in sorted(set(was) | set(now), key=str):
            if was.get(key) != now.get(key) and not before.excused(what, key):
                found.append(Violation("replay", f"{what} {key} was {was.get(key)} and is {now.get(key)}"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the ledger says of a world at one moment."""

    events: int
    restored: frozenset[str]  # targets that forgot some of what they did: they may do it again
    done: frozenset[tuple[str, int]]  # tasks that are answered
    left: frozenset[str]  # sources of tasks that were left to a person: what was wrong may be over
    late: bool  # something was refused as of the future, which has come since
    requests: dict[str, Any]
    tasks: dict[tuple[str, str, int], Any]
    consents: dict[tuple[str, str], Any]

    @classmethod
    def of(cls, world: World) -> "Standing":
        """How it stands now."""
        tasks = world.tables.tasks
        return cls(
            events=len(world.history.events),
            restored=frozenset(event[2] for event in world.history.of("restored")),
            done=frozenset(
                (str(task["task_id"]), key[2]) for key, task in tasks.items() if task["outcome"] is not None
            ),
            left=frozenset(str(key[0]) for key, task in tasks.items() if task["outcome"] is None),
            late=any(row["cause"] in BY_CLOCK for row in world.tables.dead_letters.values()),
            requests={
                str(key): (row["state"], row["answered"]) for key, row in world.tables.requests.items()
            },
            tasks={(str(key[0]), key[1], key[2]): task["outcome"] for key, task in tasks.items()},
            consents={key: row["event_id"] for key, row in world.tables.consents.items()},
        )

    def excused(self, what: str, key: Any) -> bool:
        """Whether a change of this is no wonder."""
        return self.late or (key if what == "requests" else key[0]) in self.left


# By whatever clock reads it: one that is slow finds what was asked just now in its future.
BY_CLOCK = {"FUTURE", "OUTSIDE_SESSION"}


class _Check:
    def __init__(self, world: World) -> None:
        self.world = world
        self.tables = world.tables
        self.systems = {system.name: system for system in SYSTEMS}
        self.tasks_topics = {f"olvido.tasks.{system.name}.v1": system for system in SYSTEMS}
        self.letters: dict[Place, list[Mapping[str, Any]]] = defaultdict(list)
        for letter in self.tables.dead_letters.values():
            self.letters[letter["topic"], letter["partition"], letter["offset"]].append(letter)
        self.items: dict[tuple[str, bytes, bytes | None, Any], Item] = {
            _identity(item): item
            for item in world.items  # a retry may be the same to the byte
        }
        self.at: dict[Place, Item] = {}  # which item a record of upstream's is
        self.answers: list[tuple[Place, Mapping[str, Any]]] = []  # the receipts that nobody has forged
        self.receipts: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
        self.people = {
            (str(source_id), subject): {(one.kind.value, one.normalised) for one in identities}
            for _, _, source_id, subject, identities in world.vault.contents()
        }
        self.restored = {event[2] for event in world.history.of("restored")}
        # Faust dropped these and committed over them: only when the offset moved is excused, nothing else.
        self.stream_lost = {(event[2], event[3], event[4]) for event in world.history.of("stream lost")}
        self.refused_tasks = {
            (str(letter["task_id"]), letter["generation"]) for letter in self.tables.dead_letters.values()
        }
        self.writers = {(event[3], event[4], event[5]): event[2] for event in world.history.of("appended")}
        self.clock_jumped = bool(world.history.of("clock"))
        # Nothing moves while the world is looked at: what is asked for often is found once.
        self.rows_of = {
            "request": {str(key): row for key, row in self.tables.requests.items()},
            "consent": {str(key): row for key, row in self.tables.consent_changes.items()},
        }
        self.held_once = {str(key) for key in self.tables.held_once}
        self.still_held = {str(key) for key in self.tables.held}
        decided = list(self.world.history.of("decided"))
        self.released = {one for _, _, what, ids in decided if what == "release" for one in ids}
        self.discarded = {one for _, _, what, ids in decided if what == "discard" for one in ids}
        self.keys_of = {str(source): tuple(keys) for source, keys in self.tables.plan_tasks.items()}
        self.source_of = {
            (key[1], str(task["task_id"])): str(key[0]) for key, task in self.tables.tasks.items()
        }
        events = list(enumerate(world.history.events))
        self.came_back = [(at, event) for at, event in events if event[1] == "came back"]
        self.looked = [(at, event) for at, event in events if event[1] == "looked"]
        self.verifications: dict[tuple[str, str], list[Place]] = defaultdict(list)  # by request and subject
        self.kept = {
            (VERIFICATIONS, row["source_partition"], row["source_offset"])
            for row in self.tables.verifications.values()
        }
        self._read: dict[tuple[bytes, str], Mapping[str, Any]] = {}
        self.published_looks = {
            str(self._decoded(record, "later_look")["look_id"]) for record in world.broker.records(LOOKS)
        }

    def violations(self) -> Iterator[Violation]:
        for what in (
            self._records, self._ids, self._requests, self._brake, self._consents, self._tasks, self._answers,
            self._effects, self._limits, self._looks, self._words, self._rows, self._told, self._progress,
            self._order, self._regions, self._leaks,
        ):  # fmt: skip
            yield from what()

    # --- every record is one of applied, duplicate, dead letter, waiting [I11] ------------------

    def _records(self) -> Iterator[Violation]:
        for topic in (REQUESTS, CONSENTS, VERIFICATIONS, RECEIPTS, *self.tasks_topics):
            for record in self.world.broker.records(topic):
                item = self.items.get((topic, record.key or b"", record.value, record.headers))
                if item is not None:
                    place = (topic, record.partition, record.offset)
                    self.at[place] = item
                    if item.what == "verification":
                        self.verifications[item.told["id"], item.told["subject"]].append(place)
        for record in self.world.broker.records(RECEIPTS):
            place = (RECEIPTS, record.partition, record.offset)
            if place not in self.at:
                # No two seals of one receipt are alike.
                self.answers.append((place, {**self._decoded(record, "receipt"), "seal": None}))
        written = {id(item) for item in self.at.values()}
        for item in self.world.accepted:
            if id(self.items[_identity(item)]) not in written:
                yield Violation("lost", f"item {item.number} was accepted and is on no topic")
        for place, letters in sorted(self.letters.items()):
            for letter in letters:
                yield from self._explained(place, letter)
        for place, item in sorted(self.at.items()):
            if item.what != "poison" or self.letters.get(place):
                continue
            if not (item.told["cause"] == "CANNOT_OPEN" and self.world.vault.destroyed):
                yield Violation("silence", f"{item.told['cause']} at {place} became no dead letter")

    def _explained(self, place: Place, letter: Mapping[str, Any]) -> Iterator[Violation]:
        item, cause = self.at.get(place), letter["cause"]
        if item is not None and item.what == "poison":
            if cause not in item.told["cause"].split() and not (cause in BY_CLOCK and self.clock_jumped):
                yield Violation("cause", f"{item.told['cause']} at {place} became {cause}")
        elif place[0] in self.tasks_topics:
            system = self.tasks_topics[place[0]]
            target = self.world.targets[system.name]
            if cause in {one.value for one in target.refuses.values()}:
                return
            if cause == "ABOVE_LIMIT" and self._subject(letter) in target.above:
                return
            if cause == "STILL_THERE" and self.world.faults.has("sink_lies"):
                return
            yield Violation("good record refused", f"{cause} at {place}")
        elif item is None:
            # A box that was moved and whose key is destroyed is forgotten before it is refused.
            forgotten = cause == "UNKNOWN_TASK" and self.world.vault.destroyed
            if not (
                forgotten
                or (cause in {*BY_CLOCK, "BEFORE_REQUEST"} and self.clock_jumped)
                or (cause == "CONFLICT" and self._contradicts(place))
            ):
                yield Violation("good record refused", f"{cause} at {place}, written by a process")
        elif cause in BY_CLOCK and self.clock_jumped:
            return
        elif cause == "ID_REUSE" and item.what in {"request", "consent"}:
            standing = self._standing(item.what, item.told["id"])
            other = "request" if item.what == "consent" else "consent"
            if item.told["id"] not in self.rows_of[other] and (
                standing is None or _content(standing) == _content(item.told)
            ):
                yield Violation("good record refused", f"ID_REUSE at {place}")
        elif cause == "KEY_MISMATCH" and item.what == "verification":
            standing = self._standing("request", item.told["id"])
            if standing is None or standing["subject"] == item.told["subject"]:
                yield Violation("good record refused", f"KEY_MISMATCH at {place}")
        else:
            yield Violation("good record refused", f"{cause} at {place}")

    def _subject(self, letter: Mapping[str, Any]) -> str:
        """Whom the task of a dead letter is about."""
        row = self.rows_of["request"].get(str(letter["source_id"]))
        return "" if row is None else str(row["subject_id"])

    def _contradicts(self, place: Place) -> bool:
        """Whether a receipt differs from a final one of the same task that was written before it."""
        [receipt] = [one for at, one in self.answers if at == place]
        return any(
            _key_of(one) == _key_of(receipt) and _final(one) and one != receipt
            for at, one in self.answers
            if at[1] == place[1] and at[2] < place[2]
        )

    def _standing(self, what: str, source_id: str) -> Mapping[str, Any] | None:
        """What the ledger holds of an id, as upstream told it."""
        row = self.rows_of[what].get(source_id)
        if row is None:
            return None
        topic = REQUESTS if what == "request" else CONSENTS
        item = self.at.get((topic, row["source_partition"], row["source_offset"]))
        return None if item is None else item.told

    def _word(self, event_id: str) -> tuple[str, int, str]:
        """The place of a consent change in the order: nothing was decided after the broker took it."""
        row, told = self.rows_of["consent"][event_id], self._standing("consent", event_id)
        assert told is not None
        [record] = self.world.broker.read(CONSENTS, row["source_partition"], row["source_offset"], 1)
        taken_at = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
        at = min(datetime.fromisoformat(told["occurred_at"]), taken_at)
        return (_text(at), int(told["decision"] == "WITHDRAWN"), told["id"])

    def _handled(self, what: str, topic: str) -> Iterator[Violation]:
        """Each record of a topic stands, repeats what stands, or is a dead letter."""
        for place, item in sorted(self.at.items()):
            if place[0] != topic or item.what != what:
                continue
            standing = self._standing(what, item.told["id"])
            refused = self.letters.get(place, [])
            if standing is None and not refused:
                yield Violation("lost", f"{what} {item.told['id']} at {place} is not in the ledger")
            elif standing is not None and _content(standing) != _content(item.told) and not refused:
                yield Violation("silence", f"{what} at {place} reuses an id and became no dead letter")

    def _ids(self) -> Iterator[Violation]:
        """No id is of a request and of a consent change."""
        for source_id in sorted(self.rows_of["request"].keys() & self.rows_of["consent"].keys()):
            yield Violation("invented", f"{source_id} is a request and a consent change")

    # --- requests: the tasks they must have, the state these give [I1, I11] ---------------------

    def _requests(self) -> Iterator[Violation]:
        yield from self._handled("request", REQUESTS)
        for request_id, row in self.tables.requests.items():
            told = self._standing("request", str(request_id))
            if told is None or told.get("id") != str(request_id):
                yield Violation("invented", f"request {request_id} stands for no record of upstream")
                continue
            held = self._held(str(request_id))
            expected = [] if held else self._expected(told)
            generations = self._generations(str(request_id))
            if set(generations) != {system.name for system in expected}:
                yield Violation(
                    "lost",
                    f"request {request_id} has tasks for {sorted(generations)}, and concerns "
                    f"{sorted(system.name for system in expected)}",
                )
                continue
            if told["waits"] and not self._verified(told):
                state, answered = "identity_pending", 0
            elif held:
                state, answered = held, 0
            else:
                said = {sink: _said(outcomes) for sink, outcomes in generations.items()}
                state = _state(told["right"], said.values())
                answered = sum(outcome not in {None, "deferred"} for outcome in said.values())
            if (row["state"], row["answered"]) != (state, answered):
                yield Violation(
                    "state", f"request {request_id} is {row['state']} with {row['answered']} answers, "
                    f"and should be {state} with {answered}",
                )  # fmt: skip

    def _expected(self, told: Mapping[str, Any]) -> list[System]:
        if told.get("waits") and not self._verified(told):
            return []
        return [
            system for system in SYSTEMS
            if system.region in told["regions"] and not system.identities.isdisjoint(told["kinds"])
            and ("purpose" not in told or told["purpose"] in system.purposes)
        ]  # fmt: skip

    def _held(self, request_id: str) -> str:
        """The state of a request that no sink may be asked for: above a limit, and not released."""
        if request_id in self.discarded:
            return "refused"
        return "received" if request_id in self.still_held else ""

    def _brake(self) -> Iterator[Violation]:
        """No more erasures start in an hour than may, beside those that two people released."""
        limit = self.world.catalogue.limits.erasures_per_hour
        started = sorted(
            min(self.tables.tasks[key]["noted_at"] for key in self.keys_of[request_id])
            for request_id, row in self.rows_of["request"].items()
            if row["right_"] == "ERASE" and self.keys_of.get(request_id) and request_id not in self.released
        )
        for first, above in zip(started, started[limit:], strict=False):
            if above - first < timedelta(hours=1):
                yield Violation("brake", f"more than {limit} erasures started between {first} and {above}")
                return
        for request_id in sorted(self.discarded | self.still_held):
            if self.keys_of.get(request_id):
                yield Violation("brake", f"{request_id} is held or discarded, and sinks are asked for it")
        for request_id in sorted(self.still_held):
            if limit > len(self.rows_of["request"]):
                yield Violation("brake", f"{request_id} is held, and nothing is above a limit")

    def _verified(self, told: Mapping[str, Any]) -> bool:
        """Whether somebody vouched for the person, as far as the ledger could believe it."""
        for place in self.verifications.get((told["id"], told["subject"]), ()):
            causes = {letter["cause"] for letter in self.letters.get(place, [])}
            if not causes:
                return True
            # Read by two clocks it may have been of the future to one and good to the other, who kept it.
            if causes and causes <= BY_CLOCK and place in self.kept:
                return True
        return False

    def _generations(self, source_id: str) -> dict[str, list[str | None]]:
        found: dict[str, list[str | None]] = defaultdict(list)
        for key in sorted(self.keys_of.get(source_id, ()), key=lambda key: key[2]):
            found[key[1]].append(self.tables.tasks[key]["outcome"])
        return found

    # --- consents: the latest word by a model of its own [I6] -----------------------------------

    def _consents(self) -> Iterator[Violation]:
        yield from self._handled("consent", CONSENTS)
        latest: dict[tuple[str, str], tuple[str, int, str]] = {}
        for event_id in self.tables.consent_changes:
            told = self._standing("consent", str(event_id))
            if told is None or told["id"] != str(event_id):
                yield Violation("invented", f"consent change {event_id} stands for no record of upstream")
                continue
            sinks = set(self._generations(str(event_id)))
            expected = {system.name for system in self._expected(told)}
            if sinks != expected:
                yield Violation(
                    "lost", f"change {event_id} has tasks for {sorted(sinks)} of {sorted(expected)}"
                )
            for handle in told["handles"]:
                pair = (handle, told["purpose"])
                latest[pair] = max(latest.get(pair, ("", 0, "")), self._word(told["id"]))
        held = {
            pair: (_text(row["occurred_at"]), int(row["decision"] == "WITHDRAWN"), str(row["event_id"]))
            for pair, row in self.tables.consents.items()
        }
        for pair in sorted(set(latest) | set(held)):
            if latest.get(pair) != held.get(pair):
                yield Violation(
                    "consent order", f"{pair}: the ledger holds {held.get(pair)}, said was {latest.get(pair)}"
                )

    def _words(self) -> Iterator[Violation]:
        """What each target holds is the latest word that reached it."""
        for system in SYSTEMS:
            sure: dict[tuple[str, str], tuple[str, int, str]] = {}
            maybe: dict[tuple[str, str], set[tuple[str, int, str]]] = defaultdict(set)
            for event_id in self.tables.consent_changes:
                told = self._standing("consent", str(event_id))
                said = self._generations(str(event_id)).get(system.name)
                if told is None or not said:
                    continue
                for handle in told["handles"]:
                    pair = (handle, told["purpose"])
                    if said[-1] in {"consent_applied", "suppressed", "superseded"}:
                        sure[pair] = max(sure.get(pair, ("", 0, "")), self._word(told["id"]))
                    else:  # forgotten or refused: it may have been done before
                        maybe[pair].add(self._word(told["id"]))
            words = self.world.targets[system.name].words
            for pair, expected in sorted(sure.items()):
                word = words.get(pair)
                held = word and (
                    _text(word.occurred_at), int(word.decision.value == "WITHDRAWN"), str(word.event_id)
                )  # fmt: skip
                if held != expected and not (held is not None and held > expected and held in maybe[pair]):
                    yield Violation("consent order", f"{system.name} holds {held} of {pair}, not {expected}")

    # --- tasks: each is answered, or a person has been told why not [I1] ------------------------

    def _tasks(self) -> Iterator[Violation]:
        for (source_id, sink, generation), task in self.tables.tasks.items():
            if task["outcome"] not in {None, "deferred"}:
                continue
            told = [
                letter for letter in self.tables.dead_letters.values()
                if (letter["task_id"], letter["generation"]) == (task["task_id"], generation)
            ]  # fmt: skip
            if task["parked"] is None or not told:
                yield Violation("unanswered", f"{sink} never answered {source_id} in generation {generation}")

    # --- answers: on the topic, equal each time, and true [I2, I3] ------------------------------

    def _answers(self) -> Iterator[Violation]:
        first: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)  # as long as one may have been refused
        for place, receipt in self.answers:
            key = _key_of(receipt)
            self.receipts[key].append(receipt)
            sure = first[key] and not (self.clock_jumped and first[key][-1]["refused"])
            if _final(receipt) and not sure:
                first[key].append({**receipt, "refused": bool(self.letters.get(place))})
        for key, receipts in self.receipts.items():
            final = [
                {**one, "counts": tuple(sorted(one["counts"].items()))} for one in receipts
                if one["outcome"] != "deferred" and not one["detail"].startswith("forgotten")
            ]  # fmt: skip
            if any(one != final[0] for one in final) and final[0]["sink"] not in self.restored:
                yield Violation("receipts differ", f"of {key}")
        done: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        for _, _, sink, task_id, generation, _, outcome, *_ in self.world.history.of("effect"):
            done[sink, task_id, generation].add(outcome)
        for (source_id, sink, generation), task in self.tables.tasks.items():
            outcome, detail = task["outcome"], task["detail"] or ""
            if outcome is None or outcome == "deferred":
                continue
            if outcome == "failed" and detail.startswith("forgotten") and self.world.vault.destroyed:
                continue
            stands = [(one["outcome"], one["applied_at"]) for one in first[task["task_id"], generation]]
            if (outcome, task["applied_at"]) not in stands:
                yield Violation("second receipt", f"{outcome} of {source_id} at {sink} came after {stands}")
            if outcome not in done[sink, str(task["task_id"]), generation]:
                yield Violation(
                    "untrue", f"the ledger says {outcome} of {source_id} at {sink}, which did no such thing"
                )
        for topic, system in self.tasks_topics.items():
            for record in self.world.broker.records(topic):
                place = (topic, record.partition, record.offset)
                if place in self.at or self.letters.get(place):
                    continue
                task = self._decoded(record, "task")
                key = (task["task_id"], task["generation"])
                if not self.receipts.get(key) and (str(key[0]), key[1]) not in self.refused_tasks:
                    yield Violation("silence", f"{system.name} read {place} and said nothing")

    # --- effects: at most once, all of the old, nothing of the new [I2, I3] ---------------------

    def _effects(self) -> Iterator[Violation]:
        lives: dict[str, int] = defaultdict(int)
        seen: set[tuple[str, str, int, int]] = set()
        for event in self.world.history.events:
            if event[1] == "restored":
                lives[event[2]] += 1
            if event[1] != "effect":
                continue
            _, _, sink, task_id, generation, action, outcome, _, left, newer = event
            key = (sink, task_id, generation, lives[sink])
            if key in seen:
                yield Violation("twice", f"{sink} did {task_id} in generation {generation} a second time")
            seen.add(key)
            if action == "ERASE" and outcome in {"erased", "anonymised", "not_found"} and left:
                yield Violation("untrue", f"{sink} said {outcome} of {task_id}, and rows {left} are there")
            if newer:
                yield Violation("fence", f"{sink} touched rows {newer}, which are newer than the request")

    def _limits(self) -> Iterator[Violation]:
        """What is above a limit of its sink is done only after two people have released that very task."""
        released: set[tuple[str, str, int]] = set()
        for event in self.world.history.events:
            if event[1] == "released":
                released.add(event[2:5])
            if event[1] != "effect" or event[5] != "ERASE":
                continue
            sink, task_id, generation = event[2:5]
            source_id = self.source_of.get((sink, task_id))
            row = self.rows_of["request"].get(source_id or "")
            if row is None or row["subject_id"] not in self.world.targets[sink].above:
                continue
            if (sink, source_id, generation) not in released:
                yield Violation("limit", f"{sink} did {task_id}, which is above its limit")

    def _looks(self) -> Iterator[Violation]:
        """Nothing that stood there at a later look is verified by it: it is shown, and erased again."""
        for _, _, sink, look_id, truth in self.world.history.of("looked"):
            if UUID(look_id) not in self.tables.looks:
                if not self.clock_jumped and look_id in self.published_looks:
                    yield Violation("lost", f"a look of {sink} is not in the ledger")
                continue
            for request_id, generation, rows in truth:
                key = (UUID(request_id), sink, generation)
                said = self.tables.not_verified.get((*key, UUID(look_id)), {}).get("result")
                if rows and said != "found_again":
                    yield Violation("verified", f"{sink} verified {request_id}, and rows {rows} stood there")
                elif rows and (*key[:2], generation + 1) not in self.tables.tasks:
                    yield Violation("verified", f"nobody asked {sink} again for {request_id}")
                elif rows is None and said != "not_looked":
                    yield Violation("verified", f"{sink} verified {request_id} without looking")

    def _stands_unseen(self, sink: str, number: int, request_id: str) -> bool:
        """Whether a row came back after the last look for the person whose it is."""
        back = [at for at, event in self.came_back if event[2:4] == (sink, number)]
        looked = [
            at for at, event in self.looked
            if event[2] == sink and UUID(event[3]) in self.tables.looks
            and any(one == request_id and rows is not None for one, _, rows in event[4])
        ]  # fmt: skip
        return bool(back) and back[-1] > max(looked, default=-1)

    def _rows(self) -> Iterator[Violation]:
        """Of whoever was erased nothing old is left in the end, whatever backup was put back.

        But for what came back after the last look.
        """
        for request_id in self.tables.requests:
            told = self._standing("request", str(request_id))
            if told is None or told.get("right") != "ERASE":
                continue
            person = self.people.get((told["id"], told["subject"]), set())
            row = self.tables.requests[request_id]
            fence = min(row["requested_at"], row["appended_at"])
            for sink, said in self._generations(str(request_id)).items():
                if said[-1] not in {"erased", "anonymised", "not_found"}:
                    continue
                for row in self.world.targets[sink].rows:
                    if row.gone or row.created_at > fence or person.isdisjoint(row.identities.items()):
                        continue
                    if self._stands_unseen(sink, row.number, str(request_id)):
                        continue
                    yield Violation("untrue", f"{sink} holds row {row.number}, erased by {request_id}")

    # --- what others read is what is so -------------------------------------------------------

    def _told(self) -> Iterator[Violation]:
        on_topic = {
            str(self._decoded(record, "dead_letter")["dead_letter_id"])
            for record in self.world.broker.records(LETTERS)
        }
        for letter_id in sorted(on_topic - {str(known) for known in self.tables.dead_letters}):
            yield Violation("lost", f"dead letter {letter_id} is not in the ledger")
        statuses = self._by_key(STATUS)
        for request_id, row in self.tables.requests.items():
            records = statuses.get(str(request_id).encode(), [])
            said = [self._decoded(record, "request_status") for record in records]
            yield from self._told_last(
                f"request {request_id}",
                [(status["state"], status["answered"]) for status in said],
                (row["state"], row["answered"]),
            )
        words = self._by_key(CONSENT_STATE)
        for (handle, purpose), row in self.tables.consents.items():
            records = words.get(f"{handle}/{purpose}".encode(), [])
            yield from self._told_last(
                f"{purpose} of {handle}",
                [str(self._decoded(record, "consent_state")["event_id"]) for record in records],
                str(row["event_id"]),
            )

    def _by_key(self, topic: str) -> dict[bytes | None, list[Received]]:
        found: dict[bytes | None, list[Received]] = defaultdict(list)
        for record in self.world.broker.records(topic):
            found[record.key].append(record)
        return found

    def _told_last(self, of: str, said: list[Any], truth: Any) -> Iterator[Violation]:
        """The last word on a compacted topic is what is so."""
        if said and said[-1] == truth:
            return
        if not said:
            yield Violation("not told", f"nobody was told of {of}")
            return
        yield Violation("told otherwise", f"the last word of {of} is {said[-1]}; it is {truth}")

    # --- offsets [I11] ------------------------------------------------------------------------

    def _progress(self) -> Iterator[Violation]:
        for topic in (REQUESTS, CONSENTS, VERIFICATIONS, RECEIPTS, LETTERS, LOOKS):
            for number in range(self.world.broker.partitions(topic)):
                known = self.tables.progress.get((topic, number))
                handled = frozenset() if known is None else known["handled"]
                missing = set(range(self.world.broker.end(topic, number))) - handled
                if missing:
                    yield Violation("lost", f"{topic}[{number}] {sorted(missing)[:5]} was never handled")
        reread = sum(row["reread"] for row in self.tables.progress.values())
        if reread and not self.world.history.of("stream lost"):
            yield Violation("committed over", f"{reread} records that Faust had handed out")

    def _order(self) -> Iterator[Violation]:
        """When an offset was committed, what the record asks for was on its topic."""
        appended: dict[Place, int] = {}
        commits: list[tuple[int, str, str, int, int]] = []
        for index, event in enumerate(self.world.history.events):
            if event[1] == "appended":
                appended[event[3], event[4], event[5]] = index
            elif event[1] == "committed":
                commits.append((index, *event[2:]))
        answered = self._first(appended, [RECEIPTS], "receipt")
        sent = self._first(appended, self.tasks_topics, "task")
        refused: dict[Place, int] = {}
        for record in self.world.broker.records(LETTERS):
            letter = self._decoded(record, "dead_letter")
            place = (letter["topic"], letter["partition"], letter["offset"])
            index = appended[LETTERS, record.partition, record.offset]
            refused[place] = min(refused.get(place, index), index)
            if letter["task_id"] is not None:
                key = (letter["task_id"], letter["generation"])
                answered[key] = min(answered.get(key, index), index)
        records: dict[tuple[str, int], list[Received]] = defaultdict(list)
        for topic in (REQUESTS, *self.tasks_topics):
            for record in self.world.broker.records(topic):
                records[topic, record.partition].append(record)
        reached: dict[tuple[str, int], int] = defaultdict(int)
        for index, _, topic, number, offset in commits:
            for record in records.get((topic, number), [])[reached[topic, number] : offset]:
                place = (topic, number, record.offset)
                if (
                    refused.get(place, index) < index
                    or place in self.stream_lost
                    or (place in self.at and topic != REQUESTS)
                ):
                    continue
                if topic == REQUESTS:
                    item = self.at.get(place)
                    if item is None or item.what != "request" or item.told["waits"]:
                        continue
                    if item.told["id"] in self.held_once:
                        continue  # its tasks are sent when it starts
                    wanted = self._sent_for(place, item)
                    if any(sent.get(key, index + 1) > index for key in wanted):
                        yield Violation(
                            "acknowledged early", f"{place} was committed before its tasks were sent"
                        )
                else:
                    task = self._decoded(record, "task")
                    if answered.get((task["task_id"], task["generation"]), index + 1) > index:
                        yield Violation("acknowledged early", f"{place} was committed before it was answered")
            reached[topic, number] = max(reached[topic, number], offset)

    def _sent_for(self, place: Place, item: Item) -> list[Key]:
        """The first tasks of a request that stands at this place."""
        row = self.rows_of["request"].get(item.told["id"])
        if row is None or (row["source_partition"], row["source_offset"]) != place[1:]:
            return []
        return [
            (self.tables.tasks[key]["task_id"], 0)
            for key in self.keys_of.get(item.told["id"], ()) if key[2] == 0
        ]  # fmt: skip

    def _first(self, appended: Mapping[Place, int], topics: Iterable[str], schema: str) -> dict[Key, int]:
        first: dict[Key, int] = {}
        for topic in topics:
            for record in self.world.broker.records(topic):
                place = (topic, record.partition, record.offset)
                if place in self.at:
                    continue
                value = self._decoded(record, schema)
                key = (value["task_id"], value["generation"])
                first[key] = min(first.get(key, appended[place]), appended[place])
        return first

    def _decoded(self, record: Received, schema: str) -> Mapping[str, Any]:
        """A record's value as plain data, read without the codec."""
        assert record.value is not None
        known = self._read.get((record.value, schema))
        if known is None:
            value: Any = schemaless_reader(io.BytesIO(record.value[5:]), schema_of(schema), None)
            known = self._read[record.value, schema] = value
        return known

    # --- who may know what [I4, I5] -------------------------------------------------------------

    def _regions(self) -> Iterator[Violation]:
        for _, _, process, region, source_id in self.world.history.of("opened"):
            system = self.systems[process.split("/")[0].removeprefix("sink.")]
            if system.region != region:
                yield Violation("region", f"{process} opened a box of {region}, of {source_id}")

    def _leaks(self) -> Iterator[Violation]:
        for topic in self.world.topics:
            for record in self.world.broker.records(topic.name):
                if PLANTED in (record.value or b"") or PLANTED in (record.key or b""):
                    yield Violation(
                        "leak", f"an identity is at {topic.name}[{record.partition}]@{record.offset}"
                    )
                if any(PLANTED in (value or b"") for _, value in record.headers):
                    yield Violation("leak", f"an identity is in a header of {topic.name}")
        if any(PLANTED.decode() in line for line in self.world.history.logs):
            yield Violation("leak", "an identity is in a log line")
        # Most of the ledger's rows are made of what is on the topics: every tenth world is enough.
        if self.world.seed % 10 == 0 and PLANTED.decode() in repr(vars(self.tables)):
            yield Violation("leak", "an identity is in the ledger")


def _identity(item: Item) -> tuple[str, bytes, bytes | None, Any]:
    return (item.record.topic, item.record.key, item.record.value, item.record.headers)


def _key_of(receipt: Mapping[str, Any]) -> Key:
    return receipt["task_id"], receipt["generation"]


def _final(receipt: Mapping[str, Any]) -> bool:
    return receipt["outcome"] != "deferred"


def _content(told: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(
        told.get(name)
        for name in (
            "right", "subject", "handles", "regions", "purposes", "demands", "purpose", "decision",
            "occurred_at",
        )
    )  # fmt: skip


def _text(instant: datetime) -> str:
    """An instant as a text whose order is that of time."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def _said(generations: list[str | None]) -> str | None:
    """The newest word; one that finds nobody does not undo what was done before."""
    if generations[-1] != "not_found":
        return generations[-1]
    effects = [outcome for outcome in generations if outcome not in SAYS_NOTHING_DONE]
    return effects[-1] if effects else "not_found"


def _state(right: str, outcomes: Iterable[str | None]) -> str:
    said = set(outcomes)
    if None in said or "deferred" in said:
        return "in_progress"
    if not said or said == {"not_found"}:
        return "not_applicable"
    said.discard("not_found")
    if said <= DONE[right]:
        return "fulfilled"
    return "partially_fulfilled" if said & (DONE[right] | PARTLY) else "unfulfilled"
