"""What people look at, by the real database."""

from datetime import timedelta

import pytest
from key_files import UNSIGNED
from values import CATALOGUE, NOW, a_verification, an_erasure, an_id, read, received

from olvido.core.events import PrivacyRequest, Verification
from olvido.ledger.connection import Database
from olvido.ledger.figures import Figures
from olvido.ledger.rows import Place
from olvido.ledger.store import Ledger
from olvido.processors import requests, verifications

MINUTE = timedelta(minutes=1)


@pytest.fixture
def figures(ledger_dsn: str) -> Figures:
    """The ledger as it is shown."""
    return Figures(Database(ledger_dsn, application="tests"))


def ask(ledger: Ledger, request: PrivacyRequest, *, received_at=NOW) -> None:
    output = requests.step(
        [read(request)],
        requests.KnownRequests(requests={}, verifications={}),
        CATALOGUE,
        UNSIGNED,
        received_at,
    )
    rows = output.new_tasks
    ledger.requests.save(output.rows, rows, topic="olvido.requests.v1", now=received_at, due_after=MINUTE)


def verify(ledger: Ledger, verification: Verification) -> None:
    """As it is kept that comes before its request: whoever it is about."""
    given = [verifications.Given(verification, Place(0, 0), received(0))]
    unknown = verifications.KnownVerifications(requests={}, events={}, verifications={})
    rows = verifications.step(given, unknown, CATALOGUE, UNSIGNED, NOW).rows
    ledger.verifications.save(rows, (), (), now=NOW, due_after=MINUTE)


def test_the_timeline_shows_no_verification_of_somebody_else(ledger, figures):
    request = an_erasure(1, verification_required=True)
    verify(ledger, a_verification(request, 901, subject_id=an_erasure(2).subject_id))
    ask(ledger, request)
    assert figures.story(an_id(1))["verifications"] == []

    own = a_verification(request, 902)
    verify(ledger, own)
    assert [row["verified_at"] for row in figures.story(an_id(1))["verifications"]] == [
        own.verified.verified_at
    ]


def test_the_request_that_was_received_last_is_the_newest(ledger, figures):
    """Its id is made upstream, which may make it at random, or long before it sends it."""
    for number in (3, 1, 5, 2, 4):
        ask(ledger, an_erasure(number), received_at=NOW + number * MINUTE)
    found = [row["request_id"] for row in figures.requests(now=NOW, limit=3)]
    assert found == [an_id(5), an_id(4), an_id(3)]
