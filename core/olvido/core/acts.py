"""What an operator did: who, when, what and why. An act is recorded before it has an effect, and stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Verb(StrEnum):
    """The acts that change something, or show what is hidden."""

    REPLAY = "replay"
    RESTORE = "restore"
    BACKFILL = "backfill"
    CANCEL = "cancel"  # of a replay, a restore or a backfill
    REDRIVE = "redrive"
    DISCARD = "discard"
    RELEASE = "release"  # erasures above a limit of the brake
    WITHDRAW = "withdraw"
    EXTEND = "extend"  # the last day of a request
    EXPORT = "export"
    REVEAL = "reveal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act. ``details`` holds ids, counts and filters: never an identity."""

    act_id: UUID  # UUIDv7
    at: datetime
    who: str
    verb: Verb
    reason: str
    details: Mapping[str, object]
