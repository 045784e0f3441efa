"""The least account of a sink in MariaDB, and the modes of a file: enough for the sink, and no more."""

import grp
import os
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pymysql
import pytest
from sinks.databases import MySQLDatabase
from sinks.mariadb_server import connected
from sinks.shop import a_consent, an_erasure, settings

from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.grants_file import file_modes
from olvido.sinks.discovery.grants_mysql import least_account
from olvido.sinks.discovery.mapped import mapped_tables
from olvido.sinks.kinds.mysql import MySQLSink
from olvido.sinks.kinds.mysql_address import Address
from olvido.sinks.kinds.mysql_catalogue import own_tables
from olvido.sinks.tables.map_rules import read_data_map

SCHEMA = """
    CREATE TABLE people (id bigint PRIMARY KEY, name varchar(40), email varchar(80), offers boolean);
    INSERT INTO people VALUES (1, 'ana', 'ana@x.example', true), (2, 'bea', 'bea@x.example', true);
    CREATE TABLE "or`ders" (id bigint PRIMARY KEY, person_id bigint, "ship to" varchar(40), total bigint);
    INSERT INTO "or`ders" VALUES (1, 1, 'ana', 7), (2, 2, 'bea', 8);
    CREATE TABLE staff (id bigint PRIMARY KEY, email varchar(80))
"""
TABLES = {
    "people": {
        "key": "id",
        "identities": {"email": "email"},
        "erase": "delete",
        "consent": {"marketing": {"granted": {"offers": True}, "withdrawn": {"offers": False}}},
    },
    "or`ders": {
        "key": "id",
        "parent": {"table": "people", "column": "person_id"},
        "erase": "anonymise",
        "null": ["ship to"],
        "unlink": True,
    },
}
TOLD = replace(settings({}), identities=(IdentityKind.EMAIL,))
MAP = read_data_map(TOLD, TABLES)


@pytest.fixture
def shop(mariadb_url: str) -> MySQLDatabase:
    shop = MySQLDatabase(mariadb_url)
    shop.run(SCHEMA)
    return shop


@pytest.fixture
def account(shop: MySQLDatabase, mariadb_url: str) -> Iterator[str]:
    """The least account, made twice; its address."""
    name = f"olvido_'{uuid4().hex[:8]}"
    quoted = "'" + name.replace("'", "''") + "'@'%'"
    statements = least_account(name, mapped_tables(MAP), {"people": ["id", "email"]}).splitlines()
    with closing(connected(mariadb_url)) as connection, connection.cursor() as cursor:
        for statement in (*statements, *statements):
            cursor.execute(statement)
        place = f"{name.replace(chr(39), '%27')}:for-tests@{mariadb_url.rpartition('@')[2]}"
        with pytest.raises(pymysql.OperationalError):  # nobody gets in before there is a password
            connected(f"mysql://{place.replace(':for-tests', '')}")
        cursor.execute(f"ALTER USER {quoted} IDENTIFIED BY 'for-tests' ACCOUNT UNLOCK")
        yield f"mysql://{place}"
        cursor.execute(f"DROP USER {quoted}")


def started(account: str) -> Sequence[Receipt]:
    """As a process of the sink does, and then a batch."""
    with closing(MySQLSink(TOLD, Address.of(account), MAP)) as sink:
        sink.check()
        sink.install()
        return sink.apply(
            [an_erasure(email="ana@x.example"), a_consent(Decision.WITHDRAWN, email="bea@x.example")]
        )


def test_in_mariadb_the_sink_works_with_the_least_account(shop: MySQLDatabase, account: str) -> None:
    [erased, withdrawn] = started(account)
    assert (erased.outcome, withdrawn.outcome) == (Outcome.ANONYMISED, Outcome.SUPPRESSED)
    assert shop.run("SELECT id, offers FROM people") == [(2, 0)]
    assert shop.run('SELECT "ship to" FROM "or`ders" ORDER BY id') == [(None,), ("bea",)]


