"""The `olvido` command as a person or a script uses it: a process of its own.

The process is forked from one that has loaded the libraries already (:mod:`warm`): a command is the same, and
starts in a tenth of the time.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

TIMEOUT_S = 60
WARM = Path(__file__).parent / "warm.py"


def olvido(*arguments: str, given: str = "", **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run the command as the shell does. Of its environment, what is ``None`` is taken away."""
    asked = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80", **environment}
    environ = {name: value for name, value in asked.items() if value is not None}
    with (
        tempfile.TemporaryFile() as given_to,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        given_to.write(given.encode())
        given_to.seek(0)
        connection.connect(_warm())
        connection.settimeout(TIMEOUT_S)
        command = {"arguments": arguments, "environment": environ, "folder": str(Path.cwd())}
        streams = [stream.fileno() for stream in (given_to, output, errors)]
        socket.send_fds(connection, [json.dumps(command).encode() + b"\n"], streams)
        with connection.makefile() as answers:
            process = int(answers.readline())
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["olvido", *arguments], TIMEOUT_S) from None
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(
            ["olvido", *arguments], code, output.read().decode(), errors.read().decode()
        )


def told(*arguments: str, given: str = "") -> Any:
    """What the command says as JSON."""
    done = olvido(*arguments, "-o", "json", given=given)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def _warm() -> str:
    """Where the process listens that commands are forked from; it ends with the process that tests run in."""
    folder = tempfile.mkdtemp(prefix="olvido-warm-")
    place = f"{folder}/commands"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OLVIDO_")}
        subprocess.Popen(
            [sys.executable, WARM, str(listener.fileno())],
            pass_fds=[listener.fileno()], env=environment, stdin=subprocess.PIPE,
        )  # fmt: skip
    return place
