"""A record as a person may see it: whatever a producer with a mistake puts into it, nobody is named."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import a_box, a_change, a_handle, an_erasure, an_id

from olvido.core.dead_letters import REDRIVE_HEADER
from olvido.core.errors import InvalidInput
from olvido.operators.desk.records import _CODECS, DUMP_BYTES_MAX, Legible, topic_named
from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.topics import CONSENT_STATE, DEAD_LETTERS, REQUESTS, topics_of

DECLARED = Deployment.load(Path(__file__).parents[2] / "olvido.toml")
LEGIBLE = Legible(DECLARED)
IDENTITIES = st.sampled_from(
    ["ana@example.es", "+34600000000", "C-1042", "王小明", "Ana", "6d920780-8246-4ba4-ae5b-76104861e7dc"]
)


@given(IDENTITIES)
def test_an_identity_in_any_text_of_an_event_is_masked(identity):
    change = replace(
        a_change(), purpose=identity, policy_version=identity, regions=("cn", identity),
        boxes=(replace(a_box(), region=identity, key_id=identity),), subject_id=identity,
        handles=(replace(a_handle(), value=identity),),
    )  # fmt: skip
    assert identity not in repr(LEGIBLE.value(change))


@given(
    IDENTITIES, st.sampled_from(["ce_id", "ce_type", "ce_source", "ce_time", "traceparent", REDRIVE_HEADER])
)
def test_an_identity_in_a_header_is_masked(identity, name):
    headers = [(identity, b"1"), (f"ce_{identity}", b"1"), (f"olvido_{identity}", b"1")]
    if name != "ce_id" or "-8246-" not in identity:  # an id in ce_id is by what the event is found upstream
        headers.append((name, identity.encode()))
    headers.append((REDRIVE_HEADER, f"{identity}/1/2/3".encode()))
    assert identity not in repr(LEGIBLE.headers(headers))


@given(IDENTITIES, st.sampled_from([REQUESTS, CONSENT_STATE, None]))
def test_an_identity_as_a_key_is_masked(identity, topic):
    assert identity not in LEGIBLE.key(identity.encode(), topic)
    assert identity not in LEGIBLE.key(f"{a_handle().value}/{identity}".encode(), topic)


@given(
    IDENTITIES,
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "gb18030", "utf-32-le"]),
    st.binary(max_size=9),
)
def test_an_identity_in_bytes_is_masked_in_any_encoding(identity, encoding, around):
    plain = identity.encode(encoding)
    dumped = "".join(LEGIBLE.dump(around + plain + around))
    assert identity not in dumped
    readable = [byte for byte in plain if byte >= 0x20]
    assert readable
    digits = [line[7:55].split() for line in LEGIBLE.dump(plain)]
    shown = [int(pair, 16) for row in digits for pair in row if pair != "··"]
    assert all(byte < 0x20 for byte in shown)


def test_what_is_declared_and_what_names_nobody_is_shown():
    request = an_erasure()
    shown = LEGIBLE.value(request)
    assert shown["request_id"] == an_id(1)
    assert (shown["right"], shown["regions"]) == ("ERASE", ["cn", "sg"])
    assert shown["subject_id"] == request.subject_id
    assert shown["boxes"][0] == {"region": "cn", "key_id": "cn-2026-11", "bytes": 1}
    assert LEGIBLE.text("customers.deleted") == "customers.deleted"
    assert LEGIBLE.key(str(an_id(1)).encode(), DEAD_LETTERS) == str(an_id(1))
    assert (
        LEGIBLE.key(f"{request.subject_id}/marketing".encode(), CONSENT_STATE)
        == f"{request.subject_id}/marketing"
    )
    headers = [("ce_id", str(an_id(1)).encode()), (REDRIVE_HEADER, b"olvido.requests.v1/1/2/3")]
    assert LEGIBLE.headers(headers) == {name: value.decode() for name, value in headers}


def test_a_word_that_is_nearly_a_declared_one_says_so_and_not_itself():
    assert LEGIBLE.text("marketin") == "[8 characters, nearly marketing]"


def test_a_dump_shows_framing_and_handles_and_ends():
    handle = a_handle().value.encode()
    dump = LEGIBLE.dump(b"\0\0\0\0\x07\x02" + handle + b" " + b"x" * DUMP_BYTES_MAX)
    assert "00 00 00 00 07 02 68 31" in dump[0]
    assert "h1_" in dump[0]
    assert dump[-1].split() == ["and", str(7 + len(handle)), "bytes", "more"]
    assert max(map(len, dump)) <= 80


@pytest.mark.parametrize(
    ("name", "found"),
    [("requests", "olvido.requests.v1"), ("tasks.crm", "olvido.tasks.crm.v1"), ("olvido.receipts.v1",) * 2],
)
def test_a_topic_is_found_by_what_is_short_for_it(name, found):
    assert topic_named(DECLARED, name).name == found


def test_a_topic_that_is_misspelt_is_told_the_nearest():
    with pytest.raises(InvalidInput, match="did you mean 'receipts'"):
        topic_named(DECLARED, "reciepts")


def test_the_records_of_every_topic_can_be_decoded():
    assert {topic.schema for topic in topics_of(DECLARED.catalogue)} == {*_CODECS, "task"}
