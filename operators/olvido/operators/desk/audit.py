"""Who changed or revealed what, when and why. Nothing of it can be changed."""

from datetime import datetime

from olvido.core.acts import Act, Verb
from olvido.ledger.acts import Acts, Chain
from olvido.operators.desk.ledger import database
from olvido.schemas.settings.deployment import Deployment


def newest(
    declared: Deployment, *, verb: Verb | None, who: str | None, since: datetime | None, limit: int
) -> list[Act]:
    """Acts, newest first.

    Raises:
        Unavailable: the ledger does not answer.
    """
    rows = Acts(database(declared)).newest(verb=verb, who=who, since=since, limit=limit)
    return [Act(**{**row, "verb": Verb(row["verb"])}) for row in rows]


def chain(declared: Deployment) -> Chain:
    """Whether the record of acts is as it was written.

    Raises:
        Unavailable: the ledger does not answer.
    """
    return Acts(database(declared)).chain()


def broken(found: Chain) -> str:
    """What is wrong with the record, in one sentence; empty where nothing is."""
    if found.broken_at is None:
        return ""
    return f"act {found.broken_at} of the record was changed, or one before it was taken away"
