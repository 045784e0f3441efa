"""The story of one request, moment by moment, and its drawing: who did what when, and how long it took.

The first half is pure: what is known becomes moments. The second half draws them in 80 columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from rich.text import Text

from olvido.core.looks import LookResult
from olvido.operators.cli.output import console
from olvido.operators.desk.text import span, text_of

if TYPE_CHECKING:
    from olvido.operators.desk.requests import Letter, LookView, Request, Story, TaskView

BAR = 24  # columns for the longest
NAME_MAX = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened."""

    at: datetime
    what: str
    sink: str | None = None


def moments_of(story: "Story") -> list[Moment]:
    """Everything that is known to have happened to a request, in order.

    Of a task that was sent several times only the last sending is known, and how many there were.
    """
    request = story.request
    moments = [
        Moment(at=request.requested_at, what=f"asked for: {request.right}"),
        *_late(request),
        Moment(at=request.received_at, what="received here"),
        *(
            Moment(at=row.verified_at, what=f"verified that it is this person ({row.method})")
            for row in story.verifications
        ),
        *_sent(story.tasks),
        *(moment for task in story.tasks for moment in _done(task)),
        *map(_looked, story.looks),
        *(moment for letter in story.dead_letters for moment in _refused(letter)),
    ]
    if request.extended_at is not None and request.due_at is not None:
        until = f"{request.due_at:%Y-%m-%d %H:%M}Z"
        moments.append(Moment(at=request.extended_at, what=f"extended: to be answered by {until}"))
    if request.finished_at is not None:
        moments.append(Moment(at=request.finished_at, what=f"finished: {request.state}"))
    return sorted(moments, key=lambda moment: moment.at)


def _late(request: "Request") -> Iterator[Moment]:
    if request.late and request.appended_at is not None:
        yield Moment(at=request.appended_at, what="taken by the broker, late")


def _sent(tasks: "Sequence[TaskView]") -> Iterator[Moment]:
    """The tasks that were sent in one go are one moment."""
    first = [task for task in tasks if task.attempts == 1 and not task.generation and not task.operation]
    for at, alike in groupby(sorted(first, key=lambda t: t.sent_at), key=lambda t: t.sent_at):
        yield Moment(at=at, what=f"sent to {', '.join(task.sink for task in alike)}")
    for task in tasks:
        if task.operation and task.operation_at:
            asked = f"asked again by {task.operation} {task.operation_name}"
            yield Moment(at=task.operation_at, what=asked, sink=task.sink)
        # What a look asks for again is due when it is noted, and sent after that: so it counts one more.
        attempts = task.attempts - (task.generation > 0 and not task.operation)
        if attempts > 1 or (task.generation and attempts):
            times = f" ({attempts} times so far)" if attempts > 1 else ""
            yield Moment(at=task.sent_at, what=f"sent, for the last time{times}" if times else "sent",
                         sink=task.sink)  # fmt: skip


def _done(task: "TaskView") -> Iterator[Moment]:
    if task.outcome is None or task.applied_at is None:
        return
    counts = f" ({text_of(task.counts)})" if task.counts else ""
    again = f", generation {task.generation}" if task.generation else ""
    back = ", read back" if task.read_back_at is not None else ""
    yield Moment(at=task.applied_at, what=f"{task.outcome}{counts}{again}{back}", sink=task.sink)


_LOOKED = {
    None: "looked again{after}: nothing",
    LookResult.FOUND_AGAIN: "looked again{after}: found again, and asked for again",
    LookResult.UNDECIDED: "looked again{after}: rows name the person, perhaps of a new life or of others",
    LookResult.NOT_LOOKED: "could not look again{after}: the box cannot be opened",
}


def _looked(look: "LookView") -> Moment:
    after = f" after {span(timedelta(seconds=look.after_s))}" if look.after_s else ""
    result = None if look.result is None else LookResult(look.result)
    return Moment(at=look.looked_at, what=_LOOKED[result].format(after=after), sink=look.sink)


def _refused(letter: "Letter") -> Iterator[Moment]:
    yield Moment(at=letter.failed_at, what=f"refused: {letter.cause}, a dead letter", sink=letter.sink)
    if letter.decided_at is not None:
        yield Moment(at=letter.decided_at, what=f"the dead letter is {letter.state}", sink=letter.sink)


def rows_of(moments: Sequence[Moment]) -> list[dict[str, Any]]:
    """The moments as records, each with the time since the one before."""
    return [
        {"at": moment.at, "after": gap, "sink": moment.sink, "what": moment.what}
        for moment, gap in zip(moments, _gaps(moments), strict=True)
    ]


def draw(story: "Story", *, now: datetime) -> None:
    """Draw the story on stdout: moments with the gaps between them, then how long each sink took."""
    moments = moments_of(story)
    day = None
    for moment, gap in zip(moments, _gaps(moments), strict=True):
        if moment.at.date() != day:
            day = moment.at.date()
            console.print(f"{day:%Y-%m-%d} (UTC)")
        place = f"{moment.sink}: " if moment.sink else ""
        console.print(
            _line(f"{moment.at:%H:%M:%S}.{moment.at.microsecond // 1000:03d}", gap, place + moment.what)
        )
    for task in story.tasks:
        if task.outcome is None:
            console.print(_line("", None, f"{task.sink}: {_waits(task)}", mark="…"))
    _draw_bars(story, now=now)


def _line(at: str, gap: timedelta | None, what: str, *, mark: str = "●") -> Text:
    """One moment; what has no room goes on below itself."""
    head = f"  {at:<12} {f'+{span(gap)}' if gap is not None else '':>9}  {mark} "
    room = max(20, console.width - len(head))
    lines = Text(what).wrap(console, room)
    below = "\n" + " " * len(head)
    return Text(head) + Text(below).join(lines)


def _waits(task: "TaskView") -> str:
    if task.parked:
        return f"parked ({task.parked}); see: olvido dead-letters list"
    return f"no receipt yet; if none comes it is sent again at {text_of(task.due_at)}"


def _draw_bars(story: "Story", *, now: datetime) -> None:
    """How long each sink took from the request's arrival, on one scale."""
    times = [
        (task, max(timedelta(0), (task.applied_at or now) - story.request.received_at))
        for task in story.tasks
        if task.generation == 0
    ]
    if not times:
        return
    longest = max(time for _, time in times) or timedelta(milliseconds=1)
    room = min(NAME_MAX, max(len(task.sink) for task, _ in times))
    console.print()
    for task, time in times:
        filled = round(BAR * (time / longest))
        bar = ("━" * filled or "╸").ljust(BAR)
        outcome = task.outcome or ("parked" if task.parked else "waiting")
        took = span(time)
        console.print(Text(f"  {task.sink[:room]:<{room}}  {bar} {took:>9}  {outcome}"))


def _gaps(moments: Sequence[Moment]) -> list[timedelta | None]:
    later = [after.at - before.at for before, after in pairwise(moments)]
    return [None, *later]
