"""`olvido dead-letters …`: look at what could not be handled, send it again, or give it up."""

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from olvido.ledger.letters import KeptLetter
    from olvido.operators.desk.dead_letters import Chosen, Examined, Exported, Redriven

from olvido.core.acts import Verb
from olvido.core.causes import Cause, LetterRemedy
from olvido.core.dead_letters import ATTEMPTS_MAX, DeadLetter, LetterState
from olvido.core.errors import InvalidInput, Unavailable
from olvido.operators.cli.acting import Agreement, Reason
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import Form, Output, console, jsonl_of, messages, print_data, show, show_one
from olvido.operators.cli.progress import progress
from olvido.operators.cli.words import rate_of, uuid_of
from olvido.operators.desk.text import counted, text_of

RATE_MAX = 10_000  # a second
NAMED_MAX = 20  # letters that are named one by one below a table
WIDTH_WITH_PLACES = 120  # columns; narrower, an id would be folded to show the record's place

Ids = Annotated[list[str] | None, typer.Argument(help="Dead letters, by their ids.", show_default=False)]
Oldest = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, oldest first.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfKind:
    """Which dead letters, by what they have in common."""

    cause: Annotated[Cause | None, typer.Option(help="Only those of this cause.")] = None
    topic: Annotated[
        str | None, typer.Option(help="Only those of this topic, such as requests or tasks.crm.")
    ] = None

    def chosen(self, ids: Sequence[str] | None = None, *, every: bool = False) -> "Chosen":
        """The same as the desk takes it."""
        from olvido.operators.desk.dead_letters import Chosen

        return Chosen(
            ids=tuple(uuid_of(text, "ids") for text in ids or ()),
            cause=self.cause,
            topic=self.topic,
            every=every,
        )

    def details(self, ids: Sequence[str] | None, limit: int) -> dict[str, object]:
        """What was selected, for the record: without what was not given."""
        given = {
            "ids": list(ids) if ids else None,
            "cause": self.cause and self.cause.value,
            "topic": self.topic,
            "limit": limit,
        }
        return {name: value for name, value in given.items() if value is not None}


