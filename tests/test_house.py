"""The house is as it is described: rooms, lock file, commands in the docs, links, containers, workflows."""

import ast
import graphlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from conftest import PROJECT
from containers import KAFKA_IMAGE, POSTGRES_IMAGE, REGISTRY_IMAGE
from ruamel.yaml import YAML

from olvido.core.sessions import CONTROL
from olvido.core.subject import IdentityKind
from olvido.operators.cli.app import app
from olvido.operators.local.shop import A_CUSTOMER
from olvido.schemas.privacy.identities import normalise
from olvido.schemas.settings.deployment import (
    DESK,
    PRODUCER,
    Connections,
    Deployment,
    PrincipalSection,
    SinkSection,
    principal_of,
)
from olvido.schemas.topics import PROCESSORS_GROUP, RECORDER_GROUP
from shop.people import make_cast

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS: list[str] = PYPROJECT["tool"]["olvido"]["rooms"]
CHECKED = [*ROOMS, "examples", "tools"]
COMPOSE = "docker-compose.yml"
TERMINAL = {"typer", "rich", "click", "termios", "curses", "readline"}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the project that is, or is about to be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return tuple(path for name in listed.stdout.splitlines() if (path := PROJECT / name).is_file())


def markdown() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def named(paths: list[Path]) -> Any:
    return pytest.mark.parametrize("path", paths, ids=[str(path.relative_to(PROJECT)) for path in paths])


# --- rooms ----------------------------------------------------------------------------------------


def test_the_namespace_is_open():
    """PEP 420: a file olvido/__init__.py in one room would hide all the others."""
    assert list(PROJECT.glob("*/olvido/__init__.py")) == []


def test_every_tool_knows_the_same_rooms():
    """The list is ``rooms`` under [tool.olvido]; tools that cannot read it there have a copy each."""
    tool = PYPROJECT["tool"]
    portions = [f"olvido.{room}" for room in ROOMS]
    assert {folder.parent.name for folder in PROJECT.glob("*/olvido") if folder.is_dir()} == set(ROOMS)
    assert tool["hatch"]["build"]["dev-mode-dirs"] == ROOMS
    assert tool["hatch"]["build"]["targets"]["wheel"]["packages"] == [f"{room}/olvido" for room in ROOMS]
    assert tool["mypy"]["mypy_path"] == tool["pyright"]["include"] == tool["pyright"]["extraPaths"] == CHECKED
    assert tool["importlinter"]["root_packages"] == portions
    layers = tool["importlinter"]["contracts"][0]["layers"]
    assert sorted(part for layer in layers for part in layer.split(" | ")) == sorted(portions)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_on_one_screen_what_goes_in_and_out(room: str):
    text = (PROJECT / room / "README.md").read_text(encoding="utf-8")
    said = {word.lower() for word in re.findall(r"\*\*([\w ]+)\*\*", text)}
    assert text.startswith(f"# {room}: ")
    assert {"in", "out", "may import", "read first"} <= said
    assert len(text.splitlines()) <= 20


def of_the_terminal(tree: ast.AST) -> Iterator[str]:
    """What a module does or imports that only somebody at a terminal has a use for."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.partition(".")[0] in TERMINAL)
            case ast.ImportFrom(module=str(module)) if module.startswith("olvido.operators.cli"):
                yield module
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in TERMINAL:
                yield module
            case ast.Call(func=ast.Name(id="print" | "input" | "exit" | "quit" as name)):
                yield name
            case ast.Attribute(
                value=ast.Name(id="sys"), attr="stdout" | "stderr" | "stdin" | "exit" | "argv" as name
            ):
                yield f"sys.{name}"
            case ast.Constant(value=str(text)) if re.search(r"(^|\s)--[a-z]", text) and "\n" not in text:
                yield text


@cache
def tree_of(path: Path) -> ast.Module:
    """A module as Python reads it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def parsed() -> Mapping[Path, ast.Module]:
    """Every module of the rooms, as Python reads it, by its path in the project."""
    return {
        path.relative_to(PROJECT): tree_of(path)
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(PROJECT).parts[1:2] == ("olvido",)
    }


