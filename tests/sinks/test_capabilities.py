"""What a sink can do is known by its section, before anybody asks, and is what it then answers."""

from contextlib import closing
from typing import Any

import pytest
from sinks.shop import ASKED_AT, TABLES, WITHOUT_INVOICES, a_customer, a_task, identities, settings
from sinks.targets import make_sink

from olvido.core.errors import ConfigError
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.sinks.contract import Capable, Extent
from olvido.sinks.kinds.postgres import PostgresSink
from olvido.sinks.kinds.sqlite import SQLiteSink

BARE = {
    **WITHOUT_INVOICES,
    "customers": {**TABLES["customers"], "restrict": {}, "lift_restriction": {}, "consent": {}},
}
WAY_OUT = {**TABLES, "customers": {**TABLES["customers"], "objection": {"marketing": {"restricted": True}}}}


def of(tables: Any, *, purposes: tuple[str, ...] = ("marketing",)) -> dict[Action, tuple[Extent, str]]:
    given = settings({"dsn": {"env": "NOT_SET"}, "tables": tables})
    given = type(given)(
        name=given.name, region=given.region, identities=given.identities, purposes=purposes, own=given.own
    )
    return {action: (one.extent, one.why) for action, one in PostgresSink.capabilities(given).items()}


def test_each_action_has_one_and_no_secret_is_read() -> None:
    assert isinstance(PostgresSink, Capable)
    assert of(TABLES) == {
        Action.ERASE: (Extent.PARTIAL, "rows of invoices are kept"),
        Action.CONSENT: (Extent.FULL, ""),
        Action.OBJECT: (Extent.FULL, ""),
        Action.WITHDRAW_OBJECTION: (Extent.FULL, ""),
        Action.RESTRICT: (Extent.FULL, ""),
        Action.LIFT_RESTRICTION: (Extent.FULL, ""),
        **dict.fromkeys(
            (Action.ACCESS, Action.PORTABILITY, Action.RECTIFY),
            (Extent.NONE, "the data map has no way of it"),
        ),
    }


def test_what_the_map_lacks_is_named() -> None:
    bare = of(BARE)
    assert bare[Action.ERASE] == (Extent.FULL, "")
    assert bare[Action.RESTRICT] == (Extent.NONE, "no table has restrict")
    assert bare[Action.LIFT_RESTRICTION] == (Extent.NONE, "no table has lift_restriction")
    assert bare[Action.CONSENT] == (Extent.NONE, "no table has consent.marketing")
    assert of(WAY_OUT)[Action.WITHDRAW_OBJECTION] == (
        Extent.NONE, "no table has withdraw_objection.marketing",
    )  # fmt: skip
    some = of(TABLES, purposes=("marketing", "analytics"))
    assert some[Action.OBJECT] == (Extent.PARTIAL, "no table has objection.analytics")
    assert of(BARE, purposes=())[Action.OBJECT] == (Extent.NONE, "data is used for no purpose here")


def test_a_section_that_is_wrong_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sinks\.crm\.tables"):
        of({})


@pytest.mark.parametrize("tables", [TABLES, BARE, WAY_OUT], ids=["whole", "bare", "no way out"])
def test_what_has_no_capability_is_answered_unsupported_and_nothing_else_is(
    sqlite_target: Any, tables: Any
) -> None:
    sqlite_target.add("customers", a_customer(1))
    given = settings({"file": {"env": "OLVIDO_TEST_CRM"}, "tables": tables})
    capable = SQLiteSink.capabilities(given)
    with closing(make_sink("sqlite", tables)) as sink:
        sink.install()
        for action in capable:
            about = action in (Action.CONSENT, Action.OBJECT, Action.WITHDRAW_OBJECTION)
            task = a_task(
                action,
                identities(customer_id="C-1"),
                at=ASKED_AT,
                purposes=("marketing",) if about else (),
                decision=Decision.WITHDRAWN if action is Action.CONSENT else None,
            )
            [receipt] = sink.rehearse([task.task], lambda _, task=task: task)
            assert receipt.receipt is not None
            unsupported = receipt.receipt.outcome is Outcome.UNSUPPORTED
            if action is Action.WITHDRAW_OBJECTION and capable[Action.OBJECT].extent is Extent.NONE:
                assert receipt.receipt.outcome is Outcome.NOT_FOUND  # there is none to take back
                continue
            assert unsupported == (capable[action].extent is Extent.NONE), action
