"""How each part and program of a project's stack is now. It loads nothing of what starts them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from olvido.operators.local.probes import (
    connects,
    kafka_answers,
    postgres_refuses,
    registry_answers,
    speaks_tls,
)
from olvido.operators.local.state import StateFolder
from olvido.operators.local.supervisor import ProcessStatus, Supervisor
from olvido.operators.settings import STACK_ENV, read_env

KAFKA_VARIABLE = "OLVIDO_KAFKA__BOOTSTRAP_SERVERS"
KAFKA_OPTIONS_VARIABLE = "OLVIDO_KAFKA__OPTIONS"
REGISTRY_VARIABLE = "OLVIDO_REGISTRY__URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """One line of `olvido status`."""

    name: str
    kind: str  # `part`, `process`, or `given` for a part that runs elsewhere
    state: (
        str  # supervisord's name in lower case; `given`, `silent`; `stopped`, `orphaned` when it does not run
    )
    pid: int | None = None
    address: str = ""
    uptime: timedelta | None = None
    restarts: int = 0
    exit_status: int | None = None  # of its last end; negative for a signal
    note: str = ""
    log: Path | None = None  # `tail -f` it


def status(directory: Path) -> list[PartStatus]:
    """How each part and program is; empty when there never was an `up`. Changes nothing."""
    folder = StateFolder(project=directory)
    if not folder.exists():
        return []
    state = folder.load()
    supervisor = Supervisor(folder, state.mark)
    running = supervisor.status()
    # Looked for only when nobody answers: it reads the environment of every process of the machine.
    absent = "stopped" if running or not supervisor.orphans() else "orphaned"
    statuses = [
        _part_status(name, known, running.get(name), absent=absent, log=folder.log(name))
        for name, known in supervisor.known().items()
    ]
    addresses = read_env(folder.path / STACK_ENV)
    return statuses + [_given_status(name, addresses.get(name, "")) for name in state.given]


def _part_status(
    name: str, known: Mapping[str, str], now: ProcessStatus | None, *, absent: str, log: Path
) -> PartStatus:
    if now is None:
        return PartStatus(name=name, kind=known["kind"], state=absent, address=known["address"], log=log)
    return PartStatus(
        name=name,
        kind=known["kind"],
        state=now.state,
        pid=now.pid,
        address=known["address"],
        uptime=now.uptime,
        restarts=now.restarts,
        exit_status=now.exit_status,
        note=now.note,
        log=log,
    )


def _given_status(variable: str, value: str) -> PartStatus:
    shown = value if variable in (KAFKA_VARIABLE, REGISTRY_VARIABLE) else f"given by {variable}"
    state = "silent" if refusal_of(variable, value) else "given"
    return PartStatus(name=variable, kind="given", state=state, address=shown)


def refusal_of(name: str, value: str) -> str | None:
    """Why no part answers at an address that somebody gave by a variable; None if one does."""
    if name == KAFKA_VARIABLE:
        # Logging in is for those who know how: here it is only tried whether somebody is there.
        if kafka_answers(value) or speaks_tls(value):
            return None
        if not connects(value):
            return "no connection"
        if "security.protocol" in os.environ.get(KAFKA_OPTIONS_VARIABLE, ""):
            return None
        return (
            "what listens there speaks neither Kafka in clear nor TLS; for SASL without TLS give "
            f'{KAFKA_OPTIONS_VARIABLE}={{"security.protocol": "SASL_PLAINTEXT", …}}'
        )
    if name == REGISTRY_VARIABLE:
        return None if registry_answers(value) else "GET /subjects gave no list of subjects"
    return postgres_refuses(value)