class LetterFilter(StrEnum):
    """Which dead letters are listed."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"
    ALL = "all"

    @property
    def state(self) -> LetterState | None:
        """The state, or None for any."""
        return None if self is LetterFilter.ALL else LetterState(self.value)


class By(StrEnum):
    """What dead letters are counted by."""

    CAUSE = "cause"
    TOPIC = "topic"
    GROUP = "group"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    dead_letters = typer.Typer(
        help="Look at records that could not be handled, send them again, or give them up.\n\n"
        "Examples:\n"
        "    olvido dead-letters list --group-by cause\n"
        "    olvido dead-letters redrive --cause UNKNOWN_PURPOSE --dry-run",
        no_args_is_help=True,
    )
    dead_letters.command("list")(spread(list_dead_letters))
    dead_letters.command("show")(show_dead_letter)
    dead_letters.command("redrive")(spread(redrive))
    dead_letters.command("discard")(spread(discard))
    dead_letters.command("export")(spread(export))
    app.add_typer(dead_letters, name="dead-letters")


# --- looking --------------------------------------------------------------------------------------


def list_dead_letters(
    kind: OfKind,
    state: Annotated[LetterFilter, typer.Option(help="Only those in this state.")] = LetterFilter.OPEN,
    group_by: Annotated[By | None, typer.Option(help="Count them instead, by this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest first.")] = 20,
    output: Form = Output.TABLE,
) -> None:
    """List dead letters, newest first, or count them.

    Examples:
        olvido dead-letters list --group-by cause
        olvido dead-letters list --cause REFUSED_BY_TARGET --topic tasks.crm
        olvido dead-letters list --state all -o csv
    """
    from olvido.ledger.letters import Grouping
    from olvido.operators.desk import dead_letters as desk
    from olvido.operators.settings import deployment

    declared, now = deployment(), datetime.now(UTC)
    empty = "no dead letters" if state is LetterFilter.ALL else f"no {state.value} dead letters"
    if group_by is not None:
        rows = [
            {
                group_by.value: one.what,
                "state": one.state.value,
                "letters": one.letters,
                "attempts_max": one.attempts_max,
                "oldest_failed_at": one.oldest_failed_at,
                "newest_failed_at": one.newest_failed_at,
                "oldest": now - one.oldest_failed_at,
                "newest": now - one.newest_failed_at,
            }
            for one in desk.counted(declared, Grouping(group_by.value), kind.chosen(), state=state.state)
        ]
        columns = (group_by.value, "state", "letters", "attempts_max", "oldest", "newest")
        show(rows, columns, output=output, empty=empty)
        return
    found = desk.newest(declared, kind.chosen(), state=state.state, limit=limit)
    wide = ("field", "topic", "partition", "offset") if console.width >= WIDTH_WITH_PLACES else ()
    columns = ("dead_letter_id", "cause", *wide, "state" if state is LetterFilter.ALL else "attempts", "age")
    show([_row(kept, now) for kept in found], columns, output=output, empty=empty)


def show_dead_letter(
    dead_letter_id: Annotated[str, typer.Argument(help="The dead letter's id.")],
    output: Form = Output.TABLE,
) -> None:
    """Show one dead letter: why, what to do, and its record with everything masked that could name a person.

    Examples:
        olvido dead-letters show 6f0f8c1e-2f5b-5a57-9d3c-0c2b5d1f7a10
    """
    from olvido.operators.desk.dead_letters import examine
    from olvido.operators.settings import deployment

    examined = examine(deployment(), uuid_of(dead_letter_id, "dead_letter_id"))
    letter = examined.kept.letter
    row = _row(examined.kept, datetime.now(UTC))
    row = {
        **row,
        "meaning": letter.cause.meaning,
        "sha256": letter.sha256.hex(),
        "record": "not on its topic any more, or other bytes" if examined.record is None else "there",
    }
    masked = examined.record or {}
    seen = {name: masked[name] for name in ("at", "key", "headers", "value", "hex") if name in masked}
    todo = next_step(examined)
    if print_data({**row, **seen, "next": todo}, output=output):
        return
    # Why and what to do come first: what follows may be longer than the screen.
    first = ("dead_letter_id", "state", "cause", "meaning", "field", "reason")
    rest = {name: value for name, value in row.items() if name not in first}
    show_one(
        {
            **{name: row[name] for name in first},
            "next": todo,
            **rest,
            **{name: seen[name] for name in ("at", "key") if name in seen},
        },
        output=output,
    )
    for name in ("headers", "value"):
        if name in seen:
            _print_block(name, seen[name])
    if "hex" in seen:
        console.print("\nbytes (what could be text is left out)")
        for line in seen["hex"]:
            console.print(f"  {line}", markup=False, soft_wrap=True)


# The command that carries a remedy out.
COMMANDS = {
    LetterRemedy.REDRIVE: "olvido dead-letters redrive {id} --reason …",
    LetterRemedy.SEND_ANEW: "olvido dead-letters discard {id} --reason …",
    LetterRemedy.DISCARD: "olvido dead-letters discard {id} --reason …",
    LetterRemedy.TWO_PEOPLE: "olvido brake list",
    LetterRemedy.COMPARE_SCHEMAS: "olvido topics diff",
}


def next_step(examined: "Examined") -> str:
    """What a person does about a dead letter, in one line."""
    from olvido.operators.desk.dead_letters import Next

    letter = examined.kept.letter
    cause = f"{letter.cause.decision}: {COMMANDS[letter.cause.remedy].format(id=letter.dead_letter_id)}"
    match examined.next:
        case Next.NOTHING_DISCARDED:
            return "nothing: it was discarded"
        case Next.NOTHING_REDRIVEN:
            return "nothing: it was sent again and has not come back"
        case Next.REDRIVE_TASK:
            return "redrive: the reconciler sends the task anew"
        case Next.SEND_ANEW:
            return "have the upstream service send it anew, then discard this"
        case Next.AS_ITS_CAUSE_PAST_LIMIT:
            return f"{cause} (refused {letter.attempts} times: by its id, with --past-limit)"
        case Next.AS_ITS_CAUSE:
            return cause


# --- acting ---------------------------------------------------------------------------------------


def redrive(
    kind: OfKind,
    agreement: Agreement,
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    limit: Oldest = 1000,
    rate: Annotated[str, typer.Option(help="How many at most, such as 50/s or 600/min.")] = "50/s",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    past_limit: Annotated[
        bool,
        typer.Option("--past-limit", help=f"Also what was refused {ATTEMPTS_MAX} times; only by its id."),
    ] = False,
    output: Form = Output.TABLE,
) -> None:
    """Send the records of dead letters again, as they were: mend the cause first.

    What was handled before is not done twice: a record keeps its ids. What is refused again comes
    back as the same dead letter with one attempt more.

    Examples:
        olvido dead-letters redrive --cause UNKNOWN_PURPOSE --dry-run
        olvido dead-letters redrive --cause UNKNOWN_PURPOSE --limit 100 --rate 50/s --reason "OPS-17"
        olvido dead-letters redrive 6f0f8c1e-2f5b-5a57-9d3c-0c2b5d1f7a10 --reason "OPS-17"
    """
    from olvido.operators.desk import dead_letters as desk
    from olvido.operators.desk.acts import new_act
    from olvido.operators.settings import deployment

    _must_choose(kind, ids, every, "ids, --cause, --topic or --all")
    declared, speed = deployment(), rate_of(rate, "rate", most=RATE_MAX)
    if past_limit and not ids:
        raise InvalidInput("past_limit", "is for dead letters named by their ids, one by one")
    chosen = kind.chosen(ids, every=every)
    act = None if dry_run else new_act(Verb.REDRIVE, agreement.reason, **kind.details(ids, limit), rate=rate)
    letters = desk.open_letters(declared, chosen, limit=limit)
    if not letters:
        messages.print("no open dead letters of that kind")
        print_data([], output=output)
        return
    if act is not None:
        _agree(agreement, chosen, letters, act.verb)
    done: list[Redriven] = []
    with progress("dead letters", len(letters)) as advance, _saying_how_far(done):
        for one in desk.redrive(declared, letters, act, rate=speed, past_limit=past_limit):
            done.append(one)
            advance(1)
    _show_redriven(done, dry_run=dry_run, output=output)
    if len(letters) == limit:
        messages.print(f"{limit} were looked at (--limit); there may be more")
    if not dry_run and any(one.fate.stays_open for one in done):
        raise typer.Exit(Exit.PARTIAL)


def discard(
    kind: OfKind,
    agreement: Agreement,
    ids: Ids = None,
    limit: Oldest = 1000,
    output: Form = Output.TABLE,
) -> None:
    """Give dead letters up. Tasks that wait because of them are answered as failed.

    Examples:
        olvido dead-letters discard 6f0f8c1e-2f5b-5a57-9d3c-0c2b5d1f7a10 --reason "OPS-18, sent anew"
        olvido dead-letters discard --cause TRUNCATED --reason "OPS-18, sent anew" --confirm TRUNCATED
    """
    from olvido.operators.desk import dead_letters as desk
    from olvido.operators.desk.acts import new_act
    from olvido.operators.settings import deployment

    _must_choose(kind, ids, False, "ids, --cause or --topic")
    declared = deployment()
    chosen = kind.chosen(ids)
    act = new_act(Verb.DISCARD, agreement.reason, **kind.details(ids, limit))
    letters = desk.open_letters(declared, chosen, limit=limit)
    if not letters:
        messages.print("no open dead letters of that kind")
        print_data({"discarded": 0, "tasks_failed": 0, "refused_again": 0}, output=output)
        return
    _agree(agreement, chosen, letters, act.verb)
    with progress("dead letters", len(letters)) as advance:
        came_to = desk.discard(declared, letters, act, advance=advance)
    show_one(came_to, output=output)
    if came_to.refused_again:
        raise typer.Exit(Exit.PARTIAL)


def export(
    kind: OfKind,
    state: Annotated[LetterFilter, typer.Option(help="Only those in this state.")] = LetterFilter.OPEN,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write to this new file, readable by you alone.")
    ] = None,
    with_records: Annotated[
        bool,
        typer.Option(
            "--with-records",
            help="With each record's bytes (base64), which may name a person in clear; needs --reason.",
        ),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most, newest first.")] = 10_000,
    reason: Reason = "",
) -> None:
    """Write dead letters as JSON lines: where each record is and why it was refused, without the record.

    Examples:
        olvido dead-letters export --cause BAD_HANDLE > letters.jsonl
        olvido dead-letters export --cause BAD_HANDLE --with-records --to records.jsonl --reason "OPS-19"
    """
    from olvido.operators.desk import dead_letters as desk
    from olvido.operators.desk.acts import new_act
    from olvido.operators.settings import deployment
    from olvido.schemas.private_files import write_private

    act = new_act(Verb.EXPORT, reason, **kind.details(None, limit)) if with_records else None
    if to is not None and to.exists():
        raise InvalidInput("to", f"{to} is there already: name a new file")
    found = desk.export(deployment(), kind.chosen(), act, state=state.state, limit=limit)
    now = datetime.now(UTC)
    rows = [_exported(one, now, with_record=with_records) for one in found]
    if to is None:
        print_data(rows, output=Output.JSONL)
    else:
        write_private(to, jsonl_of(rows))
    messages.print(counted(len(found), "dead letter") + (f" in {to}" if to else ""), markup=False)


# --- what they share ------------------------------------------------------------------------------


def _must_choose(kind: OfKind, ids: Sequence[str] | None, every: bool, ways: str) -> None:
    if not (ids or kind.cause or kind.topic or every):
        raise InvalidInput("dead letters", f"say which: {ways}")


def _agree(agreement: Agreement, chosen: "Chosen", letters: Sequence[DeadLetter], verb: Verb) -> None:
    """Have it confirmed, unless each letter was named."""
    if chosen.name is not None:
        causes = Counter(letter.cause.value for letter in letters)
        agreement.obtain(
            chosen.name,
            {
                verb.value: counted(len(letters), "dead letter"),
                "of": ", ".join(f"{count} {cause}" for cause, count in causes.items()),
            },
        )


@contextmanager
def _saying_how_far(done: "Sequence[Redriven]") -> Iterator[None]:
    """Say how far it was when it is cut short."""
    try:
        yield
    except (KeyboardInterrupt, Unavailable):
        messages.print(f"{len(done)} done; a repeat takes up what is open")
        raise


# What becomes of a letter: when it was done, and when it would be.
_MEANINGS = {
    "sent": ("its record stands on its topic once more", "its record would be sent again"),
    "owed": (
        "its topic does not hold the record any more; the reconciler sends the task anew",
        "its topic does not hold the record any more; the reconciler would send the task anew",
    ),
    "gone": ("its topic does not hold the record any more: have it sent anew, or discard it",) * 2,
    "limit": (f"refused {ATTEMPTS_MAX} times: mend the cause and name it with --past-limit, or discard it",)
    * 2,
}


def _show_redriven(done: "Sequence[Redriven]", *, dry_run: bool, output: Output) -> None:
    rows = [
        {
            "dead_letter_id": one.letter.dead_letter_id,
            "cause": one.letter.cause.value,
            "topic": one.letter.topic,
            "attempts": one.letter.attempts,
            "result": one.fate.value,
            "dry_run": dry_run,
        }
        for one in done
    ]
    if print_data(rows, output=output):
        return
    fates = Counter(one.fate for one in done)
    summary = [
        {
            "result": f"would be {fate}" if dry_run and fate.value == "sent" else fate.value,
            "letters": count,
            "meaning": _MEANINGS[fate.value][dry_run],
        }
        for fate, count in fates.items()
    ]
    show(summary, ("result", "letters", "meaning"), output=output, empty="")
    if dry_run:
        messages.print("dry run: nothing was sent")
        return
    left = [one.letter for one in done if one.fate.stays_open]
    for letter in left[:NAMED_MAX]:
        messages.print(f"left: {letter.dead_letter_id} {letter.cause.value}", markup=False)
    if len(left) > NAMED_MAX:
        messages.print(f"and {len(left) - NAMED_MAX} more: olvido dead-letters list")


def _row(kept: "KeptLetter", now: datetime) -> dict[str, Any]:
    letter = kept.letter
    return {
        "dead_letter_id": letter.dead_letter_id,
        "state": kept.state.value,
        "cause": letter.cause.value,
        "field": letter.field,
        "reason": letter.reason,
        "group": letter.group,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "attempts": letter.attempts,
        "failed_at": letter.failed_at,
        "age": now - letter.failed_at,
        "decided_at": kept.decided_at,
        "size": letter.size,
        "source_id": letter.source_id,
        "task_id": letter.task_id,
        "generation": letter.generation,
    }


def _exported(one: "Exported", now: datetime, *, with_record: bool) -> dict[str, Any]:
    row = {**_row(one.kept, now), "sha256": one.kept.letter.sha256.hex()}
    if not with_record:
        return row
    record = one.record
    return {
        **row,
        "key": _base64(record.key if record else None),
        "headers": [[name, _base64(value)] for name, value in (record.headers if record else ())],
        "value": _base64(record.value if record else None),
    }


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _print_block(name: str, values: Any) -> None:  # noqa: ANN401 - whatever an event holds
    """A name, and below it a line for each field, as far down as it goes."""
    console.print(f"\n{name}")
    lines = list(_lines(values, ()))
    room = max((len(path) for path, _ in lines), default=0)
    for path, text in lines:
        console.print(f"  {path:{room}}  {text}", markup=False, soft_wrap=True)


def _lines(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    match value:
        case {**items} if items:
            for name, item in items.items():
                yield from _lines(item, (*path, str(name)))
        case [_, *_] if any(isinstance(item, dict) for item in value):
            for number, item in enumerate(value):
                yield from _lines(item, (*path, str(number)))
        case _:
            yield ".".join(path) or "value", text_of(value)
