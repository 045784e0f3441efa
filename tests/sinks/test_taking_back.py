"""Objections and restrictions are taken back, on each kind of database with tables (GDPR arts. 18, 21)."""

import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sinks.deciding import ANA, Shop
from sinks.shop import ASKED_AT, LATER, TABLES, a_consent, a_customer, a_task, an_objection, identities
from sinks.targets import make_sink

from olvido.core.errors import ConfigError
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.sinks.contract import OpenedTask

LAST = LATER + timedelta(days=30)
CUSTOMERS = TABLES["customers"]
# An objection that has a column of its own beside the consent's.
OWN_COLUMN = {
    **TABLES,
    "customers": {
        **CUSTOMERS,
        "restrict": {},
        "lift_restriction": {},
        "objection": {"marketing": {"restricted": True}},
        "withdraw_objection": {"marketing": {"restricted": False}},
    },
}


def a_restriction(at: datetime = ASKED_AT, **person: str) -> OpenedTask:
    return a_task(Action.RESTRICT, identities(**(person or ANA)), at=at)


def a_lift(at: datetime = LATER, **person: str) -> OpenedTask:
    return a_task(Action.LIFT_RESTRICTION, identities(**(person or ANA)), at=at)


def a_withdrawal(
    at: datetime = LATER, purposes: tuple[str, ...] = ("marketing",), **person: str
) -> OpenedTask:
    """Of an objection."""
    return a_task(Action.WITHDRAW_OBJECTION, identities(**(person or ANA)), at=at, purposes=purposes)


@pytest.fixture
def shop(tables_target: Any, tmp_path: Path) -> Shop:
    return Shop(tables_target, tmp_path)


@pytest.fixture
def in_sqlite(sqlite_target: Any, tmp_path: Path) -> Shop:
    return Shop(sqlite_target, tmp_path)


def own_column(target: Any) -> Any:
    sink = make_sink(target.environment["OLVIDO_TEST_KIND"], OWN_COLUMN)
    sink.install()
    return closing(sink)


def test_a_lifted_restriction_is_gone_from_the_rows_and_no_look_sets_it_again(shop: Shop):
    shop.imported()
    assert shop.decide(a_restriction()) == [Outcome.RESTRICTED]
    lift = a_lift()
    [receipt] = shop.sink.apply([shop.boxes.sealed(lift, **ANA)])
    assert (receipt.outcome, receipt.counts) == (Outcome.RELEASED, {"customers.released": 1})
    assert shop.restricted() == [False]
    assert shop.step() == []
    assert (shop.restricted(), shop.kept()) == ([False], [])
    assert shop.decide(lift) == [Outcome.RELEASED]  # the memory of it


def test_a_newer_restriction_stands_and_a_lift_of_before_it_changes_nothing(shop: Shop):
    shop.imported()
    assert shop.decide(a_restriction(LAST)) == [Outcome.RESTRICTED]
    assert shop.decide(a_lift(LATER)) == [Outcome.SUPERSEDED]
    assert shop.decide(a_lift(LAST)) == [Outcome.SUPERSEDED]  # in the same instant the protective side wins
    shop.target.run("UPDATE customers SET restricted = false")
    [look] = shop.step()
    assert (shop.restricted(), look.reapplied) == ([True], 1)


def test_a_restriction_that_comes_after_its_lift_restricts_nothing(shop: Shop):
    shop.imported()
    assert shop.decide(a_lift()) == [Outcome.NOT_FOUND]
    assert shop.decide(a_restriction()) == [Outcome.SUPERSEDED]
    assert (shop.restricted(), shop.kept()) == ([False], [])


def test_only_restrictions_that_this_sink_has_set_are_lifted(in_sqlite: Shop):
    """A column that the application set itself is not Olvido's to set back."""
    in_sqlite.imported(restricted=True)
    assert in_sqlite.decide(a_lift()) == [Outcome.NOT_FOUND]
    assert in_sqlite.restricted() == [True]


