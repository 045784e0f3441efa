"""The `olvido` command: everything an operator, a sink's machine or a shell script asks of Olvido."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from olvido.core.errors import ConfigError, InvalidInput, OlvidoError, Unavailable
from olvido.operators.cli import completing, helping, logs
from olvido.operators.cli.acting import NotConfirmed
from olvido.operators.cli.exits import Exit
from olvido.operators.cli.lazy import Root
from olvido.operators.desk.faults import NotAllowed, NoTopic, NotThere
from olvido.operators.settings import with_lines

app = typer.Typer(
    name="olvido",
    cls=Root,
    help="Carries a person's decision to every system that holds their data, and proves that it arrived.\n\n"
    "Examples:\n"
    "    olvido up\n"
    "    olvido request erase --email ana@example.es\n"
    "    olvido requests list\n"
    "    olvido status",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain lines keep their shape at any width, and in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _without_colour(wanted: bool) -> None:
    if wanted:
        from olvido.operators.cli.output import without_colour

        without_colour()


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"olvido {version('olvido')}\n")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")] = False,
    no_color: Annotated[
        bool,
        typer.Option(
            "--no-color",
            help="No colours; NO_COLOR in the environment says the same.",
            is_eager=True,
            callback=_without_colour,
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    logs.set_up(level="INFO" if verbose else "WARNING")


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # there is no room for what is printed

# What lists the things of a kind.
_LISTED = {
    "request": "olvido requests list",
    "dead letter": "olvido dead-letters list",
    "plan": "olvido replay list",
    "restore": "olvido restore list",
    "backfill": "olvido backfill list",
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code.

    What each code means stands in :class:`~olvido.operators.cli.exits.Exit`.
    """
    command = helping.finished(app)
    if completing.is_asked():
        completing.silence()
        command.commands.finishing.append(completing.attach)
    try:
        code = command.main(
            args=None if arguments is None else list(arguments), prog_name="olvido", standalone_mode=False
        )
        sys.stdout.flush()  # here, where a full disk can still be reported
        sys.exit(code if isinstance(code, int) else 0)
    except NoTopic as error:
        _complain(f"{error}; make it with: olvido topics apply", Exit.USAGE)
    except (ConfigError, InvalidInput) as error:
        _complain(with_lines(error), Exit.USAGE)
    except Unavailable as error:
        _complain(f"{error}\nWhat is wrong and what to do: olvido doctor", Exit.UNHEALTHY)
    except NotThere as error:
        hint = _LISTED.get(error.kind)
        _complain(f"{error}" + (f"; list them with: {hint}" if hint else ""), Exit.NOT_FOUND)
    except (NotConfirmed, NotAllowed) as error:
        _complain(str(error), Exit.REFUSED)
    except OlvidoError as error:
        _complain(str(error), Exit.FAILURE)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted", Exit.INTERRUPTED)
    except OSError as error:
        _end_of_output(error)
    except Exception as error:
        if not helping.show_misuse(error):
            raise
        sys.exit(Exit.USAGE)


def _end_of_output(error: OSError) -> NoReturn:
    """End where nothing more can be printed: a reader like `head` has gone, or the disk is full."""
    if not isinstance(error, BrokenPipeError) and error.errno not in FULL:
        raise error
    # What is left in the buffer would fail once more when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        sys.exit(0)
    _complain(f"cannot write: {os.strerror(error.errno or 0).lower()}", Exit.FAILURE)


def _complain(text: str, code: Exit) -> NoReturn:
    from olvido.operators.cli.output import messages

    messages.print(f"olvido: {text}", markup=False, soft_wrap=True)
    sys.exit(code)
