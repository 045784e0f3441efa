"""The statements of the outbox, each by its name."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load() -> dict[str, str]:
    """Read ``outbox.sql``: a name, one sentence, the statement."""
    parts = _NAME.split((files("olvido.producers.sql") / "outbox.sql").read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], (body.strip() for body in parts[2::2]), strict=True))


STATEMENTS = load()
