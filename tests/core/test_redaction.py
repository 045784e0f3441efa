"""Redaction: what names a person or opens a door is taken, what helps is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.redaction import redacted


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("no row for ana.maría+x@peña.example.", "no row for [e-mail]."),
        ("Key (email)=(ana@example.es) already exists", "Key (email)=([e-mail]) already exists"),
        ("call +34 600 123 456 now", "call [phone] now"),
        ("call +34600123456", "call [phone]"),
        ("call 600-123-456", "call [phone]"),
        ("postgresql://crm:pa:ss@rt@db:5432/crm?x=1", "postgresql://crm:[password]@db:5432/crm?x=1"),
        ("host=db user=crm password=hunter2 dbname=crm", "host=db user=crm password=[secret] dbname=crm"),
        ("password='two words' host=db", "password=[secret] host=db"),
        ('{"sasl.password": "hunter2", "a": 1}', '{"sasl.password": [secret], "a": 1}'),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [secret]"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "got [token]"),
        ("api_key=k-123&page=2", "api_key=[secret]&page=2"),
    ],
)
def test_what_names_a_person_or_opens_a_door_is_taken(text: str, left: str) -> None:
    assert redacted(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "task 7f3a2c1e-9d41-5b7e-8c55-0242ac120002 is forgotten: key cn-2026-11 is destroyed",
        "olvido.requests.v1[3] at 1234567890 became dead letter 018f2b1c-0000-7000-8000-000000000001",
        "2026-11-23 12:00:01.123456+00:00 127.0.0.1:9092 answered after 12345 ms",
        "subject h1_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ at 2026-11-23T12:00:01Z",
        "traceparent 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "no such key: mend keys.private_dir",
    ],
)
def test_what_helps_is_left(text: str) -> None:
    assert redacted(text) == text


@given(st.text())
def test_a_repeat_changes_nothing(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_a_long_text_takes_no_time() -> None:
    """No rule may be one that grows with the square of what a library says."""
    for piece in ("a", "a.", "a@", "+1 ", "1-", "password=", "x://y:", "eyJ", "token "):
        redacted(piece * (200_000 // len(piece)))
