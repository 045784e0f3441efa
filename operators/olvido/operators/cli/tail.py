"""`olvido topics tail`: what stands on a topic, masked; with a region's key and a reason, in clear."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from olvido.operators.desk.tail import End, Line, TailQuery
    from olvido.schemas.topics import Topic

from olvido.core.acts import Verb
from olvido.core.errors import InvalidInput
from olvido.operators.cli.acting import Agreement
from olvido.operators.cli.instants import instant_of
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import Form, Output, console, messages, print_data
from olvido.operators.desk.text import text_of

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


def register(topics: typer.Typer) -> None:
    """Add the command to the group of topics."""
    topics.command("tail")(spread(tail))


@dataclass(frozen=True, slots=True, kw_only=True)
class TailOptions:
    """Which records of a topic."""

    from_: Annotated[
        str | None,
        typer.Option("--from", help="earliest, latest, an instant, or how long ago, such as 1h."),
    ] = None
    to: Annotated[str | None, typer.Option(help="An instant, or how long ago; now by itself.")] = None
    partition: Annotated[list[int] | None, typer.Option(min=0, help="Only this partition; repeat.")] = None
    last: Annotated[int | None, typer.Option("--tail", min=1, help="Only so many, the newest.")] = None
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FIELD=GLOB",
            help="Only records where a field has this value, as it is shown; repeat.",
        ),
    ] = None

    def asked(self, topic: "Topic", now: datetime, *, follow: bool) -> "TailQuery":
        """The same as the desk takes it."""
        from olvido.operators.desk.tail import NEWEST, OLDEST, TailQuery, filters_of

        everything = self.last is None and self.from_ is None and not follow
        return TailQuery(
            topic=topic,
            start=_end(self.from_, "from_", now, OLDEST),
            stop=_end(self.to, "to", now, NEWEST),
            partitions=tuple(self.partition or ()),
            last=LAST if everything else self.last,
            wanted=filters_of(topic, self.filters or ()),
        )


def _end(text: str | None, field: str, now: datetime, otherwise: "End") -> "End":
    from olvido.operators.desk.tail import NEWEST, OLDEST, End

    ends = {None: otherwise, EARLIEST: OLDEST, LATEST: NEWEST, NOW: NEWEST}
    if text in ends:
        return ends[text]
    instant = instant_of(str(text), field=field, now=now)
    if instant > now:
        raise InvalidInput(field, "is in the future")
    return End(instant=instant)


def tail(
    topic: Annotated[str, typer.Argument(help="A topic, such as requests, tasks.crm or its whole name.")],
    part: TailOptions,
    agreement: Agreement,
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
    from olvido.operators.desk import tail as desk
    from olvido.operators.desk.acts import new_act
    from olvido.operators.desk.records import topic_named
    from olvido.operators.settings import deployment

    declared, now = deployment(), datetime.now(UTC)
    found = topic_named(declared, topic)
    if follow and (part.to is not None or output in {Output.JSON, Output.YAML, Output.CSV}):
        raise InvalidInput("follow", "has no end: leave --to out, and print as a table or as jsonl")
    asked = part.asked(found, now, follow=follow)
    if reveal is None:
        tailing = desk.Tail(declared, asked)
    else:
        opener = desk.opener_of(declared, found, reveal)
        act = new_act(
            Verb.REVEAL, agreement.reason, topic=found.name, region=reveal, since=part.from_ or LATEST,
            until=part.to or NOW, fields=sorted(asked.wanted), at_most=reveal_max,
        )  # fmt: skip
        tailing = desk.Tail(declared, asked, opener, reveal_max=reveal_max)
        agreement.obtain(reveal, {"reveals": f"who is in at most {reveal_max} records of {found.name}"})
        desk.record_reveal(declared, act)
    count = _print(tailing.lines(), found, output)
    if follow:
        _print(tailing.follow(), found, output)
    elif not count:
        messages.print("no such records; further back: --from 1d, or --from earliest")
    if tailing.held_back:
        messages.print(f"{tailing.held_back} more were not revealed; at most: --reveal-max")


def _print(lines: "Iterator[Line]", topic: "Topic", output: Output) -> int:
    """Print records as they come where that is possible; returns how many."""
    if output not in {Output.TABLE, Output.JSONL}:
        found = [line.as_dict() for line in lines]
        print_data(found, output=output)
        return len(found)
    count = 0
    for line in lines:
        count += 1
        if not print_data([line.as_dict()], output=output):
            _print_line(line, topic)
    return count


def _print_line(one: "Line", topic: "Topic") -> None:
    row = one.record
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
    for who in one.revealed or ():
        console.print(f"{'':15}{who}", markup=False, soft_wrap=True)


def _short(dump: Sequence[str]) -> str:
    return dump[0][7:31].strip() if dump else ""
