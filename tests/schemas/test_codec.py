"""What is written is read whole; what nobody could have written is refused with its code. Nothing crashes."""

import io
import json
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import fastavro
import pytest
from fastavro.types import Schema
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from schemas.codecs import CODECS, MemoryRegistry, forged, raw_of
from values import CATALOGUE, a_change, a_receipt, an_erasure, received

from olvido.broker.reading import read_batch
from olvido.core.causes import Cause
from olvido.core.errors import Refused
from olvido.core.events import PrivacyRequest
from olvido.core.plan import plan_tasks
from olvido.schemas.codec import (
    VALUE_BYTES_MAX,
    Codec,
    consents_codec,
    receipts_codec,
    requests_codec,
)
from olvido.schemas.envelope import check_headers, headers_of
from olvido.schemas.registry import Registry
from olvido.schemas.shipped import schema_of, schema_text, versions_of
from olvido.schemas.topics import DEAD_LETTERS, RECEIPTS, REQUEST_STATUS, REQUESTS, Topic

REQUEST = an_erasure()
BOMB = 2**31  # bytes that a length claims and nobody sends


@pytest.fixture(scope="module")
def codec(memory_registry: Registry) -> Codec[PrivacyRequest]:
    return requests_codec(memory_registry)


def cause_of(codec: Codec[Any], data: bytes | None) -> Cause:
    with pytest.raises(Refused) as refused:
        codec.decode(data)
    return refused.value.cause


def zigzag(number: int) -> bytes:
    encoded, out = (number << 1) ^ (number >> 63), bytearray()
    while True:
        encoded, low = encoded >> 7, encoded & 0x7F
        out.append(low | (0x80 if encoded else 0))
        if not encoded:
            return bytes(out)


def raw(**changes: object) -> dict[str, Any]:
    """The request as fastavro writes it, with something changed."""
    return {**raw_of(REQUEST), **changes}


def framed(codec: Codec[Any], body: bytes, *, schema_id: int | None = None) -> bytes:
    return b"\0" + (codec._id if schema_id is None else schema_id).to_bytes(4, "big") + body


def written_as(codec: Codec[Any], field: str, type_: object, value: object) -> bytes:
    """The request's bytes with one field written as another type."""
    schema = json.loads(schema_text("privacy_request"))
    for one in schema["fields"]:
        if one["name"] == field:
            one["type"] = type_
            one.pop("default", None)
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), raw(**{field: value}))
    return framed(codec, buffer.getvalue())


# --- what is written is read ----------------------------------------------------------------------


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data())
def test_what_is_encoded_is_decoded_to_the_same_value(
    name: str, data: st.DataObject, memory_registry: Registry
) -> None:
    make, values = CODECS[name]
    codec = make(memory_registry)
    value = data.draw(values)
    assert codec.decode(codec.encode(value)) == value


def test_encoding_is_confluent_framing_around_avro(codec: Codec[PrivacyRequest]) -> None:
    data = codec.encode(REQUEST)
    assert data[:1] == b"\0"
    read = fastavro.schemaless_reader(io.BytesIO(data[5:]), schema_of("privacy_request"), None)
    assert read["subject_id"] == REQUEST.subject_id


@pytest.mark.parametrize("topic", [RECEIPTS, DEAD_LETTERS, REQUEST_STATUS], ids=lambda topic: topic.schema)
def test_what_an_earlier_version_wrote_is_read(topic: Topic) -> None:
    make, values = CODECS[topic.name.split(".")[1]]
    own, *earlier = versions_of(topic.schema)
    assert earlier
    registry = MemoryRegistry("earlier")
    for version in (*earlier, own):
        registry.register_text(topic.subject, version.text)
    codec = make(registry)
    for version in earlier:
        value = find(
            values,
            lambda value, schema=version.schema: _can_write(schema, value),
            settings=settings(phases=[Phase.generate]),  # the first will do, and need not be the smallest
        )
        data = framed(codec, _as(version.schema, value), schema_id=registry.find(topic.subject, version.text))
        assert codec.decode(data) == value


def _as(schema: Schema, value: object) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, raw_of(value))
    return buffer.getvalue()


