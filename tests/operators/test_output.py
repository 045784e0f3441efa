"""What commands print, for people and for machines."""

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest
from ruamel.yaml import YAML

from olvido.core.causes import Cause
from olvido.operators.cli import output
from olvido.operators.cli.output import Output, print_data, show, show_one

AT = datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC)
ID = UUID(int=7)
ROW = {
    "id": ID, "cause": Cause.FUTURE, "at": AT, "day": AT.date(), "span": timedelta(minutes=3),
    "none": None, "yes": True,
    "count": -5, "nested": {"erased": 2}, "bytes": b"\x00\xff", "text": 'Zoë "ñ"\nsecond',
}  # fmt: skip
PLAIN = {
    "id": str(ID), "cause": "FUTURE", "at": "2026-11-23T10:00:05+00:00", "day": "2026-11-23",
    "span": 180.0, "none": None,
    "yes": True, "count": -5, "nested": {"erased": 2}, "bytes": "00ff", "text": 'Zoë "ñ"\nsecond',
}  # fmt: skip


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch):
    """Say how wide the terminal is."""

    def wide(count: int) -> None:
        monkeypatch.setenv("COLUMNS", str(count))
        monkeypatch.setattr(output.console, "_width", count)

    return wide


def printed(capsys: pytest.CaptureFixture[str], rows: object, form: Output) -> str:
    assert print_data(rows, output=form)
    return capsys.readouterr().out


def test_a_table_is_the_callers_to_draw(capsys):
    assert not print_data([ROW], output=Output.TABLE)
    assert capsys.readouterr().out == ""


def test_json_jsonl_and_yaml_say_the_same(capsys):
    rows = [ROW, ROW]
    assert json.loads(printed(capsys, rows, Output.JSON)) == [PLAIN, PLAIN]
    assert list(map(json.loads, printed(capsys, rows, Output.JSONL).splitlines())) == [PLAIN, PLAIN]
    assert YAML(typ="safe", pure=True).load(printed(capsys, rows, Output.YAML)) == [PLAIN, PLAIN]


def test_csv_has_every_field_and_an_empty_cell_for_none(capsys):
    [row] = csv.DictReader(StringIO(printed(capsys, [ROW], Output.CSV), newline=""))
    assert row == {
        **{name: str(value) for name, value in PLAIN.items()},
        "none": "", "yes": "true", "nested": '{"erased": 2}',
    }  # fmt: skip


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_that_a_spreadsheet_would_carry_out_is_made_harmless(capsys, start: str):
    """https://owasp.org/www-community/attacks/CSV_Injection"""
    told = printed(capsys, [{"reason": f"{start}cmd", f"{start}name": "x"}], Output.CSV)
    names, cells = csv.reader(StringIO(told, newline=""))
    assert (names, cells) == (["reason", f"'{start}name"], [f"'{start}cmd", "x"])


@pytest.mark.parametrize("start", [" =", "\u00a0=", "\u200b=", " \t@", "\uff1d", "x\n=", "x\r\n -"])
def test_neither_blanks_nor_a_line_before_it_hide_a_formula(capsys, start: str):
    told = printed(capsys, [{"detail": f"{start}1+1"}], Output.CSV)
    _, [cell] = csv.reader(StringIO(told, newline=""))
    lines = [line for line in cell.splitlines() if "1+1" in line]
    assert [line[:1] for line in lines] == ["'"]


# A screen is cleared, the window named, the cursor moved, the line turned around; and C1 codes of 8 bits.
HOSTILE = "done\x1b[2J\x1b]0;owned\x07\x1b[1;1Hfulfilled\u202etxt\u2066\x9b2J\x7f\u2028end"


@pytest.mark.parametrize("form", Output)
def test_what_others_wrote_moves_no_cursor_and_turns_no_line(capsys, columns, form: Output):
    columns(200)
    show([{"sink": "crm", "detail": HOSTILE}], ("sink", "detail"), output=form, empty="")
    show_one({"detail": HOSTILE}, output=form)
    out, err = capsys.readouterr()
    assert {sign for sign in out + err if not sign.isprintable()} <= set("\r\n")
    assert "fulfilled" in out


def test_machines_read_the_same_value_all_the_same(capsys):
    assert json.loads(printed(capsys, [{"detail": HOSTILE}], Output.JSON)) == [{"detail": HOSTILE}]
    assert YAML(typ="safe").load(printed(capsys, [{"detail": HOSTILE}], Output.YAML)) == [{"detail": HOSTILE}]


def test_a_message_that_holds_what_others_wrote_is_as_harmless(capsys):
    output.messages.print(f"sink crm answered: {HOSTILE}", markup=False)
    output.console.print(f"[bold]{HOSTILE}[/]")
    out, err = capsys.readouterr()
    assert {sign for sign in out + err if not sign.isprintable()} == {"\n"}


def test_no_records_are_said_on_stderr_and_are_an_empty_list_to_a_machine(capsys):
    show([], ("id",), output=Output.TABLE, empty="no requests")
    assert capsys.readouterr() == ("", "no requests\n")
    show([], ("id",), output=Output.JSON, empty="no requests")
    assert capsys.readouterr() == ("[]\n", "")
    for form in (Output.JSONL, Output.CSV):
        show([], ("id",), output=form, empty="no requests")
        assert capsys.readouterr().out.strip() == ""


def test_a_table_that_has_no_room_for_its_words_is_a_line_for_each_field(capsys, columns):
    row = {"request_id": "a" * 36, "subject_id": "h1_" + "b" * 43, "state": "fulfilled"}
    columns(80)
    show([row, row], tuple(row), output=Output.TABLE, empty="")
    assert capsys.readouterr().out.splitlines() == [
        f"request_id  {'a' * 36}", f"subject_id  h1_{'b' * 43}", "state       fulfilled", "",
        f"request_id  {'a' * 36}", f"subject_id  h1_{'b' * 43}", "state       fulfilled",
    ]  # fmt: skip
    columns(200)
    show([row], tuple(row), output=Output.TABLE, empty="")
    assert [line.split() for line in capsys.readouterr().out.splitlines()][-1] == list(row.values())


def test_one_record_is_a_line_for_each_field(capsys):
    show_one({"right_": "ERASE", "finished_at": AT, "span": timedelta(hours=3)}, output=Output.TABLE)
    assert capsys.readouterr().out == (
        "right        ERASE\nfinished_at  2026-11-23 10:00:05Z\nspan         3 h\n"
    )
