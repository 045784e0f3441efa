"""What a data map promises, on the targets that have tables."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sinks.shop import (
    ASKED_AT,
    LATER,
    LONG_AGO,
    a_consent,
    a_customer,
    a_task,
    an_erasure,
    an_objection,
    identities,
)
from sinks.targets import Rows, Target, everything, make_sink

from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.sinks.contract import OpenedTask, Sink


@pytest.fixture
def target(tables_target: Target) -> Target:
    """PostgreSQL, then DuckDB."""
    return tables_target


@pytest.fixture
def sink(target: Target) -> Iterator[Sink]:
    """A sink of the target."""
    sink = target.sink()
    yield sink
    sink.close()


def a_family(target: Target, *numbers: int) -> None:
    """Customers with one row in each of the tables that hang on them."""
    for n in numbers:
        target.add("addresses", {"id": n, "street": f"Calle {n}"})
        target.add("customers", a_customer(n, address_id=n))
        target.add("contacts", {"id": n, "customer_id": n, "note": "n"})
        target.add("enquiries", an_enquiry(n, customer_id=n, from_email=f"person{n}@example.com"))
        target.add("tickets", {"id": n, "customer_id": n, "author_name": f"Person {n}", "body": "b"})
        target.add("invoices", {"id": n, "customer_id": n, "total": 7})


def an_enquiry(number: int, **columns: object) -> dict[str, object]:
    """One row of enquiries."""
    return {
        "id": number,
        "customer_id": None,
        "from_email": None,
        "body": "b",
        "received_at": LONG_AGO,
        **columns,
    }


ALL = ("addresses", "customers", "contacts", "enquiries", "tickets", "invoices")


def but(rows: Rows, key: int) -> Rows:
    """All rows but one."""
    return [row for row in rows if row[0] != key]


def test_a_persons_rows_go_with_all_that_hangs_on_them(target: Target, sink: Sink) -> None:
    a_family(target, 1, 2, 3)
    before = everything(target, ALL)
    [receipt] = sink.apply([an_erasure(customer_id="C-2")])
    after = everything(target, ALL)
    for table in ("addresses", "customers", "contacts", "enquiries"):
        assert after[table] == but(before[table], 2)
    assert after["tickets"] == [before["tickets"][0], (2, None, "", ""), before["tickets"][2]]
    assert after["invoices"] == [before["invoices"][0], (2, None, 7), before["invoices"][2]]
    assert receipt.outcome is Outcome.RETAINED
    assert receipt.detail == "invoices: kept 10 years: tax law"
    assert receipt.counts == {
        "customers.deleted": 1, "contacts.deleted": 1, "enquiries.deleted": 1, "addresses.deleted": 1,
        "tickets.anonymised": 1, "invoices.retained": 1,
    }  # fmt: skip


def test_a_shared_address_goes_with_the_last_who_points_at_it(target: Target, sink: Sink) -> None:
    target.add("addresses", {"id": 5, "street": "Calle"})
    target.add("customers", a_customer(1, address_id=5), a_customer(2, address_id=5))
    sink.apply([an_erasure(customer_id="C-1")])
    assert len(target.rows("addresses")) == 1
    [last] = sink.apply([an_erasure(customer_id="C-2")])
    assert last.counts == {"customers.deleted": 1, "addresses.deleted": 1}
    assert target.rows("addresses") == []


def test_a_shared_address_goes_once_when_both_go_in_one_batch(target: Target, sink: Sink) -> None:
    target.add("addresses", {"id": 5, "street": "Calle"})
    target.add("customers", a_customer(1, address_id=5), a_customer(2, address_id=5))
    receipts = sink.apply([an_erasure(customer_id="C-1"), an_erasure(customer_id="C-2")])
    assert sum(receipt.counts.get("addresses.deleted", 0) for receipt in receipts) == 1
    assert target.rows("addresses") == []


def test_a_row_under_somebody_elses_row_is_somebody_elses(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1), a_customer(2))
    target.add(
        "enquiries",
        an_enquiry(1, customer_id=2, from_email="person1@example.com"),  # person 1's address, 2's enquiry
        an_enquiry(2, from_email="person1@example.com"),  # of nobody's account
        an_enquiry(3, customer_id=1, from_email="other@example.com"),  # 1's, from another address
    )
    [receipt] = sink.apply([an_erasure(email="person1@example.com")])
    assert [row[0] for row in target.rows("enquiries")] == [1]
    assert receipt.counts == {"customers.deleted": 1, "enquiries.deleted": 2}
    assert (receipt.outcome, receipt.verified_at) == (Outcome.AMBIGUOUS, None)
    assert "somebody else" in receipt.detail


@pytest.mark.parametrize(
    "task",
    [
        an_erasure(email="person1@example.com"),
        a_task(Action.RESTRICT, identities(email="person1@example.com")),
        a_consent(Decision.WITHDRAWN, email="person1@example.com"),
        a_consent(Decision.GRANTED, email="person1@example.com"),
        an_objection(email="person1@example.com"),
    ],
    ids=["erasure", "restriction", "withdrawal", "grant", "objection"],
)
def test_who_is_named_in_rows_of_others_alone_is_neither_unknown_nor_done(
    target: Target, sink: Sink, task: OpenedTask
) -> None:
    """The account may be hers: it was `not_found`, verified; a withdrawal that changed nothing was done."""
    target.add("customers", a_customer(2))
    target.add("enquiries", an_enquiry(1, customer_id=2, from_email="person1@example.com"))
    before = everything(target, ALL)
    [receipt] = sink.apply([task])
    assert (receipt.outcome, receipt.counts, receipt.verified_at) == (Outcome.AMBIGUOUS, {}, None)
    assert "may do so" in receipt.detail
    assert everything(target, ALL) == before


def test_rows_of_others_that_go_in_the_same_batch_are_not_left(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(2))
    target.add("enquiries", an_enquiry(1, customer_id=2, from_email="person1@example.com"))
    receipts = sink.apply([an_erasure(email="person1@example.com"), an_erasure(customer_id="C-2")])
    assert [receipt.outcome for receipt in receipts] == [Outcome.NOT_FOUND, Outcome.ERASED]
    assert all(receipt.verified_at is not None for receipt in receipts)


def test_a_restriction_that_the_tables_of_its_rows_cannot_hold_is_not_done(
    target: Target, sink: Sink
) -> None:
    target.add("enquiries", an_enquiry(1, from_email="guest@x.org"))
    [receipt] = sink.apply([a_task(Action.RESTRICT, identities(email="guest@x.org"))])
    assert (receipt.outcome, receipt.counts) == (Outcome.UNSUPPORTED, {})


def test_a_row_under_a_parent_that_is_gone_is_found_by_its_identity(target: Target, sink: Sink) -> None:
    target.add("enquiries", an_enquiry(1, customer_id=99, from_email="a@x.org"))
    [receipt] = sink.apply([an_erasure(email="a@x.org")])
    assert receipt.counts == {"enquiries.deleted": 1}


def test_an_address_of_two_people_takes_no_row_that_says_nothing_else(target: Target, sink: Sink) -> None:
    """C-1 asks by number and address.

    The address is C-2's as well, and nobody can tell who wrote the enquiry.
    """
    target.add("customers", a_customer(1, email="family@x.org"), a_customer(2, email="family@x.org"))
    target.add("enquiries", an_enquiry(1, from_email="family@x.org"))
    target.add("enquiries", an_enquiry(2, from_email="family@x.org", customer_id=1))
    [receipt] = sink.apply([an_erasure(customer_id="C-1", email="family@x.org")])
    assert receipt.outcome is Outcome.AMBIGUOUS
    assert receipt.verified_at is None
    assert receipt.counts == {"enquiries.deleted": 1, "customers.deleted": 1}
    assert [row[0] for row in target.rows("enquiries")] == [1]
    assert [row[1] for row in target.rows("customers")] == ["C-2"]


def test_an_address_that_only_the_asker_has_takes_all_its_rows(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1, email="own@x.org"), a_customer(2))
    target.add("enquiries", an_enquiry(1, from_email="own@x.org"))
    [receipt] = sink.apply([an_erasure(customer_id="C-1", email="own@x.org")])
    assert receipt.outcome is Outcome.ERASED
    assert target.rows("enquiries") == []


def test_a_child_newer_than_the_fence_is_a_new_life(target: Target, sink: Sink) -> None:
    """Nothing in the target holds it to the row that goes, so it stays as it is."""
    target.add("customers", a_customer(1))
    target.add("enquiries", an_enquiry(1, customer_id=1, received_at=LATER))
    target.add("enquiries", an_enquiry(2, from_email="person1@example.com", received_at=LATER))
    sink.apply([an_erasure(customer_id="C-1", email="person1@example.com")])
    assert [row[0] for row in target.rows("enquiries")] == [1, 2]


def test_rows_of_unknown_age_go(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1, created_at=None))
    assert sink.apply([an_erasure(customer_id="C-1")])[0].outcome is Outcome.ERASED


def test_rows_of_nobody_in_particular_are_found_by_a_named_person_too(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1), a_customer(2, customer_no=None, email="person1@example.com"))
    [receipt] = sink.apply([an_erasure(customer_id="C-1", email="person1@example.com")])
    assert receipt.counts == {"customers.deleted": 2}


def test_one_persons_rows_under_one_address_are_not_ambiguous(target: Target, sink: Sink) -> None:
    target.add(
        "customers",
        a_customer(1, email="us@x.org"),
        a_customer(2, customer_no="C-1", email="us@x.org"),
        a_customer(3, customer_no=None, email="us@x.org"),
    )
    [receipt] = sink.apply([an_erasure(email="us@x.org")])
    assert receipt.counts == {"customers.deleted": 3}


def test_restriction_sets_what_the_data_map_says(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1), a_customer(2))
    found, missing = sink.apply(
        [a_task(Action.RESTRICT, identities(customer_id=name)) for name in ("C-1", "C-9")]
    )
    assert (found.outcome, found.counts) == (Outcome.RESTRICTED, {"customers.restricted": 1})
    assert missing.outcome is Outcome.NOT_FOUND
    assert [row[5] for row in target.rows("customers")] == [True, False]


def test_a_withdrawal_about_a_shared_address_protects_all_who_use_it(target: Target, sink: Sink) -> None:
    """State is kept by handle: the decision is about the address. A grant on it is nobody's in particular."""
    target.add("customers", a_customer(1, email="us@x.org"), a_customer(2, email="us@x.org"))
    sink.apply([a_consent(Decision.WITHDRAWN, email="us@x.org")])
    assert [row[4] for row in target.rows("customers")] == [False, False]
    [grant] = sink.apply([a_consent(Decision.GRANTED, at=LATER, email="us@x.org")])
    assert grant.outcome is Outcome.AMBIGUOUS
    assert "share" in grant.detail
    assert [row[4] for row in target.rows("customers")] == [False, False]


