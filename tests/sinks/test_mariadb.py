"""What MariaDB does that a sink must know, on a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pymysql.cursors import Cursor
from sinks.mariadb_server import connected

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def cursor(mariadb_url: str) -> Iterator[Cursor]:
    """Statements in a database of the test's own."""
    with closing(connected(mariadb_url)) as connection, connection.cursor() as cursor:
        yield cursor


def test_the_usual_collation_finds_strangers_and_the_binary_one_beside_it_does_not(cursor: Cursor) -> None:
    """Why a sink compares twice: the first comparison finds the index, the second the person."""
    cursor.execute("CREATE TABLE people (email varchar(100), KEY (email))")
    people = [
        "jose@example.com",
        "josé@example.com",
        "JOSE@example.com ",
        "0person@example.com",
        "maria@x.org",
    ]
    cursor.executemany("INSERT INTO people VALUES (%s)", [(person,) for person in people])
    asked = "jose@example.com"
    cursor.execute("SELECT email FROM people WHERE email = %s ORDER BY 1", (asked,))
    assert len(cursor.fetchall()) == 3
    cursor.execute("SELECT count(*) FROM people WHERE email = %s", (0,))  # a number, and not a string
    assert cursor.fetchall() == ((5,),)
    cursor.execute(
        "SELECT email FROM people WHERE email = %s"
        " AND lower(email) COLLATE utf8mb4_nopad_bin = lower(%s) COLLATE utf8mb4_nopad_bin",
        (asked, asked),
    )
    assert cursor.fetchall() == (("jose@example.com",),)


@pytest.mark.parametrize(("whole", "status"), [("", 0), ("1", 1)])
def test_without_a_server_and_without_apt_the_run_closes_with_a_line_that_says_so(
    tmp_path: Path, whole: str, status: int
) -> None:
    """Nothing is left out in silence. CI asks for the whole, and so fails."""
    environment = {**os.environ, "PATH": str(tmp_path), "OLVIDO_TEST_WHOLE": whole}
    environment.pop("OLVIDO_TEST_MARIADB", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n1", "-q", "-p", "no:cacheprovider", __file__, "-k", "collation"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("not tried: ")]
    assert lines == [
        "not tried: MariaDB. OLVIDO_TEST_MARIADB gives no server, no Docker engine answers, "
        "and this machine has neither mariadbd nor apt (1 tests)"
    ], done.stdout
    assert done.returncode == status
