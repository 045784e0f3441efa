"""The life of a request: the table of ``core.lifecycle``, drawn.

``python tools/states.py > docs/states.svg``

Which event leads where is taken from the table; only where a state stands is written here. A way of
the table that is not drawn is an error, and a test compares the drawing with the file.
"""

import sys
from collections.abc import Iterator
from itertools import product
from xml.sax.saxutils import escape

from olvido.core.lifecycle import FINAL_STATES, TABLE, Event, RequestState
from picture import STYLE, Box, line, rect, text

Way = tuple[RequestState | None, Event, RequestState]

MEANING = {
    Event.UNVERIFIED: "a verification is missing",
    Event.HELD: "it is above a limit, or waits for its grace period",
    Event.DISCARDED: "two people discard it",
    Event.WITHDRAWN: "it is withdrawn",
    Event.OWED: "sinks are asked",
    Event.DONE: "all of it is done",
    Event.PARTLY: "some of it is done",
    Event.NOT_DONE: "nothing is done",
    Event.NOBODY: "no sink knows the person",
}
PENDING, ASKED = RequestState.IDENTITY_PENDING, RequestState.IN_PROGRESS
HELD = RequestState.RECEIVED
NEVER = {Event.WITHDRAWN: RequestState.WITHDRAWN, Event.DISCARDED: RequestState.REFUSED}
LAST = RequestState.NOT_APPLICABLE  # stands at the foot, where ways lead along below the others
ENDS = [*sorted(FINAL_STATES & TABLE.keys() - {LAST}), LAST]

_NEVER_VERIFIED = (Event.WITHDRAWN, RequestState.WITHDRAWN)

ROW, HEIGHT_OF_BOX = 66, 40
START = Box(34, 150, 16, 16)
BOXES = {
    PENDING: Box(150, 62, 170, HEIGHT_OF_BOX),
    ASKED: Box(430, 138, 150, HEIGHT_OF_BOX),
    HELD: Box(430, 216, 150, HEIGHT_OF_BOX),
    RequestState.WITHDRAWN: Box(430, 344, 150, HEIGHT_OF_BOX),
    RequestState.REFUSED: Box(610, 344, 150, HEIGHT_OF_BOX),
    **{state: Box(800, 76 + ROW * row, 180, HEIGHT_OF_BOX) for row, state in enumerate(ENDS)},
}
FRAME = Box(786, 62, 208, ROW * len(ENDS) + 24)
WIDTH, HEIGHT = 1022, BOXES[RequestState.REFUSED].bottom + 26