def test_one_row_reached_by_two_handles_has_the_latest_word_of_both(target: Target, sink: Sink) -> None:
    target.add("customers", a_customer(1), a_customer(2))
    early = [a_consent(Decision.GRANTED, at=ASKED_AT, customer_id=f"C-{n}") for n in (1, 2)]
    late = [a_consent(Decision.WITHDRAWN, at=LATER, email=f"person{n}@example.com") for n in (1, 2)]
    for task in (early[0], late[0], late[1], early[1]):
        sink.apply([task])
    assert [row[4] for row in target.rows("customers")] == [False, False]


def test_an_objection_to_what_nothing_here_is_used_for_finds_nothing(target: Target, sink: Sink) -> None:
    [receipt] = sink.apply([an_objection(customer_id="C-1", purposes=("analytics",))])
    assert receipt.outcome is Outcome.NOT_FOUND
    assert "analytics" in receipt.detail


def test_a_consent_about_what_no_column_says_is_unsupported(target: Target, sink: Sink) -> None:
    task = a_task(
        Action.CONSENT, identities(customer_id="C-1"), purposes=("risk",), decision=Decision.GRANTED
    )
    [receipt] = sink.apply([task])
    assert receipt.outcome is Outcome.UNSUPPORTED
    assert "risk" in receipt.detail


