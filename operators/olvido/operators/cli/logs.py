"""What processes say on stderr: JSON lines for machines, text for people; no person and no secret in either.

Everybody logs by the standard library; structlog gives the lines their form here, those of libraries as well.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from olvido.core.errors import ConfigError
from olvido.core.redaction import redacted
from olvido.operators.desk.text import printable

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

FORMAT = "OLVIDO_LOG_FORMAT"
FORMATS = ("json", "text")
QUIET = (  # they speak at INFO of what we say ourselves
    "aiokafka", "faust", "mode", "httpx2", "httpcore2", "opentelemetry", "urllib3",
)  # fmt: skip

logger = logging.getLogger("olvido")


def set_up(*, level: str) -> None:
    """Have everything that is logged from now on leave in one form. A repeat replaces the form.

    Args:
        level: the lowest that is logged, such as ``WARNING``.

    Raises:
        ConfigError: ``OLVIDO_LOG_FORMAT`` is neither of the two.
    """
    chosen = os.environ.get(FORMAT) or ("text" if sys.stderr.isatty() else "json")
    if chosen not in FORMATS:
        raise ConfigError(
            f"{FORMAT} is {' or '.join(FORMATS)}; without it, text on a terminal and json elsewhere"
        )
    handler = _MadeLater(_for_people if chosen == "text" else _for_machines)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # What nobody caught is a line like any other: Python's own would be neither JSON nor redacted.
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_a_thread
    _quieten()


def as_a_service() -> None:
    """A service logs what it does, whatever -v says."""
    logging.getLogger().setLevel("INFO")
    _quieten()


def _quieten() -> None:
    for name in QUIET:
        logging.getLogger(name).setLevel("WARNING")


class _MadeLater(logging.Handler):
    """A handler that is made for the first line: most commands log none, and structlog takes long to load."""

    def __init__(self, make: Callable[[], logging.Handler]) -> None:
        super().__init__()
        self._make = make
        self._made: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._made is None:  # under the handler's lock, so it is made once
            self._made = self._make()
        self._made.handle(record)

    def flush(self) -> None:
        if self._made is not None:
            self._made.flush()


def _for_machines() -> logging.Handler:
    from structlog.processors import EventRenamer, JSONRenderer, TimeStamper
    from structlog.stdlib import add_log_level, add_logger_name

    handler = logging.StreamHandler(sys.stderr)
    # JSON escapes line ends and control characters, so no value can begin a line of its own.
    handler.setFormatter(
        _formatter(
            before=[add_log_level, add_logger_name, TimeStamper(fmt="iso", utc=True)],
            last=[EventRenamer("message"), JSONRenderer()],
        )
    )
    return handler


def _for_people() -> logging.Handler:
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(
        console=Console(stderr=True), show_path=False, highlighter=None, log_time_format="%X"
    )
    handler.setFormatter(_formatter(before=[], last=[_one_line]))
    return handler


def _formatter(*, before: "list[Processor]", last: "list[Processor]") -> logging.Formatter:
    from structlog.processors import format_exc_info
    from structlog.stdlib import ExtraAdder, ProcessorFormatter

    return ProcessorFormatter(
        foreign_pre_chain=[*before, ExtraAdder()],
        processors=[ProcessorFormatter.remove_processors_meta, format_exc_info, _redact, *last],
    )


def _redact(_: object, __: str, event: "EventDict") -> "EventDict":
    return {name: _redacted(value) for name, value in event.items()}


def _redacted(value: Any) -> Any:  # noqa: ANN401 - whatever a library gives along
    match value:
        case bool() | int() | float() | None:
            return value
        case dict():
            return {str(name): _redacted(inner) for name, inner in value.items()}
        case list() | tuple() | set():
            return [_redacted(inner) for inner in value]
        case _:
            return redacted(str(value))


def _one_line(_: object, __: str, event: "EventDict") -> str:
    """The message, and beneath it where it happened; what could move a cursor is shown as its escape."""
    lines = [str(event["event"]), *str(event.get("exception", "")).splitlines()]
    return "\n".join(printable(line, keep="") for line in lines)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("ended by an error nobody expected", exc_info=(kind, error, trace))


def _uncaught_in_a_thread(uncaught: threading.ExceptHookArgs) -> None:
    if uncaught.exc_value is not None and not isinstance(uncaught.exc_value, SystemExit):
        _uncaught(uncaught.exc_type, uncaught.exc_value, uncaught.exc_traceback)
