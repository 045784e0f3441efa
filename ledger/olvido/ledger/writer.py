"""The login that processes and operators work with: it owns nothing of the ledger, and changes no act."""

from contextlib import closing
from importlib.resources import files

import psycopg2
from psycopg2.extensions import parse_dsn

from olvido.core.errors import ConfigError, Unavailable
from olvido.ledger.connection import CONNECT_TIMEOUT_S, first_line

WRITER = "olvido_ledger"


def grants(role: str = WRITER) -> str:
    """The statements by which the ledger's owner makes such a login."""
    text = (files("olvido.ledger") / "writer.sql").read_text(encoding="utf-8")
    quoted = '"' + role.replace('"', '""') + '"'
    literal = "'" + role.replace("'", "''") + "'"
    return text.replace("{role}", quoted).replace("{name}", quoted).replace("{text}", literal)


def admit(owner_dsn: str, dsn: str) -> None:
    """Have the login of one address work with the ledger that another login owns. A repeat changes nothing.

    Raises:
        ConfigError: both are one login, it is not there and the owner may not make it, or no owner's.
        Unavailable: the database does not answer.
    """
    role = _login(dsn, "ledger.dsn")
    if role is None or role == _login(owner_dsn, "ledger.owner_dsn"):
        raise ConfigError(
            "ledger.dsn: is to name another login than ledger.owner_dsn, or leave ledger.owner_dsn out"
        )
    try:
        with (
            closing(psycopg2.connect(owner_dsn, connect_timeout=CONNECT_TIMEOUT_S)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(grants(role))
    except psycopg2.errors.InsufficientPrivilege:
        raise ConfigError(
            f"ledger.owner_dsn: may not make the login {role}, or owns not all tables; "
            "have whoever may run: olvido ledger grants | psql"
        ) from None
    except psycopg2.OperationalError as error:
        raise Unavailable(f"the ledger database does not answer: {first_line(error)}") from None


def _login(dsn: str, key: str) -> str | None:
    try:
        user: str | None = parse_dsn(dsn).get("user")
    except psycopg2.ProgrammingError:  # its text holds the address, and so perhaps a password
        raise ConfigError(f"{key}: is no address of a PostgreSQL database") from None
    return user