def _can_write(schema: Schema, value: object) -> bool:
    try:
        return bool(_as(schema, value))
    except ValueError:  # it has an outcome or a cause that is newer
        return False


def test_a_version_that_does_not_ship_is_not_decoded_even_under_the_topics_own_subject() -> None:
    """Whoever may register schemas could otherwise choose with what we decode."""
    registry = MemoryRegistry("newer")
    registry.register(REQUESTS.subject, REQUESTS.schema)
    newer = json.loads(schema_text("privacy_request"))
    newer["fields"].append({"name": "note", "type": "string", "default": ""})
    newer_id = registry.register_text(REQUESTS.subject, json.dumps(newer))
    codec = requests_codec(registry)
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(newer), raw(note="hello"))
    assert cause_of(codec, framed(codec, buffer.getvalue(), schema_id=newer_id)) is Cause.UNKNOWN_SCHEMA


def test_a_registry_that_was_made_anew_while_we_run_is_asked_again() -> None:
    registry = MemoryRegistry("anew")
    registry.register(REQUESTS.subject, REQUESTS.schema)
    codec = requests_codec(registry)
    registry.make_anew(first_id=101)
    registry.register(REQUESTS.subject, REQUESTS.schema)
    data = requests_codec(registry).encode(REQUEST)
    assert data[:5] != codec.encode(REQUEST)[:5]
    assert codec.decode(data) == REQUEST


def test_a_flood_of_unknown_ids_costs_the_registry_one_look() -> None:
    """Or whoever may write to a topic slows its readers to the pace of the registry."""
    registry = MemoryRegistry("flood")
    registry.register(REQUESTS.subject, REQUESTS.schema)
    codec = requests_codec(registry)
    body, registry.asked = codec.encode(REQUEST)[5:], 0
    tracemalloc.start()
    for schema_id in range(1_000, 11_000):
        assert cause_of(codec, framed(codec, body, schema_id=schema_id)) is Cause.UNKNOWN_SCHEMA
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert registry.asked == len(versions_of(REQUESTS.schema))
    assert kept < 500_000  # fifty bytes an id would be as much


def test_an_enum_symbol_of_a_newer_version_is_refused_and_not_guessed(memory_registry: Registry) -> None:
    codec = consents_codec(memory_registry)
    newer = forged("consent_change", codec.encode(a_change()), decision="UNKNOWN")
    assert cause_of(codec, newer) is Cause.BAD_INDEX


# --- what is not ours -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        pytest.param(b"", Cause.EMPTY, id="B1 empty"),
        pytest.param(None, Cause.NULL_VALUE, id="B2 null"),
        pytest.param(b"\0", Cause.TOO_SHORT, id="B3 one byte"),
        pytest.param(b"\0\0\0\1", Cause.TOO_SHORT, id="B3 four bytes"),
        pytest.param(b"\1\0\0\0\1xx", Cause.BAD_MAGIC, id="B4 magic"),
        pytest.param(b'{"email": "ana@example.es"}', Cause.BAD_MAGIC, id="B4 JSON"),
        pytest.param(b"\0\0\1\x86\x9f", Cause.UNKNOWN_SCHEMA, id="B5 unknown id"),
        pytest.param(b"\0\0\0\0\0", Cause.UNKNOWN_SCHEMA, id="B7 id 0"),
        pytest.param(b"\0\xff\xff\xff\xff", Cause.UNKNOWN_SCHEMA, id="B7 id -1"),
        pytest.param(b"\0\x80\0\0\0", Cause.UNKNOWN_SCHEMA, id="B7 id 2^31"),
        pytest.param(b"\0\0\0\0\1" + bytes(VALUE_BYTES_MAX), Cause.TOO_LARGE, id="B17 large"),
    ],
)
def test_what_is_not_framed_as_ours_is_refused(
    codec: Codec[PrivacyRequest], data: bytes | None, cause: Cause
) -> None:
    assert cause_of(codec, data) is cause


def test_a_schema_of_another_topic_is_not_allowed_here(
    codec: Codec[PrivacyRequest], memory_registry: Registry
) -> None:
    """B6"""
    data = consents_codec(memory_registry).encode(a_change())
    assert cause_of(codec, data) is Cause.UNKNOWN_SCHEMA


