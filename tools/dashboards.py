"""Alert rules and dashboard, generated out of one description each.

``python tools/dashboards.py`` writes the two files that `olvido generate` gives out. A test compares them
with what is described here, and promtool tries each alert on numbers that must and must not set it off.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from olvido.operators.cli.generate import DASHBOARD, FOLDER, JOB, RULES
from olvido.operators.cli.output import yaml_of

RUNBOOKS = "docs/runbooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. It has a runbook of its name."""

    name: str
    expr: str
    lasting: str = "0m"  # how long it must hold
    severity: str  # page: somebody gets up; ticket: it is looked at within a working day
    summary: str
    description: str

    def as_rule(self) -> dict[str, Any]:
        """As Prometheus has it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook": f"{RUNBOOKS}/{self.name}.md",
            },
        }


ALERTS = (
    Alert(
        name="OlvidoProcessDown",
        expr=f'up{{job="{JOB}"}} == 0',
        lasting="2m",
        severity="page",
        summary="{{ $labels.process }} does not answer Prometheus",
        description="It is gone, or hangs so that even its small server does not answer.",
    ),
    Alert(
        name="OlvidoNobodyIsWatched",
        expr="absent(olvido_build_info)",
        lasting="5m",
        severity="page",
        summary="No process of Olvido is scraped",
        description="Every other alert is blind: Prometheus finds no process at all.",
    ),
    Alert(
        name="OlvidoFiguresMissing",
        expr="absent(olvido_tasks_owed)",
        lasting="5m",
        severity="page",
        summary="Nothing reports what is owed",
        description="The recorder reads lag, what is owed and dead. Without it those alerts are blind.",
    ),
    Alert(
        name="OlvidoStandsStill",
        expr="olvido_standing_still_seconds > 60",
        lasting="1m",
        severity="page",
        summary="{{ $labels.process }} is there and does not move",
        description="Records wait for it and nothing it commits has grown for more than a minute.",
    ),
    Alert(
        name="OlvidoNotReady",
        expr="olvido_ready == 0",
        lasting="10m",
        severity="ticket",
        summary="{{ $labels.process }} is not ready",
        description="It is alive, and something it needs does not answer. Its /readyz says what.",
    ),
    Alert(
        name="OlvidoTargetDown",
        expr='olvido_part_up{part="target"} == 0',
        lasting="5m",
        severity="ticket",
        summary="The target system of {{ $labels.process }} does not answer",
        description="Its tasks wait; nothing is lost, and no other sink is held up.",
    ),
    Alert(
        name="OlvidoKafkaUnreachable",
        expr='olvido_part_up{part="kafka"} == 0',
        lasting="2m",
        severity="page",
        summary="{{ $labels.process }} does not reach Kafka",
        description="It can neither read nor write; upstream services keep what they could not emit.",
    ),
    Alert(
        name="OlvidoLedgerUnreachable",
        expr='olvido_part_up{part="ledger"} == 0',
        lasting="2m",
        severity="page",
        summary="{{ $labels.process }} does not reach the ledger",
        description="Requests wait on their topics until the database answers again.",
    ),
    Alert(
        name="OlvidoRegistryUnreachable",
        expr='olvido_part_up{part="registry"} == 0',
        lasting="5m",
        severity="ticket",
        summary="{{ $labels.process }} does not reach the schema registry",
        description="What runs goes on with the schemas it knows; what starts now waits.",
    ),
    Alert(
        name="OlvidoLagGrows",
        expr=(
            "sum by (consumergroup)"
            " (max by (consumergroup, topic, partition) (kafka_consumergroup_lag)) > 1000"
            " and sum by (consumergroup)"
            " (delta(max by (consumergroup, topic, partition) (kafka_consumergroup_lag)[15m:1m])) > 0"
        ),
        lasting="15m",
        severity="ticket",
        summary="{{ $labels.consumergroup }} falls behind",
        description="More than 1,000 records wait for it; a quarter of an hour ago they were fewer.",
    ),
    Alert(
        name="OlvidoReceiptsOverdue",
        expr="max by (sink) (olvido_oldest_unacknowledged_seconds) > 3600",
        lasting="5m",
        severity="ticket",
        summary="{{ $labels.sink }} owes a receipt for more than an hour",
        description="A person's request is not done there yet, although it has been sent again meanwhile.",
    ),
    Alert(
        name="OlvidoTasksParked",
        expr="max by (sink) (olvido_tasks_parked) > 0",
        lasting="15m",
        severity="ticket",
        summary="Tasks of {{ $labels.sink }} wait for a person to decide",
        description="Each became a dead letter; it is not sent again by itself and its request stays open.",
    ),
    Alert(
        name="OlvidoRequestsDueSoon",
        expr='max by (when) (olvido_requests_due{when="soon"}) > 0',
        lasting="15m",
        severity="ticket",
        summary="Requests are to be answered within five days",
        description="Somebody still owes something; when the last day is over, a law is broken.",
    ),
    Alert(
        name="OlvidoRequestsOverdue",
        expr='max by (when) (olvido_requests_due{when="overdue"}) > 0',
        lasting="1m",
        severity="page",
        summary="Requests are open and their last day is over",
        description="People were promised an answer by now, by a law or by the deployment.",
    ),
    Alert(
        name="OlvidoErasuresHeld",
        expr='max by (held_for) (olvido_requests_held{held_for=~"erasures_per_hour.*"}) > 0',
        lasting="1m",
        severity="page",
        summary="Erasures are above {{ $labels.held_for }} and wait for two people",
        description="Somebody asks for more erasures than usual. An attack, or people whose right waits.",
    ),
    Alert(
        name="OlvidoErasuresAboveLimit",
        expr="max by (sink) (olvido_tasks_above_limit) > 0",
        lasting="1m",
        severity="page",
        summary="Erasures in {{ $labels.sink }} are above a limit and wait for two people",
        description="One would take very many rows or people, or a batch much of a table. Each waits.",
    ),
    Alert(
        name="OlvidoDeadLetters",
        expr='max by (cause) (olvido_dead_letters{state="open"}) > 0',
        lasting="10m",
        severity="ticket",
        summary="There are dead letters of cause {{ $labels.cause }}",
        description="Records that could not be handled, and about which nobody has decided.",
    ),
    Alert(
        name="OlvidoDeadLettersOld",
        expr="max by (cause) (olvido_dead_letters_oldest_seconds) > 3 * 86400",
        lasting="10m",
        severity="page",
        summary="A dead letter of cause {{ $labels.cause }} is older than three days",
        description="A person's request may be behind it, and the law's clock goes on.",
    ),
    Alert(
        name="OlvidoOffsetAuditGaps",
        expr="increase(olvido_offset_audit_reread_total[1h]) > 0 or olvido_offset_audit_gaps > 0",
        severity="ticket",
        summary="{{ $labels.process }} committed over records it had not handled",
        description="The audit found them and reads them again: late, and not lost.",
    ),
    Alert(
        name="OlvidoForgotten",
        expr="sum by (sink) (increase(olvido_forgotten_total[1h])) > 0",
        severity="ticket",
        summary="{{ $labels.sink }} gets tasks whose boxes nobody can open",
        description="The key they were sealed to is destroyed. If nobody meant that, it is an accident.",
    ),
    Alert(
        name="OlvidoResurrected",
        expr="sum by (sink) (increase(olvido_sink_resurrected_total[1h])) > 0",
        severity="ticket",
        summary="{{ $labels.sink }} holds people again who were erased there",
        description="A later look found them, and they are being erased again. Something writes them back.",
    ),
    Alert(
        name="OlvidoLooksOverdue",
        expr="max by (sink) (olvido_sink_verified_age_seconds) > 3600",
        lasting="10m",
        severity="ticket",
        summary="{{ $labels.sink }} has not looked again for people it erased",
        description="If somebody came back there, nobody would notice.",
    ),
    Alert(
        name="OlvidoCanaryPersonStands",
        expr="max by (sink) (olvido_canary_people_standing) > 0",
        lasting="5m",
        severity="page",
        summary="{{ $labels.sink }} has answered for a canary person whose rows stand",
        description="Its receipts say what is not so: people who were told of their erasure may be there.",
    ),
    Alert(
        name="OlvidoCanaryPersonMissed",
        expr="max by (sink) (olvido_canary_person_forgotten_age_seconds) > 26 * 3600",
        lasting="1h",
        severity="ticket",
        summary="No canary person was forgotten in {{ $labels.sink }} for more than a day",
        description="One is planted and erased each day; somewhere on the way to the sink that stops.",
    ),
    Alert(
        name="OlvidoSinkUnsafe",
        expr="max by (sink) (olvido_sink_unsafe) == 1",
        severity="page",
        summary="{{ $labels.sink }} may hold people who were erased",
        description="A backup was restored there, and what was erased since then is being erased again.",
    ),
)


def rules() -> dict[str, Any]:
    """The alert rules, as a file for Prometheus' ``rule_files``."""
    return {"groups": [{"name": JOB, "rules": [alert.as_rule() for alert in ALERTS]}]}


