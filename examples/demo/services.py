"""The shop's own processes, as the demo runs and speaks to them: the website and the marketing service."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from olvido.operators.local.errors import StackError, tail
from shop.people import Person

ANSWERS_S_MAX = 30.0
POLL_S = 0.05
END_S_MAX = 10.0


class Website:
    """The upstream service, a process of its own: told what people said, it tells Olvido by the SDK."""

    def __init__(self, script: Path, *, environment: Mapping[str, str], log: Path) -> None:
        """Start it, and return when it is ready."""
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                (sys.executable, str(script)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env={**_inherited(), **environment},
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        self._answer()

    def say(self, things: Sequence[Mapping[str, object]]) -> list[UUID]:
        """Have the website tell Olvido; the ids under which it was accepted, once the broker has it all."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(list(things)) + "\n")
        self._process.stdin.flush()
        return [UUID(one) for one in self._answer()]

    def close(self) -> None:
        """End it. A repeat changes nothing."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise StackError(f"the shop's website ended. Its log, {self._log}, ends with:\n{tail(self._log)}")
        answer: list[str] = json.loads(line)
        return answer


def wait_for_marketing(port: int) -> None:
    """Return when the marketing service answers."""
    give_up_at = time.monotonic() + ANSWERS_S_MAX
    while time.monotonic() < give_up_at:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(POLL_S)
    raise StackError(f"the shop's marketing service did not answer on port {port} in {ANSWERS_S_MAX:.0f} s")


def sign_up_for_mail(port: int, person: Person) -> str:
    """What the website does when somebody wants the newsletter; the new contact's key."""
    body = {"email": person.email, "name": person.name, "list": "newsletter"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/contacts",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=ANSWERS_S_MAX) as answer:
        contact: dict[str, Any] = json.load(answer)
    return str(contact["id"])


def _inherited() -> dict[str, str]:
    """Our environment, without the addresses of a stack of the user's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OLVIDO_")}
