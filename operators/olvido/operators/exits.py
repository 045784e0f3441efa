"""The exit codes of every command, in one place; docs/configuration.md tells them to people."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILURE = 1
    USAGE = 2  # a wrong flag, argument or setting: nothing was done
    NOT_FOUND = 3
    REFUSED = 4  # by a rule, such as no reason or no confirmation: nothing was done
    PARTIAL = 5  # done in part; what is left is told
    TIMED_OUT = 6
    UNHEALTHY = 10  # a part does not answer
    INTERRUPTED = 130  # Ctrl-C; a repeat goes on where it was