# --- dashboard ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: what it shows, and each line of it as (expression, legend)."""

    title: str
    meaning: str
    lines: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8  # of 24
    bad_from: float | None = None  # from here on it is shown in red


def _quantile(quantile: float) -> tuple[str, str]:
    rate = "sum by (sink, le) (rate(olvido_time_to_erase_seconds_bucket[$__rate_interval]))"
    return f"histogram_quantile({quantile}, {rate})", f"{{{{sink}}}} p{quantile * 100:g}"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Is it well?",
        (
            Panel(
                title="Processes that answer", kind="stat", width=4,
                meaning="How many processes Prometheus reaches.",
                lines=((f'sum(up{{job="{JOB}"}})', ""),),
            ),
            Panel(
                title="Standing still", kind="stat", width=4, unit="s", bad_from=60,
                meaning="The longest that records have waited and nothing moved.",
                lines=(("max(olvido_standing_still_seconds)", ""),),
            ),
            Panel(
                title="Not ready", kind="stat", width=4, bad_from=1,
                meaning="Processes for which something does not answer.",
                lines=(("count(olvido_ready == 0) or vector(0)", ""),),
            ),
            Panel(
                title="Tasks owed", kind="stat", width=4,
                meaning="Tasks without a final receipt.",
                lines=(("sum(max by (sink) (olvido_tasks_owed))", ""),),
            ),
            Panel(
                title="Open dead letters", kind="stat", width=4, bad_from=1,
                meaning="Records nobody could handle and nobody has decided about.",
                lines=(('sum(max by (cause) (olvido_dead_letters{state="open"})) or vector(0)', ""),),
            ),
            Panel(
                title="Unsafe sinks", kind="stat", width=4, bad_from=1,
                meaning="Systems that may hold people who were erased.",
                lines=(("sum(max by (sink) (olvido_sink_unsafe))", ""),),
            ),
        ),
    ),
    (
        "What is owed",
        (
            Panel(
                title="Oldest unacknowledged", unit="s", bad_from=3600,
                meaning="Age of the oldest task without a final receipt.",
                lines=(("max by (sink) (olvido_oldest_unacknowledged_seconds)", "{{sink}}"),),
            ),
            Panel(
                title="Time to erase", unit="s",
                meaning="From a person's request to the moment a sink had carried it out.",
                lines=(_quantile(0.5), _quantile(0.99)),
            ),
            Panel(
                title="Owed and parked",
                meaning="Tasks without a final receipt, and those that wait for a person to decide.",
                lines=(
                    ("max by (sink) (olvido_tasks_owed)", "{{sink}} owed"),
                    ("max by (sink) (olvido_tasks_parked)", "{{sink}} parked"),
                ),
            ),
        ),
    ),
    (
        "What flows",
        (
            Panel(
                title="Records handled", unit="cps",
                meaning="Records whose batch was done, each second.",
                lines=(
                    ("sum by (topic) (rate(olvido_records_handled_total[$__rate_interval]))", "{{topic}}"),
                ),
            ),
            Panel(
                title="Receipts", unit="cps",
                meaning="Receipts that settled a task, each second.",
                lines=(
                    (
                        "sum by (sink, outcome) (rate(olvido_receipts_total[$__rate_interval]))",
                        "{{sink}} {{outcome}}",
                    ),
                ),
            ),
            Panel(
                title="Batch, p99", unit="s",
                meaning="How long a batch takes, from its first try to done.",
                lines=(
                    (
                        "histogram_quantile(0.99, sum by (topic, le)"
                        " (rate(olvido_batch_seconds_bucket[$__rate_interval])))",
                        "{{topic}}",
                    ),
                ),
            ),
        ),
    ),
    (
        "Who reads",
        (
            Panel(
                title="Lag", width=12,
                meaning="Records each group has yet to handle.",
                lines=(
                    (
                        "sum by (consumergroup)"
                        " (max by (consumergroup, topic, partition) (kafka_consumergroup_lag))",
                        "{{consumergroup}}",
                    ),
                ),
            ),
            Panel(
                title="Read and written", unit="cps", width=12,
                meaning="How fast topics grow, and how fast their groups follow.",
                lines=(
                    (
                        "sum by (topic) (deriv(max by (topic, partition)"
                        " (kafka_topic_partition_current_offset)[5m:15s]))",
                        "{{topic}} written",
                    ),
                    (
                        "sum by (consumergroup) (deriv(max by (consumergroup, topic, partition)"
                        " (kafka_consumergroup_current_offset)[5m:15s]))",
                        "{{consumergroup}} read",
                    ),
                ),
            ),
        ),
    ),
    (
        "What was not done as asked",
        (
            Panel(
                title="Dead letters",
                meaning="Open ones by cause, and the age of the oldest is an alert.",
                lines=(('max by (cause) (olvido_dead_letters{state="open"})', "{{cause}}"),),
            ),
            Panel(
                title="Tried again",
                meaning="Batches brought again because something was down; tasks without a receipt in time.",
                lines=(
                    ("sum by (topic) (increase(olvido_retries_total[$__rate_interval]))", "{{topic}}"),
                    ("sum(increase(olvido_tasks_resent_total[$__rate_interval]))", "tasks sent again"),
                ),
            ),
            Panel(
                title="Audit and forgotten",
                meaning="Records committed over and read again; tasks whose box nobody can open.",
                lines=(
                    ("sum(increase(olvido_offset_audit_reread_total[$__rate_interval]))", "read again"),
                    (
                        "sum by (sink) (increase(olvido_forgotten_total[$__rate_interval]))",
                        "{{sink}} forgotten",
                    ),
                ),
            ),
            Panel(
                title="Parts that answer", width=24,
                meaning="What each process needs, and whether it answers: 1 if so.",
                lines=(("min by (process, part) (olvido_part_up)", "{{process}} {{part}}"),),
            ),
        ),
    ),
)  # fmt: skip


