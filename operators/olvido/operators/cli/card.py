"""What `olvido up` ends with: where everything is, and what to type next."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel

if TYPE_CHECKING:  # the extra `cli` alone has no stack
    from olvido.operators.local.stack import Stack


def print_card(stack: "Stack", console: Console, *, somebody: str) -> None:
    """Print addresses and next commands; no password.

    Args:
        stack: what is up.
        console: where to print it.
        somebody: the e-mail address for the first erasure to try.
    """
    lines = [
        f"Kafka     {stack.bootstrap_servers}",
        f"Registry  {stack.registry_url}",
        f"Logs      {stack.folder.logs}",
        "",
        "olvido status                          what runs, what waits",
        "olvido doctor                          what is wrong, what to do",
        f"olvido request erase --email {somebody}",
        "olvido requests list                   where each request stands",
        "olvido down                            stop everything, keep the data",
    ]
    console.print(Panel("\n".join(lines), title="Olvido is up", expand=False))