def test_in_mariadb_check_says_which_step_this_account_may_not_do(
    shop: MySQLDatabase, account: str, mariadb_url: str
) -> None:
    """As after an update, whose new table the account has no right on yet."""
    name = Address.of(account).user.replace("'", "''")
    shop.run("DROP TABLE IF EXISTS olvido_journal_version")
    with closing(connected(mariadb_url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"REVOKE CREATE ON olvido_journal_version FROM '{name}'@'%'")
        with closing(MySQLSink(TOLD, Address.of(account), MAP)) as sink:
            for act in (sink.check, sink.install):
                with pytest.raises(ConfigError, match=r"olvido sinks grants \w+ prints, or install_1"):
                    act()
        cursor.execute(f"GRANT CREATE ON olvido_journal_version TO '{name}'@'%'")
    assert len(started(account)) == 2


def test_in_mariadb_everything_else_is_refused(shop: MySQLDatabase, account: str) -> None:
    with closing(connected(account)) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO people (id, email) VALUES (3, 'canary@olvido.invalid')")
        for statement in (
            "SELECT * FROM staff",
            "UPDATE people SET email = ''",
            "UPDATE `or``ders` SET total = 0",
            "DELETE FROM `or``ders`",
            "INSERT INTO people (id, name) VALUES (9, 'x')",
            "CREATE TABLE another (id int)",
            "DROP TABLE people",
            "DROP TABLE olvido_applied",
            "CREATE DATABASE another",
            "CREATE USER another",
        ):
            with pytest.raises(pymysql.Error) as caught:
                cursor.execute(statement)
            assert caught.value.args[0] in {1044, 1142, 1143, 1227}, statement


def test_in_mariadb_no_right_can_be_left_out(shop: MySQLDatabase, account: str, mariadb_url: str) -> None:
    """Each right on a table of the map is taken away in turn: the sink then refuses to start, or to erase."""
    name = Address.of(account).user.replace("'", "''")
    with closing(connected(mariadb_url)) as connection, connection.cursor() as cursor:
        for right, table in (
            ("SELECT", "people"), ("DELETE", "people"), ("UPDATE (offers)", "people"),
            ("SELECT", "`or``ders`"), ("UPDATE (`ship to`)", "`or``ders`"),
            ("UPDATE (person_id)", "`or``ders`"),
        ):  # fmt: skip
            cursor.execute(f"REVOKE {right} ON {table} FROM '{name}'@'%'")
            with pytest.raises((ConfigError, Refused, Unavailable)):
                started(account)
            cursor.execute(f"GRANT {right} ON {table} TO '{name}'@'%'")


def test_in_mariadb_the_least_account_tries_nothing_before_the_journal_is_there(
    shop: MySQLDatabase, account: str
) -> None:
    for table in own_tables():
        shop.run(f"DROP TABLE IF EXISTS {table}")
    task = an_erasure(email="ana@x.example")
    with closing(MySQLSink(TOLD, Address.of(account), MAP)) as sink:
        with pytest.raises(ConfigError, match="GRANT CREATE TEMPORARY TABLES on the database to it"):
            sink.rehearse([task.task], lambda _: task)
        sink.install()
        assert sink.rehearse([task.task], lambda _: task)[0].receipt is not None
    assert len(shop.run("SELECT * FROM people")) == 2


def test_a_file_is_open_to_the_group_and_to_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "data" / "shop.sqlite"
    file.parent.mkdir(mode=0o755)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE people (id)")
        group = grp.getgrgid(os.getgid()).gr_name
        subprocess.run(
            ["sh", "-eu"],
            input=file_modes("web-shop", "sqlite", group), env={**os.environ, "WEB_SHOP_FILE": str(file)},
            text=True, check=True,
        )  # fmt: skip
    assert (file.parent.stat().st_mode & 0o7777, file.stat().st_mode & 0o777) == (0o2770, 0o660)
    with closing(sqlite3.connect(file)) as connection:  # what SQLite makes beside it has its mode
        connection.execute("INSERT INTO people VALUES (1)")
        beside = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    assert beside == dict.fromkeys(["shop.sqlite", "shop.sqlite-wal", "shop.sqlite-shm"], 0o660)