def test_a_class_name_means_one_thing():
    """In all rooms together: a reader who meets a name need not ask of which room it is."""
    where: dict[str, list[str]] = {}
    for path, module in parsed().items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(str(path))
    assert len(where) > 300
    assert {name: paths for name, paths in where.items() if len(paths) > 1} == {}


# Module names that stand in several packages and mean the same there: a noun and its faces (the rule in
# core, its rows in the ledger, its handler, its use case, its command).
SAME_NOUN = frozenset({
    "acts", "app", "audit", "backfill", "brake", "bundle", "canary_people", "config", "consent",
    "consents", "contract", "dead_letters", "erase", "errors", "events", "grants", "health", "held",
    "identities", "instants", "kafka", "keys", "law", "lift_restriction", "looks", "object", "objections",
    "omissions", "postgres", "progress", "receipts", "registry", "replay", "requests", "restore",
    "restrict", "run", "sink_operations", "sinks", "stack", "status", "tail", "tasks", "top", "topics",
    "verifications", "verifying", "withdraw_objection",
})  # fmt: skip


def test_a_module_name_means_one_thing():
    """One that is given twice is the same noun: who gives another one says so here, or takes another name."""
    where: dict[str, list[str]] = {}
    for path in parsed():
        if path.stem != "__init__":
            where.setdefault(path.stem, []).append(str(path))
    assert len(where) > 200
    assert {name: paths for name, paths in where.items() if len(paths) > 1 and name not in SAME_NOUN} == {}


LINES_MAX = 70  # of a function: it fits on one screen


def test_a_function_fits_on_one_screen():
    lines = {
        f"{path}: {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path, module in parsed().items()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lines) > 1_000
    assert {name: count for name, count in lines.items() if count > LINES_MAX} == {}


def test_no_two_modules_import_each_other():
    """Not by way of others either, nor inside a function, nor for the types alone."""
    names = {
        ".".join(path.with_suffix("").parts[1:]).removesuffix(".__init__"): module
        for path, module in parsed().items()
    }
    imported = {name: set(imports_of(module, names)) - {name} for name, module in names.items()}
    assert sum(map(len, imported.values())) > 1_000
    graphlib.TopologicalSorter(imported).prepare()  # raises CycleError, which names them


def imports_of(module: ast.Module, names: Collection[str]) -> Iterator[str]:
    for node in ast.walk(module):
        match node:
            case ast.Import(names=imported):
                yield from (one.name for one in imported if one.name in names)
            case ast.ImportFrom(module=str(source), names=imported):
                for one in imported:
                    yield from [name for name in (f"{source}.{one.name}", source) if name in names][:1]


NUMBERED_TWICE = {"0010", "0011"}  # applied by name in every ledger there is: they keep their names


def test_a_migration_has_a_number_of_its_own():
    """They are applied in the order of their names: of two with one number, none knows which comes first."""
    folder = PROJECT / "ledger" / "olvido" / "ledger" / "migrations"
    numbers = Counter(path.name.partition("_")[0] for path in folder.glob("*.sql"))
    assert sorted(numbers) == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert {number for number, count in numbers.items() if count > 1} == NUMBERED_TWICE


def test_the_desk_prints_nothing_asks_nothing_and_knows_no_exit_code():
    """Its use cases have other faces than the command line: values in, values out."""
    desk = sorted((PROJECT / "operators" / "olvido" / "operators" / "desk").rglob("*.py"))
    assert {"requests", "keys", "config", "bundle", "top", "health", "topics"} <= {path.stem for path in desk}
    found = [f"{path.stem}: {what}" for path in desk for what in of_the_terminal(tree_of(path))]
    assert found == []


def test_what_is_of_the_terminal_is_found():
    page = """
import rich.console
from typer import echo
from olvido.operators.cli.output import show
print(input()); sys.exit(sys.stdout.write("give --to"))
"""
    assert len(list(of_the_terminal(ast.parse(page)))) == 8


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_a_room_speaks_of_is_there(room: str):
    text = (PROJECT / room / "README.md").read_text(encoding="utf-8")
    spoken_of = set(re.findall(r"`([\w/]+\.(?:py|sql))`", text))
    assert {name for name in spoken_of if not (PROJECT / room / "olvido" / room / name).exists()} == set()


# --- lock file, make ------------------------------------------------------------------------------


def imported() -> set[str]:
    """The packages of others that our rooms import, at the top of a module or inside a function."""
    found: set[str] = set()
    for path in tracked():
        if path.suffix == ".py" and path.relative_to(PROJECT).parts[0] in ROOMS:
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"olvido"}


