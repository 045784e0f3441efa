"""`olvido dead-letters …`: look at what could not be handled, send it again, or give it up."""

import base64
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from uuid import UUID

import typer

if TYPE_CHECKING:
    from olvido.ledger.connection import Database
    from olvido.ledger.letters import Kept, Letters, Selection
    from olvido.operators.desk.dead_letters import Fate, Found
    from olvido.schemas.settings.deployment import Deployment

from olvido.core.acts import Act, Verb
from olvido.core.causes import Cause
from olvido.core.dead_letters import ATTEMPTS_MAX, DeadLetter, LetterState, remedy
from olvido.core.errors import InvalidInput, Refused, Unavailable
from olvido.core.ids import canonical_uuid
from olvido.operators.cli.acting import Confirm, NoInput, Reason, confirm, new_act
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import Form, Output, console, messages, print_data, show, show_one
from olvido.operators.cli.progress import progress
from olvido.operators.cli.rates import rate_given

APPLICATION = "olvido.cli"
RATE_MAX = 10_000  # a second
NAMED_MAX = 20  # letters that are named one by one below a table
WIDE = 120  # columns; narrower, an id would be folded to show the record's place

Ids = Annotated[list[str] | None, typer.Argument(help="Dead letters, by their ids.", show_default=False)]
OfCause = Annotated[Cause | None, typer.Option("--cause", help="Only those of this cause.")]
OnTopic = Annotated[
    str | None, typer.Option("--topic", help="Only those of this topic, such as requests or tasks.crm.")
]
Oldest = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, oldest first.")]