def test_of_two_people_who_share_a_row_one_lifts_nothing_for_the_other(in_sqlite: Shop):
    """A lift takes nothing from anybody but who asks: the row that both share stays as it is."""
    both = {"email": "person1@example.com"}
    in_sqlite.imported()
    in_sqlite.target.add("customers", a_customer(2, email="person1@example.com"))
    in_sqlite.decide(a_restriction(customer_id="C-1"), customer_id="C-1")
    in_sqlite.decide(a_restriction(customer_id="C-2"), customer_id="C-2")
    assert in_sqlite.restricted() == [True, True]
    assert in_sqlite.decide(a_lift(**both), **both) == [Outcome.NOT_FOUND]
    assert in_sqlite.decide(a_lift(customer_id="C-1"), customer_id="C-1") == [Outcome.RELEASED]
    assert in_sqlite.restricted() == [False, True]


def test_a_restriction_by_two_handles_is_lifted_by_both_or_not_at_all(shop: Shop):
    """Rows that name both would be restricted again by the next look."""
    shop.imported()
    shop.decide(a_restriction())
    [receipt] = shop.sink.apply([shop.boxes.sealed(a_lift(email=ANA["email"]), email=ANA["email"])])
    assert receipt.outcome is Outcome.AMBIGUOUS
    assert "by other identities as well" in receipt.detail
    shop.step()
    assert shop.restricted() == [True]
    assert shop.decide(a_lift(LAST)) == [Outcome.RELEASED]
    assert shop.restricted() == [False]


def test_after_an_objection_is_taken_back_the_rows_follow_the_consent(shop: Shop):
    shop.imported()
    shop.decide(a_consent(Decision.GRANTED, **ANA))
    assert shop.decide(an_objection(at=ASKED_AT + timedelta(days=1), **ANA)) == [Outcome.SUPPRESSED]
    assert shop.allowed() == [False]
    [receipt] = shop.sink.apply([shop.boxes.sealed(a_withdrawal(), **ANA)])
    assert (receipt.outcome, receipt.counts["customers.released"]) == (Outcome.RELEASED, 1)
    assert shop.allowed() == [True]
    assert shop.step() == []
    assert (shop.allowed(), shop.kept()) == ([True], [])


def test_who_never_consented_is_not_written_to_once_the_objection_is_taken_back(shop: Shop):
    shop.imported()
    shop.decide(an_objection(**ANA))
    assert shop.decide(a_withdrawal()) == [Outcome.RELEASED]
    assert shop.allowed() == [False]
    assert shop.decide(a_consent(Decision.GRANTED, at=LAST, **ANA)) == [Outcome.CONSENT_APPLIED]
    assert shop.allowed() == [True]


def test_a_consent_withdrawn_meanwhile_stands_after_the_objection(shop: Shop):
    shop.imported()
    shop.decide(a_consent(Decision.GRANTED, at=ASKED_AT - timedelta(days=1), **ANA))
    shop.decide(an_objection(**ANA))
    shop.decide(a_consent(Decision.WITHDRAWN, at=ASKED_AT + timedelta(days=1), **ANA))
    assert shop.decide(a_withdrawal()) == [Outcome.RELEASED]
    assert shop.allowed() == [False]


def test_a_newer_objection_stands_over_an_older_withdrawal_of_it(shop: Shop):
    shop.imported()
    shop.decide(a_consent(Decision.GRANTED, **ANA), an_objection(at=LAST, **ANA))
    assert shop.decide(a_withdrawal(LATER)) == [Outcome.SUPERSEDED]
    assert shop.allowed() == [False]
    shop.target.run("UPDATE customers SET marketing_allowed = true")
    shop.step()
    assert shop.allowed() == [False]


def test_one_batch_may_hold_an_objection_its_withdrawal_and_a_consent(shop: Shop):
    shop.imported()
    came = shop.decide(
        a_consent(Decision.GRANTED, at=LAST, **ANA), a_withdrawal(), an_objection(**ANA), a_restriction(),
        a_lift(),
    )  # fmt: skip
    assert came == [
        Outcome.CONSENT_APPLIED, Outcome.RELEASED, Outcome.SUPPRESSED, Outcome.RESTRICTED, Outcome.RELEASED,
    ]  # fmt: skip
    assert (shop.allowed(), shop.restricted()) == ([True], [False])


