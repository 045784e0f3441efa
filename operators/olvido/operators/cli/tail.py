"""`olvido topics tail`: what stands on a topic, masked; with a region's key and a reason, in clear."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from olvido.broker.contract import Received
    from olvido.operators.desk.records import Reader, Seen
    from olvido.schemas.privacy.sealing import Opener
    from olvido.schemas.settings.deployment import Deployment, KafkaSection
    from olvido.schemas.topics import Topic

from olvido.core.acts import Verb
from olvido.core.errors import ConfigError, InvalidInput, Refused, did_you_mean
from olvido.operators.cli.acting import Confirm, NoInput, Reason, confirm, new_act
from olvido.operators.cli.instants import instant_of
from olvido.operators.cli.output import Form, Output, console, messages, print_data, text_of

EARLIEST, LATEST, NOW = "earliest", "latest", "now"
LAST = 20  # records, where nothing else is asked for
REVEALED_MAX = 100  # records that one act reveals
PLACE = 12  # columns of partition and offset
INSTANT = "%m-%d %H:%M:%S"

# What a line says of a record, where the rest finds no room.
_TELLING = {
    "privacy_request": ("right", "request_id", "regions"),
    "consent_change": ("decision", "purpose", "event_id"),
    "verification": ("request_id", "event_id"),
    "task": ("action", "generation", "task_id"),
    "receipt": ("outcome", "sink", "task_id"),
    "request_status": ("state", "request_id"),
    "consent_state": ("decision", "purpose", "handle"),
    "dead_letter": ("cause", "attempts", "dead_letter_id"),
}

Place = tuple[str, int]


def register(topics: typer.Typer) -> None:
    """Add the command to the group of topics."""
    topics.command("tail")(tail)


def tail(
    topic: Annotated[str, typer.Argument(help="A topic, such as requests, tasks.crm or its whole name.")],
    from_: Annotated[
        str | None,
        typer.Option("--from", help="earliest, latest, an instant, or how long ago, such as 1h."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="An instant, or how long ago; now by itself.")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="Only this partition; repeat.")
    ] = None,
    last: Annotated[int | None, typer.Option("--tail", min=1, help="Only so many, the newest.")] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=GLOB",
            help="Only records where a field, as it is shown, is so; repeat.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--exit", help="Wait for new records until Ctrl-C, or end at the end.")
    ] = False,
    reveal: Annotated[
        str | None,
        typer.Option(
            "--reveal",
            metavar="REGION",
            help="Open the boxes of this region: takes its private key on this machine and a --reason.",
        ),
    ] = None,
    reveal_max: Annotated[
        int, typer.Option(min=1, max=REVEALED_MAX, help="How many records to reveal at most.")
    ] = 10,
    reason: Reason = "",
    confirmed: Confirm = None,
    no_input: NoInput = False,
    output: Form = Output.TABLE,
) -> None:
    """Show the records of a topic, with everything masked that could name a person.

    What cannot be decoded is shown as well: why, and those of its bytes that no text is made of.

    Examples:
        olvido topics tail requests
        olvido topics tail tasks.crm --from 1h --filter action=ERASE -o jsonl
        olvido topics tail receipts --follow
        olvido topics tail requests --from 10m --reveal cn --reason "OPS-20, asked by the person"
    """
    from olvido.operators.desk.records import Reader, topic_named
    from olvido.operators.settings import deployment

    declared, now = deployment(), datetime.now(UTC)
    found = topic_named(declared, topic, option="TOPIC")
    wanted = _filters(found, filters or ())
    if follow and (to is not None or output in {Output.JSON, Output.YAML, Output.CSV}):
        raise InvalidInput("--follow", "has no end: leave --to out, and print as a table or as jsonl")
    opener = _opener(declared, found, reveal) if reveal is not None else None
    act = None
    if opener is not None:
        act = new_act(
            Verb.REVEAL, reason, topic=found.name, region=reveal, since=from_ or LATEST, until=to or "now",
            fields=sorted(wanted), at_most=reveal_max,
        )  # fmt: skip
    starts, ends = _range(declared.kafka, found, from_, to, partition, now)
    if act is not None:
        from olvido.ledger.acts import Acts
        from olvido.ledger.connection import Database

        effects = {"reveals": f"who is in at most {reveal_max} records of {found.name}"}
        confirm(str(reveal), given=confirmed, no_input=no_input, effects=effects)
        # Before anything is opened: killed after this line, an act stands there that showed nothing.
        Acts(Database(declared.ledger_dsn, application="olvido.cli")).record(act)
    if last is None and from_ is None and not follow:
        last = LAST
    tailing = _Tailing(Reader(declared), found, wanted, opener, reveal_max)
    rows = tailing.rows(_read(declared.kafka, starts, ends, last=last))
    if follow:
        from olvido.broker.admin import follow as follow_on

        _print(rows, found, output)
        _print(tailing.rows(follow_on(declared.kafka, ends)), found, output)
    else:
        count = _print(rows, found, output)
        if not count:
            messages.print("no such records; further back: --from 1d, or --from earliest")
    tailing.tell()


class _Tailing:
    """Turns records into rows, and counts what is held back."""

    def __init__(
        self,
        reader: "Reader",
        topic: "Topic",
        wanted: Mapping[str, Sequence[str]],
        opener: "Opener | None",
        reveal_max: int,
    ) -> None:
        self._reader = reader
        self._topic = topic
        self._wanted = wanted
        self._opener = opener
        self._left = reveal_max
        self._held_back = 0

    def rows(self, records: "Iterable[Received]") -> Iterator[dict[str, Any]]:
        """The rows of the records that are asked for. One that cannot be decoded is never left out."""
        for record in records:
            seen = self._reader.see(record)
            row = self._reader.masked(seen)
            # Compared as it is shown: or a filter could ask, letter by letter, what is masked.
            if seen.refused is None and not _matches(row["value"], self._wanted):
                continue
            if self._opener is not None and seen.refused is None:
                row["revealed"] = self._open(seen)
            yield row

    def _open(self, seen: "Seen") -> list[str]:
        """Who the record is about, or why that is not shown."""
        from olvido.operators.desk.records import boxes_of
        from olvido.schemas.privacy.sealing import Forgotten

        assert self._opener is not None
        if not self._left:
            self._held_back += 1
            return []
        self._left -= 1
        told = []
        for box, source_id, subject_id in boxes_of(seen.value):
            if box.region != self._opener.region:
                continue
            try:
                identities = self._opener.open(box, source_id=source_id, subject_id=subject_id)
                told += [f"{identity.kind.value} {identity.value}" for identity in identities]
            except Forgotten:
                told.append("forgotten: its key is destroyed")
            except Refused as refused:
                told.append(f"does not open: {refused.reason}")
        return told

    def tell(self) -> None:
        """Say what was held back."""
        if self._held_back:
            messages.print(f"{self._held_back} more were not revealed; at most: --reveal-max")


def _range(
    kafka: "KafkaSection",
    topic: "Topic",
    from_: str | None,
    to: str | None,
    partitions: Sequence[int] | None,
    now: datetime,
) -> tuple[dict[Place, int], dict[Place, int]]:
    """Where to begin and where to end in each partition."""
    from olvido.broker import admin

    oldest, ends = admin.start_offsets(kafka, [topic.name]), admin.end_offsets(kafka, [topic.name])
    if not ends:
        raise ConfigError(f"the broker has no topic {topic.name}; make it with: olvido topics apply")
    for number in partitions or ():
        if (topic.name, number) not in ends:
            raise InvalidInput("--partition", f"{topic.name} has 0 to {len(ends) - 1}")

    since, until = _instant(from_, "--from", now), _instant(to, "--to", now)
    if since is not None and until is not None and until < since:
        raise InvalidInput("--to", "is before --from")

    def offsets(text: str | None, instant: datetime | None, otherwise: dict[Place, int]) -> dict[Place, int]:
        if instant is not None and text != NOW:
            return admin.offsets_at(kafka, [topic.name], instant)
        return {EARLIEST: oldest, LATEST: ends, NOW: ends}.get(text or "", otherwise)

    starts, stops = offsets(from_, since, oldest), offsets(to, until, ends)
    chosen = {place for place in ends if not partitions or place[1] in partitions}
    # What retention takes between two questions is simply not there any more.
    return (
        {place: min(starts[place], stops[place]) for place in chosen},
        {place: stops[place] for place in chosen},
    )


def _instant(text: str | None, field: str, now: datetime) -> datetime | None:
    """The instant that is meant, or None where it is an end of the topic."""
    if text is None or text in {EARLIEST, LATEST}:
        return None
    instant = instant_of(text, field=field, now=now)
    if instant > now:
        raise InvalidInput(field, "is in the future")
    return instant


def _read(
    kafka: "KafkaSection", starts: Mapping[Place, int], ends: Mapping[Place, int], *, last: int | None
) -> "Iterable[Received]":
    """The records of a range, in the order in which the broker took them."""
    from olvido.broker.admin import read_range

    def of(place: Place) -> "Iterator[Received]":
        # The newest of all are among the newest of each partition.
        low = starts[place] if last is None else max(starts[place], ends[place] - last)
        return read_range(kafka, *place, [(low, ends[place])] if low < ends[place] else [])

    merged = heapq.merge(*map(of, sorted(starts)), key=lambda record: record.timestamp_ms)
    return merged if last is None else deque(merged, maxlen=last)


def _print(rows: Iterator[dict[str, Any]], topic: "Topic", output: Output) -> int:
    """Print rows as they come where that is possible; returns how many."""
    count = 0
    if output in {Output.TABLE, Output.JSONL}:
        for row in rows:
            count += 1
            if not print_data([row], output=output):
                _print_line(row, topic)
        return count
    found = list(rows)
    print_data(found, output=output)
    return len(found)


def _print_line(row: Mapping[str, Any], topic: "Topic") -> None:
    at = row["at"].strftime(INSTANT) if row["at"] else ""
    line = f"{at:14} {row['partition']}@{row['offset']}".ljust(15 + PLACE) + " "
    if "cause" in row:
        line += f"{row['cause']} {row['bytes']} bytes: {_short(row['hex'])}"
    elif isinstance(row["value"], Mapping):
        names = _TELLING.get(topic.schema) or tuple(row["value"])[:3]
        line += " ".join(text_of(row["value"][name]).replace(", ", ",") for name in names)
    else:
        line += text_of(row["value"])
    console.print(line, markup=False, no_wrap=True, overflow="ellipsis", crop=True)
    for who in row.get("revealed", ()):
        console.print(f"{'':15}{who}", markup=False, soft_wrap=True)


def _short(dump: Sequence[str]) -> str:
    return dump[0][7:31].strip() if dump else ""


def _filters(topic: "Topic", filters: Sequence[str]) -> dict[str, list[str]]:
    """What is asked of which field.

    Raises:
        InvalidInput: not of the form, or the topic's records have no such field.
    """
    from olvido.operators.desk.records import fields_of

    known = {field["name"] for field in fields_of(topic)}
    wanted: dict[str, list[str]] = {}
    for text in filters:
        field, equals, glob = text.partition("=")
        if not equals or not glob:
            raise InvalidInput("--filter", "is FIELD=GLOB, such as action=ERASE or purpose=market*")
        if field.split(".")[0] not in known:
            raise InvalidInput("--filter", f"{topic.name} has no such field{did_you_mean(field, known)}")
        wanted.setdefault(field, []).append(glob)
    return wanted


def _matches(value: Any, wanted: Mapping[str, Sequence[str]]) -> bool:  # noqa: ANN401
    """Whether every field that is asked for is, somewhere, as it is asked for."""
    return all(
        any(fnmatchcase(text_of(found), glob) for found in _at(value, field.split(".")))
        for field, globs in wanted.items()
        for glob in globs
    )


def _at(value: Any, path: Sequence[str]) -> Iterator[Any]:  # noqa: ANN401
    """What stands at a path; in lists, at the path in each."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _opener(declared: "Deployment", topic: "Topic", region: str) -> "Opener":
    """What opens a region's boxes on this machine.

    Raises:
        InvalidInput: there is no such region, or no box on that topic.
        ConfigError: its private key is not here.
    """
    from olvido.operators.desk.records import fields_of
    from olvido.operators.settings import private_keys
    from olvido.schemas.privacy.sealing import Opener

    if not {"box", "boxes"} & {field["name"] for field in fields_of(topic)}:
        raise InvalidInput("--reveal", f"{topic.name} holds no sealed boxes: there is nothing to reveal")
    if region not in declared.regions:
        raise InvalidInput(
            "--reveal", f"there is no region {region!r}{did_you_mean(region, declared.regions)}"
        )
    folder: Path = declared.keys.private_dir or private_keys(region)
    if not folder.is_dir():
        raise ConfigError(
            f"keys.private_dir: this machine has no private key of region {region}; "
            "reveal where its sinks run, or give OLVIDO_KEYS__PRIVATE_DIR"
        )
    return Opener(region, folder)
