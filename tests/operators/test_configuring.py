"""Which settings are in force, and where each comes from."""

import json
from pathlib import Path

import pytest
from shell import olvido

TOML = """
regions = ["cn"]
purposes = ["marketing"]

[kafka]
bootstrap_servers = "127.0.0.2:1"
options = { "sasl.password" = { env = "KAFKA_LOGIN" }, "sasl.username" = "olvido" }

[sinks.crm]
kind = "postgres"
region = "cn"
dsn = { env = "CRM_DSN" }
identities = ["email"]
[sinks.crm.tables.customers]
key = "id"
identities = { email = "email" }
erase = "delete"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, and a home with a file of the user's own."""
    for name in ("OLVIDO_KAFKA__BOOTSTRAP_SERVERS", "OLVIDO_REGISTRY__URL", "OLVIDO_LEDGER__DSN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "olvido.toml").write_text(TOML)
    monkeypatch.setenv("OLVIDO_CONFIG", str(tmp_path / "olvido.toml"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("KAFKA_LOGIN", "geheim-0")
    monkeypatch.setenv("CRM_DSN", "postgresql://crm:geheim-1@127.0.0.1:1/crm")
    (tmp_path / "xdg" / "olvido").mkdir(parents=True)
    (tmp_path / "xdg" / "olvido" / "config.toml").write_text(
        '[registry]\nurl = "http://127.0.0.3:1"\n[kafka]\nbootstrap_servers = "127.0.0.3:1"\n'
    )
    (tmp_path / ".olvido").mkdir()
    (tmp_path / ".olvido" / "stack.env").write_text(
        "OLVIDO_LEDGER__DSN=postgresql://ledger:geheim-2@127.0.0.1:1/ledger\n"
        "OLVIDO_REGISTRY__URL=http://127.0.0.4:1\n"
    )
    return tmp_path


def shown(**environment: str) -> dict[str, tuple[object, str]]:
    done = olvido("config", "show", "--origin", "-o", "json", **environment)
    assert done.returncode == 0, done.stderr
    return {row["key"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)}


def test_the_strongest_source_of_each_setting_is_in_force_and_is_named(project: Path):
    told = shown(OLVIDO_SOURCE="shop")
    assert told["kafka.bootstrap_servers"] == ("127.0.0.2:1", f"{project}/olvido.toml:6")
    assert told["registry.url"] == (
        "http://127.0.0.4:1",
        f"{project}/.olvido/stack.env (OLVIDO_REGISTRY__URL)",
    )
    assert told["source"] == ("shop", "environment (OLVIDO_SOURCE)")
    assert told["kafka.replication_factor"] == (1, "default")
    assert told["sinks.crm.tables.customers.erase"] == ("delete", f"{project}/olvido.toml:17")
    (project / ".olvido" / "stack.env").unlink()
    assert shown()["registry.url"] == ("http://127.0.0.3:1", f"{project}/xdg/olvido/config.toml:2")
    assert shown(OLVIDO_REGISTRY__URL="http://127.0.0.5:1")["registry.url"][0] == ("http://127.0.0.5:1")


def test_no_secret_is_shown_in_any_form(project: Path):
    for form in ("table", "csv"):
        done = olvido("config", "show", "--origin", "-o", form)
        assert done.returncode == 0
        assert "geheim" not in done.stdout + done.stderr
        assert "sasl.password" in done.stdout


def test_a_flag_stands_above_the_environment_and_that_above_the_users_file(project: Path):
    with (project / "xdg" / "olvido" / "config.toml").open("a") as file:
        file.write('[cli]\noutput = "csv"\n')
    assert olvido("config", "show").stdout.startswith("key,value")
    assert olvido("config", "show", OLVIDO_CLI__OUTPUT="jsonl").stdout.startswith('{"key"')
    assert olvido("config", "show", "-o", "json", OLVIDO_CLI__OUTPUT="jsonl").stdout.startswith("[")


def test_a_configuration_is_checked_without_asking_any_system(project: Path):
    done = olvido("config", "check")
    assert (done.returncode, done.stderr) == (0, "right: 1 sink in regions cn\n")


def test_every_sink_is_checked_whatever_is_wrong_with_another(project: Path, monkeypatch: pytest.MonkeyPatch):
    """And a data map is read where the secret beside it is not at hand, as on a developer's machine."""
    monkeypatch.delenv("CRM_DSN")
    second = (
        TOML[TOML.index("[sinks.crm]") :].replace("sinks.crm", "sinks.shop").replace('erase = "delete"', "")
    )
    (project / "olvido.toml").write_text(TOML + second)
    done = olvido("config", "check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "olvido: olvido.toml:12: sinks.crm.dsn: the environment variable CRM_DSN is not set\n"
        "olvido.toml:23: sinks.shop.tables.customers.erase: is missing; give it\n"
    )


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("[sinks.crm]\n", '[sinks.crm]\nkind = "http"\n[sinks.crm]\n'), 11, "stands there twice: each sink"),
        (("[kafka]", "[kafak]"), 5, "there is no such key; did you mean 'kafka'?"),
        (
            ('region = "cn"', 'region = "cx"'),
            11,
            "sinks.crm.region: 'cx' is not one of regions (there are: cn)",
        ),
        (('region = "cn"', "region = "), 11, "is not TOML"),
        (("sinks.crm", "sinks.postgres"), 9, "cannot be a sink's name"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_nothing_is_started(
    project: Path, change: tuple[str, str], line: int, says: str
):
    (project / "olvido.toml").write_text(TOML.replace(*change))
    done = olvido("run", "sink", "crm")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{project}/olvido.toml:{line}" in done.stderr
    assert says in done.stderr
    assert "geheim" not in done.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('key = "id"', 'key = "id"\nerasse = "delete"'), "customers.erasse: there is no such key"),
        (('erase = "delete"', ""), "sinks.crm.tables.customers.erase"),
        (
            ('erase = "delete"', 'erase = "delete"\nparent = { table = "a", column = "x" }\n'
             '[sinks.crm.tables.a]\nkey = "id"\nerase = "delete"\n'
             'parent = { table = "customers", column = "y" }'),
            "sinks.crm.tables",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_data_map_is_told_by_its_key(project: Path, change: tuple[str, str], says: str):
    """A key that is not known, one that is missing, and tables that are each other's parent."""
    (project / "olvido.toml").write_text(TOML.replace(*change))
    done = olvido("config", "check")
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
