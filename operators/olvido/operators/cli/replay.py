"""`olvido replay …`: plan, look, run; pause, resume, cancel from another terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from olvido.core.acts import Verb
from olvido.core.errors import InvalidInput
from olvido.core.replay import ReplayState
from olvido.operators.cli.acting import Agreement
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.instants import instant_of, span_of
from olvido.operators.cli.options import spread
from olvido.operators.cli.output import Form, Output, console, messages, show
from olvido.operators.cli.progress import progress
from olvido.operators.cli.replay_showing import filters_of, show_plan, show_shadow
from olvido.operators.cli.words import rate_of, uuid_of
from olvido.operators.desk.text import counted

if TYPE_CHECKING:
    from olvido.ledger.replays import Replay
    from olvido.operators.desk.replay.asking import ReplayQuery
    from olvido.schemas.settings.deployment import Deployment

RATE = "100/s"  # tasks; see bench/README.md for what it does to the work of the day
FORGOTTEN_SHOWN = 20

Name = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's name.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What part of which topics."""

    topic: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="requests or consents; repeat. Both if not given."),
    ] = None
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From this instant on, or since so long ago.")
    ] = None
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Up to this instant, not included.")
    ] = None
    by_duration: Annotated[
        str | None, typer.Option(metavar="SPAN", help="The last 1h, 2d or PT1H: like --from.")
    ] = None
    from_offset: Annotated[int | None, typer.Option(metavar="N", min=0, help="From this offset on.")] = None
    to_offset: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Up to this offset, not included.")
    ] = None
    partition: Annotated[
        list[int] | None, typer.Option(metavar="N", min=0, help="Only this partition; repeat.")
    ] = None
    ranges: Annotated[
        Path | None,
        typer.Option(
            "--from-file",
            metavar="FILE",
            help="Ranges as CSV: topic,partition,from_offset,to_offset, as -o csv prints them.",
        ),
    ] = None

    def span(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """From when, and until when."""
        if self.by_duration is not None:
            if self.since is not None or self.until is not None:
                raise InvalidInput("by_duration", "cannot be joined with --from or --to")
            return now - span_of(self.by_duration, field="by_duration"), None
        return (
            None if self.since is None else instant_of(self.since, field="since", now=now),
            None if self.until is None else instant_of(self.until, field="until", now=now),
        )

    def check_ranges(self) -> None:
        """Check that a file of ranges is all that says where."""
        also = [
            one.name.replace("_", "-")
            for one in fields(self)
            if one.name != "ranges" and getattr(self, one.name) not in (None, [])
        ]
        if self.ranges is not None and also:
            typed = {"since": "from", "until": "to"}
            flags = ", ".join(f"--{typed.get(name, name)}" for name in also)
            raise InvalidInput("ranges", f"says where already: leave out {flags}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which sources, and which of their tasks."""

    sink: Annotated[
        list[str] | None, typer.Option(metavar="SINK", help="Only tasks of this sink; repeat.")
    ] = None
    right: Annotated[
        list[str] | None, typer.Option(metavar="RIGHT", help="Only requests of this right; repeat.")
    ] = None
    purpose: Annotated[
        list[str] | None,
        typer.Option(metavar="PURPOSE", help="Only consent changes of this purpose; repeat."),
    ] = None
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT_ID", help="Only of this pseudonym; never an identity.")
    ] = None
    request: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this request or consent change; repeat.")
    ] = None
    outcome: Annotated[
        list[str] | None,
        typer.Option(metavar="OUTCOME", help="Only tasks with this outcome, or none; repeat."),
    ] = None
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only requests in this state; repeat.")
    ] = None


def register(app: typer.Typer) -> None:
    """Add the commands."""
    replay = typer.Typer(
        help="Send the tasks of past requests and consent changes again. What was applied stays as it is.\n\n"
        "Examples:\n"
        "    olvido replay plan --from 2h --sink crm\n"
        "    olvido replay run replay-20261123-4f1c --shadow\n"
        "    olvido replay run replay-20261123-4f1c --reason OPS-17",
        no_args_is_help=True,
    )
    replay.command("plan")(spread(plan))
    replay.command("run")(spread(run))
    replay.command("pause")(pause)
    replay.command("resume")(resume)
    replay.command("cancel")(spread(cancel))
    replay.command("list")(list_replays)
    replay.command("show")(show_replay)
    app.add_typer(replay, name="replay")


