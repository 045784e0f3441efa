"""The names of what may be asked, as they are on the wire and in the ledger."""

from enum import StrEnum


class Right(StrEnum):
    """What a person may ask for (GDPR arts. 15-21; CCPA, PIPL and PDPA words are in the glossary)."""

    ERASE = "ERASE"
    ACCESS = "ACCESS"
    PORTABILITY = "PORTABILITY"
    RECTIFY = "RECTIFY"
    RESTRICT = "RESTRICT"
    OBJECT = "OBJECT"
    LIFT_RESTRICTION = "LIFT_RESTRICTION"
    WITHDRAW_OBJECTION = "WITHDRAW_OBJECTION"
    UNKNOWN = "UNKNOWN"  # the Avro enum's default: a right of a newer version


class Action(StrEnum):
    """The name of what is asked of a sink: one of the rights, or to follow a consent change."""

    ERASE = "ERASE"
    ACCESS = "ACCESS"
    PORTABILITY = "PORTABILITY"
    RECTIFY = "RECTIFY"
    RESTRICT = "RESTRICT"
    OBJECT = "OBJECT"
    LIFT_RESTRICTION = "LIFT_RESTRICTION"
    WITHDRAW_OBJECTION = "WITHDRAW_OBJECTION"
    CONSENT = "CONSENT"
    UNKNOWN = "UNKNOWN"  # the Avro enum's default: an action of a newer version