def test_a_batch_of_everything_at_once(target: Target, sink: Sink) -> None:
    a_family(target, 1, 2, 3, 4)
    receipts = sink.apply(
        [
            a_consent(Decision.WITHDRAWN, customer_id="C-1"),
            an_erasure(customer_id="C-2"),
            a_task(Action.RESTRICT, identities(customer_id="C-3")),
            an_objection(customer_id="C-4"),
            a_task(Action.ACCESS, identities(customer_id="C-1")),
            a_consent(Decision.GRANTED, at=LATER, customer_id="C-4"),
        ]
    )
    assert [receipt.outcome.value for receipt in receipts] == [
        "suppressed", "retained", "restricted", "suppressed", "unsupported", "suppressed",
    ]  # fmt: skip
    assert [(row[0], row[4], row[5]) for row in target.rows("customers")] == [
        (1, False, False), (3, True, True), (4, False, False),
    ]  # fmt: skip


def test_only_installing_makes_something_in_the_target(tables_target: Any) -> None:
    sink = make_sink(tables_target.environment["OLVIDO_TEST_KIND"])
    sink.check()
    sink.ping()
    assert tables_target.run(tables_target.journals) == [(0,)]
    sink.install()
    assert tables_target.run(tables_target.journals) == [(1,)]
    sink.close()


