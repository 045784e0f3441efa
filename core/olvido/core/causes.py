"""Why a record became a dead letter: a closed list of codes, each with its meaning."""

from enum import Enum


class Cause(Enum):
    """A dead letter's code. The value travels in Avro and SQL; the meaning is for people."""

    # What is on the wire
    NULL_VALUE = "NULL_VALUE"
    EMPTY = "EMPTY"
    TOO_SHORT = "TOO_SHORT"
    TOO_LARGE = "TOO_LARGE"
    BAD_MAGIC = "BAD_MAGIC"
    UNKNOWN_SCHEMA = "UNKNOWN_SCHEMA"
    SCHEMA_NOT_ALLOWED = "SCHEMA_NOT_ALLOWED"
    TRUNCATED = "TRUNCATED"
    TRAILING_BYTES = "TRAILING_BYTES"
    BAD_UTF8 = "BAD_UTF8"
    BAD_INDEX = "BAD_INDEX"
    BAD_TIME = "BAD_TIME"
    BAD_UUID = "BAD_UUID"
    NON_CANONICAL = "NON_CANONICAL"
    UNSUPPORTED_VERSION = "UNSUPPORTED_VERSION"
    KEY_MISMATCH = "KEY_MISMATCH"
    # What it means
    ID_REUSE = "ID_REUSE"
    FUTURE = "FUTURE"
    BAD_HANDLE = "BAD_HANDLE"
    UNKNOWN_RIGHT = "UNKNOWN_RIGHT"
    UNKNOWN_PURPOSE = "UNKNOWN_PURPOSE"
    UNKNOWN_REGION = "UNKNOWN_REGION"
    NO_BOX = "NO_BOX"
    # At a sink
    WRONG_SINK = "WRONG_SINK"
    CANNOT_OPEN = "CANNOT_OPEN"
    REFUSED_BY_TARGET = "REFUSED_BY_TARGET"
    STILL_THERE = "STILL_THERE"
    TOO_SLOW = "TOO_SLOW"
    # In a receipt
    UNKNOWN_TASK = "UNKNOWN_TASK"
    BAD_COUNT = "BAD_COUNT"

    @property
    def meaning(self) -> str:
        """One sentence for a person."""
        return _MEANING[self]


_MEANING = {
    Cause.NULL_VALUE: "the record has no value (a tombstone); this topic is not compacted",
    Cause.EMPTY: "the record's value is empty",
    Cause.TOO_SHORT: "shorter than the five bytes of Confluent framing",
    Cause.TOO_LARGE: "larger than a record of this topic may be",
    Cause.BAD_MAGIC: "the first byte is not 0: not in Confluent framing",
    Cause.UNKNOWN_SCHEMA: "the registry knows no schema of this id",
    Cause.SCHEMA_NOT_ALLOWED: "the schema exists, but not under this topic's subject",
    Cause.TRUNCATED: "the record ends before its schema does",
    Cause.TRAILING_BYTES: "bytes are left after the record's end",
    Cause.BAD_UTF8: "a string is not UTF-8, or has a zero character in it",
    Cause.BAD_INDEX: "an enum or union index is out of range",
    Cause.BAD_TIME: "an instant is missing or outside 2000-01-01 to 9999-12-31",
    Cause.BAD_UUID: "an id is not a canonical UUID of 36 characters",
    Cause.NON_CANONICAL: "encoding the record again gives other bytes",
    Cause.UNSUPPORTED_VERSION: "the CloudEvents version in the header is not 1.0",
    Cause.KEY_MISMATCH: "the Kafka key is not the subject_id of the record",
    Cause.ID_REUSE: "this id was used before for another content; the first stands",
    Cause.FUTURE: "the instant is more than five minutes ahead of our clock",
    Cause.BAD_HANDLE: "a handle is not a keyed pseudonym, or subject_id is not the first of them",
    Cause.UNKNOWN_RIGHT: "this version knows no such right",
    Cause.UNKNOWN_PURPOSE: "the deployment declares no such purpose",
    Cause.UNKNOWN_REGION: "the deployment declares no such region",
    Cause.NO_BOX: "no sealed box for a region that is named",
    Cause.WRONG_SINK: "the record names another sink than the one whose topic it is on",
    Cause.CANNOT_OPEN: "the sealed box does not open with this region's key for this id and subject",
    Cause.REFUSED_BY_TARGET: "the target system refuses this task for good",
    Cause.TOO_SLOW: "the target ran out of time over this task, or its rows were locked all that time",
    Cause.STILL_THERE: "read back after the work, the target still held the rows",
    Cause.UNKNOWN_TASK: "the ledger knows no such task and generation",
    Cause.BAD_COUNT: "a receipt counts fewer than zero rows",
}
assert set(_MEANING) == set(Cause)
