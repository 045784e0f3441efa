"""The `olvido` command as a person or a script uses it: a process of its own."""

import json
import os
import subprocess
import sys
from typing import Any


def olvido(*arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the shell does."""
    return subprocess.run(
        [sys.executable, "-m", "olvido.operators.cli", *arguments],
        input=given, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80", **environment},
    )  # fmt: skip


def told(*arguments: str, given: str = "") -> Any:
    """What the command says as JSON."""
    done = olvido(*arguments, "-o", "json", given=given)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
