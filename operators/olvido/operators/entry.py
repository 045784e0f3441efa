"""Where the `olvido` script starts: it names the extra to install where the command line is not there."""

import sys
from typing import NoReturn

EXIT_USAGE = 2


def main() -> NoReturn:
    """Run the command line; with `olvido[producer]` alone, say what it needs and exit 2."""
    try:
        from olvido.operators.cli.app import main as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "olvido":
            raise  # no extra brings that: the installation is broken, and the traceback says where
        sys.stderr.write(f"olvido: the command line needs {error.name}: pip install 'olvido[cli]'\n")
        sys.exit(EXIT_USAGE)
    run()
