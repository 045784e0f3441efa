"""Erasures that would take too much of a target are parked, until two people have decided."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from sinks.mysql_target import MySQLTarget
from sinks.shop import TABLES, a_customer, an_erasure, an_identity, settings
from sinks.sqlite_target import SQLiteTarget
from sinks.targets import DuckDBTarget, PostgresTarget

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused
from olvido.core.outcomes import Outcome
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import OpenedTask, RefusedTogether
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.tables.limits import LIMITS, ErasureLimits
from olvido.sinks.tables.sink import TableSink

Shop = PostgresTarget | DuckDBTarget | SQLiteTarget | MySQLTarget
# Of 20 contacts C-1 has 10, C-2 three and C-3 two; of 30 tickets C-1 has 6.
CONTACTS, TICKETS = [1] * 10 + [2] * 3 + [3] * 2 + [7] * 5, [1] * 6 + [7] * 24
ROWS = 1 + 10 + 6  # of C-1
PLACEHOLDER = "none@example.org"


@pytest.fixture
def each(tables_target: Shop) -> Shop:
    """A shop of three customers, in each kind of database."""
    return filled(tables_target)


@pytest.fixture
def shop(sqlite_target: SQLiteTarget) -> Shop:
    """The same in one kind, for what does not depend on its SQL."""
    return filled(sqlite_target)


def filled(shop: Shop) -> Shop:
    number = count(1)
    shop.add("customers", a_customer(1), a_customer(2), a_customer(3))
    contacts = ", ".join(f"({next(number)}, {owner}, 'note')" for owner in CONTACTS)
    tickets = ", ".join(f"({next(number)}, {owner}, 'Ana', 'body')" for owner in TICKETS)
    shop.run(f"INSERT INTO contacts VALUES {contacts}")
    shop.run(f"INSERT INTO tickets VALUES {tickets}")
    return shop


@contextmanager
def limited(shop: Shop, limits: ErasureLimits) -> Iterator[TableSink]:
    """A sink with these limits."""
    sink = shop.sink()
    sink._limits = limits
    yield sink
    sink.close()


def carried_out(shop: Shop, *batch: OpenedTask, **limits: Any) -> list[int]:
    """How many rows each task takes."""
    with limited(shop, ErasureLimits(**limits)) as sink:
        return [sum(receipt.counts.values()) for receipt in sink.apply(batch)]


def refused(shop: Shop, *batch: OpenedTask, **limits: Any) -> Refused:
    """How a batch is refused. It leaves the target as it was."""
    before = [shop.rows(table) for table in TABLES]
    with limited(shop, ErasureLimits(**limits)) as sink, pytest.raises(Refused) as caught:
        sink.apply(batch)
    assert caught.value.cause is Cause.ABOVE_LIMIT
    assert [shop.rows(table) for table in TABLES] == before
    return caught.value


def test_an_erasure_of_too_many_rows_changes_nothing_until_it_is_released(each: Shop) -> None:
    ana, other = (an_erasure(customer_id=who) for who in ("C-1", "C-2"))
    assert refused(each, ana, rows_max=ROWS - 1).field == "rows_max"
    assert refused(each, other, ana, rows_max=ROWS - 1).field == "rows_max"
    assert carried_out(each, other, replace(ana, released=True), rows_max=ROWS - 1) == [4, ROWS]


def test_an_erasure_of_as_many_rows_as_one_may_take_is_done(shop: Shop) -> None:
    assert carried_out(shop, an_erasure(customer_id="C-1"), rows_max=ROWS) == [ROWS]


def test_an_address_that_many_guests_gave_erases_none_of_them_until_it_is_released(shop: Shop) -> None:
    """Rows that do not say who the person is may each be another one's."""
    shop.add(
        "customers", *(a_customer(n, customer_no=None, email=PLACEHOLDER, phone=None) for n in (11, 12, 13))
    )
    forged = an_erasure(email=PLACEHOLDER)
    why = refused(shop, forged, people_max=2)
    assert (why.field, why.reason) == ("people_max", "it reaches 3 people; one erasure may 2")
    assert carried_out(shop, replace(forged, released=True), people_max=2) == [3]


def test_a_request_that_names_many_customers_reaches_as_many_people(shop: Shop) -> None:
    customers = tuple(an_identity(IdentityKind.CUSTOMER_ID, f"C-{n}") for n in (1, 2, 3))
    forged = replace(an_erasure(customer_id="C-1"), identities=customers)
    assert refused(shop, forged, people_max=2).field == "people_max"
    assert sum(carried_out(shop, forged, people_max=3)) == ROWS + 4 + 3


def test_people_who_share_an_address_are_told_of_as_before(shop: Shop) -> None:
    """Nobody of them is touched, so there is nothing to decide."""
    shop.add("customers", *(a_customer(n, email=PLACEHOLDER) for n in (11, 12, 13)))
    with limited(shop, ErasureLimits(people_max=1)) as sink:
        [receipt] = sink.apply([an_erasure(email=PLACEHOLDER)])
    assert receipt.outcome is Outcome.AMBIGUOUS


def test_what_a_batch_takes_of_a_table_beside_one_person_is_limited(each: Shop) -> None:
    """C-2 and C-3 have five of the ten contacts that are not C-1's."""
    ana, bo, cy, nobody = (an_erasure(customer_id=f"C-{n}") for n in (1, 2, 3, 9))
    share = {"share_max": 0.49, "share_rows_min": 10}
    why = refused(each, nobody, ana, bo, cy, **share)
    assert isinstance(why, RefusedTogether)
    assert why.keys == {one.task.key for one in (ana, bo, cy)}
    assert (why.field, why.reason) == (
        "contacts", "together 15 of 20 rows; erasures of one batch may take 49% of a table",
    )  # fmt: skip
    released = [replace(one, released=True) for one in (ana, bo, cy)]
    assert carried_out(each, nobody, *released, **share) == [0, ROWS, 4, 3]


@pytest.mark.parametrize("share", [{"share_max": 0.5}, {"share_max": 0.1, "share_rows_min": 11}])
def test_a_batch_at_the_share_or_of_a_small_table_is_done(shop: Shop, share: dict[str, Any]) -> None:
    batch = [an_erasure(customer_id=f"C-{n}") for n in (1, 2, 3)]
    assert carried_out(shop, *batch, **{"share_rows_min": 10, **share}) == [ROWS, 4, 3]


def test_one_person_may_have_most_of_a_table(shop: Shop) -> None:
    """Two requests of one person are no two people."""
    batch = [an_erasure(customer_id="C-1") for _ in range(2)]
    assert carried_out(shop, *batch, share_max=0.1, share_rows_min=1) == [ROWS, 0]


def test_limits_are_read_from_the_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", "postgresql://localhost/crm")
    own = {"dsn": {"env": "OLVIDO_TEST_CRM"}, "tables": TABLES}
    assert PostgresSink.from_section(settings(own))._limits == LIMITS
    given = {"rows_max": 500, "people_max": 3, "share_max": 1}
    assert PostgresSink.from_section(settings({**own, **given}))._limits == ErasureLimits(
        rows_max=500, people_max=3, share_max=1.0
    )
    for wrong in ({"rows_max": 0}, {"people_max": 0}, {"share_max": 0}, {"share_max": 1.1}):
        with pytest.raises(ConfigError, match=rf"sinks\.crm\.{next(iter(wrong))}"):
            PostgresSink.from_section(settings({**own, **wrong}))
