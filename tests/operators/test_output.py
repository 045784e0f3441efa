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
    "id": ID, "cause": Cause.FUTURE, "at": AT, "span": timedelta(minutes=3), "none": None, "yes": True,
    "count": -5, "nested": {"erased": 2}, "bytes": b"\x00\xff", "text": 'Zoë "ñ"\nsecond',
}  # fmt: skip
PLAIN = {
    "id": str(ID), "cause": "FUTURE", "at": "2026-11-23T10:00:05+00:00", "span": 180.0, "none": None,
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
