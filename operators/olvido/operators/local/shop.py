"""The example shop behind `olvido up`: five systems to erase from, made once in databases and in files.

Only where a clone of the project is at hand and no address of a sink was given: a real
deployment's systems are its own.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from olvido.operators.local.errors import StackError, last_lines
from olvido.operators.local.program import Program
from olvido.operators.local.stack import DATABASE_VARIABLES, Stack
from olvido.operators.local.state import HOST, choose_port, write_env
from olvido.operators.settings import SHOP_ENV, STATE, read_env

CRM, MARKETING_URL = "OLVIDO_CRM_DSN", "OLVIDO_MARKETING_URL"
MARKETING = "shop-marketing"
A_CUSTOMER = "marciano-sáenz6@peña.example"  # every system of the shop knows them; nobody else does
USUAL_PORT = 8085
MARKETING_FILE = "marketing.sqlite"
# The targets that are files of their own, by the variable that says where.
FILES = {"OLVIDO_ANALYTICS_FILE": "analytics.duckdb", "OLVIDO_STORE_CN_FILE": "store_cn.sqlite"}


def shop_folder(directory: Path) -> Path:
    """Where the shop's tables are described."""
    return directory / "examples" / "shop"


def open_shop(stack: Stack, directory: Path, console: Console) -> list[Program]:
    """Have the shop's systems made, once, and take their addresses into our environment.

    Returns:
        The shop's own process; nothing where there is no shop to open.

    Raises:
        StackError: the shop's own program could not make its systems; the message ends with what it printed.
    """
    ours = not (stack.given & set(DATABASE_VARIABLES.values()))
    if not ours or not shop_folder(directory).is_dir():
        return []
    addresses = _addresses(directory)
    for name, value in addresses.items():
        os.environ.setdefault(name, value)
    file = directory / STATE / MARKETING_FILE
    filled = directory / STATE / "shop.filled"
    # A crash before the mark is written fills the systems anew: until then nobody uses them.
    if not filled.exists():
        console.print(_fill(shop_folder(directory), {**stack.environment, **addresses}, file), markup=False)
        filled.touch()
    port = int(addresses[MARKETING_URL].rpartition(":")[2])
    return [marketing_program(shop_folder(directory), port=port, file=file)]


def marketing_program(shop: Path, *, port: int, file: Path) -> Program:
    """The shop's marketing service, as the supervisor is to run it."""
    return Program(
        name=MARKETING,
        command=(sys.executable, str(shop / "marketing.py"), "--port", str(port), "--file", str(file)),
        given=frozenset(),
        address=f"http://{HOST}:{port}",
        directory=shop,
    )


def stand_ins(directory: Path) -> Mapping[str, str]:
    """What the shop's addresses look like, where there is a shop and it was not opened yet."""
    if not shop_folder(directory).is_dir():
        return {}
    return {MARKETING_URL: f"http://{HOST}:{USUAL_PORT}", **_files(directory)}


def _files(directory: Path) -> dict[str, str]:
    return {variable: str(directory / STATE / name) for variable, name in FILES.items()}


def _fill(shop: Path, addresses: Mapping[str, str], marketing: Path) -> str:
    """Run the shop's own program that makes its systems, and give the line that it printed.

    The shop is no part of the installed package, so it is not imported.
    """
    done = subprocess.run(
        (sys.executable, "-m", shop.name, str(marketing)),
        env={**os.environ, **addresses, "PYTHONPATH": str(shop.parent), "PYTHONUTF8": "1"},
        cwd=shop.parent,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"the example shop could not be made:\n{last_lines(done.stdout + done.stderr)}")
    return done.stdout.strip()


def _addresses(directory: Path) -> dict[str, str]:
    """Where the three systems are that are no databases of the stack; remembered."""
    path = directory / STATE / SHOP_ENV
    addresses = read_env(path)
    if not addresses:
        addresses = {MARKETING_URL: f"http://{HOST}:{choose_port(USUAL_PORT)}", **_files(directory)}
        write_env(path, addresses, comment="The example shop's marketing service and files.")
    return addresses
