"""The record of an act: who does it and why. It stands in the ledger before the act has an effect."""

import os
import pwd
import socket
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from olvido.core.acts import Act, Verb
from olvido.core.errors import InvalidInput

OPERATOR = "OLVIDO_OPERATOR"  # a note beside the login, for a login that several people share


def who() -> str:
    """The person who acts: the login that the operating system knows, and not what the caller says."""
    # Not getpass: it believes LOGNAME and USER of the environment.
    uid = os.getuid()
    try:
        login = pwd.getpwuid(uid).pw_name
    except KeyError:  # as in a container that runs under a number
        login = f"uid-{uid}"
    return f"{login}@{socket.gethostname()}"


def check_reason(reason: str) -> None:
    """Check that a reason can stand in the record for ever.

    Raises:
        InvalidInput: it is empty, or looks as if it named a person.
    """
    if not reason.strip():
        raise InvalidInput("reason", "is empty: say why, such as a ticket's number")
    if "@" in reason:
        raise InvalidInput("reason", "is kept for ever and must name no person: leave the address out")


def new_act(verb: Verb, reason: str, **details: object) -> Act:
    """An act of this person, now. It is not recorded yet.

    Raises:
        InvalidInput: the reason is empty, or looks as if it named a person.
    """
    check_reason(reason)
    if note := os.environ.get(OPERATOR):
        details = {**details, "operator": note}
    return Act(
        act_id=uuid7(), at=datetime.now(UTC), who=who(), verb=verb, reason=reason.strip(), details=details
    )
