"""Alerts and dashboard: each alert is tried by promtool on numbers that must and must not set it off."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT
from ruamel.yaml import YAML

import dashboards
from olvido.broker.runtime.metrics import FIGURES, REGISTRY
from olvido.operators.cli import generate
from olvido.operators.cli.output import yaml_of

RUNBOOKS = PROJECT / dashboards.RUNBOOKS
ALERTS = {alert.name: alert for alert in dashboards.ALERTS}
HEADINGS = ["What it means", "Is anybody harmed?", "Look", "Mend", "Verify"]
LONG = "240"  # minutes: longer than any alert waits


@pytest.fixture(scope="module")
def promtool() -> str:
    """Where it is. Our own runs must have it."""
    found = shutil.which("promtool")
    if found is None and os.environ.get("CI"):
        pytest.fail("promtool is missing: apt-get install prometheus")
    if found is None:
        pytest.skip("no promtool here: the rules are compared and not tried (apt-get install prometheus)")
    return found


@dataclass(frozen=True)
class Trial:
    """Numbers that set an alert off, with the labels it then has, and numbers that must not."""

    loud: Mapping[str, str]
    quiet: Mapping[str, str]
    labels: Mapping[str, str]


def of(name: str, **labels: str) -> str:
    """A series."""
    return name + "{" + ", ".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


CRM = {"job": "olvido", "process": "sink-crm"}
CANARY_PEOPLE = {"job": "olvido", "process": "canary-people"}
RECORDER = {"job": "olvido", "process": "recorder"}
LAG = of(
    "kafka_consumergroup_lag", consumergroup="olvido.sink.crm", topic="olvido.tasks.crm.v1", partition="0"
)


def a_part(part: str) -> Trial:
    series = of("olvido_part_up", **CRM, part=part)
    # Down for a moment is a restart, and nobody's night.
    return Trial({series: f"1x5 0x{LONG}"}, {series: "1x5 0 1x240"}, {**CRM, "part": part})


TRIALS = {
    "OlvidoProcessDown": Trial(
        {of("up", **CRM): f"1x5 0x{LONG}"},
        {of("up", **CRM): "1x5 0 1x240", of("up", job="another"): f"0x{LONG}"},
        CRM,
    ),
    "OlvidoNobodyIsWatched": Trial({}, {of("olvido_build_info", version="1"): f"1x{LONG}"}, {}),
    "OlvidoFiguresMissing": Trial({}, {of("olvido_tasks_owed", sink="crm"): f"0x{LONG}"}, {}),
    "OlvidoStandsStill": Trial(
        {of("olvido_standing_still_seconds", **CRM): f"0x5 0+60x{LONG}"},
        {of("olvido_standing_still_seconds", **CRM): f"0x5 50x{LONG}"},
        CRM,
    ),
    "OlvidoNotReady": Trial(
        {of("olvido_ready", **CRM): f"0x{LONG}"}, {of("olvido_ready", **CRM): "1x5 0x5 1x240"}, CRM
    ),
    "OlvidoTargetDown": a_part("target"),
    "OlvidoKafkaUnreachable": a_part("kafka"),
    "OlvidoLedgerUnreachable": a_part("ledger"),
    "OlvidoRegistryUnreachable": a_part("registry"),
    "OlvidoLagGrows": Trial(
        {LAG: f"0+100x{LONG}"},
        # A backlog that is worked off, and one that is small.
        {LAG: "90000-100x240", LAG.replace("crm", "ads"): f"0+1x{LONG}"},
        {"consumergroup": "olvido.sink.crm"},
    ),
    "OlvidoReceiptsOverdue": Trial(
        {of("olvido_oldest_unacknowledged_seconds", sink="crm", **RECORDER): f"0+60x{LONG}"},
        {of("olvido_oldest_unacknowledged_seconds", sink="crm", **RECORDER): f"3500x{LONG}"},
        {"sink": "crm"},
    ),
    "OlvidoTasksParked": Trial(
        {of("olvido_tasks_parked", sink="crm", **RECORDER): f"2x{LONG}"},
        {of("olvido_tasks_parked", sink="crm", **RECORDER): "2x10 0x240"},
        {"sink": "crm"},
    ),
    "OlvidoRequestsDueSoon": Trial(
        {of("olvido_requests_due", when="soon", **RECORDER): f"2x{LONG}"},
        {
            of("olvido_requests_due", when="soon", **RECORDER): "0x240",
            of("olvido_requests_due", when="overdue", **RECORDER): f"2x{LONG}",
        },
        {"when": "soon"},
    ),
    "OlvidoRequestsOverdue": Trial(
        {of("olvido_requests_due", when="overdue", **RECORDER): f"1x{LONG}"},
        {
            of("olvido_requests_due", when="overdue", **RECORDER): "0x240",
            of("olvido_requests_due", when="soon", **RECORDER): f"1x{LONG}",
        },
        {"when": "overdue"},
    ),
    "OlvidoErasuresHeld": Trial(
        {of("olvido_requests_held", held_for="erasures_per_hour", **RECORDER): f"2x{LONG}"},
        {
            of("olvido_requests_held", held_for="erasures_per_hour", **RECORDER): "0x240",
            of("olvido_requests_held", held_for="erase_after", **RECORDER): f"2x{LONG}",
        },
        {"held_for": "erasures_per_hour"},
    ),
    "OlvidoErasuresAboveLimit": Trial(
        {of("olvido_tasks_above_limit", sink="crm", **RECORDER): f"1x{LONG}"},
        {of("olvido_tasks_above_limit", sink="crm", **RECORDER): "0x240"},
        {"sink": "crm"},
    ),
    "OlvidoDeadLetters": Trial(
        {of("olvido_dead_letters", cause="FUTURE", state="open", **RECORDER): f"1x{LONG}"},
        {
            of("olvido_dead_letters", cause="FUTURE", state="discarded", **RECORDER): f"9x{LONG}",
            of("olvido_dead_letters", cause="EMPTY", state="open", **RECORDER): "1x5 0x240",
        },
        {"cause": "FUTURE"},
    ),
    "OlvidoDeadLettersOld": Trial(
        {of("olvido_dead_letters_oldest_seconds", cause="FUTURE", **RECORDER): f"259000+60x{LONG}"},
        {of("olvido_dead_letters_oldest_seconds", cause="FUTURE", **RECORDER): f"86400x{LONG}"},
        {"cause": "FUTURE"},
    ),
    "OlvidoOffsetAuditGaps": Trial(
        {of("olvido_offset_audit_gaps", **RECORDER): f"3x{LONG}"},
        {
            of("olvido_offset_audit_gaps", **RECORDER): f"0x{LONG}",
            of("olvido_offset_audit_reread_total", **RECORDER): f"7x{LONG}",
        },
        RECORDER,
    ),
    "OlvidoForgotten": Trial(
        {of("olvido_forgotten_total", sink="crm", **CRM): f"0x200 0+1x{LONG}"},
        {of("olvido_forgotten_total", sink="crm", **CRM): f"7x{LONG}"},
        {"sink": "crm"},
    ),
    "OlvidoResurrected": Trial(
        {of("olvido_sink_resurrected_total", sink="crm", **CRM): f"0x200 0+1x{LONG}"},
        {of("olvido_sink_resurrected_total", sink="crm", **CRM): f"7x{LONG}"},
        {"sink": "crm"},
    ),
    "OlvidoLooksOverdue": Trial(
        {of("olvido_sink_verified_age_seconds", sink="crm", **CRM): f"0+60x{LONG}"},
        # One that catches up after it stood still, and one that is in time.
        {of("olvido_sink_verified_age_seconds", sink="crm", **CRM): "90000-1000x240"},
        {"sink": "crm"},
    ),
    "OlvidoCanaryPersonStands": Trial(
        {of("olvido_canary_people_standing", sink="crm", **CANARY_PEOPLE): f"0x5 1x{LONG}"},
        {of("olvido_canary_people_standing", sink="crm", **CANARY_PEOPLE): f"0x{LONG}"},
        {"sink": "crm"},
    ),
    "OlvidoCanaryPersonMissed": Trial(
        {of("olvido_canary_person_forgotten_age_seconds", sink="crm", **CANARY_PEOPLE): f"90000+60x{LONG}"},
        # Of a new deployment the first one takes a moment.
        {of("olvido_canary_person_forgotten_age_seconds", sink="crm", **CANARY_PEOPLE): "691200x10 0+60x240"},
        {"sink": "crm"},
    ),
    "OlvidoSinkUnsafe": Trial(
        {of("olvido_sink_unsafe", sink="crm", **RECORDER): f"1x{LONG}"},
        {of("olvido_sink_unsafe", sink="crm", **RECORDER): f"0x{LONG}"},
        {"sink": "crm"},
    ),
}


def said(alert: dashboards.Alert, labels: Mapping[str, str]) -> dict[str, Any]:
    """What the alert says when it goes off with these labels."""
    rule = alert.as_rule()
    filled = {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
        for name, text in rule["annotations"].items()
    }
    return {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": filled}


def tried(promtool: str, folder: Path, alert: dashboards.Alert, series: Mapping[str, str], loud: Any) -> str:
    """What promtool says; empty if the alert does what it should."""
    # This alert alone: the other twenty took six sevenths of the time, and no trial looks at them.
    (folder / "rules.yml").write_text(
        yaml_of({"groups": [{"name": dashboards.JOB, "rules": [alert.as_rule()]}]})
    )
    case = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [{"eval_time": f"{LONG}m", "alertname": alert.name, "exp_alerts": loud}],
            }
        ],
    }
    (folder / "trial.yml").write_text(yaml_of(case))
    done = subprocess.run(
        [promtool, "test", "rules", "trial.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("name", dashboards.FILES)
def test_what_olvido_generate_gives_out_is_what_is_described_here(name: str):
    """Write it anew with: .venv/bin/python tools/dashboards.py"""
    assert (generate.FOLDER / name).read_text(encoding="utf-8") == dashboards.FILES[name]()


def test_every_alert_is_tried():
    assert set(TRIALS) == set(ALERTS)


@pytest.mark.parametrize("name", TRIALS)
def test_an_alert_goes_off_when_it_must(name: str, promtool: str, tmp_path: Path):
    trial, alert = TRIALS[name], ALERTS[name]
    assert tried(promtool, tmp_path, alert, trial.loud, [said(alert, trial.labels)]) == ""


@pytest.mark.parametrize("name", TRIALS)
def test_an_alert_is_silent_when_nothing_is_wrong(name: str, promtool: str, tmp_path: Path):
    assert tried(promtool, tmp_path, ALERTS[name], TRIALS[name].quiet, []) == ""


def test_records_read_again_are_told_for_an_hour(promtool: str, tmp_path: Path):
    """The gap itself is mended within ten seconds: mostly its repair is what Prometheus sees."""
    alert = ALERTS["OlvidoOffsetAuditGaps"]
    reread = of("olvido_offset_audit_reread_total", **RECORDER)
    assert tried(promtool, tmp_path, alert, {reread: "0x200 5x100"}, [said(alert, RECORDER)]) == ""


def test_promtool_takes_the_rules_and_every_expression_of_the_dashboard(promtool: str, tmp_path: Path):
    recorded = [
        {"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(dashboards.expressions())
    ]
    (tmp_path / "panels.yml").write_text(yaml_of({"groups": [{"name": "panels", "rules": recorded}]}))
    rules = generate.FOLDER / generate.RULES
    done = subprocess.run(
        [promtool, "check", "rules", rules, tmp_path / "panels.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_scrape_configuration(promtool: str, tmp_path: Path):
    (tmp_path / "olvido-rules.yml").write_text(yaml_of(dashboards.rules()))
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml_of(generate.scrape_configuration({"recorder": "127.0.0.1:9464"})))
    done = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def names_of_metrics() -> set[str]:
    """Every name a process may be scraped for."""
    names = {"up"}  # Prometheus' own
    for family in [*REGISTRY.collect(), *FIGURES.describe()]:
        names |= {
            "counter": {f"{family.name}_total"},
            "histogram": {f"{family.name}{part}" for part in ("", "_bucket", "_sum", "_count")},
            "info": {f"{family.name}_info"},
        }.get(family.type, {family.name})
    return names


def test_every_metric_that_is_spoken_of_is_one_there_is():
    spoken = " ".join([*dashboards.expressions(), *(alert.expr for alert in dashboards.ALERTS)])
    page = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    used = set(re.findall(r"\b(?:olvido|kafka)_[a-z_]+\b", f"{spoken} {page}"))
    assert used - names_of_metrics() == set()


def test_every_metric_is_explained():
    page = (PROJECT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    ours = {name for name in names_of_metrics() if name.startswith(("olvido_", "kafka_"))}
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours}
    assert sorted(name for name in bare if f"`{name}" not in page) == []


def test_no_label_could_hold_a_person():
    allowed = {
        "topic", "partition", "consumergroup", "sink", "outcome", "cause", "state", "part", "version", "le",
        "held_for", "when",
    }  # fmt: skip
    declared = {label for _, labels in FIGURES._declared.values() for label in labels}
    seen = {
        label
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("olvido_")
        for label in sample.labels
    }
    assert (declared | seen) - allowed == set()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_its_runbook(name: str):
    page = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == HEADINGS
    assert ALERTS[name].as_rule()["annotations"]["runbook"] == f"docs/runbooks/{name}.md"


def test_a_runbook_has_its_alert():
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)


def test_the_dashboard_covers_no_panel_with_another_and_fits():
    panels = json.loads((generate.FOLDER / generate.DASHBOARD).read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken & cells == set(), panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_rules_are_yaml_that_others_read():
    text = (generate.FOLDER / generate.RULES).read_text(encoding="utf-8")
    assert YAML(typ="safe").load(text) == dashboards.rules()
