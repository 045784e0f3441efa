"""What ships is what is decoded: each version that a topic may hold, and none that could harm its reader."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from olvido.schemas.shipped import FINGERPRINT_BYTES, Version, versions_of
from olvido.schemas.topics import CANARIES, FIXED, tasks_topic

NAMES = sorted({topic.schema for topic in (*FIXED, CANARIES, tasks_topic("crm"))})
VERSIONS = [version for name in NAMES for version in versions_of(name)]

# Every version that was ever released, the newest first. One that is changed gets a line, and its text of
# before goes to avsc/earlier: its records stand in topics for a year, and in ledgers.
RELEASED = {
    "canary": ("b51f28de561982fc",),
    "consent_change": ("ea3d7a91674b9e5c", "ebb72c4c0f8aa856"),
    "consent_state": ("2e66e62cf01ad8b9",),
    "dead_letter": (
        "1c08a3c273372b6a",
        "dfec9e89f7557c03",
        "228a566dd54c6eb4",
        "44e95770f6e27714",
        "946af741d1066019",
    ),
    "later_look": ("529b41603f730034", "eeff5c1ca5082ba4", "f9afac6529b0d247"),
    "privacy_request": ("eaea1c328743cb02", "015ee674500ed89f", "4c34f70e3674c588", "9fb92d8bc6881949"),
    "receipt": ("e6c7e8a0e463aada", "683ead9326d67fc3", "2c4359167d2fbe8d", "9fd97881214c280a"),
    "request_status": ("9ea7154c1f4b8465", "f6f50df297f512f2", "b7ee0cd054796449"),
    "task": ("52034624ec827a9b", "77fa950feefc78a0", "e13db38f366c21db", "7c7c0ed4b7547b0d"),
    "verification": ("6af0e41c4fb44a0a", "1f0279dd39f7d831"),
}


def named(version: Version) -> str:
    return f"{json.loads(version.text)['name']}-{version.fingerprint.hex()}"


def items(schema: Any) -> Iterator[Any]:
    """The types of the items of every array and map."""
    if isinstance(schema, dict):
        if schema["type"] in ("array", "map"):
            yield schema.get("items", schema.get("values"))
        for part in (schema.get("items"), schema.get("values"), schema["type"]):
            yield from items(part)
        for field in schema.get("fields", ()):
            yield from items(field["type"])
    elif isinstance(schema, list):
        for part in schema:
            yield from items(part)


def bytes_min(schema: Any) -> int:
    """How few bytes a value may have; a type that is only named has some elsewhere in these schemas."""
    match schema:
        case "null":
            return 0
        case {"type": "record", "fields": fields}:
            return sum(bytes_min(field["type"]) for field in fields)
        case {"type": "fixed", "size": size}:
            return int(size)
        case {"type": "null"}:
            return 0
        case _:
            return 1


def nests(schema: Any, inside: tuple[str, ...] = ()) -> bool:
    """Whether a type names one that it is a part of."""
    match schema:
        case str():
            return schema in inside
        case list():
            return any(nests(part, inside) for part in schema)
        case {"type": "record", "name": name, "fields": fields}:
            return any(nests(field["type"], (*inside, name)) for field in fields)
        case {"type": "array", "items": part} | {"type": "map", "values": part}:
            return nests(part, inside)
        case {"type": part}:
            return isinstance(part, dict | list) and nests(part, inside)
        case _:
            return False


@pytest.mark.parametrize("name", NAMES)
def test_each_version_that_was_released_ships(name: str) -> None:
    assert tuple(version.fingerprint.hex() for version in versions_of(name)) == RELEASED[name]


def test_a_fingerprint_is_of_the_schema_alone() -> None:
    """As Avro's specification has it: not of its documentation, nor of how its text is laid out."""
    own, *_ = versions_of("task")
    schema = json.loads(own.text)
    schema["doc"] = "something else"
    other = Version.of(json.dumps(schema))
    assert (other.text != own.text, other.fingerprint) == (True, own.fingerprint)
    assert len(own.fingerprint) == FINGERPRINT_BYTES


@pytest.mark.parametrize("version", VERSIONS, ids=named)
def test_no_version_nests_in_itself(version: Version) -> None:
    """A record would nest as deep as its bytes say, and end its reader by its stack."""
    assert not nests(json.loads(version.text))


@pytest.mark.parametrize("version", VERSIONS, ids=named)
def test_no_version_has_a_list_whose_items_take_no_bytes(version: Version) -> None:
    """A billion of them would be five bytes on the wire, and all memory at its reader."""
    schema = json.loads(version.text)
    assert all(bytes_min(item) > 0 for item in items(schema))


def test_the_two_rules_find_what_they_look_for() -> None:
    more = {"name": "more", "type": ["null", "N"]}
    inner = {"type": "record", "name": "N", "fields": [more]}
    assert nests({"type": "record", "name": "A", "fields": [{"name": "n", "type": ["null", inner]}]})
    empty = {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}
    assert [bytes_min(item) for item in items(["null", empty, {"type": "map", "values": "null"}])] == [0, 0]
