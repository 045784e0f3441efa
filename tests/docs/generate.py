"""The pages that are generated from code, each compared with its file by test_generated.py.

Write them anew: ``.venv/bin/python tests/docs/generate.py``
"""

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from olvido.core.causes import Cause
from olvido.core.law.regimes import Certainty, LawRule, Regime, RuleKind, load
from olvido.core.lifecycle import FINAL_STATES, TABLE, RequestState, state_of
from olvido.core.outcomes import Outcome
from olvido.core.rights.known import RIGHTS
from olvido.operators.cli import app as cli
from olvido.operators.cli import helping
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.generate import as_text
from olvido.schemas.codec import VALUE_BYTES_MAX
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import topics_of
from olvido.sinks.json_schema import deployment_schema, installed_sections

PROJECT = Path(__file__).parents[2]
sys.path.append(str(PROJECT / "tools"))  # for whoever runs this file by itself; pytest has it already
import picture  # noqa: E402
import states as states_drawn  # noqa: E402

NOTE = "<!-- Generated from {source} by tests/docs/generate.py; a test compares the two. -->"
CHOICES_MAX = 12  # more are on a page of their own
ALIKE_MIN = 6  # commands beside each other with as many lines in common are shown together


def topics() -> str:
    """docs/topics.md"""
    deployment = Deployment.load(PROJECT / "olvido.toml")
    declared = topics_of(deployment.catalogue)
    lines = [
        "# Topics",
        "",
        NOTE.format(source="schemas/olvido/schemas/topics.py and olvido.toml"),
        "",
        *_prose("""
            What travels where, keyed how, kept how long, by whom. The table is declared once, in
            [topics.py](../schemas/olvido/schemas/topics.py); `olvido topics check`, `olvido topics diff` and
            `olvido topics apply` compare a cluster with it and mend it. `writers` and `readers` are also the
            access rights to give, besides those of the command line: `olvido generate acls` prints them
            as [rules](transport.md#who-may-do-what). The tasks' topics are those of the
            sinks in [olvido.toml](../olvido.toml). How many partitions a topic has is
            [a setting](configuration.md), fixed when the topic is made.
        """),
        "",
        "| topic | key | schema | partitions | cleanup | kept | writers | readers |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| `{topic.name}` | {topic.key} "
            f"| [{topic.schema}](../schemas/olvido/schemas/avsc/{topic.schema}.avsc) "
            f"| {deployment.kafka.partitions_of(topic.name)} "
            f"| {topic.cleanup.value} | {_span(topic.retention)} "
            f"| {', '.join(topic.writers)} | {', '.join(topic.readers)} |"
            for topic in declared
        ),
        "",
        *_prose(f"""
            On each topic the value is Avro in Confluent framing (a zero byte, four bytes of schema id), its
            subject in the registry is `<topic>-value`, and a record is at most {VALUE_BYTES_MAX // 1024} KiB.
            The headers are CloudEvents 1.0 in binary mode, and `traceparent` where there was one. Neither key
            nor header holds an identity: keys are handles or ids.
        """),
    ]
    return _page(lines)


def dead_letters() -> str:
    """docs/reference/dead-letters.md"""
    lines = [
        "# Causes of dead letters",
        "",
        NOTE.format(source="core/olvido/core/causes.py"),
        "",
        *_prose("""
            A dead letter is a record that could not be handled: its coordinates, a digest and one of these
            codes, never a copy ([why](../decisions/0005-dead-letters-are-claim-checks.md)). How they are
            looked at, sent again and given up: [dead letters](../dead-letters.md).
        """),
        "",
        "| code | meaning | what to do |",
        "|---|---|---|",
        *(f"| `{cause.value}` | {cause.meaning} | {cause.decision} |" for cause in Cause),
    ]
    return _page(lines)


NOT_YET = " *(declared; no part of this version gives it)*"

# What each state says; which of them a set of outcomes gives is asked of the code.
STATES = {
    RequestState.RECEIVED: "seen, and nothing decided yet",
    RequestState.IDENTITY_PENDING: "waits until a verification says that it is really this person",
    RequestState.IN_PROGRESS: "its tasks are sent; at least one sink has given no final receipt",
    RequestState.FULFILLED: "every sink did what was asked, or did not know the person",
    RequestState.PARTIALLY_FULFILLED: "some of it was done; the rest was retained, blocked or not possible",
    RequestState.UNFULFILLED: "no sink did what was asked",
    RequestState.REFUSED: "refused with a ground",
    RequestState.NOT_APPLICABLE: "no sink is concerned, or none knows the person",
    RequestState.JOINED: "goes with another request of the same person",
    RequestState.WITHDRAWN: "taken back by the person before it was carried out",
}

