"""The story of a request: what happened in which order, and a drawing that fits the terminal."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from values import NOW

from olvido.operators.cli import output
from olvido.operators.cli.timeline import Moment, draw, moments_of, rows_of
from olvido.operators.desk.requests import Letter, LookView, Request, Story, TaskView, VerificationView


def after(seconds: float):
    return NOW + timedelta(seconds=seconds)


def a_task(sink: str, **changes):
    task = TaskView(
        sink=sink, action="ERASE", generation=0, task_id=UUID(int=1), outcome="erased",
        counts={"customers": 1}, attempts=1, parked=None, sent_at=after(1), due_at=after(60),
        applied_at=after(3), read_back_at=after(3), verified_at=None,
    )  # fmt: skip
    return replace(task, **changes)


LONG = "a-sink-with-a-name-as-long-as-names-may-b"
REQUEST = Request(
    request_id=UUID(int=2), right="ERASE", subject_id="h1_x", state="fulfilled", tasks=4, answered=3,
    requested_at=NOW, appended_at=after(0.2), late=False, received_at=after(1), finished_at=after(700),
    due_at=after(30 * 86_400), due_by="gdpr", due_provisional=False,
    jurisdiction=None, extended_at=None, identity_verified_at=None,
)  # fmt: skip
STORY = Story(
    request=REQUEST,
    verifications=(VerificationView(method="email_link", verified_at=after(0.5)),),
    tasks=(
        a_task("crm", verified_at=after(606)),
        a_task("store-cn", outcome="retained", counts={"orders": 2}, read_back_at=None),
        a_task(LONG, attempts=3, sent_at=after(500), applied_at=after(600)),
        a_task("crm", generation=1, operation="restore", operation_name="restore-crm-1",
               operation_at=after(650), sent_at=after(655), applied_at=after(660)),
        a_task("crm", generation=2, attempts=2, outcome=None, sent_at=after(680), applied_at=None),
        a_task("marketing", outcome=None, applied_at=None, parked="REFUSED_BY_TARGET"),
    ),
    looks=(
        LookView(sink="store-cn", generation=0, after_s=600, looked_at=after(605), result=None),
        LookView(sink="crm", generation=0, after_s=600, looked_at=after(606), result=None),
        LookView(sink="crm", generation=1, after_s=0, looked_at=after(670), result="found_again"),
    ),
    dead_letters=(
        Letter(sink="marketing", cause="REFUSED_BY_TARGET", failed_at=after(2), state="open",
               decided_at=None, attempts=1),
    ),
)  # fmt: skip


def test_a_story_is_told_in_the_order_in_which_it_happened():
    moments = moments_of(STORY)
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    assert [(moment.sink, moment.what) for moment in moments] == [
        (None, "asked for: ERASE"),
        (None, "verified that it is this person (email_link)"),
        (None, "received here"),
        (None, "sent to crm, store-cn, marketing"),
        ("marketing", "refused: REFUSED_BY_TARGET, a dead letter"),
        ("crm", "erased (customers 1), read back"),
        ("store-cn", "retained (orders 2)"),
        (LONG, "sent, for the last time (3 times so far)"),
        (LONG, "erased (customers 1), read back"),
        ("store-cn", "looked again after 10 min: nothing"),
        ("crm", "looked again after 10 min: nothing"),
        ("crm", "asked again by restore restore-crm-1"),
        ("crm", "sent"),
        ("crm", "erased (customers 1), generation 1, read back"),
        ("crm", "looked again: found again, and asked for again"),
        ("crm", "sent"),
        (None, "finished: fulfilled"),
    ]


def test_each_moment_says_how_long_after_the_one_before_it_was():
    told = rows_of([Moment(at=NOW, what="a"), Moment(at=after(5), what="b", sink="crm")])
    assert told == [
        {"at": NOW, "after": None, "sink": None, "what": "a"},
        {"at": after(5), "after": timedelta(seconds=5), "sink": "crm", "what": "b"},
    ]


@pytest.mark.parametrize("width", [80, 200])
def test_the_drawing_fits_the_terminal_and_loses_nothing(capsys, monkeypatch, width: int):
    monkeypatch.setattr(output.console, "_width", width)
    draw(STORY, now=after(900))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    told = " ".join(" ".join(lines).split())
    for word in ("received here", "restore-crm-1", "generation 1", "parked (REFUSED_BY_TARGET)", "retained"):
        assert word in told


def test_a_request_that_nobody_has_seen_to_yet_is_drawn_as_well(capsys):
    waiting = replace(REQUEST, state="identity_pending", finished_at=None)
    draw(Story(request=waiting, verifications=(), tasks=(), looks=(), dead_letters=()), now=after(9))
    assert "received here" in capsys.readouterr().out


def test_a_request_that_came_late_says_when_the_broker_took_it():
    late = replace(STORY, request=replace(REQUEST, appended_at=after(0.7), late=True))
    moments = [moment.what for moment in moments_of(late)]
    assert moments.index("taken by the broker, late") < moments.index("received here")
    assert "taken by the broker, late" not in [moment.what for moment in moments_of(STORY)]
