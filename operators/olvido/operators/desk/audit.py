"""Who changed or revealed what, when and why. Nothing of it can be changed."""

from datetime import datetime

from olvido.core.acts import Act, Verb
from olvido.ledger.acts import Acts
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