OUTCOMES = {
    Outcome.ERASED: "rows were deleted",
    Outcome.ANONYMISED: "what names the person was removed from rows that stay",
    Outcome.BLOCKED: "rows were set aside by law: stored, and not used",
    Outcome.RETAINED: "rows stay, on a ground that the receipt names",
    Outcome.NOT_FOUND: "the system does not know the person",
    Outcome.AMBIGUOUS: "rows name the person and stay, for it cannot be told whose they are",
    Outcome.SUPPRESSED: "the person is on a list of those who must not be contacted",
    Outcome.RESTRICTED: "rows stay and are marked as not to be used",
    Outcome.RECTIFIED: "rows were corrected",
    Outcome.EXPORTED: "a copy was made",
    Outcome.RELEASED: "an objection or restriction was taken back, and rows follow what is left",
    Outcome.CONSENT_APPLIED: "the system follows the consent change",
    Outcome.SUPERSEDED: "a later decision was applied before this one came",
    Outcome.DEFERRED: "promised for later: the one outcome that is not final",
    Outcome.UNSUPPORTED: "the system, or the sink that speaks to it, cannot do this",
    Outcome.FAILED: "it was tried and cannot be done",
}


def states() -> str:
    """docs/reference/states.md"""
    assert set(STATES) == set(RequestState)
    assert set(OUTCOMES) == set(Outcome)
    reached = set(TABLE)
    lines = [
        "# States and outcomes",
        "",
        NOTE.format(source="core/olvido/core/lifecycle.py, outcomes.py and rights/"),
        "",
        *_prose("""
            A request's state is a pure function of what its sinks have said: receipts in any order and any
            number of times give the same state.
        """),
        "",
        "![The states of a request and what moves it from one to another](../states.svg)",
        "",
        *_prose("""
            The picture is drawn from the table in
            [lifecycle.py](../../core/olvido/core/lifecycle.py), state × event → state. What the table does
            not name changes nothing.
        """),
        "",
        "| from | event | to |",
        "|---|---|---|",
        *_transitions(),
        "",
        "## Request states",
        "",
        "| state | meaning | final |",
        "|---|---|---|",
        *(
            f"| `{state.value}` | {meaning}{'' if state in reached else NOT_YET} "
            f"| {'yes' if state in FINAL_STATES else 'no'} |"
            for state, meaning in STATES.items()
        ),
        "",
        "## Outcomes",
        "",
        "What a sink says in its receipt. A hash or a mask is never `erased`.",
        "",
        "| outcome | meaning | final |",
        "|---|---|---|",
        *(
            f"| `{outcome.value}` | {meaning} | {'yes' if outcome.final else 'no'} |"
            for outcome, meaning in OUTCOMES.items()
        ),
        "",
        "## From outcomes to a state",
        "",
        *_prose("""
            The state of a request when every sink says the same. An erasure that only retains is partial and
            says so; `unsupported` never counts as done.
        """),
        "",
        f"| outcome | {' | '.join(RIGHTS)} |",
        f"|---|{'---|' * len(RIGHTS)}",
        *(
            _row(f"`{outcome.value}`", *(f"`{state_of(right, [outcome]).value}`" for right in RIGHTS))
            for outcome in Outcome
        ),
        "",
        *_prose("""
            When sinks differ: as long as one has given no final receipt the request is `in_progress`;
            `not_found` changes nothing for the others; anything done together with anything not done is
            `partially_fulfilled`.
        """),
    ]
    return _page(lines)


def _transitions() -> Iterator[str]:
    for before, events in TABLE.items():
        for event, after in events.items():
            if before is not after:
                yield _row(
                    f"`{before.value}`" if before else "a new request",
                    states_drawn.MEANING[event],
                    f"`{after.value}`",
                )


def law() -> str:
    """docs/law.md"""
    regimes = load()
    lines = [
        "# What privacy laws ask for",
        "",
        NOTE.format(source="core/olvido/core/law/*.toml"),
        "",
        *_prose("""
            **This is not legal advice**, and no lawyer has checked it. It is what the files in
            [core/olvido/core/law](../core/olvido/core/law/regimes.py) hold: one TOML file a regime, read and
            checked by one function. `sure` means: read, or read as a quotation, in the law or on an
            official page. `likely` means: a good secondary source says so. **unsure** means: from memory,
            or sources conflict; confirm it before you rely on it. `reviewed` is the day of the notes from
            which the row was written, not of a lawyer's review.
        """),
        "",
        *_prose("""
            Which of them hold, and whose days they count, says the section `[law]` of `olvido.toml`: see
            [deadlines](deadlines.md), and `olvido law due ERASE` for what they give today.
        """),
    ]
    for regime in regimes.values():
        lines += ["", *_regime(regime, regimes[regime.builds_on].title if regime.builds_on else None)]
    return _page(lines)


def _regime(regime: Regime, below: str | None) -> Iterator[str]:
    yield f"## {regime.title}"
    yield ""
    yield f"`{regime.code}`" + (f", beside `{regime.builds_on}` ({below})" if below else "")
    yield ""
    yield "| kind | length | rights | what | source | reviewed | certainty |"
    yield "|---|---|---|---|---|---|---|"
    for kind in RuleKind:
        yield from (_rule(rule) for rule in regime.rules if rule.kind is kind)


