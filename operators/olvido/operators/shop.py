"""The example shop behind `olvido up`: five systems to erase from, made once, in the embedded databases.

Only where a clone of the project is at hand and no address of a sink was given: a real
deployment's systems are its own.
"""

import os
import sys
from pathlib import Path

from rich.console import Console

from olvido.operators.local.program import Program
from olvido.operators.local.stack import DATABASE_VARIABLES, Stack
from olvido.operators.local.state import choose_port, read_env, write_env
from olvido.operators.settings import SHOP_ENV, STATE

CRM, MARKETING_URL, ANALYTICS_FILE = "OLVIDO_CRM_DSN", "OLVIDO_MARKETING_URL", "OLVIDO_ANALYTICS_FILE"
USUAL_PORT = 8085
SQLITE_FILE = "marketing.sqlite"


def shop_folder(directory: Path) -> Path:
    """Where the shop's tables are described."""
    return directory / "examples" / "shop"


def open_shop(stack: Stack, directory: Path, console: Console) -> list[Program]:
    """Make the shop's systems, once, and take their addresses into our environment.

    Returns:
        The shop's own process; nothing where there is no shop to open.
    """
    ours = not (stack.given & set(DATABASE_VARIABLES.values()))
    if not ours or not shop_folder(directory).is_dir():
        return []
    from olvido.operators.demo.people import make_cast
    from olvido.operators.demo.plan import plan_rows
    from olvido.operators.demo.systems import systems_at

    addresses = _addresses(directory)
    for name, value in addresses.items():
        os.environ.setdefault(name, value)
    state = directory / STATE
    systems = systems_at(
        shop=shop_folder(directory),
        crm=stack.dsn("crm"),
        store_cn=stack.dsn("store_cn"),
        store_sg=stack.dsn("store_sg"),
        marketing=state / SQLITE_FILE,
        analytics=Path(addresses[ANALYTICS_FILE]),
    )
    filled = state / "shop.filled"
    # A crash before the mark is written fills the systems anew: until then nobody uses them.
    if not filled.exists():
        plan = plan_rows(make_cast())
        systems.plant(plan.tables)
        filled.touch()
        console.print(f"example shop made: five systems, {plan.rows} rows of people who are made up")
    command = (sys.executable, str(shop_folder(directory) / "marketing.py"))
    port = addresses[MARKETING_URL].rpartition(":")[2]
    return [
        Program(
            name="shop-marketing",
            command=(*command, "--port", port, "--file", str(state / SQLITE_FILE)),
            given=frozenset(),
            address=addresses[MARKETING_URL],
            directory=directory,
        )
    ]


def _addresses(directory: Path) -> dict[str, str]:
    """Where the two systems are that are no databases of the stack; remembered."""
    path = directory / STATE / SHOP_ENV
    addresses = read_env(path) if path.exists() else {}
    if not addresses:
        addresses = {
            MARKETING_URL: f"http://127.0.0.1:{choose_port(USUAL_PORT)}",
            ANALYTICS_FILE: str(directory / STATE / "analytics.duckdb"),
        }
        write_env(path, addresses, comment="The example shop's marketing service and analytics file.")
    return addresses
