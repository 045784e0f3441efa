"""Decisions are applied again to rows that come after them, on each kind of database with tables."""

import logging
from pathlib import Path
from typing import Any

import pytest
from sinks.deciding import ANA, Shop
from sinks.shop import (
    ASKED_AT,
    LATER,
    TABLES,
    a_consent,
    a_customer,
    a_task,
    an_erasure,
    an_objection,
    identities,
)
from sinks.targets import PostgresTarget, make_sink

from olvido.broker.runtime.metrics import REGISTRY
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.sinks.contract import OpenedTask
from olvido.sinks.tables import sink as table_sink


@pytest.fixture
def shop(tables_target: Any, tmp_path: Path) -> Shop:
    """The shop in each kind of database: for what the journal's own statements do."""
    return Shop(tables_target, tmp_path)


@pytest.fixture
def in_postgres(postgres_target: PostgresTarget, tmp_path: Path) -> Shop:
    """The shop in PostgreSQL: for what is decided beyond them."""
    return Shop(postgres_target, tmp_path)


def withdrawal(**at: Any) -> OpenedTask:
    return a_consent(Decision.WITHDRAWN, **at, **ANA)


def restriction() -> OpenedTask:
    return a_task(Action.RESTRICT, identities(**ANA), at=ASKED_AT)


@pytest.mark.parametrize("decision", [withdrawal, lambda: an_objection(**ANA)])
def test_who_withdrew_or_objected_and_is_imported_is_not_written_to(shop: Shop, decision: Any):
    """Field scenario: an import after a withdrawal. The row was not there when the decision came."""
    assert shop.decide(decision()) == [Outcome.SUPPRESSED]
    shop.imported()
    shop.target.add("customers", a_customer(2))
    assert shop.allowed() == [True, True]
    [look] = shop.step()
    assert shop.allowed() == [False, True]
    assert (look.decisions, look.reapplied, look.looked, look.of_erasures) == (1, 1, 0, False)
    assert shop.step() == []  # nothing has come since


def test_a_row_that_is_overwritten_is_marked_again(shop: Shop):
    shop.imported()
    shop.decide(withdrawal())
    assert shop.allowed() == [False]
    assert shop.step() == []
    shop.target.run("UPDATE customers SET marketing_allowed = true")
    [look] = shop.step()
    assert (shop.allowed(), look.reapplied) == ([False], 1)


def test_a_restriction_is_set_in_rows_that_come_later(shop: Shop):
    shop.decide(restriction())
    shop.imported()
    [look] = shop.step()
    assert (shop.restricted(), look.reapplied) == ([True], 1)


def test_a_newer_grant_supersedes_a_withdrawal_and_nothing_is_kept_of_it(in_postgres: Shop):
    in_postgres.decide(withdrawal(at=ASKED_AT), a_consent(Decision.GRANTED, at=LATER, **ANA))
    in_postgres.imported()
    assert in_postgres.step() == []
    assert in_postgres.allowed() == [True]
    assert in_postgres.kept() == []


def test_a_grant_does_not_supersede_an_objection(in_postgres: Shop):
    in_postgres.decide(an_objection(at=ASKED_AT, **ANA), a_consent(Decision.GRANTED, at=LATER, **ANA))
    in_postgres.imported()
    in_postgres.step()
    assert in_postgres.allowed() == [False]


def test_a_row_that_follows_a_newer_grant_is_left_alone(in_postgres: Shop):
    """Two people at one address: what the row follows is the newest that any of them decided."""
    in_postgres.imported()
    in_postgres.decide(
        a_consent(Decision.WITHDRAWN, at=ASKED_AT, email="person1@example.com"), email="person1@example.com"
    )
    in_postgres.decide(a_consent(Decision.GRANTED, at=LATER, customer_id="C-1"), customer_id="C-1")
    assert in_postgres.allowed() == [True]
    assert in_postgres.step() == []
    assert in_postgres.allowed() == [True]


def test_of_who_is_erased_nothing_is_kept(shop: Shop):
    """What comes back is for the later looks of the erasure. The objection of their handles stands."""
    shop.imported()
    shop.decide(an_objection(**ANA), restriction(), withdrawal())
    assert len(shop.kept()) == 3
    assert shop.decide(an_erasure(**ANA)) == [Outcome.ERASED]
    assert shop.kept() == []
    shop.imported(created_at=LATER)
    assert shop.decide(a_consent(Decision.GRANTED, at=LATER, **ANA)) == [Outcome.SUPPRESSED]


def test_decisions_are_looked_at_as_long_as_they_stand(shop: Shop):
    shop.decide(withdrawal(), restriction())
    for places in ([1, 1], [2, 2], [3, 3], [3, 3]):
        shop.step()
        assert shop.kept() == places


def test_who_reads_the_journal_learns_nobodys_identity(in_postgres: Shop):
    in_postgres.decide(withdrawal())
    [(text,)] = in_postgres.target.run(f"SELECT task FROM {in_postgres.journal}kept_decisions")
    assert "C-1" not in text
    assert "person1" not in text


def test_a_box_whose_key_is_destroyed_is_dropped(in_postgres: Shop):
    in_postgres.decide(withdrawal())
    in_postgres.boxes.destroy()
    assert in_postgres.step() == []
    assert in_postgres.kept() == []


def test_nothing_is_kept_where_no_table_covers_it(in_postgres: Shop):
    in_postgres.decide(an_objection(purposes=("analytics",), **ANA))
    in_postgres.step()
    assert in_postgres.kept() == []


def test_it_is_counted_and_logged_without_the_person(in_postgres: Shop, caplog: pytest.LogCaptureFixture):
    before = REGISTRY.get_sample_value("olvido_sink_reapplied_total", {"sink": "crm"}) or 0
    in_postgres.decide(withdrawal())
    in_postgres.imported()
    with caplog.at_level(logging.WARNING):
        in_postgres.step()
    assert REGISTRY.get_sample_value("olvido_sink_reapplied_total", {"sink": "crm"}) == before + 1
    assert "sink crm: 1 of 1 decisions were applied again" in caplog.text
    assert "person1" not in caplog.text


def test_one_row_that_the_target_protects_stops_nobody_else(
    in_postgres: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(table_sink, "REAPPLIED_MAX", 4)
    for number in range(1, 7):
        person = {"customer_id": f"C-{number}"}
        in_postgres.decide(a_consent(Decision.WITHDRAWN, **person), **person)
        in_postgres.target.add("customers", a_customer(number))
    in_postgres.target.run(
        "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF OLD.id = 3 THEN RAISE 'legal hold'; END IF; RETURN NEW; END $$; "
        "CREATE TRIGGER guard BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION guard()"
    )
    in_postgres.step()
    for _ in range(12):
        in_postgres.boxes.sweeping(in_postgres.sink, in_postgres.sent).step()
    assert in_postgres.allowed() == [False, False, True, False, False, False]
    due = in_postgres.target.run(
        "SELECT count(*) FROM olvido.kept_decisions WHERE due_at < now() + interval '2 days'"
    )
    assert due == [(6,)]


def test_without_later_looks_nothing_is_kept(in_postgres: Shop):
    in_postgres.sink = make_sink("postgres", TABLES, look_again=[])
    in_postgres.decide(withdrawal())
    assert in_postgres.kept() == []
    assert in_postgres.step() == []
