"""What the demo shows: marks and words, within 80 columns, with and without colours; and its times."""

import io
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from rich.console import Console

from demo.evidence import Promise, RequestRow, TaskRow
from demo.timing import timing_of
from demo.view import View
from demo.watch import Reading, SinkReading, Watch
from olvido.core.lifecycle import RequestState
from olvido.core.outcomes import Outcome
from shop.people import SYSTEMS

T0 = datetime(2026, 11, 23, 12, tzinfo=UTC)
LONG = "the evidence of a promise may well be longer than a line of eighty columns, and is folded then"
PROMISES = [
    Promise(text="Who asked to be forgotten is gone", kept=True, evidence=LONG),
    Promise(text="Nothing was applied twice", kept=False, evidence="crm remembers 3 tasks of 2"),
]


class StillWatch(Watch):
    """A watch that stands still at one reading."""

    def __init__(self, reading: Reading) -> None:
        self.last = reading
        self.began_at = 0.0


@pytest.fixture(params=[False, True], ids=["pipe", "terminal"])
def console(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("COLORTERM", raising=False)
    return Console(
        file=io.StringIO(), width=80, force_terminal=request.param, highlight=False, color_system="standard"
    )


def _shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_promises_have_a_mark_and_a_word_in_eighty_columns(console: Console) -> None:
    view = View(console)
    view.promises(PROMISES)
    view.verdict(PROMISES)
    shown = _shown(console)
    assert "kept   Who asked" in shown or "kept" in shown
    assert "BROKEN" in shown
    assert "1 of 2 promises kept" in shown
    assert "\x1b[3" not in shown  # no colour


def test_everything_fits_in_eighty_columns() -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    view = View(console)
    view.tell(LONG, at_s=123.4)
    view.promises(PROMISES)
    view.times(timing_of([], []))
    view.next({"olvido requests list": LONG})
    busy = SinkReading(
        planned=12_345, sent_again=123, outcomes={Outcome.ERASED: 12_000, Outcome.NOT_FOUND: 345}
    )
    with view.watching(StillWatch(Reading(sinks=dict.fromkeys(SYSTEMS, busy))), expected=61_725):
        pass
    assert max(map(len, _shown(console).splitlines())) <= 80


def test_the_live_table_shows_each_sink(console: Console) -> None:
    reading = Reading(sinks={"crm": SinkReading(planned=7, outcomes={Outcome.ERASED: 5})}, requests=7)
    with View(console).watching(StillWatch(reading), expected=10):
        pass
    shown = _shown(console)
    assert all(system in shown for system in SYSTEMS)
    assert "5 of 10 receipts" in shown


def test_times_are_percentiles_of_what_is_finished() -> None:
    ids = [UUID(int=number) for number in range(100)]
    requests = [
        RequestRow(
            request_id=one, state=RequestState.FULFILLED, requested_at=T0,
            finished_at=T0 + timedelta(seconds=number + 1),
        )
        for number, one in enumerate(ids)
    ]  # fmt: skip
    tasks = [
        TaskRow(
            source_id=one, sink="crm", task_id=one, generation=0, action="ERASE", outcome=Outcome.ERASED,
            counts={"customers.deleted": 2, "orders.retained": 9}, applied_at=T0 + timedelta(seconds=10),
            attempts=1,
        )
        for one in ids
    ]  # fmt: skip
    timing = timing_of(requests, tasks)
    assert timing.overall == (timedelta(seconds=51), timedelta(seconds=100))
    assert timing.by_sink["crm"] == (timedelta(seconds=10), timedelta(seconds=10))
    assert (timing.rows, timing.tasks, timing.tasks_per_s) == (200, 100, 10.0)
