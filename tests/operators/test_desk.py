"""The desk without a terminal: values in, values out, by the real ledger."""

import os
import pwd
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest
from conftest import PROJECT
from key_files import UNSIGNED
from values import CATALOGUE, NOW, a_change, a_handle, an_erasure, an_id, received

from olvido.broker.reading import Read
from olvido.core.acts import Verb
from olvido.core.catalogue import Catalogue
from olvido.core.causes import Cause
from olvido.core.errors import InvalidInput
from olvido.core.events import Verified
from olvido.core.law.deadlines import deadlines
from olvido.core.rights.names import Right
from olvido.core.subject import IdentityKind
from olvido.ledger.acts import Acts
from olvido.ledger.connection import Database
from olvido.operators.cli import timeline
from olvido.operators.desk import audit, doctor, health, keys, law, people, requests, sinks
from olvido.operators.desk.acts import new_act
from olvido.operators.desk.dead_letters import Chosen
from olvido.operators.desk.faults import NotAllowed, NotThere
from olvido.processors import consents
from olvido.processors import requests as processor
from olvido.schemas.codec import avro_text
from olvido.schemas.settings.deployment import Deployment, LawSection

AS_TOLD = doctor.FindingRemedy.AS_TOLD  # another room's words
MINUTE = timedelta(minutes=1)
ERASES = {"crm", "marketing"}  # the sinks of CATALOGUE that an erasure concerns


@pytest.fixture
def declared(ledger, ledger_dsn: str, monkeypatch, tmp_path: Path) -> Deployment:
    """A deployment in a folder of its own, with keys and an empty ledger."""
    shutil.copy(PROJECT / "olvido.toml", tmp_path)
    monkeypatch.setenv("OLVIDO_CONFIG", str(tmp_path / "olvido.toml"))
    monkeypatch.setenv("OLVIDO_LEDGER__DSN", ledger_dsn)
    found = Deployment.load(tmp_path / "olvido.toml")
    keys.create(found, tmp_path)
    return found


def ask(ledger, number: int, *, event: str = "", catalogue: Catalogue = CATALOGUE, **changes) -> None:
    """The n-th request, as the processors keep it; its stored event holds a text."""
    place = received(number, value=avro_text(event) if event else b"event")
    known = processor.KnownRequests(requests={}, verifications={})
    output = processor.step([Read(an_erasure(number, **changes), place)], known, catalogue, UNSIGNED, NOW)
    rows = output.new_tasks
    ledger.requests.save(output.rows, rows, topic="olvido.requests.v1", now=NOW, due_after=MINUTE)


def found(declared: Deployment, **which) -> list:
    filter_ = requests.Filter(**which)
    return [one.request_id for one in requests.find(declared, filter_, now=NOW, limit=10)]


def test_a_persons_requests_are_found_by_any_of_their_handles_and_nobody_elses(declared, ledger):
    customer, ana = people.handles_of(declared, {"email": "Ana@example.es", "customer_id": "C-1"})
    assert (ana.kind, customer.kind) == (IdentityKind.EMAIL, IdentityKind.CUSTOMER_ID)
    ask(ledger, 1)  # somebody else's
    ask(ledger, 2, event=ana.value)  # known by her customer id first, with the address beside it
    ask(ledger, 3, event=ana.value + "x")  # a longer text that begins with hers
    assert found(declared, handles=people.handles_of(declared, {"email": "ana@EXAMPLE.es"})) == [an_id(2)]
    assert found(declared, handles=(customer,)) == []
    assert found(declared, subject=a_handle(1).value) == [an_id(1)]
    with pytest.raises(InvalidInput, match=r"subject: .*never an identity"):
        found(declared, subject="ana@example.es")


def test_who_acts_is_the_login_and_what_the_environment_says_is_a_note(monkeypatch):
    """Or whoever can act could act in the name of somebody else."""
    login = pwd.getpwuid(os.getuid()).pw_name
    for name in ("LOGNAME", "USER", "OLVIDO_OPERATOR"):
        monkeypatch.setenv(name, "somebody-else")
    act = new_act(Verb.DISCARD, "T-1", letters=2)
    assert (act.who, act.details) == (
        f"{login}@{socket.gethostname()}", {"letters": 2, "operator": "somebody-else"},
    )  # fmt: skip


def test_acts_are_shown_as_they_were_recorded_newest_first(declared, ledger):
    acts = [new_act(Verb.DISCARD, "T-1", letters=2), new_act(Verb.REVEAL, "T-2", topic="requests")]
    for act in acts:
        Acts(ledger.database).record(act)
    every = {"verb": None, "who": None, "since": None, "limit": 9}
    assert audit.newest(declared, **every) == acts[::-1]
    assert audit.newest(declared, **{**every, "verb": Verb.DISCARD}) == acts[:1]


