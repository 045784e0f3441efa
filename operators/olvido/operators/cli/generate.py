"""`olvido generate …`: what others need to watch Olvido with, and editors to check olvido.toml."""

import json
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from olvido.operators.cli.output import yaml_of
from olvido.operators.settings import CANARY_PEOPLE, project

# What stands in it is written by tools/dashboards.py, which is no part of what is installed.
FOLDER = Path(__file__).parents[1] / "monitoring"
RULES, DASHBOARD = "olvido-rules.yml", "olvido-dashboard.json"
JOB = "olvido"
PORT = 9464  # what each process serves on, where no other port is given
SCRAPE_S = 15


def register(app: typer.Typer) -> None:
    """Add the commands."""
    generate = typer.Typer(help="Write what Prometheus, Grafana and editors need.", no_args_is_help=True)
    generate.command("prometheus-rules")(prometheus_rules)
    generate.command("prometheus-config")(prometheus_config)
    generate.command("grafana-dashboard")(grafana_dashboard)
    generate.command("schema")(schema)
    generate.command("acls")(acls)
    app.add_typer(generate, name="generate")


def prometheus_rules() -> None:
    """Write the alert rules, each with its runbook.

    Examples:
        olvido generate prometheus-rules > olvido-rules.yml
    """
    sys.stdout.write(_text(RULES))


def prometheus_config(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where each process serves, if they do not run here.")
    ] = PORT,
) -> None:
    """Write what Prometheus must scrape: what `olvido up` runs here, or each process by its name.

    Examples:
        olvido generate prometheus-config > prometheus.yml
        olvido generate prometheus-config --port 9464
    """
    sys.stdout.write(yaml_of(scrape_configuration(_running(project()) or _declared(port))))


def grafana_dashboard() -> None:
    """Write the dashboard, as Grafana imports it.

    Examples:
        olvido generate grafana-dashboard > olvido.json
    """
    sys.stdout.write(_text(DASHBOARD))


def schema() -> None:
    """Write what olvido.toml may say, as a JSON Schema: an editor completes and checks the file by it.

    It knows the kinds of sink that are installed here.

    Examples:
        olvido generate schema > olvido.schema.json
    """
    from olvido.sinks.json_schema import deployment_schema, installed_sections

    sys.stdout.write(as_text(deployment_schema(installed_sections())))


class AclFormat(StrEnum):
    """The tool that is to apply the rules."""

    KAFKA = "kafka"
    STRIMZI = "strimzi"


def acls(
    format_: Annotated[
        AclFormat, typer.Option("--format", help="Commands of Kafka's own tool, or Strimzi's KafkaUsers.")
    ] = AclFormat.KAFKA,
    user: Annotated[
        list[str] | None,
        typer.Option(
            help="PROCESS=NAME: what a process's Kafka user is called, such as relay=CN=relay. Repeatable."
        ),
    ] = None,
    cluster: Annotated[str, typer.Option(help="The name of Strimzi's Kafka cluster.")] = "kafka",
) -> None:
    """Write what each process may do in Kafka: a user for each, with the rights it needs and no other.

    For Kafka: commands that read the servers from $BOOTSTRAP and the login of an administrator from
    admin.properties. A repeat changes nothing.

    Examples:
        olvido generate acls > acls.sh
        olvido generate acls --user upstream=shop-website
        olvido generate acls --format strimzi --cluster kafka | kubectl apply -f -
    """
    from olvido.operators.cli.acls import kafka_commands, strimzi_users, users_of
    from olvido.operators.settings import deployment

    catalogue = deployment().catalogue
    users = users_of(catalogue, user or ())
    if format_ is AclFormat.KAFKA:
        sys.stdout.write(kafka_commands(catalogue, users))
    else:
        manifests = strimzi_users(catalogue, users, cluster=cluster)
        sys.stdout.write("---\n".join(yaml_of(manifest) for manifest in manifests))


def as_text(document: Mapping[str, Any]) -> str:
    """A JSON document, for people to read as well."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def scrape_configuration(targets: Mapping[str, str]) -> dict[str, Any]:
    """What Prometheus is to scrape.

    Args:
        targets: for each process where it serves its metrics, as ``host:port``.
    """
    return {
        "rule_files": [RULES],
        "scrape_configs": [
            {
                "job_name": JOB,
                "scrape_interval": f"{SCRAPE_S}s",
                "static_configs": [
                    {"targets": [address], "labels": {"process": name}} for name, address in targets.items()
                ],
            }
        ],
    }


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _running(directory: Path) -> dict[str, str]:
    from olvido.operators.local import stack

    ours = ("processors", "recorder", "sink-", CANARY_PEOPLE)
    return {
        part.name: part.address
        for part in stack.status(directory)
        if part.kind == "process" and part.name.startswith(ours) and part.address
    }


def _declared(port: int) -> dict[str, str]:
    from olvido.operators.settings import deployment

    sinks = deployment().sinks
    names = ["processors", "recorder", *(f"sink-{name}" for name in sinks)]
    names += [CANARY_PEOPLE] if any(sink.canary is not None for sink in sinks.values()) else []
    return {name: f"{name}:{port}" for name in names}
