"""The form of the ledger database: numbered migrations, applied once each, under a lock."""

from importlib.resources import files

import psycopg2
import psycopg2.extensions

from olvido.core.errors import ConfigError, Unavailable
from olvido.ledger.connection import CONNECT_TIMEOUT_S, first_line

LOCK = 0x6F6C7669646F  # "olvido": two migrations take turns


def migrate(dsn: str) -> list[str]:
    """Apply the migrations that are missing, all in one transaction; returns their names.

    A repeat changes nothing. A crash leaves the form as it was.

    Raises:
        Unavailable: the database does not answer.
    """
    connection = _connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
            cursor.execute(
                "create table if not exists migrations (name text primary key, applied_at timestamptz)"
            )
            cursor.execute("select name from migrations")
            applied = {row[0] for row in cursor.fetchall()}
            missing = [name for name in names() if name not in applied]
            for name in missing:
                cursor.execute((files("olvido.ledger") / "migrations" / name).read_text(encoding="utf-8"))
                cursor.execute("insert into migrations values (%s, now())", (name,))
            return missing
    finally:
        connection.close()


def check(dsn: str) -> None:
    """Check that the database has the form this version works with.

    Raises:
        ConfigError: a migration is missing.
        Unavailable: the database does not answer.
    """
    connection = _connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass('migrations') is not null")
            row = cursor.fetchone()
            applied = set()
            if row is not None and row[0]:
                cursor.execute("select name from migrations")
                applied = {name for (name,) in cursor.fetchall()}
    finally:
        connection.close()
    missing = [name for name in names() if name not in applied]
    if missing:
        raise ConfigError(f"the ledger database lacks {', '.join(missing)}; run: olvido ledger migrate")


def _connect(dsn: str) -> psycopg2.extensions.connection:
    try:
        return psycopg2.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg2.OperationalError as error:
        raise Unavailable(f"the ledger database does not answer: {first_line(error)}") from None


def names() -> list[str]:
    """The migrations there are, in order."""
    folder = files("olvido.ledger") / "migrations"
    return sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
