"""`olvido generate …`: what others need to watch Olvido with."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from olvido.operators import monitoring
from olvido.operators.cli.output import print_json, yaml_of
from olvido.operators.settings import project


def register(app: typer.Typer) -> None:
    """Add the commands."""
    generate = typer.Typer(help="Write what Prometheus and Grafana need.", no_args_is_help=True)
    generate.command("prometheus-rules")(prometheus_rules)
    generate.command("prometheus-config")(prometheus_config)
    generate.command("grafana-dashboard")(grafana_dashboard)
    app.add_typer(generate, name="generate")


def prometheus_rules() -> None:
    """Write the alert rules, each with its runbook.

    Examples:
        olvido generate prometheus-rules > olvido-rules.yml
    """
    sys.stdout.write(yaml_of(monitoring.rules()))


def prometheus_config(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where each process serves, if they do not run here.")
    ] = monitoring.PORT,
) -> None:
    """Write what Prometheus must scrape: what `olvido up` runs here, or each process by its name.

    Examples:
        olvido generate prometheus-config > prometheus.yml
        olvido generate prometheus-config --port 9464
    """
    sys.stdout.write(yaml_of(monitoring.prometheus_config(_running(project()) or _declared(port))))


def grafana_dashboard() -> None:
    """Write the dashboard, as Grafana imports it.

    Examples:
        olvido generate grafana-dashboard > olvido.json
    """
    print_json(monitoring.dashboard())


def _running(directory: Path) -> dict[str, str]:
    from olvido.operators.local import stack

    ours = ("processors", "recorder", "sink-")
    return {
        part.name: part.address
        for part in stack.status(directory)
        if part.kind == "process" and part.name.startswith(ours) and part.address
    }


def _declared(port: int) -> dict[str, str]:
    from olvido.operators.settings import deployment

    names = ["processors", "recorder", *(f"sink-{name}" for name in deployment().sinks)]
    return {name: f"{name}:{port}" for name in names}
