"""Why a record became a dead letter: a closed list of codes, with meaning and remedy."""

from dataclasses import dataclass
from enum import Enum, StrEnum


class LetterRemedy(StrEnum):
    """How a dead letter comes to its end."""

    REDRIVE = "redrive"  # something else is mended, and the same record is sent again
    SEND_ANEW = "send_anew"  # the upstream service sends another record, and this one is discarded
    DISCARD = "discard"
    TWO_PEOPLE = "two_people"  # release or discard it
    COMPARE_SCHEMAS = "compare_schemas"  # with the registry; what that shows decides


class Cause(Enum):
    """A dead letter's code. The value travels in Avro and SQL; what it stands for is for people."""

    # What is on the wire
    NULL_VALUE = "NULL_VALUE"
    EMPTY = "EMPTY"
    TOO_SHORT = "TOO_SHORT"
    TOO_LARGE = "TOO_LARGE"
    BAD_MAGIC = "BAD_MAGIC"
    UNKNOWN_SCHEMA = "UNKNOWN_SCHEMA"
    SCHEMA_NOT_ALLOWED = "SCHEMA_NOT_ALLOWED"  # in dead letters of earlier versions alone
    TRUNCATED = "TRUNCATED"
    TRAILING_BYTES = "TRAILING_BYTES"
    BAD_UTF8 = "BAD_UTF8"
    BAD_INDEX = "BAD_INDEX"
    BAD_TIME = "BAD_TIME"
    BAD_UUID = "BAD_UUID"
    NON_CANONICAL = "NON_CANONICAL"
    UNSUPPORTED_VERSION = "UNSUPPORTED_VERSION"
    KEY_MISMATCH = "KEY_MISMATCH"
    # Who says it
    UNSIGNED = "UNSIGNED"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    UNKNOWN_PRINCIPAL = "UNKNOWN_PRINCIPAL"
    REVOKED_KEY = "REVOKED_KEY"
    OUTSIDE_SESSION = "OUTSIDE_SESSION"
    NOT_IN_SCOPE = "NOT_IN_SCOPE"
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
    ABOVE_LIMIT = "ABOVE_LIMIT"
    # In a receipt
    UNKNOWN_TASK = "UNKNOWN_TASK"
    BAD_COUNT = "BAD_COUNT"
    BEFORE_REQUEST = "BEFORE_REQUEST"
    CONFLICT = "CONFLICT"

    @property
    def meaning(self) -> str:
        """One sentence for a person."""
        return _EXPLAINED[self].meaning

    @property
    def decision(self) -> str:
        """What a person does next, in one line."""
        return _EXPLAINED[self].decision

    @property
    def remedy(self) -> LetterRemedy:
        """How it comes to its end. Each face of Olvido offers its own way to do that."""
        return _EXPLAINED[self].remedy


@dataclass(frozen=True, slots=True)
class _Explained:
    """What there is to say about one cause."""

    meaning: str
    remedy: LetterRemedy
    decision: str