def test_what_a_room_imports_is_declared_by_an_extra():
    """Not only brought along by a package that is: that one may drop it in its next version."""
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    declared = {canonical(re.split(r"[^\w.-]", need)[0]) for extra in extras for need in extra}
    brought = packages_distributions()
    assert {module for module in imported() if declared.isdisjoint(map(canonical, brought[module]))} == set()


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-bootstrap.lock"])
def test_every_pin_has_a_hash_and_no_line_names_an_index(name: str):
    """So that a mirror serves as well, and what it serves is what was locked."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    pins = re.split(r"\n(?=\S)", text.strip())
    assert [pin.splitlines()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links", text) == []


def test_make_help_shows_what_a_newcomer_needs():
    shown = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert {"help", "demo", "test", "check"} <= {line.split()[1] for line in shown.splitlines()}
    assert [line for line in shown.splitlines() if len(line) > 80] == []


# --- docs -----------------------------------------------------------------------------------------


def shell_commands(path: Path) -> Iterator[list[str]]:
    """Every command in a document's shell blocks, as words."""
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"^```(?:sh|bash|console|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|\|\||[|;]| >+ ", line.removeprefix("$ ")):
                words = shlex.split(command, comments=True)
                if words:
                    yield words


def complaint_about(words: list[str]) -> str | None:
    """What is wrong with a command of ours; None if nothing, or if it is not ours."""
    if words[0] == "docker" and "olvido" in words:  # docker compose run --rm olvido …
        words = words[words.index("olvido") :]
    match [Path(words[0]).name, *words[1:]]:
        case ["olvido", *arguments]:
            return _cli_complaint(arguments)
        case ["make", *targets]:
            makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
            unknown = [
                t for t in targets if "=" not in t and not re.search(rf"^{t}:", makefile, re.MULTILINE)
            ]
            return f"make has no {', '.join(unknown)}" if unknown else None
        case ["python", "-m", module, *_] if module.startswith("olvido."):
            return None if find_spec(module) else f"there is no {module}"
        case ["python", file, *_] if file.endswith(".py"):
            return None if (PROJECT / file).exists() else f"there is no {file}"
        case _:
            return None


whole_command = cache(typer.main.get_command)


def _cli_complaint(arguments: list[str]) -> str | None:
    command, path = whole_command(app), ["olvido"]
    while commands := getattr(command, "commands", None):
        if not arguments or arguments[0].startswith("-"):
            return None  # a group by itself shows its help
        if arguments[0] not in commands:
            return f"{' '.join(path)} has no {arguments[0]}"
        command = commands[arguments[0]]
        path.append(arguments[0])
        arguments = arguments[1:]
    if arguments in (["-h"], ["--help"]):
        return None
    try:
        command.make_context(" ".join(path), arguments)
    except Exception as error:  # noqa: BLE001 - Typer's own, whatever class it is
        return f"{' '.join(path)}: {error}"
    return None