def plan(
    where: Where,
    which: Which,
    rate: Annotated[
        str, typer.Option(metavar="RATE", help="Tasks a second at most, all sinks together.")
    ] = RATE,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the plan is called; made if not given.")
    ] = None,
    output: Form = Output.TABLE,
) -> None:
    """Count what would be sent again and what it costs, and save that as a plan. Nothing is sent.

    Examples:
        olvido replay plan --from 2h
        olvido replay plan --from 2026-11-20T08:00:00Z --to 2026-11-20T09:30:00Z --sink crm
        olvido replay plan --topic requests --partition 3 --from-offset 1200 --to-offset 1300
        olvido replay plan --outcome failed --right ERASE -o csv > ranges.csv
        olvido replay plan --from-file ranges.csv --name friday
    """
    from olvido.operators.desk.replay import plans
    from olvido.operators.desk.replay.planning import NothingSelected
    from olvido.operators.settings import deployment

    now, a_second = datetime.now(UTC), rate_of(rate, "rate")
    where.check_ranges()
    declared = deployment()
    asked = _asked(declared, where, which, now)
    try:
        with messages.status("counting"):
            made = plans.plan(declared, asked, rate=a_second, name=name, now=now)
    except NothingSelected as nothing:
        messages.print(f"olvido: {nothing}", markup=False, soft_wrap=True)
        raise typer.Exit(Exit.NOT_FOUND) from None
    show_plan(made.plan, output, more={"name": made.name})
    messages.print(
        f"saved as {made.name}; nothing was sent. Try it: olvido replay run {made.name} --shadow",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _asked(declared: "Deployment", where: Where, which: Which, now: datetime) -> "ReplayQuery":
    from olvido.operators.desk.replay.asking import TOPICS, ReplayQuery, read_ranges, selection_of, topic_of

    since, until = where.span(now)
    selection = selection_of(
        declared, sinks=which.sink or (), rights=which.right or (), purposes=which.purpose or (),
        states=which.state or (), outcomes=which.outcome or (), subject=which.subject,
        ids=[uuid_of(one, "request") for one in which.request or ()], since=since, until=until,
    )  # fmt: skip
    ranges = () if where.ranges is None else read_ranges(where.ranges)
    return ReplayQuery(
        topics=tuple(dict.fromkeys(one.topic for one in ranges))
        or tuple(dict.fromkeys(topic_of(one) for one in where.topic or TOPICS)),
        selection=selection,
        partitions=tuple(where.partition or ()),
        from_offset=where.from_offset,
        to_offset=where.to_offset,
        ranges=ranges,
    )


def run(
    plan: Name,
    agreement: Agreement,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Go all the way without an effect, and show what would differ.")
    ] = False,
    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Tasks a second at most, if not as planned.")
    ] = None,
    output: Form = Output.TABLE,
) -> None:
    """Carry out a plan. Ctrl-C interrupts it, and a repeat goes on where it was.

    With --shadow nothing is sent and no reason is needed: exit 0 if nothing would change, 1 if something
    would, 5 if some sinks could not be asked.

    Examples:
        olvido replay run friday --shadow
        olvido replay run friday --reason OPS-17
        olvido replay run friday --reason OPS-17 --confirm friday --rate 50/s
    """
    from olvido.operators.desk.acts import new_act
    from olvido.operators.desk.replay import plans
    from olvido.operators.settings import deployment

    declared = deployment()
    found = plans.find(declared, plan)
    if shadow:
        _rehearse(declared, found, output)
        return
    a_second = found.plan.rate if rate is None else rate_of(rate, "rate")
    with _saying_what_next():
        plans.check_runnable(declared, found)
    act = new_act(
        Verb.REPLAY, agreement.reason, plan=plan, tasks=found.plan.tasks, records=found.plan.records
    )
    left = found.plan.tasks - found.position.counts.tasks
    sinks = ", ".join(found.plan.issued)
    agreement.obtain(
        plan,
        {
            "sends again": f"{counted(left, 'task')} to {sinks}, at {a_second:,.0f}/s at most",
            "of these new work": sum(one.new for one in found.plan.places),
        },
    )
    try:
        with _saying_what_next(), progress(plan, found.plan.tasks, unit="tasks") as bar:
            bar.to(found.position.counts.tasks)
            after = plans.run(declared, found, act, rate=a_second, bar=bar)
    except KeyboardInterrupt:
        again = f"olvido replay run {plan} --reason {quote(act.reason)}"
        messages.print(f"go on with: {again}", markup=False, soft_wrap=True)
        raise
    counts = after.position.counts
    messages.print(
        f"{plan} is {after.state}: {counted(counts.tasks, 'task')} sent, "
        f"{counted(counts.handled, 'record')} handled anew, {counts.forgotten:,} forgotten",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    if after.state is not ReplayState.DONE:
        raise typer.Exit(Exit.PARTIAL)


def pause(plan: Name) -> None:
    """Have a running replay wait. It stays ready in its own terminal.

    Examples:
        olvido replay pause friday
    """
    from olvido.operators.desk.replay import plans
    from olvido.operators.settings import deployment

    with _saying_what_next():
        plans.pause(deployment(), plan)
    messages.print(
        f"{plan} waits within a second or so; go on with: olvido replay resume {plan}", markup=False
    )


def resume(plan: Name) -> None:
    """Have a paused replay go on.

    Examples:
        olvido replay resume friday
    """
    from olvido.operators.desk.replay import plans
    from olvido.operators.settings import deployment

    with _saying_what_next():
        plans.resume(deployment(), plan)
    messages.print(f"{plan} goes on in the terminal where it runs", markup=False)


def cancel(plan: Name, agreement: Agreement) -> None:
    """End a replay for good. What it has sent stays sent.

    Examples:
        olvido replay cancel friday --reason OPS-17
    """
    from olvido.operators.desk.acts import new_act
    from olvido.operators.desk.replay import plans
    from olvido.operators.settings import deployment

    declared = deployment()
    found = plans.find(declared, plan)
    act = new_act(Verb.CANCEL, agreement.reason, plan=plan)
    agreement.obtain(plan)
    with _saying_what_next():
        plans.cancel(declared, found, act)
    messages.print(f"{plan} is cancelled; what it sent: olvido replay show {plan}", markup=False)


def list_replays(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most, newest first.")] = 20,
    output: Form = Output.TABLE,
) -> None:
    """List the replays there are, newest first.

    Examples:
        olvido replay list
    """
    from olvido.operators.desk.replay import plans
    from olvido.operators.settings import deployment

    rows = [
        {
            "name": one.name,
            "state": one.state,
            "tasks": one.plan.tasks,
            "sent": one.position.counts.tasks,
            "forgotten": one.position.counts.forgotten,
            "created_at": one.created_at,
            "started_at": one.started_at,
            "finished_at": one.finished_at,
        }
        for one in plans.newest(deployment(), limit=limit)
    ]
    show(
        rows, ("name", "state", "tasks", "sent", "forgotten", "created_at"), output=output,
        empty="no replays; make a plan with: olvido replay plan",
    )  # fmt: skip


def show_replay(
    plan: Name,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many forgotten tasks.")
    ] = FORGOTTEN_SHOWN,
    output: Form = Output.TABLE,
) -> None:
    """Show a plan, how far it is, and what of it nobody can read any more.

    Examples:
        olvido replay show friday
        olvido replay show friday -o csv > ranges.csv
    """
    from olvido.operators.desk.replay import plans
    from olvido.operators.settings import deployment

    declared = deployment()
    found = plans.find(declared, plan)
    counts = found.position.counts
    forgotten = plans.forgotten(declared, found, limit=limit)
    head = {
        "name": found.name,
        "state": found.state,
        "tasks": found.plan.tasks,
        "sent": counts.tasks,
        "sent_by_sink": dict(counts.by_sink),
        "records_read": counts.unread,
        "records_handled_anew": counts.handled,
        "forgotten": counts.forgotten,
        "created_at": found.created_at,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "selection": filters_of(found.plan),
    }
    show_plan(found.plan, output, more=head, forgotten=forgotten)
    if output is Output.TABLE and forgotten:
        console.print(f"\nforgotten, {len(forgotten):,} of {counts.forgotten:,}", markup=False)
        show(forgotten, ("source_id", "sink", "why"), output=output, empty="")
    messages.print(_next(found), markup=False, soft_wrap=True)


