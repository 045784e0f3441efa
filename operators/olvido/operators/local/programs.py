"""The processes of a deployment, as the supervisor runs them: each is given what it needs and no more."""

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from olvido.core.sessions import CONTROL
from olvido.operators.local.program import Program
from olvido.operators.local.state import HOST, StateFolder, choose_port, port_is_free
from olvido.operators.local.supervisor import Supervisor
from olvido.operators.settings import CANARY_PEOPLE, private_keys, signing_file
from olvido.schemas.settings.deployment import DESK, FILE_NAME, Deployment, Secret, principal_of

EVERYBODY = frozenset({"OLVIDO_KAFKA__BOOTSTRAP_SERVERS", "OLVIDO_REGISTRY__URL"})
CONFIG_DIGEST = "OLVIDO_CONFIG_DIGEST"
LEDGER = EVERYBODY | {"OLVIDO_LEDGER__DSN"}


def programs_of(deployment: Deployment, directory: Path) -> list[Program]:
    """Processors, recorder, one process for each sink, and that of the canary people if somebody is planted.

    Only a region's sinks are told where its private keys are; a sink is given its own target's
    address and not the ledger's; processors and recorder get the ledger's, and no key but the control
    plane's. Each signs as a principal of its own. What plants canary people gets the ledger's address, and
    those of the targets in which it plants.
    """
    planted = [sink for sink in deployment.sinks.values() if sink.canary is not None]
    tries = [CANARY_PEOPLE] if planted else []
    logins = _named_of(
        [deployment.registry.password, deployment.registry.key_password, *_options(deployment)]
    )
    of_ledger = logins | _named_of([deployment.ledger.dsn])
    ports = _ports(directory, ["processors", "recorder", *map(_sink_program, deployment.sinks), *tries])
    control = private_keys(CONTROL, directory)
    return [
        *(
            _program(
                directory,
                name,
                ("run", name),
                given=LEDGER,
                own=of_ledger,
                keys=control,
                signs_as=DESK,
                ports=ports,
            )
            for name in ("processors", "recorder")
        ),
        *(
            _program(
                directory,
                _sink_program(name),
                ("run", "sink", name),
                given=EVERYBODY,
                own=logins | _secrets_of(dict(sink.own)),
                keys=private_keys(sink.region, directory),
                signs_as=principal_of(name),
                ports=ports,
            )
            for name, sink in deployment.sinks.items()
        ),
        *(
            _program(
                directory,
                name,
                ("run", name),
                given=LEDGER,
                own=of_ledger.union(*(_secrets_of(dict(sink.own)) for sink in planted)),
                signs_as=name,
                ports=ports,
            )
            for name in tries
        ),
    ]


def secrets_of(deployment: Deployment) -> frozenset[str]:
    """Every environment variable that olvido.toml names for a secret: each process is given its own alone."""
    registry = deployment.registry
    ledger = deployment.ledger
    shared = [
        registry.password, registry.key_password, ledger.dsn, ledger.owner_dsn, *_options(deployment)
    ]  # fmt: skip
    return _named_of(shared).union(*(_secrets_of(dict(sink.own)) for sink in deployment.sinks.values()))


def _options(deployment: Deployment) -> Iterable[object]:
    return deployment.kafka.options.values()


def _named_of(values: Iterable[object]) -> frozenset[str]:
    """The environment variables that secrets name."""
    return frozenset(one.env for one in values if isinstance(one, Secret) and one.env is not None)


def _sink_program(sink: str) -> str:
    return f"sink-{sink}"


def _ports(directory: Path, names: Sequence[str]) -> Mapping[str, int]:
    """A port for the metrics and health of each process. Remembered, so that a repeat changes nothing.

    One that somebody else took while its process was down is replaced.
    """
    folder = StateFolder(project=directory)
    folder.make()
    state = folder.load_or_make()
    running = {name for name, now in Supervisor(folder, state.mark).status().items() if now.pid is not None}
    for name in names:
        port = state.ports.get(_remembered(name))
        if port is None or (name not in running and not port_is_free(port)):
            taken = frozenset(state.ports.values())
            state = state.with_port(_remembered(name), choose_port(None, taken=taken))
    folder.save(state)
    return {name: state.ports[_remembered(name)] for name in names}


def _remembered(program: str) -> str:
    return f"metrics-{program}"


def _program(
    directory: Path,
    name: str,
    arguments: tuple[str, ...],
    *,
    given: frozenset[str],
    own: frozenset[str] = frozenset(),
    keys: Path | None = None,
    signs_as: str,
    ports: Mapping[str, int],
) -> Program:
    file = directory / Path(os.environ.get("OLVIDO_CONFIG", FILE_NAME)).name
    environment = {
        "PYTHONUNBUFFERED": "1",
        "OLVIDO_ENV_FILES": "none",
        # Its own, whatever the supervisor was started with.
        "OLVIDO_CONFIG": str(file),
        # Nobody reads it: with another olvido.toml this is another program, which `up` starts anew.
        CONFIG_DIGEST: hashlib.sha256(file.read_bytes() if file.exists() else b"").hexdigest(),
        "OLVIDO_METRICS__HOST": HOST,
        "OLVIDO_METRICS__PORT": str(ports[name]),
    }
    # What the caller's environment says of a target wins over the embedded one of the same name.
    environment |= {variable: os.environ[variable] for variable in own if variable in os.environ}
    if keys is not None:
        environment["OLVIDO_KEYS__PRIVATE_DIR"] = str(keys)
    environment["OLVIDO_KEYS__SIGNING_FILE"] = str(signing_file(signs_as, directory))
    return Program(
        name=name,
        command=(sys.executable, "-m", "olvido.operators.cli", *arguments),
        environment=environment,
        given=given | own,
        directory=directory,
        address=f"{HOST}:{ports[name]}",
    )


def _secrets_of(own: dict[str, object]) -> frozenset[str]:
    """The environment variables that a sink's section names."""
    return frozenset(
        str(value["env"])
        for value in own.values()
        if isinstance(value, dict) and isinstance(value.get("env"), str)
    )
