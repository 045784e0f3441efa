"""The processes of a deployment, as the supervisor runs them: each is given what it needs and no more."""

import os
import sys
from pathlib import Path

from olvido.operators.settings import private_keys
from olvido.operators.stack.program import Program
from olvido.schemas.deployment import Deployment

EVERYBODY = frozenset({"OLVIDO_KAFKA__BOOTSTRAP_SERVERS", "OLVIDO_REGISTRY__URL"})
LEDGER = EVERYBODY | {"OLVIDO_LEDGER__DSN"}


def programs_of(deployment: Deployment, directory: Path) -> list[Program]:
    """Processors, recorder, and one process for each sink.

    Only a region's sinks are told where its private keys are; a sink is given its own target's
    address and not the ledger's; processors and recorder get the ledger's and no key.
    """
    return [
        _program(directory, "processors", ("run", "processors"), given=LEDGER),
        _program(directory, "recorder", ("run", "recorder"), given=LEDGER),
        *(
            _program(
                directory,
                f"sink-{name}",
                ("run", "sink", name),
                given=EVERYBODY,
                own=_secrets_of(dict(sink.own)),
                keys=private_keys(sink.region, directory),
            )
            for name, sink in deployment.sinks.items()
        ),
    ]


def _program(
    directory: Path,
    name: str,
    arguments: tuple[str, ...],
    *,
    given: frozenset[str],
    own: frozenset[str] = frozenset(),
    keys: Path | None = None,
) -> Program:
    environment = {"PYTHONUNBUFFERED": "1", "OLVIDO_ENV_FILES": "none"}
    # What the caller's environment says of a target wins over the embedded one of the same name.
    environment |= {variable: os.environ[variable] for variable in own if variable in os.environ}
    if keys is not None:
        environment["OLVIDO_KEYS__PRIVATE_DIR"] = str(keys)
    return Program(
        name=name,
        command=(sys.executable, "-m", "olvido.operators.cli", *arguments),
        environment=environment,
        given=given | own,
        directory=directory,
    )


def _secrets_of(own: dict[str, object]) -> frozenset[str]:
    """The environment variables that a sink's section names."""
    return frozenset(
        str(value["env"])
        for value in own.values()
        if isinstance(value, dict) and isinstance(value.get("env"), str)
    )