def test_an_objection_with_columns_of_its_own_has_them_set_back(tables_target: Any):
    tables_target.add("customers", a_customer(1), a_customer(2, restricted=True))
    with own_column(tables_target) as sink:
        sink.apply([an_objection(**ANA)])
        assert [bool(row[5]) for row in tables_target.rows("customers")] == [True, True]
        [receipt] = sink.apply([a_withdrawal()])
    assert (receipt.outcome, receipt.counts) == (Outcome.RELEASED, {"customers.released": 1})
    assert [bool(row[5]) for row in tables_target.rows("customers")] == [False, True]


@pytest.mark.parametrize("seed", range(12))
def test_every_order_of_the_same_requests_ends_alike(sqlite_target: Any, seed: int):
    """Any order and repetition, by clocks that agree or do not: the latest of each stands."""
    rng = random.Random(seed)
    instants = [ASKED_AT + timedelta(days=rng.randint(0, 3)) for _ in range(6)]
    tasks: list[OpenedTask] = []
    for at in instants:
        make: Sequence[Any] = (a_restriction, a_lift, a_withdrawal)
        tasks.append(rng.choice(make)(at) if rng.random() < 0.6 else an_objection(at=at, **ANA))
    tasks.append(a_consent(rng.choice(list(Decision)), at=rng.choice(instants), **ANA))
    journal: list[Any] = []
    for order in (tasks, rng.sample(tasks, len(tasks)), [*reversed(tasks)]):
        sqlite_target.run("DELETE FROM customers")
        sqlite_target.add("customers", a_customer(1, marketing_allowed=False))
        with closing(make_sink("sqlite")) as sink:
            sink.install()
            for table in ("applied", "objections", "consent_state", "row_marks", "kept_decisions"):
                sqlite_target.run(f"DELETE FROM olvido_{table}")
            split = rng.randint(0, len(order))
            for batch in (order[:split], order[split:], [rng.choice(order)]):
                sink.apply(batch) if batch else ()
            journal.append(
                (
                    sqlite_target.run("SELECT * FROM olvido_objections ORDER BY 1, 2"),
                    sqlite_target.rows("customers"),
                )
            )
    assert journal[0] == journal[1] == journal[2]


WRONG: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "other columns": ({"lift_restriction": {"marketing_allowed": True}}, "just the columns of that"),
    "nothing to undo": ({"restrict": {}}, "just the columns of that"),
    "an objection that is none": (
        {"withdraw_objection": {"marketing": {"restricted": False}}}, "just the columns of that",
    ),
    "a purpose that is none": (
        {"objection": {"x": {"restricted": True}}, "withdraw_objection": {"x": {"restricted": False}}},
        "is not one of sinks.crm.purposes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_map_that_undoes_something_else_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch):
    keys, why = WRONG[wrong]
    monkeypatch.setenv("OLVIDO_TEST_CRM", "unused")
    with pytest.raises(ConfigError, match=why):
        make_sink("duckdb", {**TABLES, "customers": {**CUSTOMERS, **keys}})


def test_a_table_whose_rows_would_stay_restricted_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OLVIDO_TEST_CRM", "unused")
    tables = {**TABLES, "contacts": {**TABLES["contacts"], "restrict": {"note": "restricted"}}}
    with pytest.raises(ConfigError, match=r"contacts.lift_restriction.* is missing"):
        make_sink("duckdb", tables)


def test_where_the_map_says_no_way_back_nothing_is_taken_back(sqlite_target: Any):
    without = {**CUSTOMERS, "lift_restriction": {}, "objection": {"marketing": {"marketing_allowed": False}}}
    sqlite_target.add("customers", a_customer(1))
    with closing(make_sink("sqlite", {**TABLES, "customers": without})) as sink:
        sink.install()
        sink.apply([a_restriction(), an_objection(**ANA)])
        before = sqlite_target.rows("customers")
        lift, withdrawal = sink.apply([a_lift(), a_withdrawal()])
    assert (lift.outcome, withdrawal.outcome) == (Outcome.UNSUPPORTED, Outcome.UNSUPPORTED)
    assert "no table has lift_restriction" in lift.detail
    assert "no table has withdraw_objection.marketing" in withdrawal.detail
    assert sqlite_target.rows("customers") == before
