"""A data map that could erase strangers, or nobody, is refused when it is read."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sinks.shop import TABLES, settings

from olvido.core.errors import ConfigError
from olvido.core.subject import IdentityKind
from olvido.schemas.settings.deployment import Deployment
from olvido.sinks.plugins import settings_of
from olvido.sinks.tables.data_map import DataMap
from olvido.sinks.tables.labels import LabelledColumn, Origin
from olvido.sinks.tables.map_rules import read_data_map

Tables = dict[str, dict[str, Any]]


def read(tables: object) -> DataMap:
    return read_data_map(settings({}), tables)


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
    "a name of three parts": (
        lambda t: t.update({"a.b.c": t["contacts"]}), "'a.b.c'", "not a table's name"),
    "a name of 64 letters": (
        lambda t: t["contacts"].update(key="k" * 64), "sinks.crm.tables.contacts.key", "not a column's name"),
    "a control character in a name": (
        lambda t: t["contacts"].update(key="i\nd"), "sinks.crm.tables.contacts.key", "not a column's name"),
    "an empty name": (lambda t: t["contacts"].update(key=""), "contacts.key", "not a column's name"),
    "a parent without a key": (
        lambda t: t["customers"].pop("key"), "contacts.parent.column", "customers, which has no key"),
    "a parent whose key has more columns": (
        lambda t: t["customers"].update(key=["id", "region"]), "contacts.parent.column", "id, region"),
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
    "a climb from where no identity is": (
        lambda t: t["contacts"]["parent"].update(climb=True), "contacts.parent.climb", "no identity"),
    "a mention of nothing": (
        lambda t: t["contacts"].update(mentions=[{"column": "by"}]), "contacts.mentions.0", "either table"),
    "a mention that is the parent": (
        lambda t: t["contacts"].update(mentions=[{"table": "customers", "column": "customer_id"}]),
        "contacts.mentions.0.column", "points at a parent"),
    "a form that its kind has not": (
        lambda t: t["customers"]["identities"].update(email={"column": "email", "form": "e164"}),
        "customers.identities.email.form", ""),
    "a form that is not there": (
        lambda t: t["customers"]["identities"].update(email={"column": "email", "form": "sha3"}),
        "customers.identities.email.form", "sha256"),
    "a zone that is not there": (
        lambda t: t["customers"].update(created={"column": "created_at", "zone": "Asia/Shangai"}),
        "customers.created", "time zone"),
    "a zone for a number": (
        lambda t: t["customers"].update(created={"column": "c", "clock": "epoch_s", "zone": "Asia/Shanghai"}),
        "customers.created.zone", "no meaning"),
    "cascades of what stays": (
        lambda t: t["tickets"].update(cascades=["notes.ticket_id"]), "tickets.cascades", "no effect"),
    "a person who is no identity": (
        lambda t: t["customers"].update(person="id"), "customers.person", "not one of identities"),
    "a fence for shared rows": (
        lambda t: t["addresses"].update(created="made_at"), "addresses.created", "identities"),
    "consent of shared rows": (
        lambda t: t["addresses"].update(restrict={"note": ""}), "addresses.restrict", "needs identities"),
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
    "a label that is not there": (
        lambda t: t["contacts"].update(columns={"phone": "user.contact.phone"}),
        "sinks.crm.tables.contacts.columns.phone.label", "did you mean 'user.contact.phone_number'"),
    "a label that says no more than a person's": (
        lambda t: t["contacts"].update(columns={"phone": "user"}),
        "contacts.columns.phone.label", "data category"),
    "an origin that is not there": (
        lambda t: t["contacts"].update(columns={"phone": {"label": "user.name", "origin": "given"}}),
        "contacts.columns.phone.origin", "provided"),
    "an origin of nothing": (
        lambda t: t["contacts"].update(columns={"phone": {"origin": "provided"}}),
        "contacts.columns.phone", "give its label"),
    "what is not secret and nothing else": (
        lambda t: t["contacts"].update(columns={"phone": {"secret": False}}),
        "contacts.columns.phone", "give its label"),
    "a secret with a label": (
        lambda t: t["contacts"].update(columns={"phone": {"label": "user.name", "secret": True}}),
        "contacts.columns.phone.label", "never leaves"),
    "a secret that somebody gave": (
        lambda t: t["contacts"].update(columns={"phone": {"origin": "provided", "secret": True}}),
        "contacts.columns.phone.origin", "never leaves"),
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


def test_names_are_whatever_the_target_calls_its_own() -> None:
    tables = changed(lambda t: t.update({"Mañana.EventType": {**t["contacts"], "key": 'a "quoted" %s'}}))
    assert read(tables).tables["Mañana.EventType"].key == ('a "quoted" %s',)


def test_a_label_alone_is_short_for_a_column_with_it() -> None:
    columns = {
        "phone": "user.contact.phone_number",
        "score": {"label": "user.behavior", "origin": "inferred"},
    }
    read_columns = read(changed(lambda t: t["contacts"].update(columns=columns))).tables["contacts"].columns
    assert read_columns["phone"] == LabelledColumn(label="user.contact.phone_number")
    assert read_columns["score"].origin is Origin.INFERRED
    assert not any(labelled.secret for labelled in read_columns.values())


def test_a_short_map_may_leave_out_what_is_plain() -> None:
    tables = changed(lambda t: t["contacts"].pop("key"))
    data_map = read(tables)
    assert not data_map.uses_key("contacts")
    assert data_map.tables["customers"].identities[IdentityKind.EMAIL][0].form == "plain"


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
            data_map = read_data_map(settings_of(deployment, name), section.own["tables"])
            assert set(section.identities) <= set(data_map.kinds)


def test_maps_of_the_first_form_are_read_as_they_are() -> None:
    """A deployment's own file need not change when the map learns to say more."""
    deployment = Deployment.load(Path(__file__).parent / "first_olvido.toml")
    read = [
        read_data_map(settings_of(deployment, name), section.own["tables"])
        for name, section in deployment.sinks.items()
        if "tables" in section.own
    ]
    assert [data_map.sink for data_map in read] == ["crm", "analytics", "store-cn", "store-sg"]


def test_what_it_knows_of_a_sink_is_what_was_declared() -> None:
    data_map = read(TABLES)
    assert data_map.kinds == (IdentityKind.CUSTOMER_ID, IdentityKind.EMAIL, IdentityKind.PHONE)
    assert data_map.purposes == {"marketing"}
    assert data_map.restricts
    assert [one.columns for one in data_map.sharers("customers")] == [("address_id",)]
