"""Which row belongs under which: foreign keys, and columns that point without one.

Pure but for :func:`unwritten`, which asks the target whether the values of such a column are keys there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from olvido.sinks.discovery.evidence import SeenTable
from olvido.sinks.discovery.live import LiveColumn, LiveTable, TargetReader
from olvido.sinks.discovery.names import listed, words_of

HELD_SHARE = 0.9  # of the sampled values: so many are keys there, or the column points elsewhere
VALUES = 100  # of such a column, asked of the other table


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A column of one table that points at the key of another, or of the same."""

    table: str
    column: str
    to: str
    key: str
    not_null: bool
    evidence: str  # "a foreign key", or what the values say
    on_delete: str = ""  # of a foreign key

    @property
    def written(self) -> bool:
        """Whether a foreign key says so."""
        return bool(self.on_delete)

    @property
    def of_a_deed(self) -> bool:
        """Whether the person it points at did something with the row, which is not about them."""
        return bool(set(listed("references", "deeds")) & set(words_of(self.column)))


def written(tables: Sequence[LiveTable]) -> list[Link]:
    """What foreign keys of one column say."""
    return [
        Link(
            table=table.name,
            column=reference.columns[0],
            to=reference.table,
            key=reference.keys[0],
            not_null=table.by_name[reference.columns[0]].not_null,
            evidence="a foreign key",
            on_delete=reference.on_delete,
        )
        for table in tables
        for reference in table.references
        if len(reference.columns) == 1
    ]


def unwritten(reader: TargetReader, seen: Sequence[SeenTable]) -> list[Link]:
    """Columns that are called and filled like references and have no foreign key.

    Raises:
        Unavailable: the target does not answer.
    """
    found = []
    for table, column, to in _candidates([one.table for one in seen if not one.why_not]):
        [key] = to.key
        values = list(reader.sample(table, [column.name], VALUES).values.get(column.name, ()))
        distinct = len(set(values))
        held = reader.held(to.name, key, values) if values else 0
        if distinct and held >= HELD_SHARE * distinct:
            link = Link(
                table=table.name,
                column=column.name,
                to=to.name,
                key=key,
                not_null=column.not_null,
                evidence=f"no foreign key; {held} of {distinct} sampled values are keys of {to.name}",
            )
            found.append(link)
    return found


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
    stem = (
        words[:-1]
        if words[-1:] in {("id",), ("no",), ("by",), ("to",)}
        else words[1:]
        if words[:1] == ("id",)
        else ()
    )
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
            if last.endswith(many) and len(last) > len(many) + 1:
                words[-1] = last.removesuffix(many) + one
                break
    return "_".join(words)
