"""All queries of the ledger, each by its name."""

from importlib.resources import files

from olvido.core.sql import statements


def load() -> dict[str, str]:
    """Read the ``.sql`` files beside this one as one: a name stands once in all of them."""
    folder = sorted(files("olvido.ledger.sql").iterdir(), key=lambda entry: entry.name)
    return statements(
        "\n".join(file.read_text(encoding="utf-8") for file in folder if file.name.endswith(".sql"))
    )


QUERIES = load()