_SPOILT = "the bytes are spoilt for good: have the upstream service send it anew, then discard this"
_EXPLAINED = {
    Cause.NULL_VALUE: _Explained(
        "the record has no value (a tombstone); this topic is not compacted",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.EMPTY: _Explained(
        "the record's value is empty",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.TOO_SHORT: _Explained(
        "shorter than the five bytes of Confluent framing",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.TOO_LARGE: _Explained(
        "larger than a record of this topic may be",
        LetterRemedy.SEND_ANEW,
        "have the upstream service send less in one record, then discard this",
    ),
    Cause.BAD_MAGIC: _Explained(
        "the first byte is not 0: not in Confluent framing",
        LetterRemedy.SEND_ANEW,
        "have the upstream service write in Confluent framing, then discard this",
    ),
    Cause.UNKNOWN_SCHEMA: _Explained(
        "its schema id is not that of a schema which ships with this version of Olvido for this topic",
        LetterRemedy.COMPARE_SCHEMAS,
        "if a newer version wrote it: upgrade this reader; apply the topics, then redrive; else discard",
    ),
    Cause.SCHEMA_NOT_ALLOWED: _Explained(
        "its schema is one of another topic; versions since call this `UNKNOWN_SCHEMA`",
        LetterRemedy.COMPARE_SCHEMAS,
        "as for `UNKNOWN_SCHEMA`",
    ),
    Cause.TRUNCATED: _Explained(
        "the record ends before its schema does",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.TRAILING_BYTES: _Explained(
        "bytes are left after the record's end",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.BAD_UTF8: _Explained(
        "a string is not UTF-8, or has a zero character in it",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.BAD_INDEX: _Explained(
        "an enum or union index is out of range",
        LetterRemedy.REDRIVE,
        "if a newer version wrote it: upgrade this reader, then redrive; else discard",
    ),
    Cause.BAD_TIME: _Explained(
        "an instant is missing or outside 2000-01-01 to 9999-12-31",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.BAD_UUID: _Explained(
        "an id is not a canonical UUID of 36 characters",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.NON_CANONICAL: _Explained(
        "encoding the record again gives other bytes",
        LetterRemedy.SEND_ANEW,
        _SPOILT,
    ),
    Cause.UNSUPPORTED_VERSION: _Explained(
        "the CloudEvents version in the header is not 1.0",
        LetterRemedy.REDRIVE,
        "if a newer version wrote it: upgrade this reader, then redrive; else discard",
    ),
    Cause.KEY_MISMATCH: _Explained(
        "the Kafka key is not the subject_id of the record",
        LetterRemedy.SEND_ANEW,
        "have the upstream service key it by subject_id and send it anew, then discard",
    ),
    Cause.UNSIGNED: _Explained(
        "nobody signed it, and this deployment takes no unsigned record any more",
        LetterRemedy.SEND_ANEW,
        "find out who wrote it; have them send it with a key of a principal, then discard this",
    ),
    Cause.BAD_SIGNATURE: _Explained(
        "its session is not signed by the key that it names, or is not in its one written form",
        LetterRemedy.DISCARD,
        "find out who wrote it to this topic, then discard this",
    ),
    Cause.UNKNOWN_PRINCIPAL: _Explained(
        "the deployment declares no such principal, or no such key of it",
        LetterRemedy.REDRIVE,
        "if it is one of yours: bring its public key to where the keys are read, then redrive; else discard",
    ),
    Cause.REVOKED_KEY: _Explained(
        "it is signed with a key that was revoked before it came",
        LetterRemedy.SEND_ANEW,
        "find out who has the key; have it sent anew with the new one, then discard this",
    ),
    Cause.OUTSIDE_SESSION: _Explained(
        "its instant is after the end of its session, or the session is too long or not yet begun",
        LetterRemedy.SEND_ANEW,
        "mend the clock of the process that wrote it and have it sent anew, then discard this",
    ),
    Cause.NOT_IN_SCOPE: _Explained(
        "its principal may not say this: the scope that olvido.toml gives it is narrower",
        LetterRemedy.REDRIVE,
        "if it should be able to: widen its scope in olvido.toml, restart, then redrive; else discard",
    ),
    Cause.ID_REUSE: _Explained(
        "this id was used before, for another content or for the other kind of event; the first stands",
        LetterRemedy.SEND_ANEW,
        "have the upstream service send it under an id of its own, then discard this",
    ),
    Cause.FUTURE: _Explained(
        "the instant is further ahead of the time at which the broker took it than `instants.ahead_max_s`",
        LetterRemedy.REDRIVE,
        "mend the upstream clock; when that instant is past, redrive",
    ),
    Cause.BAD_HANDLE: _Explained(
        "a handle is not a keyed pseudonym, or subject_id is not the first of them",
        LetterRemedy.SEND_ANEW,
        "have the upstream service make handles with the deployment's key, then discard this",
    ),
    Cause.UNKNOWN_RIGHT: _Explained(
        "this version knows no such right",
        LetterRemedy.REDRIVE,
        "upgrade the processors to a version that knows it, then redrive",
    ),
    Cause.UNKNOWN_PURPOSE: _Explained(
        "the deployment declares no such purpose",
        LetterRemedy.REDRIVE,
        "declare it in olvido.toml, restart the processors, then redrive; or discard",
    ),
    Cause.UNKNOWN_REGION: _Explained(
        "the deployment declares no such region",
        LetterRemedy.REDRIVE,
        "declare it in olvido.toml, restart the processors, then redrive; or discard",
    ),
    Cause.NO_BOX: _Explained(
        "no sealed box for a region that is named",
        LetterRemedy.SEND_ANEW,
        "have the upstream service seal a box for each region, then discard this",
    ),
    Cause.WRONG_SINK: _Explained(
        "the record names another sink than the one whose topic it is on",
        LetterRemedy.DISCARD,
        "find out who wrote it to this topic, then discard this",
    ),
    Cause.CANNOT_OPEN: _Explained(
        "a sealed box, or the seal of the record, does not open for just what the record says",
        LetterRemedy.REDRIVE,
        "give this process the key that the box was sealed to, then redrive; moved or altered: discard",
    ),
    Cause.REFUSED_BY_TARGET: _Explained(
        "the target system refuses this task for good",
        LetterRemedy.REDRIVE,
        "mend the target or its data map, restart the sink, then redrive",
    ),
    Cause.STILL_THERE: _Explained(
        "read back after the work, the target still held the rows",
        LetterRemedy.REDRIVE,
        "find out what writes the rows back, then redrive",
    ),
    Cause.TOO_SLOW: _Explained(
        "the target ran out of time over this task, or its rows were locked all that time",
        LetterRemedy.REDRIVE,
        "find the missing index, the trigger, or the program that locks the rows; then redrive",
    ),
    Cause.ABOVE_LIMIT: _Explained(
        "the erasure would take more rows, people or of a table than its sink lets it",
        LetterRemedy.TWO_PEOPLE,
        "find out whether it is right; two people release or discard it",
    ),
    Cause.UNKNOWN_TASK: _Explained(
        "the ledger knows no such task and generation",
        LetterRemedy.REDRIVE,
        "if the ledger comes from a backup: once it knows the task, redrive; else discard",
    ),
    Cause.BAD_COUNT: _Explained(
        "a receipt counts fewer than zero rows",
        LetterRemedy.DISCARD,
        "mend the sink that counts; the task is asked again by itself; discard this",
    ),
    Cause.BEFORE_REQUEST: _Explained(
        "a receipt says that the work was done before it was asked for",
        LetterRemedy.DISCARD,
        "set the target's clock, or find out who wrote it; discard this, and ask again by a restore",
    ),
    Cause.CONFLICT: _Explained(
        "the task has another final receipt already; the first stands",
        LetterRemedy.DISCARD,
        "find out which process answered a second time and what the target holds, then discard this",
    ),
}
assert set(_EXPLAINED) == set(Cause)
