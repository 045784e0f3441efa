"""librdkafka's lines: the first, and then one a minute."""

import logging

import pytest

from olvido.broker.contract import Record
from olvido.broker.kafka import KafkaPublisher
from olvido.broker.library_log import LINES_MAX, OnceAMinute
from olvido.core.errors import Unavailable
from olvido.schemas.settings.deployment import KafkaSection

NOBODY = KafkaSection(bootstrap_servers="127.0.0.1:1")


def line(text: str) -> logging.LogRecord:
    return logging.LogRecord("olvido.broker.librdkafka", logging.ERROR, "", 0, "%s", (text,), None)


def test_a_line_is_logged_again_after_a_minute() -> None:
    now = [0.0]
    once = OnceAMinute(lambda: now[0])
    passed = []
    for now[0] in (0.0, 0.2, 59.9, 60.0, 61.0, 120.0):
        if once.filter(line(f"refused (after {now[0]}ms in state CONNECT, 3 identical error(s) suppressed)")):
            passed.append(now[0])
    assert passed == [0.0, 60.0, 120.0]


def test_another_line_is_not_kept_back() -> None:
    once = OnceAMinute(lambda: 0.0)
    assert [once.filter(line(text)) for text in ("one", "two", "one")] == [True, True, False]


def test_lines_without_end_are_not_kept_in_mind_without_end() -> None:
    once = OnceAMinute(lambda: 0.0)
    assert all(once.filter(line(str(number))) for number in range(3 * LINES_MAX))
    assert len(once._logged_at) <= LINES_MAX


def test_a_broker_that_is_down_is_logged_once_and_by_our_logger(caplog: pytest.LogCaptureFixture) -> None:
    with KafkaPublisher(NOBODY, client_id="down", timeout_s=3) as publisher, pytest.raises(Unavailable):
        publisher.publish([Record("olvido.requests.v1", b"k", b"v")])
    logged = [
        r.getMessage() for r in caplog.records if "127.0.0.1:1" in r.getMessage() and "FAIL" in r.getMessage()
    ]
    assert {record.name for record in caplog.records} == {"olvido.broker.librdkafka"}
    assert len(logged) == 1