DEEP: dict[str, Any] = {
    "type": "record",
    "name": "Deep",
    "fields": [{"name": "next", "type": ["null", "Deep"], "default": None}],
}


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        pytest.param(DEEP, b"\2" * 5000 + b"\0", id="B14 5,000 deep"),
        pytest.param({"type": "array", "items": "null"}, zigzag(20_000_000) + b"\0", id="B15 20 M nulls"),
    ],
)
def test_a_foreign_schema_is_never_decoded(
    codec: Codec[PrivacyRequest], memory_registry: Registry, schema: dict[str, Any], body: bytes
) -> None:
    foreign = memory_registry.register_text(f"foreign-{schema['type']}-value", json.dumps(schema))
    assert cause_of(codec, b"\0" + foreign.to_bytes(4, "big") + body) is Cause.UNKNOWN_SCHEMA


def test_a_record_cut_anywhere_is_refused(codec: Codec[PrivacyRequest]) -> None:
    """B8"""
    data = codec.encode(REQUEST)
    told = {cause_of(codec, data[:length]) for length in range(5, len(data))}
    assert told == {Cause.TRUNCATED}


@given(more=st.binary(min_size=1, max_size=20))
def test_bytes_after_the_end_are_refused(more: bytes, memory_registry: Registry) -> None:
    """B9"""
    codec = requests_codec(memory_registry)
    assert cause_of(codec, codec.encode(REQUEST) + more) is Cause.TRAILING_BYTES


@pytest.mark.parametrize("length", [-1, -(2**31), -(2**62), BOMB, 2**40, 2**62])
def test_a_length_that_nobody_sends_is_refused_without_the_memory(
    codec: Codec[PrivacyRequest], length: int
) -> None:
    """B10"""
    body = codec.encode(REQUEST)[5:]
    tracemalloc.start()
    told = {cause_of(codec, framed(codec, body[:1] + zigzag(length) + body[2:]))}
    # The ciphertext is bytes and not a string; its length is one byte.
    start = body.rindex(b"\2c")
    told.add(cause_of(codec, framed(codec, body[:start] + zigzag(length) + body[start + 1 :])))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told <= {Cause.TRUNCATED, Cause.NON_CANONICAL}
    assert peak < 10_000_000


@pytest.mark.parametrize("count", [2**31, 2**62, -(2**62), -1])
def test_an_array_of_more_items_than_there_are_bytes_is_refused(
    codec: Codec[PrivacyRequest], count: int
) -> None:
    body = codec.encode(REQUEST)[5:]
    start = body.index(b"\4\4cn\4sg\0")  # the regions
    told = cause_of(codec, framed(codec, body[:start] + zigzag(count) + body[start + 1 :]))
    assert told in {Cause.TRUNCATED, Cause.NON_CANONICAL, Cause.BAD_UTF8, Cause.BAD_INDEX, Cause.BAD_TIME}


def test_a_string_that_is_not_utf_8_is_refused(codec: Codec[PrivacyRequest]) -> None:
    """B11"""
    data = written_as(codec, "subject_id", "bytes", b"\xff\xfe\xc0")
    assert cause_of(codec, data) is Cause.BAD_UTF8


@pytest.mark.parametrize("name", ["detail", "counts", "sink"])
def test_a_zero_character_in_a_string_is_refused(name: str, memory_registry: Registry) -> None:
    """PostgreSQL holds no text with one: such a record would end its reader, and come again for ever."""
    codec = receipts_codec(memory_registry)
    value = {"a\0b": 1} if name == "counts" else "a\0b"
    written = codec.encode(replace(a_receipt(plan_tasks(an_erasure(), CATALOGUE)[0]), **{name: value}))
    assert cause_of(codec, written) is Cause.BAD_UTF8


@pytest.mark.parametrize("generation", [2**31, -(2**31) - 1, 2**40, 2**63 - 1])
def test_an_int_beyond_32_bits_is_refused(generation: int, memory_registry: Registry) -> None:
    """No column of the ledger holds it: such a record would end its reader, and come again for ever."""
    codec = receipts_codec(memory_registry)
    task = plan_tasks(an_erasure(), CATALOGUE)[0]
    written = codec.encode(replace(a_receipt(task), generation=generation))
    assert cause_of(codec, written) is Cause.NON_CANONICAL


