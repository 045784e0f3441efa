"""All queries of the ledger, each by its name."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load() -> dict[str, str]:
    """Read ``queries.sql``: a name, one sentence, the statement."""
    parts = _NAME.split((files("olvido.ledger.sql") / "queries.sql").read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], (body.strip() for body in parts[2::2]), strict=True))


QUERIES = load()
