"""Tables as people have them, with a data map over them: what a request does, or why the map is refused."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from sinks.databases import Content, Database, Rows, content, difference, identities_of
from sinks.shop import a_task

from olvido.core.errors import ConfigError
from olvido.core.outcomes import Outcome
from olvido.core.receipts import Receipt
from olvido.core.rights.names import Action
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import OpenedTask

Answer = tuple[Outcome, Mapping[str, int]]
Tables = Mapping[str, Mapping[str, Any]]


class World:
    """Tables, the sink over them, and what has changed in them since they were filled."""

    def __init__(
        self,
        database: Database,
        schema: str,
        tables: Tables,
        *,
        identities: tuple[IdentityKind, ...] = (),
        purposes: tuple[str, ...] = (),
    ) -> None:
        database.run(schema)
        self._database = database
        self._names = re.findall(r'CREATE TABLE "?([^" ]+)', schema)
        self._sink = database.sink(tables, identities, purposes)
        self._before = self._content()

    def _content(self) -> Content:
        return content(self._database, self._names)

    def apply(self, *tasks: OpenedTask) -> list[Receipt]:
        """Have tasks done in one batch."""
        try:
            return list(self._sink.apply(tasks))
        finally:
            self._sink.close()

    def ask(self, *people: Mapping[str, Any]) -> list[Answer]:
        """Have people erased in one batch."""
        tasks = [a_task(Action.ERASE, tuple(identities_of(**person))) for person in people]
        return [(receipt.outcome, dict(receipt.counts)) for receipt in self.apply(*tasks)]

    @property
    def changes(self) -> dict[str, tuple[Rows, Rows]]:
        """By table: the rows that went, and those that came in their place."""
        return difference(self._before, self._content())


def refused(database: Database, schema: str, tables: Tables) -> str:
    """The sentence by which a map is refused before a row is touched."""
    database.run(schema)
    with pytest.raises(ConfigError) as caught:
        database.sink(tables)
    return str(caught.value)