@pytest.mark.parametrize("index", [-1, -9, 9, 2**31, -(2**31), 2**62])
def test_an_enum_index_out_of_range_is_refused(codec: Codec[PrivacyRequest], index: int) -> None:
    """B12: a negative one passes fastavro."""
    assert cause_of(codec, written_as(codec, "right", "long", index)) in {
        Cause.BAD_INDEX,
        Cause.NON_CANONICAL,
    }


@pytest.mark.parametrize("index", [-1, -2, 2, 2**31, 2**62])
def test_a_union_index_out_of_range_is_refused(codec: Codec[PrivacyRequest], index: int) -> None:
    """B12"""
    assert cause_of(codec, written_as(codec, "verified", "long", index)) in {
        Cause.BAD_INDEX,
        Cause.NON_CANONICAL,
        Cause.TRUNCATED,
    }


def test_a_number_written_longer_than_it_need_be_is_refused(codec: Codec[PrivacyRequest]) -> None:
    """B13"""
    body = codec.encode(REQUEST)[5:]
    assert body[:2] == b"\0" + zigzag(36)  # no seal, and the length of the request_id
    assert cause_of(codec, framed(codec, b"\0\xc8\x80\0" + body[2:])) is Cause.NON_CANONICAL


def test_a_boolean_that_is_seven_is_refused(codec: Codec[PrivacyRequest]) -> None:
    """B13"""
    data = codec.encode(REQUEST)
    assert data[-3:] == b"\0\0\0"  # verification_required is false, verified is null, jurisdiction is empty
    assert cause_of(codec, data[:-3] + b"\7\0\0") is Cause.NON_CANONICAL


@pytest.mark.parametrize("micros", [2**62, -(2**62), 253_402_300_800_000_000, -(2**63)])
def test_an_instant_beyond_the_calendar_is_refused(codec: Codec[PrivacyRequest], micros: int) -> None:
    """B16: the year 10000 and beyond."""
    assert cause_of(codec, written_as(codec, "requested_at", "long", micros)) is Cause.BAD_TIME


@pytest.mark.parametrize("text", ["", "x", "0" * 36, "not-a-uuid-at-all-but-36-characters-"])
def test_an_id_that_is_no_uuid_is_refused(codec: Codec[PrivacyRequest], text: str) -> None:
    assert cause_of(codec, written_as(codec, "request_id", "string", text)) is Cause.BAD_UUID


@pytest.mark.parametrize("form", ["{{{}}}", "urn:uuid:{}", "{} ", "upper", "bare"])
def test_a_uuid_in_another_spelling_is_refused(codec: Codec[PrivacyRequest], form: str) -> None:
    """B36: Python accepts them."""
    canonical = str(UUID("01935d0e-5b6a-7c3d-8e4f-0123456789ab"))
    text = {"upper": canonical.upper(), "bare": canonical.replace("-", "")}.get(form) or form.format(
        canonical
    )
    assert cause_of(codec, written_as(codec, "request_id", "string", text)) in {
        Cause.BAD_UUID,
        Cause.NON_CANONICAL,
    }


def test_a_key_that_is_not_the_subject_is_refused_and_not_shown(codec: Codec[PrivacyRequest]) -> None:
    """B18"""
    batch = [
        received(1, key=b"ana@example.es", value=codec.encode(REQUEST)),
        received(2, key=REQUEST.subject_id.encode(), value=codec.encode(REQUEST)),
    ]
    now = datetime(2026, 11, 23, tzinfo=UTC)
    read, (letter,) = read_batch(batch, codec, key_of=lambda value: value.subject_id, group="g", now=now)
    assert [one.value for one in read] == [REQUEST]
    assert (letter.offset, letter.cause, letter.field) == (1, Cause.KEY_MISMATCH, "key")
    assert "ana" not in repr(letter)


# --- whatever comes --------------------------------------------------------------------------------


def at(place: int, data: bytes) -> int:
    """A place in so many bytes, or behind them."""
    return place % (len(data) + 1)


def flip(data: bytes, place: int, bit: int) -> bytes:
    place = place % len(data)
    return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


