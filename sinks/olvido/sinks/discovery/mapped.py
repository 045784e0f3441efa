"""What a data map says of each table, as far as a look at the target needs it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from olvido.core.subject import IdentityKind
from olvido.sinks.tables.data_map import DataMap, ErasureMethod, Mention, ParentReference, Pointer


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedTable:
    """One table of a data map."""

    name: str
    erase: ErasureMethod
    identities: Mapping[str, IdentityKind]  # by column
    folded: frozenset[str]  # of these, e-mail addresses as people type them: the sink overlooks case
    named: Mapping[str, str]  # every column that the map names, and the key that names it
    changed: frozenset[str]  # the columns that an erasure empties or sets
    marked: frozenset[str]  # the columns that consents, objections and restrictions set
    looked_up: tuple[str, ...]  # the columns that rows are found by, of several together the first
    everywhere: Mapping[str, str]  # the columns that point at one table in every row, as where = {} says
    cascades: frozenset[str]  # "table.column": its rows go by the target's own rule with rows of this table


def mapped_tables(data_map: DataMap) -> Mapping[str, MappedTable]:
    """Every table of a data map, by its name."""
    return {name: _mapped(name, data_map) for name in data_map.tables}


def _mapped(name: str, data_map: DataMap) -> MappedTable:
    table = data_map.tables[name]
    identities = {one.column: kind for kind, columns in table.identities.items() for one in columns}
    looked_up = [(column, typed) for other, column, typed in data_map.looked_up() if other == name]
    sharers = tuple(sharer.columns for sharer in data_map.sharers(name))
    leading = tuple(
        pointer.columns
        for other in data_map.tables.values()
        for pointer in other.pointed_at_by
        if pointer.table == name
    )
    mentions = tuple(mention.column for mention in table.mentions)
    tested = tuple(column for condition in table.conditions for column in condition)
    named = {
        **dict.fromkeys(table.columns, "columns"),
        **dict.fromkeys(table.key, "key"),
        **dict.fromkeys(tested, "where"),
        **dict.fromkeys(chain.from_iterable(sharers), "shared_by"),
        **dict.fromkeys(chain.from_iterable(leading), "pointed_at_by"),
        **dict.fromkeys(mentions, "mentions"),
        **dict.fromkeys(table.marked, "consent, objection or restrict"),
        **dict.fromkeys(table.null, "null"),
        **dict.fromkeys(table.set_to, "set"),
        **dict.fromkeys(table.parent_columns, "parent"),
        **({table.created.column: "created"} if table.created else {}),
        **{
            column: f"identities.{kind.value}"
            for kind, columns in table.identities.items()
            for one in columns
            for column in one.columns
        },
    }
    return MappedTable(
        name=name,
        erase=table.erase,
        identities=identities,
        folded=frozenset(column for column, typed_address in looked_up if typed_address),
        named=named,
        changed=frozenset((*table.declared, *mentions)),
        marked=table.marked,
        looked_up=tuple(dict.fromkeys(column for column, _ in looked_up)),
        everywhere=dict(_everywhere(name, data_map)),
        cascades=frozenset(table.cascades),
    )


def _everywhere(name: str, data_map: DataMap) -> Iterator[tuple[str, str]]:
    table = data_map.tables[name]
    references: list[tuple[str, str | None, ParentReference | Mention | Pointer]] = [
        *((parent.columns[-1], parent.table, parent) for parent in table.parents),
        *((mention.column, mention.table, mention) for mention in table.mentions),
        *(
            (pointer.columns[-1], other, pointer)
            for other, pointed in data_map.tables.items()
            for pointer in pointed.pointed_at_by
            if pointer.table == name
        ),
    ]
    for column, to, reference in references:
        if to is not None and "where" in reference.model_fields_set and not reference.where:
            yield column, to
