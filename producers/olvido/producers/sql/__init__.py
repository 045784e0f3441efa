"""The statements of the outbox, each by its name."""

from importlib.resources import files

from olvido.core.sql import statements

STATEMENTS = statements((files("olvido.producers.sql") / "outbox.sql").read_text(encoding="utf-8"))
