"""The address of a MariaDB or MySQL database, and a connection to it."""

import ssl
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
from pymysql.constants import CLIENT

from olvido.core.loopback import is_loopback

CONNECT_S = 5
SILENCE_S = 10  # beyond what a statement may take: a dead link is noticed, and no slow statement is one
PORT = 3306
FORM = "mysql://user:password@host:3306/database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is, and who we are there. Its repr holds no password."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    certificates: str | None = None  # the file of those who may sign the server's certificate
    encrypted: bool = False

    @classmethod
    def of(cls, url: str) -> "Address":
        """Read ``mysql://user:password@host:3306/database``; ``?ssl=true`` or ``?ssl_ca=FILE`` may follow.

        Raises:
            ValueError: saying which part is wrong; it holds no part of the address.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or PORT
        except ValueError:
            raise ValueError(f"is not an address of the form {FORM}") from None
        database = unquote(parts.path.removeprefix("/"))
        if parts.scheme not in {"mysql", "mariadb"} or not parts.hostname or not database:
            raise ValueError(f"is not an address of the form {FORM}")
        options = dict(parse_qsl(parts.query))
        unknown = sorted(set(options) - {"ssl", "ssl_ca"})
        if unknown or options.get("ssl", "true") != "true":
            raise ValueError("has options other than ssl=true and ssl_ca=FILE")
        return cls(
            host=parts.hostname,
            port=port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=database,
            certificates=options.get("ssl_ca"),
            encrypted=bool(options),
        )

    def connect(self, *, statement_timeout_s: float) -> "pymysql.connections.Connection[Any]":
        """A new connection, in no transaction. It speaks utf8mb4 and counts found rows, not changed ones.

        Args:
            statement_timeout_s: the limit that the server is given for each statement.

        Raises:
            pymysql.Error: the server does not answer, or refuses us.
            OSError: the file of certificates cannot be read.
        """
        silence_s_max = ceil(statement_timeout_s) + SILENCE_S
        context = ssl.create_default_context(cafile=self.certificates) if self.encrypted else None
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.database,
            charset="utf8mb4",
            autocommit=False,
            # An UPDATE of a row that is already as it shall be has done it: the row counts.
            client_flag=CLIENT.FOUND_ROWS,
            connect_timeout=CONNECT_S,
            read_timeout=silence_s_max,
            write_timeout=silence_s_max,
            ssl=context,
            # Nobody reads along on the loopback; elsewhere it is encrypted where the server can.
            ssl_disabled=context is None and is_loopback(self.host),
            program_name="olvido",
        )
