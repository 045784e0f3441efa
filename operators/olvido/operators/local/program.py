"""A program that the supervisor keeps running, and how it is written down for supervisord."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from olvido.core.errors import ConfigError

LOG_BYTES_MAX = "10MB"
LOG_BACKUPS = 3
# A number that is never reached: `keeper.py` holds the count, and the pause between two tries, down.
RETRIES = 1_000_000_000
NOTHING = "%(here).0s"
PRIORITY = 500  # supervisord's own default is 999; lower starts first and stops last


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program: what is run, as whom, and how it is stopped.

    It is started again whenever it ends, for ever, after a pause that grows to 15 s; one that stayed up for
    `start_s` begins anew with no pause.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    # Which variables of stack.env it is given. None: all of them.
    given: frozenset[str] | None = None
    kind: str = "process"  # `part` for Kafka, the registry and PostgreSQL
    address: str = ""  # what `olvido status` shows
    directory: Path | None = None
    user: str | None = None  # only when we are root
    priority: int = PRIORITY
    start_s: int = 1  # ended sooner than this: it did not start
    stop_signal: str = "TERM"
    stop_wait_s: int = 15  # then SIGKILL
    autorestart: bool = True

    def section(self, *, log: Path, environment: Mapping[str, str]) -> str:
        """Write it as a section of supervisord's configuration."""
        variables = ",".join(f"{name}={_env_value(name, value)}" for name, value in environment.items())
        settings = {
            "command": escaped(shlex.join(self.command)),
            "environment": escaped(variables),
            "directory": escaped(str(self.directory)) if self.directory else None,
            "user": self.user,
            "priority": self.priority,
            "autostart": "false",  # `up` starts them, in their order
            "autorestart": "true" if self.autorestart else "false",
            "startsecs": self.start_s,
            "startretries": RETRIES,
            "stopsignal": self.stop_signal,
            "stopwaitsecs": self.stop_wait_s,
            "stopasgroup": "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": escaped(str(log)),
            "stdout_logfile_maxbytes": LOG_BYTES_MAX,
            "stdout_logfile_backups": LOG_BACKUPS,
        }
        lines = [f"{name}={value}" for name, value in settings.items() if value is not None]
        return "\n".join([f"[program:{self.name}]", *lines]) + "\n"


def _env_value(name: str, value: str) -> str:
    """Quote a value as supervisord reads it: it knows both quotes and no escapes."""
    quote = '"' if '"' not in value else "'"
    if quote in value or value != value.strip("'\""):
        raise ConfigError(
            f"environment variable {name}: its value begins or ends with a quote, or has both kinds, "
            f"which supervisord can't be given. Put it into a file and give the file's name."
        )
    return f"{quote}{value}{quote}"


def escaped(text: str) -> str:
    """Write a value for supervisord's configuration, so that it reads it as it is.

    Raises:
        ConfigError: the value holds a line break.
    """
    if "\n" in text or "\r" in text:
        raise ConfigError("a program's command, folder and environment can't hold line breaks")
    # `%(here)s` is replaced even when its sign is doubled, and a space before `;` or `#` begins a comment.
    # An expansion to no characters keeps the two apart while the file is read, and is gone after that.
    text = text.replace("%", "%%").replace("%(here)s", f"%{NOTHING}(here)s")
    return re.sub(r"(?<=\s)(?=[;#])", NOTHING, text)
