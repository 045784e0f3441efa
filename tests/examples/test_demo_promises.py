"""Each promise of the demo is kept where all went well, and goes red when it is broken on purpose.

A check that cannot fail proves nothing.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from examples.demo_world import (
    T0,
    World,
    change_row,
    key_of,
    perfect_world,
    set_row,
    with_findings,
    with_story,
)

from demo import promises
from demo.evidence import LetterRow
from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from shop.leaks import Leak

Break = Callable[[World], World]
LEAK = Leak(where="00000.log", what="email of person 7 as base64", offset=12)


@pytest.fixture(scope="module")
def world() -> World:
    return perfect_world()


def test_where_all_went_well_every_promise_is_kept(world: World) -> None:
    judged = promises.judge(world.story, world.findings)
    assert [promise.evidence for promise in judged if not promise.kept] == []
    assert len(judged) == len(promises.CHECKS)


def _replace_task(world: World, index: int, **changes: object) -> World:
    tasks = list(world.findings.tasks)
    tasks[index] = replace(tasks[index], **changes)  # type: ignore[arg-type]
    return with_findings(world, tasks=tasks)


def _leaver_row_stays(world: World) -> World:
    key = key_of(world, "crm", "customers", world.story.cast.heavy)
    return set_row(world, "crm", "customers", key, world.story.before["crm"]["customers"][key])


def _ticket_still_has_a_body(world: World) -> World:
    return change_row(
        world, "crm", "tickets", key_of(world, "crm", "tickets", world.story.cast.heavy), body="x"
    )


def _kept_order_changes(world: World) -> World:
    key = key_of(world, "store-cn", "orders", world.story.cast.heavy)
    return change_row(world, "store-cn", "orders", key, total_cents=-1)


def _message_still_names_its_recipient(world: World) -> World:
    return _message_to_a_leaver(world)


def _message_to_a_leaver_changes(world: World) -> World:
    return _message_to_a_leaver(world, recipient_id=None, body="x")


def _message_to_a_leaver_goes(world: World) -> World:
    return _message_to_a_leaver(world, gone=True)


def _message_to_a_leaver(world: World, *, gone: bool = False, **columns: Any) -> World:
    """What somebody who stays wrote to somebody who left: as it was, but for some columns."""
    messages = world.story.plan.tables["store-cn"]["messages"]
    heavy = world.story.cast.heavy.number
    key = next(key for key, named in messages.named.items() if named == heavy)
    row = json.loads(world.story.before["store-cn"]["messages"][key]) | columns
    content = None if gone else json.dumps(row, ensure_ascii=False)
    return set_row(world, "store-cn", "messages", key, content)


def _search_finds_a_leaver(world: World) -> World:
    return with_findings(world, named={**world.findings.named, "analytics": {"visitors": 1}})


def _journal_names_a_leaver(world: World) -> World:
    return with_findings(world, traces={**world.findings.traces, "crm": [LEAK]})


def _bystander_row_changes(world: World) -> World:
    key = key_of(world, "crm", "customers", world.story.cast.bystanders[0])
    return change_row(world, "crm", "customers", key, name="x")


def _bystander_row_goes(world: World) -> World:
    return set_row(
        world,
        "store-sg",
        "sessions",
        key_of(world, "store-sg", "sessions", world.story.cast.consenting[0]),
        None,
    )


def _consenting_row_changes_elsewhere(world: World) -> World:
    key = key_of(world, "crm", "customers", world.story.cast.consenting[0])
    return change_row(world, "crm", "customers", key, phone="x")


def _a_row_comes_from_nowhere(world: World) -> World:
    return set_row(world, "crm", "contacts", "999", "{}")


def _sharer_loses_address(world: World) -> World:
    return set_row(world, "crm", "addresses", _shared_address(world), None)


def _shared_address(world: World, *, both_leave: bool = False) -> str:
    pair = world.story.cast.couples[0] if both_leave else world.story.cast.pairs[0]
    numbers = {person.number for person in pair}
    owners = world.story.plan.tables["crm"]["addresses"].owners
    return next(key for key, mine in owners.items() if set(mine) == numbers)


def _empty_home_stays(world: World) -> World:
    key = _shared_address(world, both_leave=True)
    return set_row(world, "crm", "addresses", key, world.story.before["crm"]["addresses"][key])


def _receipt_is_missing(world: World) -> World:
    return with_findings(world, receipts=world.findings.receipts[1:])


def _two_receipts_differ(world: World) -> World:
    other = replace(world.findings.receipts[0], outcome=Outcome.ANONYMISED)
    return with_findings(world, receipts=[*world.findings.receipts, other])


def _receipt_is_not_final(world: World) -> World:
    first, *rest = world.findings.receipts
    return with_findings(world, receipts=[replace(first, outcome=Outcome.DEFERRED), *rest])


def _ledger_disagrees(world: World) -> World:
    return _replace_task(world, 0, outcome=Outcome.RETAINED)


def _receipt_lies(world: World) -> World:
    """Somebody was there, and the sink says not_found."""
    first, *rest = world.findings.receipts
    world = with_findings(world, receipts=[replace(first, outcome=Outcome.NOT_FOUND), *rest])
    return _replace_task(world, 0, outcome=Outcome.NOT_FOUND)


def _request_stays_open(world: World) -> World:
    first, *rest = world.findings.requests
    return with_findings(world, requests=[replace(first, state=RequestState.IN_PROGRESS), *rest])


def _request_is_lost(world: World) -> World:
    return with_findings(world, requests=world.findings.requests[1:])


def _stranger_is_told_otherwise(world: World) -> World:
    strangers = {one for one, person in world.story.asked.items() if person in world.story.cast.nowhere}
    requests = [
        replace(row, state=RequestState.FULFILLED) if row.request_id in strangers else row
        for row in world.findings.requests
    ]
    return with_findings(world, requests=requests)


def _journal_remembers_twice(world: World) -> World:
    journal = dict(world.findings.journals["crm"])
    journal[next(iter(journal))] = 2
    return with_findings(world, journals={**world.findings.journals, "crm": journal})


def _journal_lacks_a_task(world: World) -> World:
    journal = dict(list(world.findings.journals["analytics"].items())[1:])
    return with_findings(world, journals={**world.findings.journals, "analytics": journal})


def _receipts_count_too_much(world: World) -> World:
    index = next(i for i, task in enumerate(world.findings.tasks) if task.counts)
    counts = world.findings.tasks[index].counts
    return _replace_task(world, index, counts={place: count + 1 for place, count in counts.items()})


def _request_is_there_twice(world: World) -> World:
    return with_findings(world, requests=[*world.findings.requests, world.findings.requests[0]])


def _new_life_is_erased(world: World) -> World:
    new = world.story.new_rows[0]
    return set_row(world, new.system, new.table, new.key, None)


def _new_life_is_changed(world: World) -> World:
    new = world.story.new_rows[0]
    return set_row(world, new.system, new.table, new.key, "{}")


def _new_lives_begin_too_late(world: World) -> World:
    late = [replace(new, written_at=T0 + timedelta(hours=1)) for new in world.story.new_rows]
    return with_story(world, new_rows=late)


def _nobody_signs_up_again(world: World) -> World:
    return with_story(world, new_rows=world.story.new_rows[:3])


def _an_older_word_stands(world: World) -> World:
    person = world.story.cast.consenting[0]
    last = max(
        (said for said in world.story.consents if (said.person, said.purpose) == (person, "analytics")),
        key=lambda said: said.order,
    )
    key = key_of(world, "analytics", "visitors", person)
    return change_row(world, "analytics", "visitors", key, tracking_allowed=not last.granted)


def _words_come_in_order(world: World) -> World:
    return with_story(world, consents=sorted(world.story.consents, key=lambda said: said.order))


def _garbage_is_passed_over(world: World) -> World:
    return with_findings(world, letters=[])


def _another_record_dies(world: World) -> World:
    strange = LetterRow(topic="olvido.tasks.crm.v1", cause="CANNOT_OPEN", sha256=b"\2" * 32)
    return with_findings(world, letters=[*world.findings.letters, strange])


def _outage(world: World, **changes: int) -> World:
    assert world.story.outage is not None
    return with_story(world, outage=replace(world.story.outage, **changes))


def _kill(world: World, **changes: object) -> World:
    first, *rest = world.story.kills
    return with_story(world, kills=[replace(first, **changes), *rest])  # type: ignore[arg-type]


def _scan(world: World, **changes: object) -> World:
    first, *rest = world.findings.scans
    return with_findings(world, scans=[replace(first, **changes), *rest])  # type: ignore[arg-type]


BROKEN: list[tuple[promises.Check, Break]] = [
    (promises.gone, _leaver_row_stays),
    (promises.gone, _ticket_still_has_a_body),
    (promises.gone, _kept_order_changes),
    (promises.gone, _message_still_names_its_recipient),
    (promises.gone, _search_finds_a_leaver),
    (promises.gone, _journal_names_a_leaver),
    (promises.others, _bystander_row_changes),
    (promises.others, _bystander_row_goes),
    (promises.others, _consenting_row_changes_elsewhere),
    (promises.others, _a_row_comes_from_nowhere),
    (promises.others, _sharer_loses_address),
    (promises.others, _message_to_a_leaver_changes),
    (promises.others, _message_to_a_leaver_goes),
    (promises.receipts, _receipt_is_missing),
    (promises.receipts, _two_receipts_differ),
    (promises.receipts, _receipt_is_not_final),
    (promises.receipts, _ledger_disagrees),
    (promises.receipts, _receipt_lies),
    (promises.receipts, _request_stays_open),
    (promises.receipts, _request_is_lost),
    (promises.nowhere, _stranger_is_told_otherwise),
    (promises.once, _journal_remembers_twice),
    (promises.once, _journal_lacks_a_task),
    (promises.once, _receipts_count_too_much),
    (promises.once, _request_is_there_twice),
    (promises.new_lives, _new_life_is_erased),
    (promises.new_lives, _new_life_is_changed),
    (promises.new_lives, _new_lives_begin_too_late),
    (promises.new_lives, _nobody_signs_up_again),
    (promises.addresses, _sharer_loses_address),
    (promises.addresses, _empty_home_stays),
    (promises.consents, _an_older_word_stands),
    (promises.consents, _words_come_in_order),
    (promises.unreadable, _garbage_is_passed_over),
    (promises.unreadable, _another_record_dies),
    (promises.outage, lambda world: with_story(world, outage=None)),
    (promises.outage, lambda world: _outage(world, answered=1)),
    (promises.outage, lambda world: _outage(world, answered_by_others=10)),
    (promises.outage, lambda world: _replace_task(world, 1, outcome=None)),  # the second sink is marketing
    (promises.kills, lambda world: _kill(world, waiting=0)),
    (promises.kills, lambda world: _kill(world, pid_after=None)),
    (promises.kills, lambda world: _kill(world, pid_after=1)),
    (promises.kills, lambda world: with_story(world, kills=world.story.kills[:1])),
    (promises.kills, lambda world: _replace_task(world, 0, outcome=None)),
    (promises.silence, lambda world: _scan(world, leaks=(LEAK,))),
    (promises.silence, lambda world: _scan(world, size=0)),
    (promises.silence, lambda world: _scan(world, unread=("a batch packed by codec 7",))),
    (promises.silence, lambda world: with_findings(world, planted_found=83)),
    (promises.silence, lambda world: with_findings(world, planted=0, planted_found=0)),
]


@pytest.mark.parametrize(("check", "break_"), BROKEN)
def test_a_promise_that_is_broken_goes_red(world: World, check: promises.Check, break_: Break) -> None:
    broken = break_(world)
    assert check(world.story, world.findings).kept
    assert not check(broken.story, broken.findings).kept


def test_every_promise_is_broken_by_some_test() -> None:
    assert {check for check, _ in BROKEN} == set(promises.CHECKS)


def test_a_broken_promise_says_what_is_wrong_and_names_nobody(world: World) -> None:
    broken = _leaver_row_stays(world)
    evidence = promises.gone(broken.story, broken.findings).evidence
    heavy = world.story.cast.heavy
    assert "crm.customers" in evidence
    assert heavy.customer_id not in evidence
    assert heavy.email not in evidence
