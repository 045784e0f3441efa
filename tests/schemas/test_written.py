"""The functions made for our schemas do what fastavro does, and take nothing that it would refuse."""

import io
from operator import itemgetter
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schemas.codecs import CODECS, raw_of
from schemas.test_codec import accidents, after, zigzag

from olvido.core.errors import Refused
from olvido.schemas.codec import _read
from olvido.schemas.registry import Registry
from olvido.schemas.shapes import Shape
from olvido.schemas.shipped import schema_of
from olvido.schemas.written import UNREADABLE, NewerSymbol, NotCanonical, reader_of, writer_of

COUNTS = {
    "type": "record",
    "name": "Counts",
    "fields": [{"name": "counts", "type": {"type": "map", "values": "long"}}],
}
NUMBER = {"type": "record", "name": "Number", "fields": [{"name": "n", "type": "long"}]}

# Records that are the fields alone.
PLAIN = {
    name: Shape(dict, {field: itemgetter(field)})
    for name, field in (("Counts", "counts"), ("Number", "n"), ("Foreign", "one"))
}


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_they_write_what_fastavro_writes(name: str, data: st.DataObject, memory_registry: Registry) -> None:
    make, values = CODECS[name]
    codec = make(memory_registry)
    value = data.draw(values)
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema_of(codec.topic.schema), raw_of(value))
    assert codec.encode(value)[5:] == buffer.getvalue()


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=300)
@given(data=st.data())
def test_what_they_take_fastavro_takes_just_so_and_what_they_do_not_it_refuses(
    name: str, data: st.DataObject, memory_registry: Registry
) -> None:
    make, values = CODECS[name]
    codec = make(memory_registry)
    schema = schema_of(codec.topic.schema)
    value = data.draw(values)
    given_bytes = after(data.draw(accidents), codec.encode(value)[5:])
    try:
        read = codec._read_own(given_bytes, 0)
    except UNREADABLE:
        with pytest.raises(Refused):
            _read(given_bytes, schema)
    except NewerSymbol:
        with pytest.raises(Refused):
            codec.decode(codec.encode(value)[:5] + given_bytes)
    except Refused:
        _read(given_bytes, schema)  # in order as Avro, and yet no value of ours
    else:
        _read(given_bytes, schema)
        assert raw_of(read) == fastavro.schemaless_reader(io.BytesIO(given_bytes), schema, None)


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_every_number_is_written_and_read(number: int) -> None:
    written = writer_of(NUMBER, PLAIN)({"n": number})
    assert written == zigzag(number)
    assert reader_of(NUMBER, PLAIN)(written, 0) == {"n": number}


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(b"\x80\0", id="longer than it need be"),
        pytest.param(b"\xff" * 9 + b"\x02", id="more than 64 bits"),
        pytest.param(b"\x80" * 60_000 + b"\1", id="without an end"),
        pytest.param(b"\0\0", id="and more"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_number_in_another_form_is_not_taken(written: bytes) -> None:
    with pytest.raises((NotCanonical, IndexError)):
        reader_of(NUMBER, PLAIN)(written, 0)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(b"\4\2a\2\2a\4\0", id="a key twice"),
        pytest.param(b"\2\2a\2\2\2b\4\0", id="two blocks"),
        pytest.param(b"\1\6\2a\2\0", id="a block that gives its size"),
        pytest.param(b"\2\2a\2", id="no end"),
    ],
)
def test_a_map_in_another_form_is_not_taken(written: bytes) -> None:
    with pytest.raises((NotCanonical, IndexError)):
        reader_of(COUNTS, PLAIN)(written, 0)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_that_64_bits_do_not_hold_is_not_written(number: int) -> None:
    with pytest.raises(OverflowError):
        writer_of(NUMBER, PLAIN)({"n": number})


@pytest.mark.parametrize("type_", ["double", "Unknown", ["string", "null"], ["null", "string", "long"]])
def test_what_none_of_our_schemas_has_is_not_guessed(type_: Any) -> None:
    schema = {"type": "record", "name": "Foreign", "fields": [{"name": "one", "type": type_}]}
    with pytest.raises(AssertionError):
        reader_of(schema, PLAIN)
    with pytest.raises(AssertionError):
        writer_of(schema, PLAIN)
