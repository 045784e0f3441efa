"""A data map that could erase strangers, or nobody, is refused when it is read."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from sinks.shop import TABLES, settings

from olvido.core.errors import ConfigError
from olvido.core.subject import IdentityKind
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.data_map import DataMap
from olvido.sinks.plugins import settings_of

Tables = dict[str, dict[str, Any]]


def read(tables: object) -> DataMap:
    return DataMap.of(settings({}), tables)


def changed(change: Callable[[Tables], object]) -> Tables:
    tables: Tables = copy.deepcopy({name: dict(table) for name, table in TABLES.items()})
    change(tables)
    return tables


def circle(tables: Tables) -> None:
    tables["contacts"]["parent"] = {"table": "tickets", "column": "ticket_id"}
    tables["tickets"]["parent"] = {"table": "contacts", "column": "contact_id"}


def not_found_by_phone(tables: Tables) -> None:
    del tables["customers"]["identities"]["phone"]


WRONG: dict[str, tuple[Callable[[Tables], object], str, str]] = {
    "no table at all": (lambda t: t.clear(), "sinks.crm.tables", "at least one table"),
    "a table that would lose every row": (
        lambda t: t["contacts"].pop("parent"), "sinks.crm.tables.contacts", "could erase everybody"),
    "SQL in a table's name": (
        lambda t: t.update({"users; DROP TABLE x": t["contacts"]}), "DROP TABLE", "not a table's name"),
    "a name of 64 letters": (
        lambda t: t["contacts"].update(key="k" * 64), "sinks.crm.tables.contacts.key", "not a column's name"),
    "a look-alike letter": (
        lambda t: t["contacts"].update(key="іd"), "sinks.crm.tables.contacts.key", "not a column's name"),
    "a quote in a name": (
        lambda t: t["contacts"].update(key='id"'), "sinks.crm.tables.contacts.key", "not a column's name"),
    "an empty name": (lambda t: t["contacts"].update(key=""), "contacts.key", "not a column's name"),
    "a key of several columns": (
        lambda t: t["contacts"].update(key=["id", "line"]), "contacts.key", "A key is one column"),
    "no key": (lambda t: t["contacts"].pop("key"), "sinks.crm.tables.contacts.key", "is missing"),
    "an unknown option": (
        lambda t: t["contacts"].update(keys="id"), "sinks.crm.tables.contacts.keys", "did you mean 'key'"),
    "an unknown way to erase": (lambda t: t["contacts"].update(erase="shred"), "contacts.erase", "delete"),
    "an unknown kind of identity": (
        lambda t: t["customers"]["identities"].update(mail="email"), "customers.identities.mail", ""),
    "a parent that is not there": (
        lambda t: t["contacts"].update(parent={"table": "customer", "column": "c"}),
        "contacts.parent.table", "did you mean 'customers'"),
    "parents in a circle": (circle, "parent", "circle"),
    "its own parent": (
        lambda t: t["contacts"].update(parent={"table": "contacts", "column": "c"}), "parent", "circle"),
    "rows that stay under a deleted parent": (
        lambda t: t["tickets"].pop("unlink"), "sinks.crm.tables.tickets.unlink", "unlink = true"),
    "retain without a ground": (lambda t: t["invoices"].pop("ground"), "invoices.ground", "ground"),
    "retain with a blank ground": (lambda t: t["invoices"].update(ground=" "), "invoices.ground", "ground"),
    "anonymise that changes nothing": (
        lambda t: [t["tickets"].pop("set"), t["tickets"].pop("unlink"), t["tickets"].update(parent={
            "table": "invoices", "column": "invoice_id"})], "tickets.erase", "set or null"),
    "anonymise that leaves an identity": (
        lambda t: t["enquiries"].update(erase="anonymise", unlink=True, null=["body"]),
        "enquiries.null", "'from_email'"),
    "delete with set": (lambda t: t["contacts"].update(set={"note": ""}), "contacts.set", "no effect"),
    "a column set and null": (lambda t: t["tickets"].update(null=["body"]), "tickets.null", "choose one"),
    "a kind nobody can be found by": (not_found_by_phone, "sinks.crm.identities", "phone"),
    "a kind that finds rows and no person": (
        lambda t: [t["customers"]["identities"].pop("email"), t["enquiries"].update(created="received_at")],
        "sinks.crm.tables.enquiries.identities.email", "never the person's row in customers"),
    "a kind that stands two tables below": (
        lambda t: [not_found_by_phone(t), t["contacts"].update(identities={"phone": "phone"}, parent={
            "table": "enquiries", "column": "enquiry_id"})],
        "sinks.crm.tables.contacts.identities.phone", "tables.customers.identities"),
    "a person who is no identity": (
        lambda t: t["customers"].update(person="id"), "customers.person", "not one of identities"),
    "a fence without identities": (
        lambda t: t["contacts"].update(created="made_at"), "contacts.created", "identities"),
    "consent without identities": (
        lambda t: t["contacts"].update(restrict={"note": ""}), "contacts.restrict", "needs identities"),
    "consent about another purpose": (
        lambda t: t["customers"].update(consent={"marketin": {"withdrawn": {"a": False}}}),
        "consent.marketin", "did you mean 'marketing'"),
    "consent that changes an identity": (
        lambda t: t["customers"].update(restrict={"email": ""}), "sinks.crm.tables.customers", "'email'"),
    "a shared table that is found otherwise": (
        lambda t: t["addresses"].update(parent={"table": "contacts", "column": "c"}),
        "addresses.shared_by", "nobody's own"),
    "a shared table that is kept": (
        lambda t: t["addresses"].update(erase="retain", ground="g"), "addresses.erase", "delete"),
    "rows under a shared table": (
        lambda t: t["contacts"].update(parent={"table": "addresses", "column": "c"}),
        "contacts.parent.table", "shared"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_data_map_is_refused_naming_the_key_and_the_fix(case: str) -> None:
    change, place, fix = WRONG[case]
    with pytest.raises(ConfigError) as caught:
        read(changed(change))
    assert str(caught.value).startswith("olvido.toml: sinks.crm.")
    assert place in str(caught.value)
    assert fix in str(caught.value)


def test_parents_come_before_children_and_what_points_goes_first() -> None:
    data_map = read(TABLES)
    matched = list(data_map.tables)
    assert all(matched.index("customers") < matched.index(child) for child in ("contacts", "enquiries"))
    erased = list(data_map.erasing_order())
    assert all(erased.index(child) < erased.index("customers") for child in ("contacts", "tickets"))
    assert erased.index("customers") < erased.index("addresses")


def test_the_repositorys_own_data_maps_are_in_order(deployment: Deployment) -> None:
    for name, section in deployment.sinks.items():
        if "tables" in section.own:
            data_map = DataMap.of(settings_of(deployment, name), section.own["tables"])
            assert set(section.identities) <= set(data_map.kinds)


def test_what_it_knows_of_a_sink_is_what_was_declared() -> None:
    data_map = read(TABLES)
    assert data_map.kinds == (IdentityKind.CUSTOMER_ID, IdentityKind.EMAIL, IdentityKind.PHONE)
    assert data_map.purposes == {"marketing"}
    assert data_map.restricts
    assert data_map.sharers("customers") == ("address_id",)
