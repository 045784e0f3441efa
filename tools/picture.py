"""The picture in the README: the table of topics, drawn.

``python tools/picture.py > docs/picture.svg``

Who writes and who reads is taken from ``schemas.topics``, the sinks and their regions from olvido.toml;
only where a box stands is written here. A writer or reader that has no box is an error, so nothing
can be left out in silence, and a test compares the drawing with the file.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from olvido.core.catalogue import Catalogue, SinkEntry
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import CANARIES, DEAD_LETTERS, FIXED, RECEIPTS, Topic, tasks_topic, topics_of

ROW = 62  # from one topic's middle to the next one's
PILL = 38
FOOT = 40  # below the last task: the sinks' name, and the way out for dead letters
GAP = 30  # between processors, ledger and recorder
LETTER = 7.6  # the width of a letter of 13 px in the widest of the fonts below
MARGIN = 28
TOP = 24
CORNER = 10
TINTS = ("cn", "sg", "t3", "t4")  # as many regions as have a colour of their own; then they repeat

STYLE = """
  .card { fill: #fcfcfa; stroke: #d5d5cf; }
  .box { fill: #ffffff; stroke: #4a5568; stroke-width: 1.5; }
  .store { fill: #eef1f5; stroke: #4a5568; stroke-width: 1.5; }
  .group { fill: none; stroke: #4a5568; stroke-width: 1.5; }
  .pill { fill: #e8f0fb; stroke: #3b6fb5; stroke-width: 1.2; }
  .pill.dead { fill: #fbeaea; stroke: #b04a4a; }
  .pill.back { fill: #e8f5ec; stroke: #2f855a; }
  .cn { fill: #fdf3e0; } .sg { fill: #efeafa; } .t3 { fill: #e3f4f4; } .t4 { fill: #f9e8f1; }
  .sink { stroke: #4a5568; stroke-width: 1.2; }
  text { font-family: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
         font-size: 13px; fill: #1f2933; text-anchor: middle; }
  .name { font-weight: 600; font-size: 15px; }
  .verb { font-size: 11px; font-weight: 600; letter-spacing: 1.5px; fill: #3b6fb5; }
  .small { font-size: 11.5px; fill: #52606d; }
  .left { text-anchor: start; }
  .line { fill: none; stroke: #3b6fb5; stroke-width: 1.8; }
  .line.back { stroke: #2f855a; }
  .line.dead { stroke: #b04a4a; stroke-dasharray: 5 4; }
  .line.plain { stroke: #4a5568; }
  .head { fill: #3b6fb5; } .head.back { fill: #2f855a; } .head.dead { fill: #b04a4a; }
  .head.plain { fill: #4a5568; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161b22; stroke: #3a434f; }
    .box { fill: #1f2630; stroke: #9aa7b5; }
    .store { fill: #2a3340; stroke: #9aa7b5; }
    .group, .sink { stroke: #9aa7b5; }
    .pill { fill: #1b2b44; stroke: #7aa7e6; }
    .pill.dead { fill: #3b2021; stroke: #e08a8a; }
    .pill.back { fill: #183226; stroke: #68c08f; }
    .cn { fill: #3a3018; } .sg { fill: #2e2745; } .t3 { fill: #17393a; } .t4 { fill: #3f2232; }
    text { fill: #e6ebf1; }
    .verb { fill: #7aa7e6; }
    .small { fill: #a9b5c2; }
    .line { stroke: #7aa7e6; } .line.back { stroke: #68c08f; } .line.dead { stroke: #e08a8a; }
    .line.plain { stroke: #9aa7b5; }
    .head { fill: #7aa7e6; } .head.back { fill: #68c08f; } .head.dead { fill: #e08a8a; }
    .head.plain { fill: #9aa7b5; }
  }
"""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, and where lines may touch it."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> Point:
        """Its centre."""
        return self.x + self.width / 2, self.y + self.height / 2


# Columns: who emits, what they write, who plans and records, what they write, who applies.
UPSTREAM_X, UPSTREAM_WIDTH = MARGIN, 174
LEFT_X, PILL_WIDTH = 252, 186
CENTRE_X, CENTRE_WIDTH = 488, 232
RIGHT_X = 770
SINKS_X, SINKS_WIDTH = 1006, 156
WIDTH = SINKS_X + SINKS_WIDTH + MARGIN


class Layout:
    """Where everything stands. It grows downwards with the number of topics and sinks."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.sinks: Sequence[SinkEntry] = catalogue.sinks
        # What upstream services write and read stands together, beside their box.
        inputs = sorted((t for t in FIXED if "processors" in t.readers), key=_is_upstreams)
        outputs = sorted((t for t in FIXED if "upstream services" in t.readers), key=lambda t: len(t.writers))
        self.left: Sequence[Topic] = (*inputs, *outputs)
        self.tasks: Sequence[Topic] = tuple(tasks_topic(sink.name) for sink in catalogue.sinks)
        self.back: Sequence[Topic] = tuple(
            sorted((t for t in FIXED if "recorder" in t.readers), key=_is_back)
        )
        rows = max(len(self.left), len(self.tasks))
        first_of_upstream = sum(not _is_upstreams(topic) for topic in inputs)
        processors = _rows(CENTRE_X, 0, rows, CENTRE_WIDTH, foot=FOOT)
        ledger = Box(CENTRE_X, processors.bottom + GAP, CENTRE_WIDTH, 50)
        recorder = Box(CENTRE_X, ledger.bottom + GAP, CENTRE_WIDTH, ROW * len(self.back) - 8)
        self.boxes = {
            "verifiers": _rows(UPSTREAM_X, 0, first_of_upstream, UPSTREAM_WIDTH),
            "upstream services": _rows(UPSTREAM_X, first_of_upstream, len(self.left), UPSTREAM_WIDTH),
            "processors": processors,
            "ledger": ledger,
            "recorder": recorder,
            "operators": Box(LEFT_X + 50, ledger.y, PILL_WIDTH - 50, ledger.height),
            "sinks": _rows(SINKS_X, 0, len(self.tasks), SINKS_WIDTH, foot=FOOT),
            **{
                f"sink {sink.name}": Box(SINKS_X + 12, _row(number) - 18, SINKS_WIDTH - 24, 36)
                for number, sink in enumerate(self.sinks)
            },
        }
        self.pills = {
            **{topic.name: _pill(LEFT_X, _row(number)) for number, topic in enumerate(self.left)},
            **{topic.name: _pill(RIGHT_X, _row(number)) for number, topic in enumerate(self.tasks)},
            **{
                topic.name: _pill(RIGHT_X, recorder.y + ROW / 2 - 4 + ROW * number)
                for number, topic in enumerate(self.back)
            },
        }
        self.legend = (UPSTREAM_X + 4, ledger.y + 14)
        self.height = recorder.bottom + MARGIN


def draw(catalogue: Catalogue) -> str:
    """The whole picture as SVG, always the same for the same catalogue.

    Raises:
        KeyError: the table of topics names a writer or reader that has no place here.
    """
    layout = Layout(catalogue)
    height = f"{layout.height:g}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc">',
        '<title id="title">Olvido: the path of a decision</title>',
        f'<desc id="desc">{escape(describe(catalogue))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{layout.height - 1:g}" rx="14"/>',
        *_edges(layout),
        *_boxes(layout),
        *_pills(layout),
        *_legend(layout),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def describe(catalogue: Catalogue) -> str:
    """The same in one paragraph, for who does not see it."""
    said = [
        f"{', '.join(topic.writers)} write {topic.name}, read by {', '.join(topic.readers)}"
        for topic in topics_of(catalogue)
        if topic is not CANARIES
    ]
    return "; ".join(said) + ". Processors and recorder keep the ledger, which operators look at."


# --- what stands ----------------------------------------------------------------------------------


def _boxes(layout: Layout) -> Iterator[str]:
    boxes = layout.boxes
    yield from _box(boxes["verifiers"], "box", "verifiers")
    yield from _box(
        boxes["upstream services"], "box", "upstream services", "EMIT", "with the SDK", "or the outbox"
    )
    yield from _box(
        boxes["processors"], "box", "processors", "PLAN",
        "Faust hosts pure steps:", "one task for every sink", "that may know the person", "",
        "the reconciler sends again", "what has no receipt",
    )  # fmt: skip
    yield from _box(boxes["ledger"], "store", "ledger", "", "PostgreSQL: asked, done, owed")
    yield from _box(boxes["recorder"], "box", "recorder", "RECORD", "receipts become", "a request's state")
    yield from _box(boxes["operators"], "box", "operators", "SHOW AND ACT")
    group = boxes["sinks"]
    yield rect("group", group)
    for sink in layout.sinks:
        yield from _sink(boxes[f"sink {sink.name}"], sink, _tint(layout.sinks, sink.region))
    yield text(group.middle[0], group.bottom - 33, "sinks", "name")
    yield text(group.middle[0], group.bottom - 15, "APPLY", "verb")


def _box(box: Box, kind: str, name: str, verb: str = "", *about: str) -> Iterator[str]:
    """A box with its lines of text in its middle; an empty line is a gap."""
    written = [(name, "name", 19.0), *([(verb, "verb", 18.0)] if verb else [])]
    written += [(line, "small", 16.0 if line else 8.0) for line in about]
    x, y = box.middle
    y -= sum(height for _, _, height in written) / 2
    yield rect(kind, box)
    for line, style, height in written:
        if line:
            yield text(x, y + height / 2, line, style)
        y += height


def _sink(box: Box, sink: SinkEntry, tint: str) -> Iterator[str]:
    x, y = box.middle
    yield rect(f"sink {tint}", box, radius=6)
    yield text(x, y - 7, sink.name, width=box.width - 12)
    yield text(x, y + 8, f"region {sink.region}", "small")


def _pills(layout: Layout) -> Iterator[str]:
    for name, box in layout.pills.items():
        yield rect(f"pill {_kind(name)}".rstrip(), box, radius=PILL / 2)
        yield text(*box.middle, name.removeprefix("olvido."), width=box.width - 20)


def _legend(layout: Layout) -> Iterator[str]:
    x, y = layout.legend
    yield rect("pill", Box(x, y - 9, 34, 18), radius=9)
    yield text(x + 44, y, "a Kafka topic", "small left")
    said = (
        ("", "what a person decided"),
        ("back", "what was done about it"),
        ("dead", "what cannot be handled"),
        ("plain", "rows of the ledger"),
    )
    for number, (kind, meaning) in enumerate(said, 1):
        yield from line(kind, (x, y + 22 * number), (x + 34, y + 22 * number))
        yield text(x + 44, y + 22 * number, meaning, "small left")


# --- what goes from where to where ----------------------------------------------------------------


def _edges(layout: Layout) -> Iterator[str]:
    for topic in (*layout.left, *layout.tasks, *layout.back):
        for writer in topic.writers:
            yield from _written(layout, topic, writer)
        for reader in topic.readers:
            yield from _read(layout, topic, reader)
    processors, ledger = layout.boxes["processors"], layout.boxes["ledger"]
    recorder, operators = layout.boxes["recorder"], layout.boxes["operators"]
    x = ledger.middle[0]
    yield from line("plain", (x, processors.bottom), (x, ledger.y), both=True)
    yield from line("plain", (x, recorder.y), (x, ledger.bottom), both=True)
    yield from line("plain", (ledger.x, ledger.middle[1]), (operators.right, ledger.middle[1]))


def _written(layout: Layout, topic: Topic, writer: str) -> Iterator[str]:
    pill, box, kind = layout.pills[topic.name], layout.boxes[writer], _kind(topic.name)
    y = pill.middle[1]
    if writer == "sinks":
        # Down from the sinks and to the left; the lower topic's line leaves further right.
        down = box.middle[0] - 24 + 48 * (topic.name == RECEIPTS.name)
        yield from line(kind, (down, box.bottom), (down, y), (pill.right, y))
    elif writer == "recorder" and topic in layout.left:
        # To the left, under the operators, and up.
        up = pill.x + 26
        yield from line(kind, (box.x, box.middle[1]), (up, box.middle[1]), (up, pill.bottom))
    elif writer == "processors" and topic == layout.back[0]:
        # Out below the last task and down.
        out, down = box.bottom - 28, pill.x + 34
        yield from line(kind, (box.right, out), (down, out), (down, pill.y))
    elif writer == "processors" and topic in layout.back:
        # Down on the left of the pills above it, and in between it and the last of them.
        out, down, above = box.bottom - 14, (box.right + pill.x) / 2, pill.y - 15
        into = pill.x + 34
        yield from line(kind, (box.right, out), (down, out), (down, above), (into, above), (into, pill.y))
    elif writer in topic.readers:
        return  # drawn once, with a head at both ends, where it is read
    elif box.x < pill.x:
        yield from line(kind, (box.right, y), (pill.x, y))
    else:
        yield from line(kind, (box.x, y), (pill.right, y))


def _read(layout: Layout, topic: Topic, reader: str) -> Iterator[str]:
    pill, box = layout.pills[topic.name], layout.boxes[reader]
    y = pill.middle[1]
    ends = ((pill.right, y), (box.x, y)) if box.x > pill.x else ((pill.x, y), (box.right, y))
    yield from line(_kind(topic.name), *ends, both=reader in topic.writers)


# --- how it is drawn ------------------------------------------------------------------------------


def line(kind: str, *points: Point, both: bool = False) -> Iterator[str]:
    """A line with rounded corners and a head at its end; ``both``: at its beginning as well."""
    style = f"line {kind}".rstrip()
    start = _towards(points[0], points[1], 7) if both else points[0]
    inner = [start, *points[1:-1], _towards(points[-1], points[-2], 7)]
    path = [f"M{_at(inner[0])}"]
    for before, corner, after in zip(inner, inner[1:], inner[2:], strict=False):
        path.append(f"L{_at(_towards(corner, before, CORNER))}")
        path.append(f"Q{_at(corner)} {_at(_towards(corner, after, CORNER))}")
    path.append(f"L{_at(inner[-1])}")
    yield f'<path class="{style}" d="{"".join(path)}"/>'
    yield _head(kind, points[-2], points[-1])
    if both:
        yield _head(kind, points[1], points[0])


def _head(kind: str, before: Point, tip: Point) -> str:
    back = _towards(tip, before, 10)
    across = (tip[1] - back[1]) * 0.45, (tip[0] - back[0]) * 0.45
    corners = ((back[0] + across[0], back[1] - across[1]), (back[0] - across[0], back[1] + across[1]))
    style = f"head {kind}".rstrip()
    return f'<polygon class="{style}" points="{_at(tip)} {_at(corners[0])} {_at(corners[1])}"/>'


def _towards(start: Point, goal: Point, by: float) -> Point:
    """The point that lies so far from one point in the direction of another."""
    across, down = goal[0] - start[0], goal[1] - start[1]
    length = (across**2 + down**2) ** 0.5
    return start[0] + across * by / length, start[1] + down * by / length


def rect(style: str, box: Box, *, radius: float = 10) -> str:
    return (
        f'<rect class="{style}" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" '
        f'rx="{radius:g}"/>'
    )


def text(x: float, y: float, text: str, style: str = "", *, width: float | None = None) -> str:
    """One line of text. A name too long for a width is cut in its middle, and whole when pointed at."""
    kind = f' class="{style}"' if style else ""
    shown, whole = escape(text), ""
    letters = len(text) if width is None else int(width / LETTER)
    if len(text) > letters:
        half = (letters - 1) // 2
        shown = escape(f"{text[:half]}…{text[-half:]}")
        whole = f"<title>{escape(text)}</title>"
    # 0.35 em puts the letters' middle on y; not every renderer knows dominant-baseline.
    return f'<text{kind} x="{x:g}" y="{y:g}" dy="0.35em">{shown}{whole}</text>'


def _at(point: Point) -> str:
    return f"{point[0]:g},{point[1]:g}"


# --- where it stands ------------------------------------------------------------------------------


def _row(number: int) -> float:
    """The middle of a row."""
    return TOP + ROW / 2 + ROW * number


def _rows(x: float, first: int, end: int, width: float, *, foot: float = 0) -> Box:
    """A box over some rows, ``end`` not included, and so much below them."""
    return Box(x, _row(first) - ROW / 2 + 7, width, ROW * (end - first) - 14 + foot)


def _pill(x: float, middle: float) -> Box:
    return Box(x, middle - PILL / 2, PILL_WIDTH, PILL)


def _kind(topic: str) -> str:
    """The colour of a topic and its lines: on the way out, on the way back, or dead."""
    if topic == DEAD_LETTERS.name:
        return "dead"
    back = {t.name for t in FIXED if "recorder" in t.readers or "upstream services" in t.readers}
    return "back" if topic in back else ""


def _tint(sinks: Sequence[SinkEntry], region: str) -> str:
    regions = sorted({sink.region for sink in sinks})
    return TINTS[regions.index(region) % len(TINTS)]


def _is_upstreams(topic: Topic) -> bool:
    return "upstream services" in topic.writers


def _is_back(topic: Topic) -> bool:
    return topic.name == RECEIPTS.name


if __name__ == "__main__":
    sys.stdout.write(draw(Deployment.load().catalogue))