def _rule(rule: LawRule) -> str:
    return _row(
        rule.kind + (f": `{rule.ground}`" if rule.ground else ""),
        rule.period or "no number",
        ", ".join(f"`{right}`" for right in rule.rights) or "all",
        rule.text,
        rule.source,
        str(rule.reviewed_on),
        "**unsure**" if rule.certainty is Certainty.UNSURE else rule.certainty,
    )


def command_line() -> str:
    """docs/reference/cli.md"""
    lines = [
        "# The `olvido` command",
        "",
        NOTE.format(source="operators/olvido/operators/cli/app.py"),
        "",
        *_prose("""
            Data goes to standard output, as a table or in a form for machines (`-o json`, `jsonl`, `yaml`,
            `csv`); messages go to standard error. Each command takes `--help`. It reads `olvido.toml` in the
            working directory, or the file that `OLVIDO_CONFIG` names ([configuration](../configuration.md)).
        """),
        "",
        "| exit code | meaning |",
        "|---|---|",
        *(f"| {code.value} | {code.meaning} |" for code in Exit),
    ]
    leaves = [one for one in commands() if not getattr(one[1], "commands", None)]
    for (_, options), alike in groupby(leaves, key=lambda one: (one[0][:-1], tuple(_options(one[1])))):
        several = list(alike)
        if len(several) == 1 or len(options) < ALIKE_MIN:
            for path, command in several:
                lines += [
                    "",
                    f"## {' '.join(path)}",
                    "",
                    *_said(command),
                    *_usage([(path, command)]),
                    *options,
                ]
            continue
        lines += ["", f"## {' '.join(several[0][0][:-1])} {', '.join(path[-1] for path, _ in several)}", ""]
        lines += [f"- **{path[-1]}**: {' '.join(_said(command))}" for path, command in several]
        lines += [*_usage(several), *options]
    return _page(lines)


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group of commands, by its words."""
    for words, command in helping.commands_of(typer.main.get_command(cli.app)):
        yield ("olvido", *words), command


def _said(command: Any) -> list[str]:
    """The paragraphs of a command's meaning."""
    meaning, _ = helping.parts_of(command.help or "")
    paragraphs = [" ".join(paragraph.split()) for paragraph in meaning.split("\n\n")]
    return [line for paragraph in paragraphs for line in ("", paragraph)][1:]


def _usage(several: list[tuple[tuple[str, ...], Any]]) -> Iterator[str]:
    """How each is typed, and the examples of the first."""
    command = several[0][1]
    arguments = [one.name.upper() for one in _params(command, "argument")]
    options = ["[OPTIONS]"] if _params(command, "option") else []
    yield from ("", "```text", *(" ".join([*path, *arguments, *options]) for path, _ in several), "```")
    _, examples = helping.parts_of(command.help or "")
    if examples:
        yield from ("", "```sh", *examples, "```")


def _options(command: Any) -> Iterator[str]:
    """A row for each argument and option."""
    if _params(command, "argument") or _params(command, "option"):
        yield from ("", "| | |", "|---|---|")
    for one in _params(command, "argument"):
        yield f"| `{one.name.upper()}` | {_cell(_about(one))} |"
    for one in _params(command, "option"):
        names = ", ".join(f"`{name}`" for name in [*one.opts, *one.secondary_opts])
        yield f"| {names} | {_cell(_about(one))} |"


def _cell(words: Iterable[str]) -> str:
    return " ".join(words).replace("|", "\\|")


def _params(command: Any, kind: str) -> list[Any]:
    return [one for one in command.params if one.param_type_name == kind and not one.hidden]


def _about(param: Any) -> Iterator[str]:
    if param.help:
        yield " ".join(param.help.split())
    values = [str(getattr(one, "value", one)) for one in param.type_descriptor.choices or ()]
    if len(values) > CHOICES_MAX:
        yield "One of [these codes](dead-letters.md)."
    elif values:
        yield f"One of {', '.join(f'`{value}`' for value in values)}."
    if param.required and param.param_type_name == "option":
        yield "Required."
    elif param.default not in {None, False, ""} and param.param_type_name == "option":
        shown = param.default.value if isinstance(param.default, Enum) else param.default
        yield f"Default: `{shown}`."


def _span(span: timedelta | None) -> str:
    if span is None:
        return "for ever, the latest of each key"
    return f"{span.days} days" if span.days else f"{span // timedelta(hours=1)} h"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _prose(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), 110, break_long_words=False, break_on_hyphens=False)


def _page(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/topics.md": topics,
    "docs/reference/dead-letters.md": dead_letters,
    "docs/reference/states.md": states,
    "docs/law.md": law,
    "docs/reference/cli.md": command_line,
    "docs/reference/olvido.schema.json": lambda: as_text(deployment_schema(installed_sections())),
    "docs/states.svg": states_drawn.draw,
    "docs/picture.svg": lambda: picture.draw(Deployment.load(PROJECT / "olvido.toml").catalogue),
}

if __name__ == "__main__":
    for name, write in PAGES.items():
        (PROJECT / name).write_text(write(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")
