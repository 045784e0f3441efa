"""What a run came to, as a table for people or JSON for machines."""

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Column, Table

from chaos.points import POINTS
from chaos.rig import Caught, Result
from chaos.witness import CHECKS

WIDTH = 80


def show_run(result: Result) -> str:
    """Tables: what was done, and what was found."""
    tally, findings = result.tally, result.findings
    kills = Table("killed", "how often", "victims", title="SIGKILL", title_justify="left")
    for where in (*POINTS, "any time"):
        at = _of(tally.kills, where)
        if at:
            kills.add_row(where, str(sum(at.values())), _text(at))
    faults = Table("fault", "how often", "victims", title="all else", title_justify="left")
    for what in sorted({what for what, _ in tally.faults}):
        to = _of(tally.faults, what)
        faults.add_row(what, str(sum(to.values())), _text(to))
    checks = Table("check", "", "what it means", title="what was found", title_justify="left")
    for name, meaning in CHECKS.items():
        found = len(findings.found.get(name, ()))
        checks.add_row(name, f"RED {found}" if found else "ok", meaning)
    recovered = result.recovered_p95_s
    lines = [
        f"seed {result.seed}: {tally.killed} kills at {len({where for where, _ in tally.kills})} places, "
        f"{sum(tally.faults.values())} other faults, {tally.twos} times two at once",
        f"{findings.people} people, {findings.events} events accepted, {findings.effects} effects, "
        f"{result.restarts} restarts",
        f"{result.seconds:.0f} s, settled after {result.settled_s:.0f} s more; "
        f"sent again {findings.resent}, read again by the audit {findings.reread}; "
        f"memory at most {result.memory_mb} MB",
        f"lag recovered, p95 of {len(result.recovered_s)}: "
        + ("-" if recovered is None else f"{recovered:.0f} s"),
    ]
    return "\n".join([_drawn(kills, faults, checks), *lines, *findings.lines()])


def show_bugs(caught: Sequence[Caught]) -> str:
    """One line for each planted bug."""
    table = Table(
        Column("bug", no_wrap=True),
        "",
        "red",
        "kills",
        "what it does",
        title="planted bugs",
        title_justify="left",
    )
    for one in caught:
        table.add_row(
            one.name,
            "caught" if one.caught else "MISSED",
            ", ".join(sorted(one.red)) or "-",
            str(one.kills),
            one.bug.says + (f" (healers off: else {one.bug.healed})" if one.bug.healed else ""),
        )
    told = [f"{one.name}: {line}" for one in caught for line in one.told]
    return "\n".join([_drawn(table), *told])


def as_json(result: Result | Sequence[Caught]) -> str:
    """The same for machines."""
    if isinstance(result, Result):
        content: object = {
            "seed": result.seed,
            "kills": result.tally.killed,
            "killed": _nested(result.tally.kills),
            "faults": _nested(result.tally.faults),
            "two_at_once": result.tally.twos,
            "people": result.findings.people,
            "events": result.findings.events,
            "effects": result.findings.effects,
            "restarts": result.restarts,
            "seconds": round(result.seconds, 1),
            "settled_s": round(result.settled_s, 1),
            "resent": result.findings.resent,
            "reread": result.findings.reread,
            "recovered_p95_s": result.recovered_p95_s,
            "memory_mb": result.memory_mb,
            "checks": {name: len(result.findings.found.get(name, ())) for name in CHECKS},
            "found": list(result.findings.lines()),
        }
    else:
        content = [
            {
                "bug": one.name,
                "says": one.bug.says,
                "healers_off": one.bug.healed,
                "caught": one.caught,
                "red": sorted(one.red),
                "kills": one.kills,
                "found": list(one.told),
            }
            for one in result
        ]
    return json.dumps(content, indent=1)


def _of(counted: Counter[tuple[str, str]], what: str) -> Counter[str]:
    return Counter({victim: count for (at, victim), count in counted.items() if at == what})


def _nested(counted: Counter[tuple[str, str]]) -> Mapping[str, Mapping[str, int]]:
    return {what: dict(_of(counted, what)) for what in sorted({what for what, _ in counted})}


def _text(victims: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(victims.items()))


def _drawn(*tables: Table) -> str:
    file = io.StringIO()
    console = Console(file=file, width=WIDTH)
    for table in tables:
        console.print(table)
    return file.getvalue().rstrip()