# --- what the commands share ----------------------------------------------------------------------


@contextmanager
def _saying_what_next() -> Iterator[None]:
    """Where a replay is in the wrong state, say what can be done with it."""
    from olvido.operators.desk.replay.plans import WrongState

    try:
        yield
    except WrongState as wrong:
        _refuse(f"{wrong}; {_next(wrong.replay)}")


def _refuse(text: str) -> NoReturn:
    messages.print(f"olvido: {text}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.REFUSED)


def _next(found: "Replay") -> str:
    match found.state:
        case ReplayState.PAUSED if found.has_runner:
            return f"go on with: olvido replay resume {found.name}"
        case ReplayState.RUNNING:
            return f"stop it for a while with: olvido replay pause {found.name}"
        case ReplayState.DONE | ReplayState.CANCELLED:
            return "to send it once more, plan it anew: olvido replay plan"
        case _:
            return f"run it with: olvido replay run {found.name} --reason …"


def _rehearse(declared: "Deployment", found: "Replay", output: Output) -> None:
    from olvido.operators.desk.replay import plans

    with progress(f"{found.name} in shadow", found.plan.records, unit="records") as bar:
        shadow = plans.rehearse(declared, found, bar=bar)
    show_shadow(shadow, output)
    if shadow.new:
        raise typer.Exit(Exit.FAILURE)
    if not shadow.rehearsed:
        raise typer.Exit(Exit.PARTIAL)
