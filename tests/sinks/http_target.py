"""A marketing system that speaks the task protocol: what docs/sinks/http.md asks of a target, in 150 lines.

Customers are in memory; what was answered is remembered by key, so that a task is done once.
"""

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

Row = dict[str, Any]
COLUMN = {"customer_id": "customer_no", "email": "email", "phone": "phone"}


class HttpTargetApp:
    """The service. ``before`` may answer in its place, to play a broken one."""

    def __init__(self) -> None:
        self.customers: list[Row] = []
        self.answers: dict[str, Row] = {}
        self.consents: dict[tuple[str, str], tuple[str, bool, str]] = {}
        self.objections: set[tuple[str, str]] = set()
        self.requests: list[tuple[str, Mapping[str, str], Any]] = []
        self.before: Callable[[str, Any], Response | None] = lambda path, body: None
        self.after: Callable[[str, Any], Any] = lambda path, answer: answer
        self._lock = threading.Lock()
        self._app = Starlette(
            routes=[
                Route("/olvido/v1/tasks", self._tasks, methods=["POST"]),
                Route("/olvido/v1/lookups", self._lookups, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _tasks(self, request: Request) -> Response:
        return await self._answer(request, self._do_tasks)

    async def _lookups(self, request: Request) -> Response:
        return await self._answer(request, self._do_lookups)

    async def _answer(self, request: Request, act: Callable[[Any], Any]) -> Response:
        body = json.loads(await request.body())
        path = request.url.path
        self.requests.append((str(request.url), dict(request.headers), body))
        instead = self.before(path, body)
        if instead is not None:
            return instead
        with self._lock:
            answer = self.after(path, act(body))
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    def _do_tasks(self, body: Any) -> Any:
        if any("broken" in i["value"] for task in body["tasks"] for i in task["identities"]):
            return JSONResponse({"error": "one of them cannot be done"}, status_code=422)  # and so none is
        receipts = []
        for task in body["tasks"]:
            key = task["idempotency_key"]
            if key not in self.answers:
                answer = _ACTIONS.get(task["action"], HttpTargetApp._unsupported)(self, task)
                self.answers[key] = {
                    "idempotency_key": key,
                    "applied_at": datetime.now(UTC).isoformat(),
                    "verified_at": None,
                    **answer,
                }
            receipts.append(self.answers[key])
        return {"receipts": receipts}

    def _do_lookups(self, body: Any) -> Any:
        return {
            "lookups": [
                {"idempotency_key": one["idempotency_key"], "found": bool(self._found(one, fenced=True)[0])}
                for one in body["lookups"]
            ]
        }

    def _erase(self, task: Row) -> Row:
        found, people, others = self._found(task, fenced=True)
        if len(people) > 1:
            return _told("ambiguous", detail="several people share the identity")
        self.customers = [row for row in self.customers if row not in found]
        if others:
            return _told("ambiguous", detail="others share it", **({"deleted": len(found)} if found else {}))
        return _told("erased", deleted=len(found)) if found else _told("not_found")

    def _consent(self, task: Row) -> Row:
        purpose = task["purposes"][0]
        word = (task["occurred_at"], task["decision"] == "WITHDRAWN", task["event_id"])
        latest = False
        for handle in task["handles"]:
            pair = (handle["value"], purpose)
            self.consents[pair] = max(word, self.consents.get(pair, word))
            latest |= self.consents[pair] == word
        if not latest:
            return _told("superseded")
        objected = any((handle["value"], purpose) in self.objections for handle in task["handles"])
        if task["decision"] == "GRANTED" and objected:
            return _told("suppressed", detail="an objection stands")
        rows, _, _ = self._found(task, fenced=False)
        for row in rows:
            if word >= row.get("word", word):
                row.update(word=word, marketing_allowed=task["decision"] == "GRANTED")
        return _told("consent_applied" if task["decision"] == "GRANTED" else "suppressed")

    def _object(self, task: Row) -> Row:
        self.objections |= {(h["value"], p) for h in task["handles"] for p in task["purposes"]}
        for row in self._found(task, fenced=False)[0]:
            row.update(word=("9999", True, ""), marketing_allowed=False)
        return _told("suppressed")

    def _unsupported(self, task: Row) -> Row:
        return _told("unsupported", detail=f"not covered: {task['action']}")

    def _found(self, task: Row, *, fenced: bool) -> tuple[list[Row], set[str], int]:
        """The rows of a task's person, who else they might be, and how many rows of others name them."""
        fence = datetime.fromisoformat(task["occurred_at"])
        given = {
            COLUMN[i["kind"]]: {_compared(i["kind"], v) for v in i["spellings"]} for i in task["identities"]
        }
        person = {i["value"] for i in task["identities"] if i["kind"] == "customer_id"}
        found, kept = [], 0
        for row in self.customers:
            names = any(
                _compared("email" if c == "email" else "", row[c] or "") in values
                for c, values in given.items()
            )
            others = person and row["customer_no"] is not None and row["customer_no"] not in person
            if names and not (fenced and row["created_at"] > fence):
                if others:
                    kept += 1
                else:
                    found.append(row)
        people = {row["customer_no"] for row in found if row["customer_no"] is not None}
        return found, set() if person else people, kept


def _compared(kind: str, value: str) -> str:
    """An address is the same in any case; nothing else is."""
    return value.lower() if kind == "email" else value


_ACTIONS: Mapping[str, Callable[[HttpTargetApp, Row], Row]] = {
    "ERASE": HttpTargetApp._erase,
    "CONSENT": HttpTargetApp._consent,
    "OBJECT": HttpTargetApp._object,
}


def _told(outcome: str, *, detail: str = "", **counts: int) -> Row:
    return {
        "outcome": outcome,
        "counts": {f"customers.{name}": count for name, count in counts.items()},
        "detail": detail,
    }
