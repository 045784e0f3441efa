"""What MariaDB does that a sink must know, on a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
from pymysql.cursors import Cursor
from sinks.mariadb_server import connected

from olvido.sinks.discovery.mysql_reader import MySQLReader
from olvido.sinks.kinds.mysql_address import Address

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
    chosen = ["-p", "no:cacheprovider", __file__, "-k", "collation and not reader"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n1", "-q", *chosen],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("not tried: ")]
    assert lines == [
        "not tried: MariaDB. OLVIDO_TEST_MARIADB gives no server, no Docker engine answers, "
        "and this machine has neither mariadbd nor apt (1 tests)"
    ], done.stdout
    assert done.returncode == status


def test_a_reader_waits_for_no_lock_takes_no_collations_word_and_cannot_write(
    mariadb: str, mariadb_url: str, cursor: Cursor
) -> None:
    database = mariadb_url.rpartition("/")[2]
    cursor.execute(
        "CREATE TABLE `Or``d%%er` (`I D` int, part int, who varchar(50), PRIMARY KEY (`I D`, part))", ()
    )
    cursor.execute("INSERT INTO `Or``d%%er` VALUES (1, 1, 'josé'), (1, 2, 'JOSE')", ())
    cursor.execute("CREATE TABLE locked (id int PRIMARY KEY)")
    cursor.execute("CREATE USER reader@'%' IDENTIFIED BY 'for-tests'")
    cursor.execute(f"GRANT ALL ON {database}.* TO reader@'%'")
    place = mariadb_url.rpartition("@")[2]
    reader = MySQLReader("crm", Address.of(f"mysql://reader:for-tests@{place}"))
    try:
        order, locked = sorted(reader.tables(), key=lambda table: table.name)
        assert (order.name, order.key, order.indexed) == ("Or`d%er", ("I D", "part"), {"I D"})
        assert reader.sample(order, ["who"], 9).values == {"who": ["JOSE", "josé"]}  # the last row first
        assert reader.held("Or`d%er", "who", ["jose", "josé"]) == 1
        cursor.execute("LOCK TABLES locked WRITE")
        assert reader.sample(locked, ["id"], 9).why_not == "its rows cannot be read now (error 1205)"
        with pytest.raises(pymysql.OperationalError, match="READ ONLY"), reader._reading() as reading:
            reading.execute("INSERT INTO locked VALUES (1)")
    finally:
        reader.close()
        cursor.execute("UNLOCK TABLES")
        cursor.execute("DROP USER reader@'%'")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/d",
        "mysql://h",
        "mysql:///d",
        "mysql://h:x/d",
        "mysql://h/d?ssl=false",
        "mysql://h/d?a=b",
    ],
)
def test_what_is_no_address_is_refused_without_a_part_of_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not an address|has options)") as caught:
        Address.of(url)
    assert url not in str(caught.value)


def test_an_address_holds_what_stands_in_it_and_shows_no_password() -> None:
    address = Address.of("mysql://crm:ge%2Fheim@db.example/shop?ssl_ca=/etc/ca.pem")
    assert (address.host, address.port, address.user, address.password) == (
        "db.example",
        3306,
        "crm",
        "ge/heim",
    )
    assert (address.database, address.certificates, address.encrypted) == ("shop", "/etc/ca.pem", True)
    assert "heim" not in repr(address)
