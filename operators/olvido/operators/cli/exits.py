"""The exit codes of every command, in one place; docs/configuration.md lists them."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    PARTIAL = 5
    TIMED_OUT = 6
    UNHEALTHY = 10
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """A few words for a person."""
        return _MEANING[self]


_MEANING = {
    Exit.OK: "done",
    Exit.FAILURE: "failure; `olvido topics diff`: something differs",
    Exit.USAGE: "usage or configuration: mend it, nothing was done",
    Exit.NOT_FOUND: "there is no such request, dead letter or plan",
    Exit.REFUSED: "refused by a rule, such as a missing confirmation: nothing was done",
    Exit.PARTIAL: "done in part; the output lists what is left",
    Exit.TIMED_OUT: "what was waited for did not come in time",
    Exit.UNHEALTHY: "a part does not answer, or `olvido status`, `olvido doctor`, `olvido sinks check` or "
    "`olvido sinks verify` found something wrong",
    Exit.INTERRUPTED: "interrupted; a repeat goes on where it was",
}
assert set(_MEANING) == set(Exit)
