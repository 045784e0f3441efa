"""What a sink can come to with a task: the closed list, and its groups.

Which outcomes count as done differs from right to right, and stands with each (``rights/``).
"""

from enum import StrEnum


class Outcome(StrEnum):
    """The closed list. A hash or a mask is never ``erased``."""

    ERASED = "erased"
    ANONYMISED = "anonymised"
    BLOCKED = "blocked"
    RETAINED = "retained"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    SUPPRESSED = "suppressed"
    RESTRICTED = "restricted"
    RECTIFIED = "rectified"
    EXPORTED = "exported"
    RELEASED = "released"
    CONSENT_APPLIED = "consent_applied"
    SUPERSEDED = "superseded"
    DEFERRED = "deferred"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether nothing more will come. Only ``deferred`` is a promise and not an end."""
        return self not in NOT_FINAL


# The ledger's SQL is given these groups by name: nothing repeats one of these lists.
NOT_FINAL = frozenset({Outcome.DEFERRED})
# An operation is not at its end as long as a task of it came to one of these: a person takes it over.
LEFT_OVER = frozenset({Outcome.FAILED})
# No trace of the task is in the system. A later receipt of this kind hides no earlier effect.
NO_EFFECT = frozenset({Outcome.NOT_FOUND, Outcome.FAILED, Outcome.UNSUPPORTED, Outcome.DEFERRED})
# Whatever the right: a suppressed person was not erased, and rows that were retained or blocked are
# still there. Those make a request partial, and say so.
PARTLY = frozenset({Outcome.SUPPRESSED, Outcome.RETAINED, Outcome.BLOCKED, Outcome.SUPERSEDED})
