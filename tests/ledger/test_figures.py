"""What people look at, by the real database."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from key_files import UNSIGNED
from values import CATALOGUE, NOW, a_verification, an_erasure, an_id, read, received

from olvido.core.catalogue import Catalogue
from olvido.core.events import PrivacyRequest, Verification
from olvido.core.law.deadlines import Jurisdiction, deadlines
from olvido.core.law.regimes import load
from olvido.core.rights.names import Right
from olvido.ledger.connection import Database
from olvido.ledger.figures import Figures
from olvido.ledger.rows import Place
from olvido.ledger.store import Ledger
from olvido.processors import requests, verifications

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def figures(ledger_dsn: str) -> Figures:
    """The ledger as it is shown."""
    return Figures(Database(ledger_dsn, application="tests"))


def ask(ledger: Ledger, request: PrivacyRequest, *, received_at=NOW, catalogue=CATALOGUE) -> None:
    output = requests.step(
        [read(request)],
        requests.KnownRequests(requests={}, verifications={}),
        catalogue,
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


def due(figures: Figures, now: datetime, **which: object) -> list[UUID]:
    return [row["request_id"] for row in figures.requests(now=now, limit=9, **which)]


def test_what_is_open_is_due_by_the_earliest_law_and_overdue_when_that_day_is_over(ledger, figures):
    gdpr = replace(CATALOGUE, jurisdiction=Jurisdiction(regimes=(load()["gdpr"],), promised_days=40))
    ask(ledger, an_erasure(1), catalogue=gdpr)
    ask(ledger, an_erasure(2, requested_at=NOW - 9 * DAY), catalogue=CATALOGUE)
    first, second = (figures.request(an_id(number)) for number in (1, 2))
    month = gdpr.jurisdiction
    [expected] = deadlines(replace(month, promised_days=None), Right.ERASE, month.day_of(NOW))
    assert (first["due_at"], first["due_by"]) == (expected.due_at, "gdpr")
    assert first["due_provisional"]  # nobody named a calendar
    assert (second["due_by"], second["due_provisional"]) == ("promise", False)
    assert second["due_at"] - NOW < 22 * DAY

    assert due(figures, NOW, due_before=NOW) == []
    assert due(figures, NOW, due_before=NOW + 25 * DAY) == [an_id(2)]
    overdue = figures.due(now=second["due_at"], soon=60 * DAY)
    assert overdue == {"requests_overdue": 1, "requests_due_soon": 1, "next_due_at": first["due_at"]}
    before = figures.due(now=second["due_at"] - timedelta(microseconds=1), soon=DAY)
    assert before == {"requests_overdue": 0, "requests_due_soon": 1, "next_due_at": second["due_at"]}


def test_the_law_of_a_declared_jurisdiction_holds_and_of_another_all_of_the_deployments(ledger, figures):
    """A part's own, else its country's; a country that nobody declared falls back to what holds for all."""
    ccpa, mx = (Jurisdiction(regimes=(load()[code],)) for code in ("ccpa", "mx"))
    catalogue = replace(CATALOGUE, jurisdictions={"US-CA": ccpa, "MX": mx})
    asked = ["US-CA", "MX", "MX-JAL", "US", "FR", "", "not a code"]
    for number, code in enumerate(asked, start=1):
        ask(ledger, an_erasure(number, jurisdiction=code), catalogue=catalogue)
    rows = [figures.request(an_id(number)) for number in range(1, len(asked) + 1)]
    assert [row["jurisdiction"] for row in rows] == ["US-CA", "MX", "MX", None, None, None, None]
    assert [row["due_by"] for row in rows] == ["ccpa", "mx", "mx", *["promise"] * 4]


def test_a_clock_that_begins_with_the_proof_of_identity_begins_when_it_comes(ledger, figures):
    uk = replace(CATALOGUE, jurisdiction=Jurisdiction(regimes=(load()["uk"],)))
    request = an_erasure(1, verification_required=True)
    ask(ledger, request, catalogue=uk)
    assert figures.request(an_id(1))["due_at"] is None
    assert due(figures, NOW + 900 * DAY, due_before=NOW + 900 * DAY) == []

    verification = a_verification(request, 902)
    release(ledger, request, verification, uk)
    [expected] = deadlines(
        uk.jurisdiction, Right.ERASE, uk.jurisdiction.day_of(NOW),
        verified_on=uk.jurisdiction.day_of(verification.verified.verified_at),
    )  # fmt: skip
    assert figures.request(an_id(1))["due_at"] == expected.due_at


def release(
    ledger: Ledger, request: PrivacyRequest, verification: Verification, catalogue: Catalogue
) -> None:
    """The verification of a request that waits for it."""
    known, _, _ = ledger.requests.known([request.request_id])
    output = verifications.step(
        [verifications.Given(verification, Place(0, 0), received(0))],
        verifications.KnownVerifications(
            requests=known, events={request.request_id: request}, verifications={}
        ),
        catalogue, UNSIGNED, NOW,
    )  # fmt: skip
    ledger.verifications.save(
        output.rows, output.started, output.tasks, now=NOW, due_after=MINUTE, due=output.due
    )


def test_the_request_that_was_received_last_is_the_newest(ledger, figures):
    """Its id is made upstream, which may make it at random, or long before it sends it."""
    for number in (3, 1, 5, 2, 4):
        ask(ledger, an_erasure(number), received_at=NOW + number * MINUTE)
    found = [row["request_id"] for row in figures.requests(now=NOW, limit=3)]
    assert found == [an_id(5), an_id(4), an_id(3)]