def expressions() -> list[str]:
    """Every expression of the dashboard, with an interval in place of Grafana's own."""
    return [
        expr.replace("$__rate_interval", "5m")
        for _, panels in ROWS
        for panel in panels
        for expr, _ in panel.lines
    ]


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    return {
        "uid": JOB,
        "title": "Olvido",
        "tags": [JOB],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [
            {"id": number, **panel} for number, panel in enumerate(chain.from_iterable(_placed()), start=1)
        ],
    }


def _placed() -> Iterable[Sequence[dict[str, Any]]]:
    y = 0
    for title, panels in ROWS:
        yield [{"type": "row", "title": title, "collapsed": False, "gridPos": _place(0, y, 24, 1)}]
        x, y, height = 0, y + 1, 4 if panels[0].kind == "stat" else 8
        for panel in panels:
            if x + panel.width > 24:
                x, y = 0, y + height
            yield [_drawn(panel, _place(x, y, panel.width, height))]
            x += panel.width
        y += height


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _drawn(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad_from is not None:
        steps.append({"color": "red", "value": panel.bad_from})
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                **({"color": {"mode": "thresholds"}} if panel.kind == "stat" else {}),
            },
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": expr, "legendFormat": legend}
            for number, (expr, legend) in enumerate(panel.lines)
        ],
    }


FILES: Mapping[str, Callable[[], str]] = {
    RULES: lambda: yaml_of(rules()),
    DASHBOARD: lambda: json.dumps(dashboard(), indent=2) + "\n",
}

if __name__ == "__main__":
    for name, write in FILES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")
