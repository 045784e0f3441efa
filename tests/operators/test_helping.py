"""What every `--help` says, and how a mistake on the command line is told."""

import re
import shlex
from pathlib import Path

import pytest
from shell import olvido

from olvido.operators.cli import helping, lazy
from olvido.operators.cli.app import app

PROJECT = Path(__file__).parents[2]
COMMANDS = {
    " ".join(words): command
    for words, command in helping.commands_of(helping.finished(app))
    if not getattr(command, "commands", None)
}


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_an_example_that_parses(words: str):
    _, examples = helping.parts_of(COMMANDS[words].help)
    ours = [example for example in examples if "olvido " in example]
    assert ours, "begin a paragraph of its docstring with Examples:"
    for example in ours:
        command = re.split(r"[|>)]| && ", example[example.index("olvido ") :])[0]
        told = shlex.split(command, comments=True)[1:]
        assert told[: len(words.split())] == words.split()
        COMMANDS[words].make_context(words, told[len(words.split()) :])


@pytest.mark.parametrize("words", COMMANDS)
def test_help_fits_eighty_columns_with_examples_before_options(words: str):
    context = COMMANDS[words].make_context(words, [], resilient_parsing=True)
    told = COMMANDS[words].get_help(context)
    assert max(map(len, told.splitlines())) <= 80
    assert told.index("Examples:") < told.index("Options:")


@pytest.mark.parametrize("name", lazy.ENTRIES)
def test_what_is_known_of_a_command_before_it_is_loaded_is_what_it_says_itself(name: str):
    root = helping.finished(app)
    assert lazy.ENTRIES[name].help == root.commands[name].short_help


def test_a_module_registers_no_command_that_is_not_listed():
    root = helping.finished(app)
    for name in lazy.ENTRIES:
        assert root.commands[name] is not None
    assert set(root.commands._loaded) == set(lazy.ENTRIES)


def test_the_page_that_help_names_is_there():
    for page in {*helping.PAGES.values(), helping.PAGE}:
        path, _, anchor = page.partition("#")
        headings = re.findall(r"^#+ (.*)$", (PROJECT / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in [
            re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings
        ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("requsts",), "Did you mean 'requests'"),
        (("requests", "lst"), "Did you mean 'list'"),
        (("requests", "list", "--sate", "x"), "--state"),
        (("requests", "list", "--state", "fulfiled"), "did you mean 'fulfilled'?"),
        (("requests", "list", "--sink", "crn"), "did you mean 'crm'?"),
        (("requests", "list", "--outcome", "erasd"), "did you mean 'erased'?"),
        (("requests", "list", "--right", "erasure"), "did you mean 'ERASE'?"),
        (("requests", "list", "--since", "yesterday"), "such as 2h or 3d"),
        (("audit", "--verb", "repaly"), "did you mean 'replay'?"),
        (("run", "sink", "markting"), "did you mean 'marketing'?"),
        (("completion", "bsh"), "did you mean 'bash'?"),
        (("status", "--watch", "--timeout", "soon"), "such as 90s"),
    ],
)
def test_what_was_meant_is_said_and_nothing_is_done(arguments: tuple[str, ...], says: str):
    done = olvido(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_no_colour_is_printed_where_nobody_wants_it_or_sees_it():
    for arguments, environment in (
        (("--no-color", "topics", "list"), {"FORCE_COLOR": "1", "NO_COLOR": None}),
        (("topics", "list"), {"FORCE_COLOR": "1", "NO_COLOR": "1"}),
        (("topics", "list"), {"NO_COLOR": None}),
    ):
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]", olvido(*arguments, **environment).stdout)


def test_what_deletes_asks_first_and_does_nothing_without_an_answer(tmp_path: Path):
    (tmp_path / "olvido.toml").write_text("")
    for arguments in (("down", "--purge"), ("down", "--purge", "--no-input")):
        done = olvido(*arguments, OLVIDO_CONFIG=str(tmp_path / "olvido.toml"))
        assert (done.returncode, "--yes" in done.stderr) == (4, True)


def test_the_version_is_told():
    assert re.fullmatch(r"olvido \d+\.\d+\.\d+\n", olvido("--version").stdout)