class Shown(StrEnum):
    """Which dead letters are listed."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"
    ALL = "all"

    @property
    def state(self) -> LetterState | None:
        """The state, or None for any."""
        return None if self is Shown.ALL else LetterState(self.value)


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
    dead_letters.command("list")(list_dead_letters)
    dead_letters.command("show")(show_dead_letter)
    dead_letters.command("redrive")(redrive)
    dead_letters.command("discard")(discard)
    dead_letters.command("export")(export)
    app.add_typer(dead_letters, name="dead-letters")


# --- looking --------------------------------------------------------------------------------------


def list_dead_letters(
    cause: OfCause = None,
    topic: OnTopic = None,
    state: Annotated[Shown, typer.Option(help="Only those in this state.")] = Shown.OPEN,
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

    declared = _deployment()
    known, which, now = _letters(declared), _selection(declared, None, cause, topic), datetime.now(UTC)
    empty = "no dead letters" if state is Shown.ALL else f"no {state.value} dead letters"
    if group_by is not None:
        counted = known.counts(Grouping(group_by.value), which=which, state=state.state)
        rows = [
            {
                group_by.value: row["what"],
                **{name: value for name, value in row.items() if name != "what"},
                "oldest": now - row["oldest_failed_at"],
                "newest": now - row["newest_failed_at"],
            }
            for row in counted
        ]
        columns = (group_by.value, "state", "letters", "attempts_max", "oldest", "newest")
        show(rows, columns, output=output, empty=empty)
        return
    rows = [_row(kept, now) for kept in known.newest(which, state=state.state, limit=limit)]
    wide = ("field", "topic", "partition", "offset") if console.width >= WIDE else ()
    columns = ("dead_letter_id", "cause", *wide, "state" if state is Shown.ALL else "attempts", "age")
    show(rows, columns, output=output, empty=empty)


def show_dead_letter(
    dead_letter_id: Annotated[str, typer.Argument(help="The dead letter's id.")],
    output: Form = Output.TABLE,
) -> None:
    """Show one dead letter: its record with everything masked that could name a person, and what to do.

    Examples:
        olvido dead-letters show 6f0f8c1e-2f5b-5a57-9d3c-0c2b5d1f7a10
    """
    from olvido.operators.desk.dead_letters import find
    from olvido.operators.desk.records import Reader

    declared = _deployment()
    kept = _letters(declared).one(_uuid(dead_letter_id))
    if kept is None:
        _not_found(dead_letter_id)
    letter, reader = kept.letter, Reader(declared)
    [found] = find(declared.kafka, [letter])
    row: dict[str, Any] = {
        **_row(kept, datetime.now(UTC)),
        "meaning": letter.cause.meaning,
        "sha256": letter.sha256.hex(),
        "record": "there" if found.record else "not on its topic any more, or other bytes",
    }
    seen: dict[str, Any] = {}
    if found.record is not None:
        masked = reader.masked(reader.see(found.record))
        seen = {name: masked[name] for name in ("at", "key", "headers", "value", "hex") if name in masked}
    next_ = next_step(kept, found)
    if print_data({**row, **seen, "next": next_}, output=output):
        return
    show_one({**row, **{name: seen[name] for name in ("at", "key") if name in seen}}, output=output)
    for name in ("headers", "value"):
        if name in seen:
            _print_block(name, seen[name])
    if "hex" in seen:
        console.print("\nbytes (what could be text is left out)")
        for line in seen["hex"]:
            console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(f"\nnext: {next_}", markup=False)


def next_step(kept: "Kept", found: "Found") -> str:
    """What a person does about a dead letter, in one line."""
    letter = kept.letter
    if kept.state is LetterState.DISCARDED:
        return "nothing: it was discarded"
    if kept.state is LetterState.REDRIVEN:
        return "nothing: it was sent again and has not come back"
    if found.record is None and letter.source_id is not None:
        return "redrive: the reconciler sends the task anew"
    if found.record is None:
        return "have the upstream service send it anew, then discard this"
    if letter.attempts >= ATTEMPTS_MAX:
        return f"{remedy(letter.cause)} (refused {letter.attempts} times: by its id, with --past-limit)"
    return remedy(letter.cause)


# --- acting ---------------------------------------------------------------------------------------


def redrive(
    ids: Ids = None,
    cause: OfCause = None,
    topic: OnTopic = None,
    every: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    limit: Oldest = 1000,
    rate: Annotated[str, typer.Option(help="How many at most, such as 50/s or 600/min.")] = "50/s",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")
    ] = False,
    past_limit: Annotated[
        bool,
        typer.Option("--past-limit", help=f"Also what was refused {ATTEMPTS_MAX} times; only by its id."),
    ] = False,
    reason: Reason = "",
    confirmed: Confirm = None,
    no_input: NoInput = False,
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
    from olvido.broker.kafka import KafkaPublisher
    from olvido.operators.desk.dead_letters import Redriving

    declared = _deployment()
    speed = rate_given(rate, most=RATE_MAX)
    if past_limit and not ids:
        raise InvalidInput("--past-limit", "is for dead letters named by their ids, one by one")
    which = _selection(declared, ids, cause, topic, every=every, must=True)
    act = None if dry_run else new_act(Verb.REDRIVE, reason, **_said(ids, cause, topic, limit), rate=rate)
    known = _letters(declared)
    letters = _open(known, which, limit)
    if not letters:
        messages.print("no open dead letters of that kind")
        print_data([], output=output)
        return
    if act is not None:
        _agree(act, declared, letters, which, every, confirmed, no_input)
    told: list[tuple[DeadLetter, Fate]] = []
    with KafkaPublisher(declared.kafka, client_id=APPLICATION) as publisher:
        redriving = Redriving(
            declared.kafka, known, publisher, rate=speed,
            due_after=timedelta(seconds=declared.reconciler.first_after_s),
        )  # fmt: skip
        with progress("dead letters", len(letters)) as advance, _telling(told):
            work = redriving.look if dry_run else redriving.send
            for one in work(letters, past_limit=past_limit):
                told.append(one)
                advance(1)
    _tell(told, dry_run=dry_run, output=output)
    if len(letters) == limit:
        messages.print(f"{limit} were looked at (--limit); there may be more")
    if not dry_run and any(fate.stays_open for _, fate in told):
        raise typer.Exit(Exit.PARTIAL)


def discard(
    ids: Ids = None,
    cause: OfCause = None,
    topic: OnTopic = None,
    limit: Oldest = 1000,
    reason: Reason = "",
    confirmed: Confirm = None,
    no_input: NoInput = False,
    output: Form = Output.TABLE,
) -> None:
    """Give dead letters up. Tasks that wait because of them are answered as failed.

    Examples:
        olvido dead-letters discard 6f0f8c1e-2f5b-5a57-9d3c-0c2b5d1f7a10 --reason "OPS-18, sent anew"
        olvido dead-letters discard --cause TRUNCATED --reason "OPS-18, sent anew" --confirm TRUNCATED
    """
    from olvido.broker.kafka import KafkaPublisher
    from olvido.operators.desk import dead_letters
    from olvido.processors.emission import Emission
    from olvido.schemas.registry import Registry

    declared = _deployment()
    which = _selection(declared, ids, cause, topic, must=True)
    act = new_act(Verb.DISCARD, reason, **_said(ids, cause, topic, limit))
    known = _letters(declared)
    letters = _open(known, which, limit)
    if not letters:
        messages.print("no open dead letters of that kind")
        print_data({"discarded": 0, "tasks_failed": 0, "refused_again": 0}, output=output)
        return
    _agree(act, declared, letters, which, False, confirmed, no_input)
    with KafkaPublisher(declared.kafka, client_id=APPLICATION) as publisher:
        emission = Emission(
            Registry(declared.registry.url), declared.catalogue, publisher, source=declared.source
        )
        with progress("dead letters", len(letters)) as advance:
            discarded, answered = dead_letters.discard(letters, known, emission, advance=advance)
    left = len(letters) - discarded
    show_one({"discarded": discarded, "tasks_failed": answered, "refused_again": left}, output=output)
    if left:
        raise typer.Exit(Exit.PARTIAL)


def export(
    cause: OfCause = None,
    topic: OnTopic = None,
    state: Annotated[Shown, typer.Option(help="Only those in this state.")] = Shown.OPEN,
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
    from olvido.ledger.acts import Acts

    declared = _deployment()
    which, now = _selection(declared, None, cause, topic), datetime.now(UTC)
    act = new_act(Verb.EXPORT, reason, **_said(None, cause, topic, limit)) if with_records else None
    if to is not None and to.exists():
        raise InvalidInput("--to", f"{to} is there already: name a new file")
    found = _letters(declared).newest(which, state=state.state, limit=limit)
    rows = [{**_row(kept, now), "sha256": kept.letter.sha256.hex()} for kept in found]
    if act is not None:
        # Before a byte is read: killed after this line, an export stands there that showed nothing.
        Acts(_database(declared)).record(act)
        rows = list(_with_records(declared, found, rows))
    with _written_to(to):
        print_data(rows, output=Output.JSONL)
    messages.print(f"{len(rows)} dead letters" + (f" in {to}" if to else ""), markup=False)


# --- what they share ------------------------------------------------------------------------------


def _agree(
    act: Act,
    declared: "Deployment",
    letters: Sequence[DeadLetter],
    which: "Selection",
    every: bool,
    confirmed: str | None,
    no_input: bool,
) -> None:
    """Have it confirmed, unless each letter was named, and record the act: nothing was done before."""
    from olvido.ledger.acts import Acts

    name = "all" if every else which.cause.value if which.cause else which.topic
    if name is not None and which.ids is None:
        causes = Counter(letter.cause.value for letter in letters)
        effects = {
            act.verb.value: f"{len(letters)} dead letters",
            "of": ", ".join(map(_counted, causes.items())),
        }
        confirm(name, given=confirmed, no_input=no_input, effects=effects)
    # Killed after this line, an act stands there that did nothing: better than one that nobody knows of.
    Acts(_database(declared)).record(act)


def _selection(
    declared: "Deployment",
    ids: Sequence[str] | None,
    cause: Cause | None,
    topic: str | None,
    *,
    every: bool = False,
    must: bool = False,
) -> "Selection":
    from olvido.ledger.letters import Selection
    from olvido.operators.desk.records import topic_named

    if must and not (ids or cause or topic or every):
        raise InvalidInput("dead letters", "say which: ids, --cause, --topic, or --all where there is one")
    if ids and (cause or topic or every):
        raise InvalidInput("dead letters", "ids by themselves, or --cause and --topic: not both")
    if every and (cause or topic):
        raise InvalidInput("--all", "is all of them: leave --cause and --topic out, or leave this out")
    return Selection(
        ids=tuple(map(_uuid, ids)) if ids else None,
        cause=cause,
        topic=topic and topic_named(declared, topic, option="--topic").name,
    )


def _said(ids: Sequence[str] | None, cause: Cause | None, topic: str | None, limit: int) -> dict[str, object]:
    """What was selected, for the record: without what was not given."""
    said = {"ids": list(ids) if ids else None, "cause": cause and cause.value, "topic": topic, "limit": limit}
    return {name: value for name, value in said.items() if value is not None}


def _open(known: "Letters", which: "Selection", limit: int) -> list[DeadLetter]:
    """The open letters that are meant; one that was named and is not open ends the command."""
    letters = known.open(which, limit=limit if which.ids is None else len(which.ids))
    for missing in set(which.ids or ()) - {letter.dead_letter_id for letter in letters}:
        kept = known.one(missing)
        if kept is None:
            _not_found(str(missing))
        messages.print(f"olvido: dead letter {missing} is {kept.state.value} already; nothing was done")
        raise typer.Exit(Exit.REFUSED)
    return letters


@contextmanager
def _telling(told: "Sequence[tuple[DeadLetter, Fate]]") -> Iterator[None]:
    """Say how far it was when it is cut short."""
    try:
        yield
    except (KeyboardInterrupt, Unavailable):
        messages.print(f"{len(told)} done; a repeat takes up what is open")
        raise


def _tell(told: "Sequence[tuple[DeadLetter, Fate]]", *, dry_run: bool, output: Output) -> None:
    rows = [
        {
            "dead_letter_id": letter.dead_letter_id,
            "cause": letter.cause.value,
            "topic": letter.topic,
            "attempts": letter.attempts,
            "result": fate.value,
            "dry_run": dry_run,
        }
        for letter, fate in told
    ]
    if print_data(rows, output=output):
        return
    counted = Counter(fate for _, fate in told)
    summary = [{"result": fate, "letters": n, "meaning": fate.meaning} for fate, n in counted.items()]
    show(summary, ("result", "letters", "meaning"), output=output, empty="")
    if dry_run:
        messages.print("dry run: nothing was sent")
        return
    left = [letter for letter, fate in told if fate.stays_open]
    for letter in left[:NAMED_MAX]:
        messages.print(f"left: {letter.dead_letter_id} {letter.cause.value}", markup=False)
    if len(left) > NAMED_MAX:
        messages.print(f"and {len(left) - NAMED_MAX} more: olvido dead-letters list")


def _row(kept: "Kept", now: datetime) -> dict[str, Any]:
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


def _with_records(
    declared: "Deployment", found: "Sequence[Kept]", rows: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    from olvido.operators.desk.dead_letters import find

    records = {
        one.letter.dead_letter_id: one.record for one in find(declared.kafka, [k.letter for k in found])
    }
    for row in rows:
        record = records[row["dead_letter_id"]]
        yield {
            **row,
            "key": _base64(record.key if record else None),
            "headers": [[name, _base64(value)] for name, value in (record.headers if record else ())],
            "value": _base64(record.value if record else None),
        }


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


@contextmanager
def _written_to(path: Path | None) -> Iterator[None]:
    """Standard output, or a file that is there whole or not at all."""
    if path is None:
        yield
        return
    draft = path.with_name(f"{path.name}.part")
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        with redirect_stdout(file):
            yield
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _print_block(name: str, values: Any) -> None:  # noqa: ANN401 - whatever an event holds
    """A name, and below it a line for each field, as far down as it goes."""
    console.print(f"\n{name}")
    lines = list(_lines(values, ()))
    room = max((len(path) for path, _ in lines), default=0)
    for path, text in lines:
        console.print(f"  {path:{room}}  {text}", markup=False, soft_wrap=True)


def _lines(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    from olvido.operators.cli.output import text_of

    match value:
        case {**items} if items:
            for name, item in items.items():
                yield from _lines(item, (*path, str(name)))
        case [_, *_] if any(isinstance(item, dict) for item in value):
            for number, item in enumerate(value):
                yield from _lines(item, (*path, str(number)))
        case _:
            yield ".".join(path) or "value", text_of(value)


def _counted(counted: tuple[str, int]) -> str:
    return f"{counted[1]} {counted[0]}"


def _uuid(text: str) -> UUID:
    try:
        return canonical_uuid(text, field="DEAD_LETTER_ID")
    except Refused as refused:
        raise InvalidInput("DEAD_LETTER_ID", refused.reason) from None


def _not_found(dead_letter_id: str) -> NoReturn:
    messages.print(
        f"olvido: no dead letter {dead_letter_id}; list them with: olvido dead-letters list", soft_wrap=True
    )
    raise typer.Exit(Exit.NOT_FOUND)


def _deployment() -> "Deployment":
    from olvido.operators.settings import deployment

    return deployment()


def _database(declared: "Deployment") -> "Database":
    from olvido.ledger.connection import Database

    return Database(declared.ledger_dsn, application=APPLICATION)


def _letters(declared: "Deployment") -> "Letters":
    from olvido.ledger.letters import Letters

    return Letters(_database(declared))