def draw() -> str:
    """The drawing as SVG, always the same for the same table.

    Raises:
        ValueError: the table has a way that has no place here.
    """
    ways = {
        (before, event, after)
        for before, events in TABLE.items()
        for event, after in events.items()
        if before is not after
    }
    if undrawn := ways - set(_drawn()):
        raise ValueError(f"not drawn: {sorted(map(str, undrawn))}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT:g}" '
        f'width="{WIDTH}" height="{HEIGHT:g}" role="img" aria-labelledby="title desc">',
        '<title id="title">Olvido: the states of a request</title>',
        f'<desc id="desc">{escape(_described(ways))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1:g}" rx="14"/>',
        rect("group", FRAME),
        *_ways(),
        rect("store", START, radius=8),
        *(part for state, box in BOXES.items() for part in _state(state, box)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _drawn() -> Iterator[Way]:
    """The ways that :func:`_ways` draws."""
    yield from ((None, Event.UNVERIFIED, PENDING), (None, Event.OWED, ASKED), (None, Event.NOBODY, LAST))
    yield from ((PENDING, Event.OWED, ASKED), (PENDING, Event.NOBODY, LAST))
    yield from ((before, Event.HELD, HELD) for before in (None, PENDING))
    yield from ((HELD, Event.OWED, ASKED), (HELD, Event.NOBODY, LAST), (PENDING, *_NEVER_VERIFIED))
    yield from ((HELD, event, state) for event, state in NEVER.items())
    answers = [(event, state) for event, state in TABLE[ASKED].items() if state in ENDS]
    yield from ((before, event, after) for before, (event, after) in product([ASKED, *ENDS], answers))
    yield from ((before, Event.OWED, ASKED) for before in ENDS)


def _ways() -> Iterator[str]:
    pending, asked, last = BOXES[PENDING], BOXES[ASKED], BOXES[LAST]
    start, below = START.middle, FRAME.bottom - 8
    yield from line(
        "plain", (start[0], START.y), (start[0], pending.middle[1]), (pending.x, pending.middle[1])
    )
    yield text(start[0] + 8, pending.y - 14, MEANING[Event.UNVERIFIED], "small left")
    yield from line("", (START.right, start[1]), (asked.x, start[1]))
    yield text(START.right + 14, start[1] - 12, MEANING[Event.OWED], "small left")
    yield from line(
        "", (pending.right, pending.middle[1]), (asked.x + 40, pending.middle[1]), (asked.x + 40, asked.y)
    )
    yield text(pending.right + 10, pending.middle[1] - 12, "the verification comes", "small left")
    for x, top in ((start[0], START.bottom), (pending.middle[0], pending.bottom)):
        foot = last.middle[1] + (8 if x == start[0] else -8)
        yield from line("plain", (x, top), (x, foot), (last.x, foot))
    yield text(pending.middle[0] + 10, last.middle[1] - 20, "no sink is concerned", "small left")
    yield from _held_ways()
    for event, state in TABLE[ASKED].items():
        if state in ENDS:
            box, turn = BOXES[state], asked.right + 24
            way = [(asked.right, asked.middle[1]), (turn, asked.middle[1]), (turn, box.middle[1] - 14)]
            straight = abs(box.middle[1] - 14 - asked.middle[1]) < 1
            yield from line("back", *(way[:1] if straight else way), (box.x, box.middle[1] - 14))
            yield text(turn + 12, box.middle[1] - 26, MEANING[event], "small left")
    yield from line(
        "dead",
        (FRAME.middle[0], FRAME.y),
        (FRAME.middle[0], 28),
        (asked.right - 40, 28),
        (asked.right - 40, asked.y),
    )
    yield text(asked.right - 26, 42, "a restore or a backfill asks again", "small left")
    yield text(FRAME.middle[0], below - 4, "a late receipt may change it", "small")


def _held_ways() -> Iterator[str]:
    """To and from a request that no sink may be asked for yet."""
    pending, asked, held, last = BOXES[PENDING], BOXES[ASKED], BOXES[HELD], BOXES[LAST]
    withdrawn, refused = BOXES[RequestState.WITHDRAWN], BOXES[RequestState.REFUSED]
    branch, up = held.x - 60, held.right - 40
    for x, top in ((branch, START.middle[1]), (pending.right - 20, pending.bottom)):
        yield from line("plain", (x, top), (x, held.middle[1]), (held.x, held.middle[1]))
    yield text(pending.right - 8, held.middle[1] - 12, "above a limit", "small left")
    yield from line("", (up, held.y), (up, asked.bottom))
    yield text(up + 10, held.y - 14, "released, or its time is over", "small left")
    yield from line("plain", (up, held.bottom), (up, last.middle[1] - 8))
    down, aside = held.x + 30, held.right + 24
    yield from line("dead", (down, held.bottom), (down, withdrawn.y))
    yield from line(
        "dead", (held.right, held.middle[1]), (aside, held.middle[1]), (aside, refused.middle[1]),
        (refused.x, refused.middle[1]),
    )  # fmt: skip
    yield text(aside + 10, refused.y - 8, MEANING[Event.DISCARDED], "small left")
    left = pending.x + 30
    yield from line(
        "dead", (left, pending.bottom), (left, withdrawn.middle[1]), (withdrawn.x, withdrawn.middle[1])
    )
    yield text(left + 10, withdrawn.middle[1] - 12, MEANING[Event.WITHDRAWN], "small left")


def _state(state: RequestState, box: Box) -> Iterator[str]:
    yield rect("pill back" if state in FINAL_STATES else "box", box)
    yield text(*box.middle, state.value)


def _described(ways: set[Way]) -> str:
    said = [
        f"{before.value if before else 'a new request'} becomes {after.value} when {MEANING[event]}"
        for before, event, after in sorted(ways, key=str)
    ]
    return "; ".join(said) + "."


if __name__ == "__main__":
    sys.stdout.write(draw())
