"""Which row belongs under which: foreign keys, and columns that point without one.

Pure but for :func:`unwritten` and :func:`of_types`, which ask the target whether values are keys there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from olvido.sinks.discovery.column_names import listed, words_of
from olvido.sinks.discovery.evidence import SeenTable
from olvido.sinks.discovery.live import LiveColumn, LiveTable, TargetReader

HELD_SHARE = 0.9  # of the sampled values: so many are keys there, or the column points elsewhere
VALUES = 100  # of such a column, asked of the other table


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Columns of one table that point at the key of another, or of the same."""

    table: str
    columns: tuple[str, ...]
    to: str
    keys: tuple[str, ...]
    not_null: bool
    evidence: str  # "a foreign key", or what the values say
    on_delete: str = ""  # of a foreign key
    where: Mapping[str, str] = field(default_factory=dict)  # else it points elsewhere: type and id

    @property
    def column(self) -> str:
        """The pointing columns, as one names them in a sentence."""
        return ", ".join(self.columns)

    @property
    def written(self) -> bool:
        """Whether a foreign key says so."""
        return bool(self.on_delete)

    @property
    def of_a_deed(self) -> bool:
        """Whether the person it points at did something with the row, which is not about them."""
        return bool(set(listed("references", "deeds")) & set(words_of(self.column)))


def written(tables: Sequence[LiveTable]) -> list[Link]:
    """What foreign keys say."""
    return [
        Link(
            table=table.name,
            columns=reference.columns,
            to=reference.table,
            keys=reference.keys,
            not_null=all(table.by_name[column].not_null for column in reference.columns),
            evidence="a foreign key",
            on_delete=reference.on_delete,
        )
        for table in tables
        for reference in table.references
    ]


def unwritten(reader: TargetReader, seen: Sequence[SeenTable]) -> list[Link]:
    """Columns that are called and filled like references and have no foreign key.

    Raises:
        Unavailable: the target does not answer.
    """
    found = []
    for table, column, to in _candidates([one.table for one in seen if not one.why_not]):
        values = list(reader.sample(table, [column.name], VALUES).values.get(column.name, ()))
        distinct = len(set(values))
        held = reader.held(to.name, to.key[0], values) if values else 0
        if distinct and held >= HELD_SHARE * distinct:
            link = Link(
                table=table.name,
                columns=(column.name,),
                to=to.name,
                keys=to.key,
                not_null=column.not_null,
                evidence=f"no foreign key; {held} of {distinct} sampled values are keys of {to.name}",
            )
            found.append(link)
    return found


def of_types(reader: TargetReader, seen: Sequence[SeenTable]) -> list[Link]:
    """Pairs of a type and an id whose sampled types are names of tables that are there.

    The value of such a type is the name of a table, and no person's: it may be printed.

    Raises:
        Unavailable: the target does not answer.
    """
    by_word = _by_word([one.table for one in seen if len(one.table.key) == 1])
    return [
        Link(
            table=one.table.name,
            columns=(key,),
            to=by_word[word].name,
            keys=by_word[word].key,
            not_null=one.table.by_name[key].not_null,
            evidence=f"{kind} says that",
            where={kind: value},
        )
        for one in seen
        for kind, key in ([] if one.why_not else typed(one.table))
        for value in sorted(set(reader.sample(one.table, [kind], VALUES).values.get(kind, ())))
        if (word := singular(value.replace("::", "_"))) in by_word and value.isprintable()
    ]


def typed(table: LiveTable) -> list[tuple[str, str]]:
    """Pairs such as ``source_type, source_id``: the first names the table that the second points into."""
    names = {column.name.lower(): column.name for column in table.columns}
    return [
        (name, names[low.removesuffix("type") + "id"])
        for low, name in names.items()
        if low.endswith("type") and low != "type" and low.removesuffix("type") + "id" in names
    ]


def singular(table: str) -> str:
    """A table's name in the singular, near enough to meet the name of a column that points at it."""
    words = list(words_of(table.rpartition(".")[2]))
    if words:
        last = words[-1]
        for many, one in (
            ("ies", "y"),
            ("sses", "ss"),
            ("xes", "x"),
            ("ones", "on"),
            ("dades", "dad"),
            ("s", ""),
        ):
            if last.endswith(many) and not last.endswith("ss") and len(last) > len(many) + 1:
                words[-1] = last.removesuffix(many) + one
                break
    return "_".join(words)


def named_after(table: str, other: str) -> bool:
    """Whether a table is called after another: ``user_emails`` after ``users``."""
    words = tuple(singular(other).split("_"))
    return words_of(table.rpartition(".")[2])[: len(words)] == words


def _candidates(tables: Sequence[LiveTable]) -> Iterator[tuple[LiveTable, LiveColumn, LiveTable]]:
    keyed = [table for table in tables if len(table.key) == 1]
    by_word = _by_word(keyed)
    person = _most_likely_person(keyed)
    for table in tables:
        pointing = {column for reference in table.references for column in reference.columns}
        for column in table.columns:
            if column.name in pointing or table.key == (column.name,):
                continue
            to = _pointed_at(column.name, by_word, person)
            if to is not None and to.by_name[to.key[0]].family is column.family:
                yield table, column, to


def _by_word(tables: Sequence[LiveTable]) -> dict[str, LiveTable]:
    """Tables by their names in the singular, and by the ends of these: `spree_users` is user, too."""
    words = {table.name: singular(table.name).split("_") for table in tables}
    ends = sorted(
        (start, "_".join(words[table.name][start:]), table.name)
        for table in tables
        for start in range(len(words[table.name]))
    )
    by_name = {table.name: table for table in tables}
    found: dict[str, LiveTable] = {}
    for _, end, name in ends:  # whole names first
        found.setdefault(end, by_name[name])
    return found


def _pointed_at(column: str, by_word: Mapping[str, LiveTable], person: LiveTable | None) -> LiveTable | None:
    words = words_of(column)
    if words[-1:] in {("id",), ("no",), ("by",), ("to",)}:
        stem = words[:-1]
    else:
        stem = words[1:] if words[:1] == ("id",) else ()
    if not stem:
        return None
    named = by_word.get("_".join(stem)) or by_word.get(stem[-1])
    return person if named is None and _roles() & set(stem) else named


def _most_likely_person(tables: Sequence[LiveTable]) -> LiveTable | None:
    """Where `author_id` may point: `users` before `members`, and before `user_groups`."""
    people = listed("tables", "people")
    ranked = [
        (len(words), people.index(words[-1]), place)
        for place, words in enumerate(words_of(table.name.rpartition(".")[2]) for table in tables)
        if words and words[-1] in people
    ]
    return tables[min(ranked)[2]] if ranked else None


def _roles() -> set[str]:
    return {*listed("references", "roles"), *listed("references", "deeds")}