@named(markdown())
def test_every_command_in_a_document_is_one_that_there_is(path: Path):
    """With its options: each is parsed by the command line itself, and not run."""
    found = [complaint_about(words) for words in shell_commands(path)]
    assert [complaint for complaint in found if complaint] == []


def test_a_command_that_is_not_there_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nolvido forget --email a@b.es\nolvido status --colour\nmake tea\n```\n")
    assert [complaint_about(words) is None for words in shell_commands(page)] == [False, False, False]


def _slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@named(markdown())
def test_every_link_of_a_document_leads_somewhere(path: Path):
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"", text):
        target, _, anchor = (link[0] or link[1]).partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        leads_to = (path.parent / target).resolve() if target else path
        if not leads_to.exists():
            broken.append(target)
        elif anchor and leads_to.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", leads_to.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in map(_slug, headings):
                broken.append(f"{target}#{anchor}")
    assert broken == []


def test_the_person_of_the_readme_is_known_to_every_system_of_the_shop():
    """So that its first command erases somebody, and its table is what a newcomer sees."""
    words = next(w for w in shell_commands(PROJECT / "README.md") if w[:3] == ["olvido", "request", "erase"])
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert given["--email"] == A_CUSTOMER  # who is named when `olvido up` ends
    cast = make_cast()
    [person] = [one for one in cast.everybody if one.customer_id == given["--customer-id"]]
    emails = [normalise(IdentityKind.EMAIL, email).normalised for email in (person.email, given["--email"])]
    assert emails[0] == emails[1]
    assert person.number not in cast.known_in


def test_nothing_names_a_machine_or_a_package_index():
    """What is in the repository holds on every machine, and behind every mirror."""
    elsewhere = re.compile(
        r"(?<![\w.])/(?:work|home/[a-z]\w*|Users/\w+)/"
        r"|pypi\.org|pythonhosted\.|repo1?\.maven|maven\.org|npmjs\.|mirrors?\.\w+\.(?:com|cn|edu|org)"
    )
    found = []
    for path in tracked():
        if path.suffix in {".lock", ".png"}:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(PROJECT)}: {match}" for match in elsewhere.findall(text)]
    assert found == []


def test_every_setting_is_explained():
    """Each key of olvido.toml and each OLVIDO_ variable of the code is in docs/configuration.md."""
    page = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")
    keys = {f"sinks.NAME.{field}" for field in SinkSection.model_fields}
    keys |= {f"principals.NAME.{field}" for field in PrincipalSection.model_fields}
    for name, field in Deployment.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        keys |= {f"{name}.{key}" for key in inner} if inner else {name}
    code = [path for room in ROOMS for path in (PROJECT / room).rglob("*.py")]
    variables = {
        found
        for path in code
        for found in re.findall(r"\bOLVIDO_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    wanted = {f"`{key}`" for key in keys - {"sinks", "principals"}} | {f"`{name}`" for name in variables}
    assert sorted(setting for setting in wanted if setting not in page) == []


def test_the_example_of_what_an_upstream_service_needs_is_whole():
    """docs/configuration.md tells apart what producers need from what a deployment needs."""
    assert set(Connections.model_fields) < set(Deployment.model_fields)


# --- containers -----------------------------------------------------------------------------------


@cache
def read_yaml(name: str) -> Any:
    # Through JSON: ruamel's own values remember their merge keys.
    return json.loads(json.dumps(YAML(typ="safe").load(PROJECT / name)))


def services() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_yaml(COMPOSE)["services"]
    return found


def is_long_running(service: Mapping[str, Any]) -> bool:
    return service.get("restart") == "unless-stopped"


def check_against(schema: str, name: str) -> None:
    """Validate against a schema that check-jsonschema carries, so that no network is needed."""
    spec = find_spec("check_jsonschema")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "builtin_schemas" / "vendor"
    content = json.loads((folder / f"{schema}.json").read_text(encoding="utf-8"))
    jsonschema.validators.validator_for(content)(content).validate(read_yaml(name))


def test_the_compose_file_keeps_the_compose_specification():
    check_against("compose-spec", COMPOSE)


def test_every_image_is_pinned_and_the_parts_are_those_the_tests_run_on():
    images = {name: service["image"] for name, service in services().items()}
    assert [image for image in images.values() if not re.search(r":\d", image)] == []
    assert (images["kafka"], images["registry"], images["postgres"]) == (
        KAFKA_IMAGE, REGISTRY_IMAGE, POSTGRES_IMAGE,
    )  # fmt: skip


def test_what_runs_on_has_a_health_check_and_what_runs_once_ends():
    without = [n for n, s in services().items() if is_long_running(s) != ("healthcheck" in s)]
    assert without == []


def test_nobody_starts_before_what_it_needs_is_healthy_or_done():
    wrong = []
    for name, service in services().items():
        for needed, how in service.get("depends_on", {}).items():
            runs_on = is_long_running(services()[needed])
            if how["condition"] != ("service_healthy" if runs_on else "service_completed_successfully"):
                wrong.append(f"{name} on {needed}")
    assert wrong == []


def test_every_process_of_the_deployment_is_there_and_watched_in_its_group(deployment: Deployment):
    groups = {
        "processors": PROCESSORS_GROUP,
        "recorder": RECORDER_GROUP,
        **{f"sink-{name}": f"olvido.sink.{name}" for name in deployment.sinks},
    }
    watched = {
        name: service["healthcheck"]["test"][-1]
        for name, service in services().items()
        if service.get("healthcheck", {}).get("test", ["", ""])[1] == "in-group"
    }
    assert groups == watched


def test_only_the_sinks_of_a_region_are_given_its_private_keys(deployment: Deployment):
    """Besides them `keys`, which makes them: it has no network and ends."""
    holders = {
        (name, volume.partition(":")[0].removeprefix("private-keys-"))
        for name, service in services().items()
        for volume in service.get("volumes", [])
        if volume.startswith("private-keys-")
    }
    sinks = {(f"sink-{name}", sink.region) for name, sink in deployment.sinks.items()}
    control = {(name, CONTROL) for name in ("keys", "processors", "recorder")}
    assert sinks | control | {("keys", region) for region in deployment.regions} == holders
    assert services()["keys"]["network_mode"] == "none"
    assert not is_long_running(services()["keys"])


def test_each_process_signs_with_a_key_of_its_own(deployment: Deployment):
    """Processors and recorder with that of the desk; people have those of producer, verifier and desk."""
    holders = {
        (name, volume.partition(":")[0].removeprefix("signing-"))
        for name, service in services().items()
        for volume in service.get("volumes", [])
        if volume.startswith("signing-")
    }
    sinks = {(f"sink-{name}", principal_of(name)) for name in deployment.sinks}
    others = {("processors", DESK), ("recorder", DESK)}
    others |= {("olvido", name) for name in (PRODUCER, DESK, "verifier")}
    assert sinks | others | {("keys", name) for name in deployment.all_principals} == holders


def test_a_sink_reads_its_keys_and_cannot_write_them():
    loose = [
        name
        for name, service in services().items()
        for volume in service.get("volumes", [])
        if volume.startswith(("private-keys-", "signing-", "public-keys"))
        and name != "keys"
        and not volume.endswith(":ro")
    ]
    assert loose == []


def test_an_address_of_a_database_is_known_to_its_own_process_alone(deployment: Deployment):
    known: dict[str, set[str]] = {}
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            if str(value).startswith("postgresql://"):
                known.setdefault(variable, set()).add(name)
    own = {
        sink.own["dsn"]["env"]: {f"sink-{name}"}
        for name, sink in deployment.sinks.items()
        if sink.kind == "postgres"
    }
    ledger = {
        "OLVIDO_LEDGER__DSN": {"init", "processors", "recorder", "olvido"},
        "OLVIDO_LEDGER__OWNER_DSN": {"init"},
    }
    assert ledger | own == known


def test_no_password_is_written_in_the_compose_file():
    """Each comes from .env, which nobody commits; .env.example names them all and holds none."""
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    offered = re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE)
    text = (PROJECT / COMPOSE).read_text(encoding="utf-8")
    asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+):\?", text))
    assert (asked, {""}) == ({name for name, _ in offered}, {value for _, value in offered})
    literal = [
        variable
        for service in services().values()
        for variable, value in service.get("environment", {}).items()
        if "PASSWORD" in variable and not str(value).startswith("${")
    ]
    assert literal == []


def test_olvidos_containers_run_without_root_and_without_rights():
    """The image's user is a number, so that a cluster which forbids root can tell."""
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", dockerfile, re.MULTILINE)
    ours = [service for service in services().values() if service["image"].startswith("olvido")]
    assert [s for s in ours if "user" in s or s["cap_drop"] != ["ALL"] or not s["read_only"]] == []


def test_the_image_installs_from_the_lock_by_hash_and_pins_its_base():
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    # Line ends first: an instruction may go over several lines.
    installs = re.findall(r"(?:uv )?pip install [^&\n]*", dockerfile.replace("\\\n", " "))
    assert [one for one in installs if "--require-hashes" not in one and "/wheel/*.whl" not in one] == []
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE))
    assert {base for base in bases if base not in stages and not re.search(r":\d+\.\d+\.\d+-", base)} == set()


# --- workflows ------------------------------------------------------------------------------------


@named([path for path in tracked() if path.parent.name == "workflows"])
def test_a_workflow_keeps_its_schema_and_asks_for_no_rights(path: Path):
    name = str(path.relative_to(PROJECT))
    check_against("github-workflows", name)
    assert read_yaml(name)["permissions"] == {"contents": "read"}


def test_every_test_is_in_one_of_the_two_tiers_and_none_in_neither():
    """A marker and its negation leave nothing between them, as long as nothing else leaves tests out.

    A test may skip itself where a machine lacks something, and says what: pytest lists it at the end.
    """
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"\t\$\(PYTEST\) (.*)", makefile) == ['-m "not proof"', "-m proof"]
    assert PYPROJECT["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
    leaves_out = re.compile(r"mark\.skip|importorskip|collect_ignore|--ignore|--deselect|mark\.xfail")
    written = [PROJECT / "Makefile", PROJECT / "pyproject.toml", *(PROJECT / "tests").rglob("*.py")]
    found = [
        path.name
        for path in written
        if path != Path(__file__) and leaves_out.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_all_tests_of_a_file_run_in_one_worker(tmp_path: Path):
    """They share what its fixtures start: in four workers a file would start it four times.

    Two files and two workers of a run of its own, with the hook of all tests and the options of make.
    """
    hook = "from costs import pytest_collection_modifyitems"
    assert hook in (PROJECT / "tests" / "conftest.py").read_text(encoding="utf-8")
    (tmp_path / "conftest.py").write_text(hook)
    for name in ("one", "other"):
        (tmp_path / f"test_{name}.py").write_text(
            "import pytest\n\n@pytest.mark.parametrize('number', range(6))\n"
            "def test_it(number, worker_id, request):\n"
            "    (request.path.parent / f'{request.path.stem} {worker_id}').touch()\n"
        )
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    [options] = re.findall(r"^PYTEST := .*?(--dist .*)$", makefile, flags=re.MULTILINE)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-n2", *options.split(), "--import-mode=importlib",
         "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "tests")},
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    assert len(list(tmp_path.glob("test_one gw*"))) == 1
    assert len(list(tmp_path.glob("test_other gw*"))) == 1


def test_ci_calls_the_two_commands_of_the_readme():
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    run = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert run == [".ci/run PYTHON=python", "make proof PYTHON=python", "make demo PYTHON=python"]
    assert (PROJECT / ".ci" / "run").read_text(encoding="utf-8").endswith('\nexec make test "$@"\n')
