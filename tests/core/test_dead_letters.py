"""Which dead letter a record is, and which refusal of it stands."""

from dataclasses import replace
from hashlib import sha256
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import NOW, an_id, received

from olvido.broker.contract import Received
from olvido.broker.reading import dead_letter_of, read_batch, redrive_of, sent_headers
from olvido.core.causes import Cause
from olvido.core.dead_letters import REDRIVE_HEADER, DeadLetter, Redrive, latest
from olvido.core.errors import Refused
from olvido.core.events import PrivacyRequest
from olvido.core.offsets import Offset

REFUSED = Refused(Cause.UNKNOWN_PURPOSE, field="purposes")


def letter_of(record: Received, group: str = "g") -> DeadLetter:
    return dead_letter_of(record, REFUSED, group=group, now=NOW)


def with_header(record: Received, *values: bytes | None) -> Received:
    return replace(record, headers=tuple((REDRIVE_HEADER, value) for value in values))


@given(
    st.integers(0, 10**9 - 1),
    st.integers(0, 10**18 - 1),
    st.integers(1, 999),
    st.none() | st.just(NOW),
)
def test_the_header_says_what_was_put_into_it(partition, offset, attempts, appended_at):
    redrive = Redrive(Offset("olvido.requests.v1", partition, offset), attempts, appended_at)
    assert Redrive.parse(redrive.header()) == redrive


@given(st.binary(max_size=60))
def test_any_bytes_in_the_header_are_read_or_ignored(value):
    redrive_of(with_header(received(topic="t"), value))


def test_a_redriven_record_that_is_refused_again_is_the_same_letter_with_one_attempt_more():
    first = letter_of(received(7, partition=2))
    moved = with_header(received(99, partition=2), Redrive(Offset("t", 2, 7), 1).header())
    again = letter_of(moved)
    assert again.dead_letter_id == first.dead_letter_id
    assert (first.attempts, again.attempts) == (1, 2)
    assert (again.partition, again.offset) == (2, 99)


@pytest.mark.parametrize(
    "values",
    [
        (b"",), (None,), (b"t/2/7",), (b"t/2/7/0",), (b"t/2/7/-1",), (b"t/2/7/1000",), (b"t/2/x/1",),
        (b"t/2/7/1\n",), (b"t/2/7/1/",), (b"t/2/7/1/-5",), (b"t/2/7/1/9999999999999999",),
        (b"other/2/7/1",), (b"t/2/7/1", b"t/2/8/1"), (b"t/99999999999/7/1",),
        ("t/٢/7/1".encode(),),
    ],
)  # fmt: skip
def test_a_header_that_is_not_of_our_making_is_as_none(values):
    """Not a reason to refuse the record: it says nothing about it."""
    record = received(7, partition=2)
    assert letter_of(with_header(record, *values)) == letter_of(record)


def test_a_forged_header_meets_only_a_letter_of_the_very_same_bytes():
    victim = letter_of(received(7, value=b"victim"))
    forged = Redrive(Offset("t", 0, 7), 4).header()
    assert (
        letter_of(with_header(received(9, value=b"forger"), forged)).dead_letter_id != victim.dead_letter_id
    )
    same = letter_of(with_header(received(9, value=b"victim"), forged))
    assert (same.dead_letter_id, same.sha256) == (victim.dead_letter_id, sha256(b"victim").digest())


def test_readers_of_one_record_make_letters_of_their_own():
    assert letter_of(received(), "g").dead_letter_id != letter_of(received(), "h").dead_letter_id


def test_a_record_with_as_many_headers_as_are_allowed_is_not_refused_for_the_one_we_add():
    record = replace(received(), headers=tuple((f"h{n}", b"") for n in range(32)))
    added = replace(record, headers=(*record.headers, (REDRIVE_HEADER, b"t/0/0/1")))
    assert sent_headers(added) == record.headers
    forged = replace(record, headers=(*record.headers, (REDRIVE_HEADER, b"x" * 9000)))

    class Anything:
        def decode(self, data: bytes | None) -> PrivacyRequest:
            raise Refused(Cause.EMPTY)

    _, letters = read_batch([added, forged], Anything(), key_of=lambda _: "", group="g", now=NOW)
    assert [letter.cause for letter in letters] == [Cause.EMPTY, Cause.TOO_LARGE]


def test_of_several_refusals_the_one_of_most_attempts_stands_in_whatever_order():
    refusals = [replace(letter_of(received()), attempts=n) for n in (1, 2, 3)]
    other = replace(refusals[0], dead_letter_id=an_id(5))
    for order in permutations([*refusals, other, other]):
        assert {letter.dead_letter_id: letter.attempts for letter in latest(order)} == {
            refusals[0].dead_letter_id: 3,
            an_id(5): 1,
        }


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_says_what_to_do_next(cause):
    assert len(cause.decision) <= 110
