"""The shop's marketing service: a small HTTP service that Olvido's `http` sink speaks to.

It stands for the service you have already. It knows nothing of Olvido but the protocol in docs/sinks/http.md:
what it did for a task is remembered in the transaction that did it, so a task that comes twice is answered
twice and done once.

    python examples/shop/marketing.py --port 8085 --file marketing.sqlite
"""

import argparse
import json
import sqlite3
import threading
import unicodedata
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import idna
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

TASKS_MAX = 500  # in one call; the transaction holds everybody else up for that long
PURPOSE = "marketing"

SCHEMA = Path(__file__).with_name("marketing.sql")

Json = dict[str, Any]


class Marketing:
    """The contacts and what was done to them, in one SQLite file. Threads take turns."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = full")
        # A deleted row's bytes are overwritten with zeros at once: SQLite leaves them in the file otherwise.
        self._connection.execute("pragma secure_delete = on")
        self._connection.executescript(SCHEMA.read_text(encoding="utf-8"))
        self._write_anew()  # the last process may have been killed before it could

    def sign_up(self, contact: Json) -> Json:
        """Add a contact to a list; the same person may be on a list more than once."""
        with self._transaction() as connection:
            row = connection.execute(
                "insert into contacts (email, email_key, name, list, created_at) values (?, ?, ?, ?, ?) "
                "returning id",
                (
                    contact["email"],
                    email_key(contact["email"]),
                    contact["name"],
                    contact["list"],
                    instant(datetime.now(UTC)),
                ),
            ).fetchone()
        return {"id": row[0]}

    def find(self, email: str) -> list[Json]:
        """The contacts of one e-mail address."""
        with self._transaction() as connection:
            rows = connection.execute(
                "select id, name, list, allowed, created_at from contacts where email_key = ? order by id",
                (email_key(email),),
            ).fetchall()
        names = ("id", "name", "list", "allowed", "created_at")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def carry_out(self, tasks: list[Json]) -> list[Json]:
        """Do what the tasks ask, all in one transaction, and answer each."""
        with self._transaction() as connection:
            receipts = [_once(connection, task) for task in tasks]
        if any(receipt["outcome"] == "erased" for receipt in receipts):
            self._write_anew()
        return receipts

    def look_up(self, lookups: list[Json]) -> list[Json]:
        """Whether there is anything of each person from before an instant: for reading back."""
        with self._transaction() as connection:
            return [
                {"idempotency_key": lookup["idempotency_key"], "found": bool(_contacts(connection, lookup))}
                for lookup in lookups
            ]

    def _write_anew(self) -> None:
        """Leave no byte of what was deleted.

        A DELETE is not an erasure: when SQLite rearranges pages it leaves a copy of a row in the unused part
        of one now and then, which secure_delete does not overwrite. And its log holds pages as they were.
        """
        with self._lock:
            self._connection.execute("vacuum")
            self._connection.execute("pragma wal_checkpoint(truncate)")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")


def _once(connection: sqlite3.Connection, task: Json) -> Json:
    """The answer of the first time, or the work and its answer."""
    key = task["idempotency_key"]
    before = connection.execute("select receipt from answered where idempotency_key = ?", (key,)).fetchone()
    if before:
        answer: Json = json.loads(before[0])
        return answer
    outcome, counts, detail = _effect(connection, task)
    receipt = {
        "idempotency_key": key,
        "outcome": outcome,
        "counts": counts,
        "detail": detail,
        "applied_at": instant(datetime.now(UTC)),
    }
    connection.execute("insert into answered values (?, ?)", (key, json.dumps(receipt)))
    return receipt


def _effect(connection: sqlite3.Connection, task: Json) -> tuple[str, dict[str, int], str]:
    match task["action"]:
        case "ERASE":
            return _erase(connection, task)
        case "CONSENT":
            return _consent(connection, task)
        case "OBJECT" if PURPOSE in task["purposes"]:
            return "suppressed", {"contacts.updated": _allow(connection, task, allowed=False)}, ""
        case action:
            return "unsupported", {}, f"marketing does not know how to {action}"


def _erase(connection: sqlite3.Connection, task: Json) -> tuple[str, dict[str, int], str]:
    found = _contacts(connection, task)
    connection.executemany("delete from contacts where id = ?", [(contact,) for contact in found])
    return ("erased", {"contacts.deleted": len(found)}, "") if found else ("not_found", {}, "")


def _consent(connection: sqlite3.Connection, task: Json) -> tuple[str, dict[str, int], str]:
    """Follow a consent change, unless a later one is known for all its handles."""
    if PURPOSE not in task["purposes"]:
        return "unsupported", {}, "marketing acts on marketing only"
    word = (
        instant(datetime.fromisoformat(task["occurred_at"])),
        int(task["decision"] == "WITHDRAWN"),  # of two words in one instant, the withdrawal stands
        task["event_id"],
    )
    newer = [handle for handle in task["handles"] if _is_newer(connection, handle["value"], word)]
    if not newer:
        return "superseded", {}, ""
    connection.executemany(
        "insert or replace into consents (handle, purpose, decision, occurred_at, rank, event_id) "
        "values (?, ?, ?, ?, ?, ?)",
        [(handle["value"], PURPOSE, task["decision"], *word) for handle in newer],
    )
    allowed = task["decision"] == "GRANTED"
    # A contact is known by its e-mail only: what was said of another identity is remembered, no more.
    about_email = any(handle["kind"] == "email" for handle in newer)
    changed = _allow(connection, task, allowed=allowed) if about_email else 0
    return "consent_applied", {"contacts.updated": changed}, ""


def _is_newer(connection: sqlite3.Connection, handle: str, word: tuple[str, int, str]) -> bool:
    known = connection.execute(
        "select occurred_at, rank, event_id from consents where handle = ? and purpose = ?", (handle, PURPOSE)
    ).fetchone()
    return known is None or word > tuple(known)


def _allow(connection: sqlite3.Connection, task: Json, *, allowed: bool) -> int:
    keys = _keys(task)
    marks = ", ".join("?" * len(keys))
    done = connection.execute(
        f"update contacts set allowed = ? where email_key in ({marks})", (allowed, *keys)
    )
    return done.rowcount


def _contacts(connection: sqlite3.Connection, task: Json) -> list[int]:
    """The contacts of a person from before an instant: what was made later is a new life."""
    keys = _keys(task)
    marks = ", ".join("?" * len(keys))
    fence = instant(datetime.fromisoformat(task["occurred_at"]))
    rows = connection.execute(
        f"select id from contacts where email_key in ({marks}) and created_at <= ?", (*keys, fence)
    )
    return [row[0] for row in rows]


def _keys(task: Json) -> list[str]:
    emails = [identity for identity in task["identities"] if identity["kind"] == "email"]
    return sorted({email_key(email[form]) for email in emails for form in ("value", "normalised")})


def email_key(email: str) -> str:
    """How this service compares addresses: case, composition and the domain's spelling make no difference."""
    local, _, domain = unicodedata.normalize("NFC", email.strip().lower()).rpartition("@")
    return f"{local}@{idna.encode(domain, uts46=True).decode()}"