Accident = Callable[[bytes], bytes]
# Made once: Hypothesis looks through each new strategy, which took longer than what it then draws.
places = st.integers(0, 2**16 - 1)
accidents: st.SearchStrategy[Sequence[Accident]] = st.lists(
    st.one_of(
        st.builds(lambda p, bit: lambda d: flip(d, p, bit) if d else d, places, st.integers(0, 7)),
        st.builds(
            lambda p, new: lambda d: d[: at(p, d)] + new + d[at(p, d) :], places, st.binary(max_size=12)
        ),
        st.builds(lambda p, gone: lambda d: d[: at(p, d)] + d[at(p, d) + gone :], places, st.integers(1, 30)),
        st.builds(
            lambda p, new: lambda d: d[: at(p, d)] + new + d[at(p, d) + len(new) :],
            places,
            st.binary(max_size=10),
        ),
        st.builds(
            lambda p, number: lambda d: d[: at(p, d)] + zigzag(number) + d[at(p, d) + 1 :],
            places,
            st.integers(-(2**62), 2**62),
        ),
    ),
    min_size=1,
    max_size=4,
)


def after(many: Sequence[Accident], data: bytes) -> bytes:
    """What is left of valid bytes."""
    for accident in many:
        data = accident(data)
    return data


def outcome_of(codec: Codec[Any], data: bytes) -> object:
    """The value, or why there is none; anything else that is raised fails the test."""
    try:
        return codec.decode(data)
    except Refused as refused:
        return refused


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=300)
@given(data=st.data())
def test_whatever_comes_is_refused_or_is_what_encoding_would_give(
    name: str, data: st.DataObject, memory_registry: Registry
) -> None:
    make, values = CODECS[name]
    codec = make(memory_registry)
    canary = "Zq7-canary-Zq7"
    value = data.draw(values)
    whole = codec.encode(value) + canary.encode()[: data.draw(st.integers(0, 3))]
    given_bytes = after(data.draw(accidents), whole)
    told = outcome_of(codec, given_bytes)
    if isinstance(told, Refused):
        assert canary not in str(told)
    else:
        assert codec.encode(told) == given_bytes


@given(data=st.binary(max_size=300))
def test_noise_is_refused(data: bytes, memory_registry: Registry) -> None:
    codec = requests_codec(memory_registry)
    with pytest.raises(Refused):
        codec.decode(codec.encode(REQUEST)[:5] + data)


def test_no_value_is_in_the_message(codec: Codec[PrivacyRequest]) -> None:
    for field in ("request_id", "right", "regions", "requested_at"):
        with pytest.raises(Refused) as refused:
            codec.decode(written_as(codec, field, "string", "canary@example.es"))
        told = [str(refused.value), repr(refused.value), str(refused.value.__cause__)]
        assert not any("canary" in text for text in told)


# --- headers ---------------------------------------------------------------------------------------


def test_our_own_headers_pass() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = headers_of(UUID(int=1), "olvido.task.v1", source="olvido", at=at, traceparent=parent)
    check_headers(headers)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"00000000-0000-0000-0000-000000000001",
        "ce_type": b"olvido.task.v1",
        "ce_source": b"olvido",
        "content-type": b"application/avro",
        "ce_time": b"2026-11-23T00:00:00+00:00",
        "traceparent": parent.encode(),
    }


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        pytest.param([("ce_specversion", b"2.0")], Cause.UNSUPPORTED_VERSION, id="B20"),
        pytest.param([("ce_specversion", None)], Cause.UNSUPPORTED_VERSION, id="B20 null"),
        pytest.param([("h", b"1")] * 100, Cause.TOO_LARGE, id="B21 100 headers"),
        pytest.param([("h", bytes(1_000_000))], Cause.TOO_LARGE, id="B21 1 MB"),
        pytest.param([("h" * 5000, b"")], Cause.TOO_LARGE, id="B21 a long name"),
    ],
)
def test_headers_that_are_not_ours_are_refused(headers: list[tuple[str, bytes | None]], cause: Cause) -> None:
    with pytest.raises(Refused) as refused:
        check_headers(headers)
    assert refused.value.cause is cause


def test_no_headers_at_all_are_fine() -> None:
    check_headers([])
