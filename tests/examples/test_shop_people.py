"""Who there is in the demo, and which rows they have: the same for the same seed, and enough of all."""

import phonenumbers
import pytest

from olvido.core.subject import IdentityKind
from olvido.schemas.privacy.identities import identities_from, normalise
from shop.people import SYSTEMS, Cast, Scale, make_cast
from shop.plan import Plan, email_key, plan_rows


@pytest.fixture(scope="module")
def cast() -> Cast:
    return make_cast()


@pytest.fixture(scope="module")
def plan(cast: Cast) -> Plan:
    return plan_rows(cast)


def test_the_same_seed_makes_the_same_people_and_rows(cast: Cast, plan: Plan) -> None:
    again = make_cast()
    assert again == cast
    assert {s: {n: t.rows for n, t in ts.items()} for s, ts in plan_rows(again).tables.items()} == {
        s: {n: t.rows for n, t in ts.items()} for s, ts in plan.tables.items()
    }


def test_another_seed_makes_other_people() -> None:
    small = Scale(
        people=100, everywhere=5, only_in_one=1, nowhere=2, resigned=1, pairs=1, couples=1, consenting=2
    )
    assert make_cast(1, small).everybody != make_cast(2, small).everybody


def test_everybody_has_identities_that_olvido_takes_and_nobody_else_has(cast: Cast) -> None:
    order = tuple(IdentityKind)
    subjects = {identities_from(person.identities, order)[:2] for person in cast.everybody}
    assert len(subjects) == len(cast.everybody)
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(person.phone)) for person in cast.everybody)


def test_people_write_in_three_languages_and_in_their_own_scripts(cast: Cast) -> None:
    assert {person.locale[:2] for person in cast.everybody} == {"es", "zh", "en"}
    for wanted in ("ñ", "邮件", "É"):
        assert any(wanted in person.email for person in cast.everybody), wanted


def test_there_are_at_least_twenty_thousand_rows_and_one_person_has_ten_thousand(
    cast: Cast, plan: Plan
) -> None:
    assert set(plan.tables) == set(SYSTEMS)
    assert plan.rows >= 20_000
    assert plan.rows_of(cast.heavy) == 10_000


def test_two_customers_share_an_address(cast: Cast, plan: Plan) -> None:
    leaver, stayer = cast.pairs[0]
    owners = plan.tables["crm"]["addresses"].owners.values()
    assert sorted((leaver.number, stayer.number)) in [sorted(each) for each in owners]


def test_who_is_known_nowhere_has_no_row_and_who_is_known_in_one_system_has_rows_there(
    cast: Cast, plan: Plan
) -> None:
    assert [plan.rows_of(person) for person in cast.nowhere] == [0] * len(cast.nowhere)
    for system, people in cast.only_in.items():
        for person in people:
            holders = {
                name
                for name, tables in plan.tables.items()
                if any(
                    person.number in owners for table in tables.values() for owners in table.owners.values()
                )
            }
            assert holders == {system}


def test_the_marketing_service_compares_addresses_as_olvido_does(cast: Cast) -> None:
    for person in cast.everybody:
        assert email_key(person.email) == normalise(IdentityKind.EMAIL, person.email).normalised
