"""A plan, a run and a rehearsal as people read them, and as machines do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from olvido.core.replay import Plan
from olvido.operators.cli.output import Output, console, messages, print_data, show, table_of
from olvido.operators.desk.text import counted, span, text_of

if TYPE_CHECKING:
    from olvido.operators.desk.replay.shadow import Shadow

COUNTED = ("records", "tasks", "new", "applied", "forgotten", "unread")


def filters_of(made: Plan) -> dict[str, object]:
    """A plan's filters, as far as they narrow."""
    return {name: value for name, value in asdict(made.selection).items() if value}


def show_plan(
    made: Plan, output: Output, *, more: Mapping[str, object], forgotten: Sequence[Any] = ()
) -> None:
    """Print a plan: by partition, by sink, and what it comes to. As CSV or JSON lines the partitions alone.

    Args:
        made: the plan.
        output: which form.
        more: what else is known of it, by name.
        forgotten: tasks that a run could not issue.
    """
    places = [asdict(place) for place in made.places if place.from_offset < place.to_offset]
    if output in {Output.CSV, Output.JSONL}:
        print_data(places, output=output)
        return
    sinks = [
        {**asdict(sink), "seconds": round(sink.seconds, 1), "quota": sink.rate < made.rate}
        for sink in made.sinks
    ]
    whole = {
        **more, "rate": made.rate, "seconds": round(made.seconds, 1), "waiting": made.waiting,
        "places": places, "sinks": sinks, "forgotten_tasks": list(forgotten),
    }  # fmt: skip
    if print_data(whole, output=output):
        return
    for key, value in more.items():
        if key not in {"name", "tasks"} and value not in (None, {}):
            console.print(f"{key.replace('_', ' ')}: {text_of(value)}", markup=False)
    show(_place_rows(made), ("topic", "part.", "from", "to", *COUNTED), output=output, empty="")
    console.print()
    rows = _sink_rows(made)
    console.print(table_of(rows, tuple(rows[0])))
    console.print()
    _print_summary(made)


def _place_rows(made: Plan) -> list[dict[str, Any]]:
    return [
        {
            "topic": place.topic.split(".")[1],
            "part.": place.partition,
            "from": place.from_offset,
            "to": place.to_offset,
            **{key: f"{getattr(place, key):,}" for key in COUNTED},
        }
        for place in made.places
        if place.records or place.unread
    ]


def _sink_rows(made: Plan) -> list[dict[str, Any]]:
    return [
        {
            "sink": sink.sink,
            "tasks": f"{sink.tasks:,}",
            "new": f"{sink.new:,}",
            "applied": f"{sink.applied:,}",
            "forgotten": f"{sink.forgotten:,}",
            "rate": f"{sink.rate:,.2f}/s" if sink.rate < 10 else f"{sink.rate:,.0f}/s",
            "takes": _takes(sink.seconds),
            "held by": "its quota" if sink.rate < made.rate else "--rate",
        }
        for sink in made.sinks
    ]


def _print_summary(made: Plan) -> None:
    console.print(
        f"{counted(made.tasks, 'task')} of {counted(made.records, 'record')}, at least "
        f"{_takes(made.seconds)} at {made.rate:,.0f}/s for all sinks together",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    if made.unread:
        verb, they = ("is", "it is") if made.unread == 1 else ("are", "they are")
        messages.print(
            f"{counted(made.unread, 'record')} {verb} not in the ledger: {they} read from the topic, and "
            "handled as new unless known by their ids, or refused as before",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if made.waiting:
        verb, they = ("waits", "is left") if made.waiting == 1 else ("wait", "are left")
        messages.print(
            f"{counted(made.waiting, 'record')} {verb} for the processors, and {they} to them", markup=False
        )


def _takes(seconds: float) -> str:
    return span(timedelta(seconds=seconds))


def show_shadow(shadow: "Shadow", output: Output) -> None:
    """Print what a replay would do, by sink. As CSV or JSON lines the sinks alone."""
    rows = [
        {
            "sink": one.sink,
            "tasks": one.tasks,
            "remembered": one.remembered,
            "new": one.new,
            "unexpected": one.unexpected,
            "not_asked": one.not_asked,
            "done_by_ledger": one.done,
            "would_be": dict(one.outcomes),
            "why_not": one.why_not if one.not_asked else "",
        }
        for one in shadow.sinks.values()
    ]
    whole = {
        "new_effects": shadow.new, "records": shadow.records, "forgotten": shadow.forgotten,
        "unread": shadow.unread, "handled_for_the_first_time": shadow.unknown, "sinks": rows,
        "differences": shadow.differences,
    }  # fmt: skip
    if print_data(rows if output in {Output.CSV, Output.JSONL} else whole, output=output):
        return
    console.print(table_of(rows, ("sink", "tasks", "remembered", "new", "unexpected", "not_asked")))
    console.print(f"new effects: {shadow.new:,}, in {shadow.records:,} records", markup=False)
    if shadow.unknown:
        console.print(f"handled for the first time: {shadow.unknown:,} records", markup=False)
    if shadow.forgotten:
        console.print(f"forgotten: {shadow.forgotten:,} tasks that nobody can issue", markup=False)
    if shadow.differences:
        console.print("\nwhat would differ, the first of them", markup=False)
        show(shadow.differences, ("source_id", "sink", "would_be", "ledger_says"), output=output, empty="")
    for one in shadow.sinks.values():
        if one.not_asked:
            messages.print(
                f"{one.sink}: not asked: {one.why_not}. "
                f"By the ledger {one.done:,} of {one.not_asked:,} are done",
                markup=False, soft_wrap=True,
            )  # fmt: skip
