"""`olvido replay …`: plan, look, run; pause, resume, cancel from another terminal."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from olvido.core.acts import Verb
from olvido.core.errors import InvalidInput, Refused
from olvido.core.ids import canonical_uuid
from olvido.core.replay import Plan, ReplayState
from olvido.operators.cli.acting import Confirm, NoInput, Reason, confirm, new_act
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.output import Form, Output, console, messages, show
from olvido.operators.cli.rates import rate_given
from olvido.operators.cli.replay_showing import said, show_plan, show_shadow

if TYPE_CHECKING:
    from olvido.ledger.replays import Replay, Replays
    from olvido.schemas.settings.deployment import Deployment

RATE = "100/s"  # tasks; see bench/README.md for what it does to the work of the day
FORGOTTEN_SHOWN = 20

Name = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's name.")]


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
    replay.command("plan")(plan)
    replay.command("run")(run)
    replay.command("pause")(pause)
    replay.command("resume")(resume)
    replay.command("cancel")(cancel)
    replay.command("list")(list_replays)
    replay.command("show")(show_replay)
    app.add_typer(replay, name="replay")


def plan(
    topic: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="requests or consents; repeat. Both if not given."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From this instant on, or since so long ago.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Up to this instant, not included.")
    ] = None,
    by_duration: Annotated[
        str | None, typer.Option(metavar="SPAN", help="The last 1h, 2d or PT1H: like --from.")
    ] = None,
    from_offset: Annotated[int | None, typer.Option(metavar="N", min=0, help="From this offset on.")] = None,
    to_offset: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Up to this offset, not included.")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option(metavar="N", min=0, help="Only this partition; repeat.")
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ranges as CSV: topic,partition,from_offset,to_offset, as -o csv prints them.",
        ),
    ] = None,
    sink: Annotated[
        list[str] | None, typer.Option(metavar="SINK", help="Only tasks of this sink; repeat.")
    ] = None,
    right: Annotated[
        list[str] | None, typer.Option(metavar="RIGHT", help="Only requests of this right; repeat.")
    ] = None,
    purpose: Annotated[
        list[str] | None,
        typer.Option(metavar="PURPOSE", help="Only consent changes of this purpose; repeat."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT_ID", help="Only of this pseudonym; never an identity.")
    ] = None,
    request: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this request or consent change; repeat.")
    ] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option(metavar="OUTCOME", help="Only tasks with this outcome, or none; repeat."),
    ] = None,
    state: Annotated[
        list[str] | None, typer.Option(metavar="STATE", help="Only requests in this state; repeat.")
    ] = None,
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
    from olvido.operators.cli.instants import instant_of, span_of
    from olvido.operators.desk.replay.asking import TOPICS, Asked, read_ranges, selection_of, topic_of
    from olvido.operators.desk.replay.planning import NothingSelected, make_plan

    now = datetime.now(UTC)
    if by_duration is not None and (since is not None or until is not None):
        raise InvalidInput("--by-duration", "cannot be joined with --from or --to")
    places = {
        "--topic": topic, "--from": since, "--to": until, "--by-duration": by_duration,
        "--from-offset": from_offset, "--to-offset": to_offset, "--partition": partition,
    }  # fmt: skip
    also = [flag for flag, value in places.items() if value not in (None, [])]
    if from_file is not None and also:
        raise InvalidInput("--from-file", f"says where already: leave out {', '.join(also)}")
    a_second = rate_given(rate)
    declared, replays = _parts()
    selection = selection_of(
        declared, sinks=sink or (), rights=right or (), purposes=purpose or (), states=state or (),
        outcomes=outcome or (), ids=[_uuid(one) for one in request or ()], subject=_pseudonym(subject),
        since=now - span_of(by_duration, field="--by-duration") if by_duration is not None
        else None if since is None else instant_of(since, field="--from", now=now),
        until=None if until is None else instant_of(until, field="--to", now=now),
    )  # fmt: skip
    ranges = () if from_file is None else read_ranges(from_file)
    asked = Asked(
        topics=tuple(dict.fromkeys(one.topic for one in ranges))
        or tuple(dict.fromkeys(topic_of(one) for one in topic or TOPICS)),
        selection=selection,
        partitions=tuple(partition or ()),
        from_offset=from_offset,
        to_offset=to_offset,
        ranges=ranges,
    )
    try:
        with messages.status("counting"):
            made = make_plan(declared, replays, asked, rate=a_second, destroyed=_destroyed(declared), now=now)
    except NothingSelected as nothing:
        messages.print(f"olvido: {nothing}", markup=False, soft_wrap=True)
        raise typer.Exit(Exit.NOT_FOUND) from None
    saved = _save(replays, made, name, now=now)
    show_plan(made, output, more={"name": saved})
    messages.print(
        f"saved as {saved}; nothing was sent. Try it: olvido replay run {saved} --shadow",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def run(
    plan: Name,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Go all the way without an effect, and show what would differ.")
    ] = False,
    rate: Annotated[
        str | None, typer.Option(metavar="RATE", help="Tasks a second at most, if not as planned.")
    ] = None,
    reason: Reason = "",
    given: Confirm = None,
    no_input: NoInput = False,
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
    declared, replays = _parts()
    found = _found(replays, plan)
    if shadow:
        _rehearse(declared, replays, found, output)
        return
    from olvido.broker.kafka import KafkaPublisher
    from olvido.ledger.replays import Taken
    from olvido.operators.cli.progress import progress
    from olvido.operators.desk.replay.planning import check_same
    from olvido.operators.desk.replay.running import Ended, Runner
    from olvido.schemas.registry import Registry

    if found.state in {ReplayState.DONE, ReplayState.CANCELLED}:
        _refuse(f"{plan} is {found.state} already. To send it once more, plan it anew: olvido replay plan")
    a_second = found.plan.rate if rate is None else rate_given(rate)
    act = new_act(Verb.REPLAY, reason, plan=plan, tasks=found.plan.tasks, records=found.plan.records)
    check_same(declared, replays, found.plan)
    left = found.plan.tasks - found.position.counts.tasks
    confirm(
        plan, given=given, no_input=no_input,
        effects={
            "sends again": f"{left:,} tasks to {', '.join(found.plan.issued)}, at {a_second:,.0f}/s at most",
            "of these new work": sum(one.new for one in found.plan.places),
        },
    )  # fmt: skip
    with (
        closing(KafkaPublisher(declared.kafka, client_id="olvido.replay")) as publisher,
        progress(plan, found.plan.tasks, unit="tasks") as bar,
    ):
        bar.to(found.position.counts.tasks)
        runner = Runner(
            declared, found, replays, publisher, Registry(declared.registry.url),
            destroyed=_destroyed(declared), rate=a_second, bar=bar,
        )  # fmt: skip
        try:
            ended = runner.run(act)
        except Taken:
            _refuse(f"{plan} runs already, in another process. Look: olvido replay show {plan}")
        except Ended as over:
            _refuse(f"{plan} is {over.state} by now; nothing was sent")
        except KeyboardInterrupt:
            messages.print(f"go on with: olvido replay run {plan} --reason …", markup=False)
            raise
    after = _found(replays, plan)
    counts = after.position.counts
    messages.print(
        f"{plan} is {ended}: {counts.tasks:,} tasks sent, {counts.handled:,} records handled anew, "
        f"{counts.forgotten:,} forgotten",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    if ended is not ReplayState.DONE:
        raise typer.Exit(Exit.PARTIAL)


def pause(plan: Name) -> None:
    """Have a running replay wait. It stays ready in its own terminal.

    Examples:
        olvido replay pause friday
    """
    _, replays = _parts()
    found = _found(replays, plan)
    if found.state is not ReplayState.RUNNING or not _move(replays, found, ReplayState.PAUSED):
        _refuse(f"{plan} is {found.state}: only what runs can be paused")
    messages.print(
        f"{plan} waits within a second or so; go on with: olvido replay resume {plan}", markup=False
    )


def resume(plan: Name) -> None:
    """Have a paused replay go on.

    Examples:
        olvido replay resume friday
    """
    _, replays = _parts()
    found = _found(replays, plan)
    if found.state is not ReplayState.PAUSED:
        _refuse(f"{plan} is {found.state}, not paused; {_next(found)}")
    if not found.has_runner:
        _refuse(f"nobody runs {plan} any more; {_next(found)}")
    _move(replays, found, ReplayState.RUNNING)
    messages.print(f"{plan} goes on in the terminal where it runs", markup=False)


def cancel(plan: Name, reason: Reason = "", given: Confirm = None, no_input: NoInput = False) -> None:
    """End a replay for good. What it has sent stays sent.

    Examples:
        olvido replay cancel friday --reason OPS-17
    """
    _, replays = _parts()
    found = _found(replays, plan)
    act = new_act(Verb.CANCEL, reason, plan=plan)
    confirm(plan, given=given, no_input=no_input)
    if not replays.move(found.operation_id, ReplayState.CANCELLED, now=act.at, act=act):
        _refuse(f"{plan} is {found.state} already")
    messages.print(f"{plan} is cancelled; what it sent: olvido replay show {plan}", markup=False)


def list_replays(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most, newest first.")] = 20,
    output: Form = Output.TABLE,
) -> None:
    """List the replays there are, newest first.

    Examples:
        olvido replay list
    """
    _, replays = _parts()
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
        for one in replays.newest(limit=limit)
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
    _, replays = _parts()
    found = _found(replays, plan)
    counts = found.position.counts
    forgotten = replays.forgotten(found.operation_id, limit=limit)
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
        "selection": said(found.plan),
    }
    show_plan(found.plan, output, more=head, forgotten=forgotten)
    if output is Output.TABLE and forgotten:
        console.print(f"\nforgotten, {len(forgotten):,} of {counts.forgotten:,}", markup=False)
        show(forgotten, ("source_id", "sink", "why"), output=output, empty="")
    messages.print(_next(found), markup=False, soft_wrap=True)


# --- what the commands share ----------------------------------------------------------------------


def _parts() -> "tuple[Deployment, Replays]":
    from olvido.ledger.replays import Replays
    from olvido.operators.cli.sink_operations import database
    from olvido.operators.settings import deployment

    declared = deployment()
    return declared, Replays(database(declared))


def _found(replays: "Replays", name: str) -> "Replay":
    found = next(iter(replays.newest(name=name, limit=1)), None)
    if found is None:
        messages.print(
            f"olvido: there is no plan {name}; list them with: olvido replay list",
            markup=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(Exit.NOT_FOUND)
    return found


def _move(replays: "Replays", found: "Replay", to: ReplayState) -> bool:
    return replays.move(found.operation_id, to, now=datetime.now(UTC))


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


def _private_dirs(declared: "Deployment") -> Mapping[str, Path]:
    from olvido.operators.settings import private_keys

    given = declared.keys.private_dir
    return {region: given or private_keys(region) for region in declared.regions}


def _destroyed(declared: "Deployment") -> Mapping[str, Sequence[str]]:
    from olvido.operators.desk.replay.planning import destroyed_here

    return destroyed_here(declared, _private_dirs(declared))


def _save(replays: "Replays", made: Plan, name: str | None, *, now: datetime) -> str:
    import re

    from uuid_utils.compat import uuid7

    from olvido.schemas.settings.deployment import NAME

    if name is not None and (not re.fullmatch(NAME, name) or len(name) > 60):
        raise InvalidInput(
            "--name", "is small letters, digits and single dashes, at most 60, such as friday-2"
        )
    while True:
        operation_id = uuid7()
        called = name or f"replay-{now:%Y%m%d}-{str(operation_id)[-4:]}"
        # A crash after this line leaves a plan that nobody was told of; it does nothing by itself.
        if replays.save(operation_id, called, made, now=now):
            return called
        if name is not None:
            raise InvalidInput("--name", f"{name} is taken; choose another")


def _uuid(text: str) -> Any:  # noqa: ANN401 - a UUID
    try:
        return canonical_uuid(text, field="--request")
    except Refused as refused:
        raise InvalidInput("--request", refused.reason) from None


def _pseudonym(text: str | None) -> str | None:
    if text is not None and not text.startswith("h"):
        raise InvalidInput(
            "--subject", "is a pseudonym such as h1_…, never an identity: see olvido requests show"
        )
    return text


def _rehearse(declared: "Deployment", replays: "Replays", found: "Replay", output: Output) -> None:
    from olvido.operators.cli.progress import progress
    from olvido.operators.desk.replay.planning import check_same
    from olvido.operators.desk.replay.shadow import Rehearser
    from olvido.schemas.registry import Registry

    check_same(declared, replays, found.plan)
    with progress(f"{found.name} in shadow", found.plan.records, unit="records") as bar:
        rehearser = Rehearser(
            declared, found, replays, Registry(declared.registry.url), destroyed=_destroyed(declared),
            private_dirs=_private_dirs(declared), bar=bar,
        )  # fmt: skip
        told = rehearser.run()
    show_shadow(told, output)
    if told.new:
        raise typer.Exit(Exit.FAILURE)
    if not told.rehearsed:
        raise typer.Exit(Exit.PARTIAL)