def test_what_health_finds_has_a_remedy_and_names_no_command(declared, monkeypatch):
    """The ledger is there; broker, registry and targets are not."""
    for name, section in declared.sinks.items():
        for key in {"dsn", "url", "file"} & section.own.keys():
            monkeypatch.setenv(section.own[key]["env"], f"http://127.0.0.1:1/{name}")
    monkeypatch.setenv("OLVIDO_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("OLVIDO_REGISTRY__URL", "http://127.0.0.1:1")
    findings = doctor.examine(Path(os.environ["OLVIDO_CONFIG"]).parent)
    assert [one for one in findings if one.remedy is None] != []
    assert doctor.FindingRemedy.START_PART in {one.remedy for one in findings}
    said = [one.text for one in findings] + [one.about for one in findings if one.remedy is not AS_TOLD]
    assert [text for text in said if re.search(r"\bolvido [a-z]", text)] == []


def test_a_request_is_found_by_how_long_it_is_open(declared, ledger):
    ask(ledger, 1, requested_at=NOW - timedelta(days=3))
    ask(ledger, 2, requested_at=NOW - timedelta(days=1))
    assert found(declared, open_for=timedelta(days=2)) == [an_id(1)]


def test_a_request_is_found_by_when_it_is_due_and_shown_with_what_each_law_says(declared, ledger):
    ask(ledger, 1)
    [one] = requests.find(declared, requests.Filter(), now=NOW, limit=9)
    assert one.due_at is not None
    assert not one.overdue
    inside = requests.Filter(due_in=one.due_at - NOW)
    outside = requests.Filter(due_in=one.due_at - NOW - timedelta(microseconds=1))
    assert requests.find(declared, inside, now=NOW, limit=9) == [one]
    assert requests.find(declared, outside, now=NOW, limit=9) == []
    assert requests.find(declared, requests.Filter(overdue=True), now=NOW, limit=9) == []
    [late] = requests.find(declared, requests.Filter(overdue=True), now=one.due_at, limit=9)
    assert late.overdue

    shown = requests.show(declared, an_id(1))
    assert [day.law for day in shown.deadlines if day.certainty == "sure"] == ["gdpr"]
    assert {day.law for day in shown.deadlines} == {"gdpr", "pipl"}  # Singapore has no right to erasure
    assert [day.due_at for day in shown.deadlines] == sorted(day.due_at for day in shown.deadlines)


def test_an_extension_is_recorded_once_and_the_day_of_the_laws_stands(declared, ledger, ledger_dsn):
    ask(ledger, 1, requested_at=NOW, catalogue=declared.catalogue, jurisdiction="ES")
    before = requests.show(declared, an_id(1)).request
    due = law.extend(declared, an_id(1), "OPS-17: three archives", now=NOW)
    place = declared.catalogue.law_of("ES")
    [expected] = deadlines(place, Right.ERASE, place.day_of(NOW), extended=True)
    after = requests.show(declared, an_id(1)).request
    assert (due.at, due.by) == (expected.due_at, "gdpr") == (after.due_at, after.due_by)
    assert before.due_at < after.due_at
    assert before.extended_at is None
    assert after.extended_at is not None
    [act] = Acts(Database(ledger_dsn, application="tests")).newest(verb=Verb.EXTEND)
    assert (act["reason"], act["details"]["request_id"]) == ("OPS-17: three archives", str(an_id(1)))
    with pytest.raises(NotAllowed, match="was extended on"):
        law.extend(declared, an_id(1), "OPS-17", now=NOW)
    assert len(Acts(Database(ledger_dsn, application="tests")).newest(verb=Verb.EXTEND)) == 1
    moments = [moment.what for moment in timeline.moments_of(requests.story(declared, an_id(1)))]
    assert [what for what in moments if what.startswith("extended: to be answered by")]


def test_an_extension_that_no_law_allows_or_that_comes_too_late_changes_nothing(declared, ledger, ledger_dsn):
    ask(ledger, 1, requested_at=NOW, catalogue=declared.catalogue)  # all laws count, China's too
    ask(ledger, 2, requested_at=NOW - timedelta(days=90), catalogue=declared.catalogue, jurisdiction="ES")
    before = [requests.show(declared, an_id(number)).request for number in (1, 2)]
    with pytest.raises(NotAllowed, match=r"pipl.* allows no extension"):
        law.extend(declared, an_id(1), "OPS-17", now=NOW)
    with pytest.raises(NotAllowed, match="before the last day is over"):
        law.extend(declared, an_id(2), "OPS-17", now=NOW)
    with pytest.raises(NotThere):
        law.extend(declared, an_id(3), "OPS-17", now=NOW)
    with pytest.raises(InvalidInput, match="reason"):
        law.extend(declared, an_id(1), " ", now=NOW)
    assert [requests.show(declared, an_id(number)).request for number in (1, 2)] == before
    assert Acts(Database(ledger_dsn, application="tests")).newest(verb=Verb.EXTEND) == []


def test_whoever_was_verified_before_asking_has_a_clock_that_runs_and_can_be_extended(declared, ledger):
    """What upstream said of it stands in the event alone, and not among the verifications."""
    british = declared.model_copy(update={"law": LawSection(regimes=("uk",))})
    proof = Verified(method="id_document", verified_at=NOW - timedelta(minutes=2))
    ask(ledger, 1, requested_at=NOW, catalogue=replace(CATALOGUE, jurisdiction=british.law.jurisdiction),
        verified=proof)  # fmt: skip
    shown = requests.show(british, an_id(1))
    assert shown.request.identity_verified_at == proof.verified_at
    assert [(day.law, day.due_at) for day in shown.deadlines if day.kind == "answer"] == [
        ("uk", shown.request.due_at)
    ]
    later = law.extend(british, an_id(1), "OPS-17", now=NOW)
    assert later.at > shown.request.due_at


def test_laws_are_listed_with_those_that_apply_first_and_one_that_there_is_not_has_a_neighbour(declared):
    listed = law.regimes(declared)
    assert [one.code for one in listed if one.applies] == ["es", "gdpr", "pdpa", "pipl"]
    assert [one.applies for one in listed] == sorted((one.applies for one in listed), reverse=True)
    assert law.regime("mx").title.startswith("Mexico")
    with pytest.raises(NotThere, match="gdpr"):
        law.regime("gdrp")


@pytest.mark.parametrize(
    ("which", "says"),
    [
        ({"right": "ERAZE"}, "right: .*did you mean 'ERASE'"),
        ({"sink": "crn"}, "sink: .*did you mean 'crm'"),
        ({"outcome": "erazed"}, "outcome: .*did you mean 'erased'"),
    ],
)
def test_a_filter_that_there_is_not_is_named_as_a_field_and_not_as_an_option(declared, which, says):
    with pytest.raises(InvalidInput, match=f"^{says}"):
        found(declared, **which)


def test_a_request_is_shown_with_its_tasks_and_counts_where_it_was_verified(declared, ledger):
    ask(ledger, 1)
    shown = requests.show(declared, an_id(1))
    assert (shown.request.right, shown.request.state) == ("ERASE", "in_progress")
    assert {task.sink for task in shown.tasks} == ERASES
    assert (shown.verified, len(shown.latest)) == (0, len(shown.tasks))
    assert requests.story(declared, an_id(1)).request == shown.request
    with pytest.raises(NotThere, match="there is no request"):
        requests.show(declared, uuid4())


def test_what_stands_about_a_persons_consents_is_found_by_their_handles(declared, ledger):
    changes = [Read(a_change(1), received(1)), Read(a_change(2, person=2), received(2))]
    output = consents.step(changes, consents.KnownConsents(changes={}, states={}), CATALOGUE, UNSIGNED, NOW)
    tasks = output.new_tasks
    ledger.consents.save(
        output.rows, output.states, tasks, topic="olvido.consents.v1", now=NOW, due_after=MINUTE
    )
    [one] = people.consents_of(declared, (a_handle(1),))
    assert (one.identity, one.purpose, one.decision) == ("email", "marketing", "WITHDRAWN")
    assert people.consents_of(declared, (a_handle(3),)) == []


def test_every_sink_is_a_row_and_one_that_was_never_asked_may_join_late(declared, ledger):
    assert {one.joins_late for one in sinks.rows(declared)} == {False}  # nothing was asked of anybody
    ask(ledger, 1)
    rows = {one.sink: one for one in sinks.rows(declared)}
    assert list(rows)[: len(declared.sinks)] == list(declared.sinks)
    assert {name for name, one in rows.items() if one.joins_late} == set(declared.sinks) - ERASES
    assert {rows[name].open for name in ERASES} == {1}


def test_dead_letters_are_chosen_by_their_ids_or_by_what_they_have_in_common():
    with pytest.raises(InvalidInput, match="not both"):
        Chosen(ids=(an_id(1),), cause=Cause.TRUNCATED)
    with pytest.raises(InvalidInput, match=r"^every: "):
        Chosen(cause=Cause.TRUNCATED, every=True)
    assert [Chosen(ids=(an_id(1),)).name, Chosen(every=True).name, Chosen(topic="tasks.crm").name] == [
        None, "all", "tasks.crm",
    ]  # fmt: skip


@pytest.mark.parametrize(("reason", "says"), [(" ", "is empty"), ("for ana@example.es", "name no person")])
def test_an_act_needs_a_reason_that_may_be_kept_for_ever(reason: str, says: str):
    with pytest.raises(InvalidInput, match=f"^reason: .*{says}"):
        new_act(Verb.REDRIVE, reason)


@contextmanager
def serving(code: int, body: str) -> Iterator[str]:
    """A process that says of itself whether it is ready."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/readyz"
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "body", "why"),
    [(200, "ready\n", ""), (503, "target: does not answer\n", "target: does not answer"), (404, "no", "")],
)
def test_a_process_is_asked_itself_whether_it_is_ready(code: int, body: str, why: str):
    with serving(code, body) as address:
        assert health.why_not_ready(address) == why


def test_a_process_that_takes_a_connection_and_says_nothing_stands_still(monkeypatch):
    monkeypatch.setattr(health, "READY_S_MAX", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert health.why_not_ready(address) == health.NO_ANSWER
    # Nothing listens there any more: that it does not run is told by its state.
    assert health.why_not_ready(address) == ""