def test_a_table_that_is_done_by_its_parents_needs_no_key(tables_target: Any) -> None:
    """A join table has a key of two columns, a log has none; neither could be mapped, nor left out."""
    tables_target.run("DROP TABLE contacts")
    tables_target.run("CREATE TABLE contacts (id bigint, customer_id bigint, note text)")
    tables_target.add("customers", a_customer(1), a_customer(2))
    tables_target.add(
        "contacts",
        {"id": 7, "customer_id": 1, "note": "a"},
        {"id": 7, "customer_id": 2, "note": "b"},
        {"id": None, "customer_id": 1, "note": "c"},
    )
    sink = tables_target.sink()
    [receipt] = sink.apply([an_erasure(customer_id="C-1")])
    sink.close()
    assert receipt.counts == {"customers.deleted": 1, "contacts.deleted": 2}
    assert tables_target.rows("contacts") == [(7, 2, "b")]


def test_not_found_says_what_was_searched_by(target: Target, sink: Sink) -> None:
    [receipt] = sink.apply([an_erasure(customer_id="C-9", email="nobody@x.org")])
    assert (receipt.outcome, receipt.detail) == (Outcome.NOT_FOUND, "searched by customer_id, email")
    assert receipt.verified_at == receipt.applied_at


def test_killed_before_the_commit_nothing_is_done_and_the_batch_comes_again(
    target: Target, sink: Sink
) -> None:
    a_family(target, 1, 2)
    before = everything(target, ALL)
    child = subprocess.run(
        [sys.executable, Path(__file__).parent / "killed_before_commit.py"],
        env={**target.environment, "PATH": "", "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert child.returncode == -9, child.stderr.decode()
    assert everything(target, ALL) == before
    [receipt] = sink.apply([an_erasure(customer_id="C-2", source_id=UUID(int=4712))])
    assert receipt.counts["customers.deleted"] == 1
    assert [row[1] for row in target.rows("customers")] == ["C-1"]


def test_an_address_is_found_in_whatever_case_its_letters_beyond_ascii_were_typed(
    target: Target, sink: Sink
) -> None:
    target.add(
        "customers",
        a_customer(1, email="JOSÉ.Ñandú@Example.com"),
        a_customer(2, email="JOSE.Nandu@example.com"),
        a_customer(3, email="josé.ñandú@example.com "),
    )
    [receipt] = sink.apply([an_erasure(email="josé.ñandú@example.com")])
    assert receipt.outcome is Outcome.ERASED
    assert [row[1] for row in target.rows("customers")] == ["C-2", "C-3"]
