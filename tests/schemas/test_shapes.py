"""A value under the names of the wire: those that people see, filter by and find in the schemas."""

import pytest
from values import CATALOGUE, NOW, a_change, an_erasure

from olvido.core.plan import plan_tasks
from olvido.schemas.shapes import wire_fields
from olvido.schemas.shipped import schema_of


def names_of(schema: str) -> list[str]:
    return [field["name"] for field in schema_of(schema)["fields"]]


def test_a_task_has_its_request_and_fence_by_the_names_of_the_wire():
    event = an_erasure()
    task = plan_tasks(event, CATALOGUE)[0]
    shown = wire_fields("Task", names_of("task"), task)
    assert list(shown) == names_of("task")
    assert (shown["request_id"], shown["event_id"]) == (event.request_id, None)
    assert (shown["action"].value, shown["occurred_at"]) == ("ERASE", event.requested_at)


def test_a_task_of_a_consent_change_has_its_decision_and_purposes():
    change = a_change()
    task = plan_tasks(change, CATALOGUE)[0]
    shown = wire_fields("Task", names_of("task"), task)
    assert (shown["request_id"], shown["event_id"]) == (None, change.event_id)
    assert (shown["purposes"], shown["decision"]) == ((change.purpose,), change.decision)


@pytest.mark.parametrize(("record", "schema", "value"), [("Canary", "canary", NOW)])
def test_a_value_that_is_no_record_has_its_field_too(record: str, schema: str, value: object):
    assert wire_fields(record, names_of(schema), value) == {"sent_at": value}
