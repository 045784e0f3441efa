"""All queries of the ledger, each by its name."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load() -> dict[str, str]:
    """Read the ``.sql`` files beside this one: a name, one sentence, the statement. A name stands once."""
    queries: dict[str, str] = {}
    for file in sorted(files("olvido.ledger.sql").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".sql"):
            parts = _NAME.split(file.read_text(encoding="utf-8"))
            for name, body in zip(parts[1::2], parts[2::2], strict=True):
                if name in queries:
                    raise ValueError(f"{file.name}: there is a query {name} already")
                queries[name] = body.strip()
    return queries


QUERIES = load()