def instant(at: datetime) -> str:
    """An instant as this service writes it, which is also how it compares it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class TooMany(Exception):
    """More in one call than TASKS_MAX."""


def make_app(marketing: Marketing) -> Starlette:
    """The service's addresses. E-mails are in bodies and never in a URL: URLs get logged."""
    posts: Mapping[str, Callable[[Json], Json]] = {
        "/contacts": marketing.sign_up,
        "/contacts/search": lambda body: {"contacts": marketing.find(body["email"])},
        "/olvido/v1/tasks": lambda body: {"receipts": marketing.carry_out(_not_too_many(body["tasks"]))},
        "/olvido/v1/lookups": lambda body: {"lookups": marketing.look_up(_not_too_many(body["lookups"]))},
    }
    routes = [Route(path, _endpoint(act), methods=["POST"]) for path, act in posts.items()]
    return Starlette(routes=[*routes, Route("/health", _health)])


def _endpoint(act: Callable[[Json], Json]) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def endpoint(request: Request) -> JSONResponse:
        try:
            return JSONResponse(await run_in_threadpool(act, await request.json()))
        except TooMany:
            return JSONResponse({"error": f"at most {TASKS_MAX} in one call"}, status_code=413)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # The name of the fault alone: a message could quote what was sent.
            return JSONResponse({"error": f"not understood: {type(error).__name__}"}, status_code=400)

    return endpoint


async def _health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _not_too_many(given: list[Json]) -> list[Json]:
    if len(given) > TASKS_MAX:
        raise TooMany
    return given


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="The shop's marketing service")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True, help="the SQLite file; made if it is not there")
    arguments = parser.parse_args()
    app = make_app(Marketing(arguments.file))
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
