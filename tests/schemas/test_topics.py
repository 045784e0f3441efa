"""The table of topics and its schemas: what the rest leans on."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from olvido.schemas.settings.deployment import Deployment
from olvido.schemas.shipped import schema_of, schema_text
from olvido.schemas.topics import CANARIES, FIXED, HALF_YEAR, Cleanup, Topic, tasks_topic, topics_of

ALL = (*FIXED, CANARIES, tasks_topic("crm"))


def named(topic: Topic) -> str:
    return topic.name


def nodes(schema: Any) -> list[dict[str, Any]]:
    """Every type within a schema."""
    found = [schema] if isinstance(schema, dict) else []
    children = schema if isinstance(schema, list) else []
    if isinstance(schema, dict):
        children = [schema.get("type"), schema.get("items"), schema.get("values"), *schema.get("fields", [])]
    return found + [node for child in children if isinstance(child, dict | list) for node in nodes(child)]


def fields(schema: Any) -> list[dict[str, Any]]:
    return [field for node in nodes(schema) for field in node.get("fields", [])]


def test_names_are_unique_and_end_with_their_version(deployment: Deployment) -> None:
    names = [topic.name for topic in topics_of(deployment.catalogue)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"olvido\.[a-z.0-9-]+\.v1", name) for name in names)


def test_each_sink_has_a_topic_of_its_own(deployment: Deployment) -> None:
    names = {topic.name for topic in topics_of(deployment.catalogue)}
    assert {f"olvido.tasks.{sink.name}.v1" for sink in deployment.catalogue.sinks} <= names


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_events_are_deleted_by_time_and_states_compacted(topic: Topic) -> None:
    assert (topic.retention is None) == (topic.cleanup is Cleanup.COMPACT)
    assert topic.retention is None or topic is CANARIES or topic.retention >= HALF_YEAR


def test_what_is_kept_outlives_twice_the_longest_legal_clock() -> None:
    assert timedelta(days=2 * 90) <= HALF_YEAR


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_everything_in_a_schema_is_explained(topic: Topic) -> None:
    schema = json.loads(schema_text(topic.schema))
    unexplained = [field["name"] for field in fields(schema) if not field.get("doc")]
    # What an array holds is explained where its record is.
    assert [name for name in unexplained if name not in {"handles", "regions", "boxes"}] == []
    assert schema["doc"]


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_every_enum_may_grow(topic: Topic) -> None:
    enums = [node for node in nodes(json.loads(schema_text(topic.schema))) if node.get("type") == "enum"]
    assert [node["name"] for node in enums if node.get("default") not in node["symbols"]] == []


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_ids_are_uuids_and_instants_are_micros(topic: Topic) -> None:
    for field in fields(json.loads(schema_text(topic.schema))):
        types = field["type"] if isinstance(field["type"], list) else [field["type"]]
        logical = {one.get("logicalType") for one in types if isinstance(one, dict)}
        if field["name"].endswith("_at"):
            assert logical == {"timestamp-micros"}
        if field["name"] in {"request_id", "event_id", "task_id", "receipt_id", "dead_letter_id"}:
            assert logical == {"uuid"}


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_no_schema_refers_to_itself(topic: Topic) -> None:
    """fastavro dies of recursion."""

    def walk(schema: Any, within: tuple[str, ...]) -> None:
        if isinstance(schema, str):
            assert schema not in within
        elif isinstance(schema, list):
            for one in schema:
                walk(one, within)
        else:
            inner = (*within, schema["name"]) if schema.get("type") == "record" else within
            for field in schema.get("fields", []):
                walk(field["type"], inner)
            for part in ("items", "values"):
                if part in schema:
                    walk(schema[part], inner)
            if isinstance(schema.get("type"), dict | list):
                walk(schema["type"], within)

    walk(json.loads(schema_text(topic.schema)), ())


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_no_array_or_map_is_of_things_without_bytes(topic: Topic) -> None:
    """Or twenty million of them would fit into a few bytes."""
    for node in nodes(json.loads(schema_text(topic.schema))):
        inner = node.get("items", node.get("values"))
        assert inner != "null"
        assert not (isinstance(inner, dict) and inner.get("type") == "record" and not inner["fields"])
        assert not (isinstance(inner, dict) and inner.get("type") == "fixed")


@pytest.mark.parametrize("topic", ALL, ids=named)
def test_a_schema_is_read_once(topic: Topic) -> None:
    assert schema_of(topic.schema) is schema_of(topic.schema)
