"""A canary person in each kind of database: planted, found without the engine, erased as anybody."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sinks.shop import an_erasure
from sinks.targets import PostgresTarget, make_sink

from olvido.core.canary_people import CanaryPerson
from olvido.core.errors import ConfigError
from olvido.core.outcomes import Outcome

PERSON = CanaryPerson(sink="crm", day=date(2026, 11, 30))
YESTERDAY = CanaryPerson(sink="crm", day=date(2026, 11, 29))
CANARY = {"customers": {"id": "{day}", "email": "{address}", "created_at": "2026-01-01 00:00:00"}}


def test_a_canary_person_is_planted_found_and_erased(tables_target: Any):
    sink = tables_target.sink()
    both = [PERSON.rows(CANARY), YESTERDAY.rows(CANARY)]
    assert sink.standing(both).rows == (0, 0)
    sink.plant(both[0])
    assert sink.standing(both).rows == (1, 0)
    [row] = tables_target.rows("customers")
    assert (row[0], row[2]) == (20261130, "canary+crm-20261130@olvido.invalid")

    [receipt] = sink.apply([an_erasure(email=PERSON.address)])
    assert (receipt.outcome, receipt.counts) == (Outcome.ERASED, {"customers.deleted": 1})
    found = sink.standing(both)
    assert found.rows == (0, 0)
    assert abs((found.at - datetime.now(UTC)).total_seconds()) < 3600


def test_where_the_map_holds_a_digest_the_digest_is_planted(tables_target: Any):
    tables = {"customers": {"key": "id", "erase": "delete",
                            "identities": {"customer_id": "customer_no", "phone": "phone",
                                           "email": {"column": "email", "form": "sha256"}}}}  # fmt: skip
    sink = make_sink(tables_target.environment["OLVIDO_TEST_KIND"], tables)
    sink.plant(PERSON.rows(CANARY))
    assert sink.standing([PERSON.rows(CANARY)]).rows == (1,)
    assert "@" not in tables_target.rows("customers")[0][2]
    [receipt] = sink.apply([an_erasure(email=PERSON.address)])
    assert receipt.outcome is Outcome.ERASED


@pytest.mark.parametrize(
    ("canary", "told"),
    [
        ({"clients": {"email": "{address}"}}, "canary.clients: is no table of the data map"),
        ({"customers": {"mail": "{address}"}}, "canary.customers: the target's table has no column 'mail'"),
    ],
)
def test_what_does_not_fit_is_named(tables_target: Any, canary: Any, told: str):
    sink = tables_target.sink()
    with pytest.raises(ConfigError, match=told):
        sink.plant(PERSON.rows(canary))


def test_a_row_that_would_not_be_found_again_is_not_planted(postgres_target: PostgresTarget):
    """Or it would be planted anew with each step."""
    postgres_target.run("ALTER TABLE customers ALTER COLUMN email TYPE varchar(10)")
    sink = postgres_target.sink()
    with pytest.raises(ConfigError, match="not found again by its address"):
        sink.plant(PERSON.rows(CANARY))
    assert postgres_target.rows("customers") == []
