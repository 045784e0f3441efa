"""Files of named statements. test_connection.py tries the notation of arrays on a real database."""

import pytest

from olvido.core.sql import array_of, statements


def test_a_file_is_its_statements_by_name():
    text = "-- A head.\n\n-- name: one\n-- What it does.\nselect 1;\n\n-- name: two\nselect 2;\n"
    assert statements(text) == {"one": "-- What it does.\nselect 1;", "two": "select 2;"}


def test_a_name_stands_once():
    with pytest.raises(ValueError, match="more than one statement is named one"):
        statements("-- name: one\nselect 1;\n-- name: one\nselect 2;\n")


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([], "{}"),
        (["a", ""], '{"a",""}'),
        (['a"b', "c\\d"], '{"a\\"b","c\\\\d"}'),
        (['","'], '{"\\",\\""}'),
        (["a", None], '{"a",NULL}'),
    ],
)
def test_an_array_is_written_as_postgresql_reads_it(values, written):
    assert array_of(values) == written
