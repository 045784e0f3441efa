"""Whether a data map fits what its target really has: the one check for every kind of database.

Whatever could reach a stranger's row, leave a person's behind, or fail for every task, is refused before a
row is touched.
"""

import re
from collections.abc import Iterable, Iterator

from olvido.sinks.forms import is_typed
from olvido.sinks.section import fault
from olvido.sinks.tables.data_map import Clock, DataMap, ErasureMethod, Table
from olvido.sinks.tables.map_rules import per_row, refuses_null
from olvido.sinks.tables.shape import (
    IDENTITIES,
    INSTANTS,
    KEYS,
    TYPED,
    Column,
    ForeignKey,
    TableShape,
    TargetShape,
    TypeFamily,
)


def check_fit(data_map: DataMap, target: TargetShape) -> tuple[str, ...]:
    """Hold a data map against a target.

    Returns:
        What fits, and will be slow or should be known: a sentence for each.

    Raises:
        ConfigError: naming table and column, and the fix.
    """
    place = f"sinks.{data_map.sink}.tables"
    for name, table in data_map.tables.items():
        here, shape = f"{place}.{name}", target.tables[name]
        _check_columns(here, name, table, data_map, shape)
        _check_types(here, name, table, target)
        _check_created(here, name, table, data_map, target)
        _check_key(here, name, table, data_map, shape)
        _check_changes(here, name, table, shape)
        _check_pairs(here, name, table, data_map, target)
        _check_types_beside(here, name, table, target)
    for name in data_map.tables:
        _check_cascades(f"{place}.{name}.cascades", name, data_map, target)
        for key in target.tables[name].foreign_keys:
            _check_reference(f"{place}.{name}", name, key, data_map)
    return (*target.notes, *_slow(data_map, target))


def _named(table: Table, name: str, data_map: DataMap) -> Iterator[tuple[str, str]]:
    """Every column the data map says a table has, with the key that says so."""
    yield from (("key", column) for column in table.key)
    for kind, columns in table.identities.items():
        yield from ((f"identities.{kind.value}", column) for one in columns for column in one.columns)
    if table.created:
        yield "created", table.created.column
    yield from (("parent.column", column) for column in table.parent_columns)
    yield from (("mentions", mention.column) for mention in table.mentions)
    yield from (("set", column) for column in table.set_to)
    yield from (("null", column) for column in table.null)
    yield from (("consent, objection or restrict", column) for column in sorted(table.marked))
    yield from (("where", column) for condition in table.conditions for column in condition)
    yield from (("columns", column) for column in table.columns)
    yield from (("shared_by", column) for sharer in data_map.sharers(name) for column in sharer.columns)
    for other in data_map.tables.values():
        for pointer in other.pointed_at_by:
            if pointer.table == name:
                yield from (("pointed_at_by", column) for column in (*pointer.columns, *pointer.where))


def _check_columns(place: str, name: str, table: Table, data_map: DataMap, shape: TableShape) -> None:
    for key, column in _named(table, name, data_map):
        if column not in shape.columns:
            raise fault(f"{place}.{key}", f"table {name} has no column {column!r} that this role may see")


def _check_types(place: str, name: str, table: Table, target: TargetShape) -> None:
    for column in table.key:
        _of(place, "key", column, target.column(name, column), KEYS)
    for kind, columns in table.identities.items():
        for one in columns:
            if one.inside and _has_elements(target.column(name, one.column)):
                continue
            if not one.json_path:
                for column in one.columns:
                    held = target.column(name, column)
                    if is_typed(one.form) and held.family not in TYPED:
                        raise fault(
                            f"{place}.identities.{kind.value}.form",
                            f"column {column!r} is of type {held.full}, in which nobody writes as they like",
                        )
                    _of(place, f"identities.{kind.value}", column, held, IDENTITIES)
    for mention in table.mentions:
        held = target.column(name, mention.column)
        if mention.identity is not None:
            _of(place, "mentions", mention.column, held, IDENTITIES)
        if mention.array and not held.full.endswith("[]"):
            raise fault(
                f"{place}.mentions", f"column {mention.column!r} is of type {held.full}, which is no array"
            )


def _has_elements(held: Column) -> bool:
    """Whether an address may stand inside of a column that is no text."""
    return held.family is TypeFamily.OTHER and (
        held.full.endswith("[]") or held.full.lower() in {"json", "jsonb"}
    )


def _of(place: str, key: str, column: str, held: Column, families: frozenset[TypeFamily]) -> None:
    if held.family not in families:
        raise fault(f"{place}.{key}", f"column {column!r} is of type {held.full}, which cannot be one")


def _check_created(place: str, name: str, table: Table, data_map: DataMap, target: TargetShape) -> None:
    created = table.created
    if created is None:
        return
    held = target.column(name, created.column)
    here = f"{place}.created"
    if created.clock in {Clock.SECONDS, Clock.MILLISECONDS}:
        if held.family not in {TypeFamily.INTEGER, TypeFamily.NUMERIC}:
            raise fault(
                here, f"column {created.column!r} is of type {held.full}, which is no number of seconds"
            )
    elif held.family not in INSTANTS:
        raise fault(here, f"column {created.column!r} is of type {held.full}, which cannot be one")
    elif (held.family is TypeFamily.DATE) != (created.clock is Clock.DATE):
        if held.family is TypeFamily.DATE:
            raise fault(
                here,
                f"column {created.column!r} is a day without a time: a new life of the very day could not be "
                f'told apart. Write created = {{ column = "{created.column}", clock = "date" }}, and rows '
                "of the day on which the person asked stay",
            )
        raise fault(here, f"column {created.column!r} is of type {held.full}, and not a day")
    for parent in table.parents:
        key = target.held_by_key(parent.table, name, parent.columns)
        newer_would_go = key is not None and key.action == "CASCADE" and not table.identities
        if newer_would_go and data_map.tables[parent.table].erase is ErasureMethod.DELETE:
            raise fault(
                here,
                f"has no effect: ({', '.join(parent.columns)}) refers to {parent.table} ON DELETE "
                "CASCADE, so newer "
                "rows go with it as well; remove it",
            )


def _check_key(place: str, name: str, table: Table, data_map: DataMap, shape: TableShape) -> None:
    """A key must be one row's, and no row without one."""
    if not data_map.uses_key(name):
        return
    if not table.key:
        why = _needs_key(name, table, data_map, shape)
        if why:
            raise fault(
                f"{place}.key", f"is missing; {why}: name the columns that are together unique in {name}"
            )
        return
    nullable = [column for column in table.key if not shape.columns[column].not_null]
    if nullable:
        raise fault(
            f"{place}.key",
            f"column {nullable[0]!r} of {name} may be null, and such a row could be neither deleted nor read "
            f"back; name the primary key, or: ALTER TABLE {name} ALTER {nullable[0]} SET NOT NULL",
        )
    if not any(columns <= set(table.key) for columns in shape.unique):
        columns = ", ".join(repr(column) for column in table.key)
        known = [" and ".join(sorted(columns)) for columns in shape.unique]
        hint = (
            f"name its primary key: {' or '.join(known)}" if known else "it has no primary key: leave key out"
        )
        raise fault(
            f"{place}.key",
            f"{'column' if len(table.key) == 1 else 'columns'} {columns} alone "
            f"{'is' if len(table.key) == 1 else 'are'} not unique in {name}; {hint}",
        )


def _needs_key(name: str, table: Table, data_map: DataMap, shape: TableShape) -> str:
    """Why a table without a key will not do; nothing if rows are found again by where they are."""
    acted_on = bool(shape.triggers) and table.erase is ErasureMethod.ANONYMISE
    reasons = (
        (not shape.address, "its rows must be told apart, and this database gives them no address"),
        (bool(table.shared_by), "rows that are shared are pointed at by it"),
        (bool(table.marked), "rows that are marked are remembered by it"),
        (data_map.has_dependants(name), "rows of other tables hang on it"),
        (
            bool(table.mentions) and not table.only_mentions,
            "a row moves when a mention in it is emptied, and must be found again",
        ),
        (acted_on, f"{', '.join(shape.triggers)} acts on its rows, so they must be found again"),
    )
    return next((reason for applies, reason in reasons if applies), "")


def _check_changes(place: str, name: str, table: Table, shape: TableShape) -> None:
    """What the map sets must be possible to set, and must not have to be unique."""
    for column, value in table.declared.items():
        if value is None and shape.columns[column].not_null:
            raise refuses_null(place, name, table, column)
    for mention in table.mentions:
        if mention.set_to is None and not mention.array and shape.columns[mention.column].not_null:
            raise fault(
                f"{place}.mentions",
                f"column {mention.column!r} of {name} refuses null; write set = the key of a row that "
                "stands for "
                "nobody",
            )
    for column in (*table.declared, *table.marked, *(mention.column for mention in table.mentions)):
        held = shape.columns[column]
        if held.made_of is not None:
            raise fault(
                place,
                f"column {column!r} is generated, so nobody can set it; change what it is made of: "
                f"{held.made_of}",
            )
        if not held.may_update:
            raise fault(place, f"this role may not change column {column!r}; GRANT UPDATE on {name}")
    if table.erase is ErasureMethod.ANONYMISE:
        _check_still_named(place, table, shape)
    _check_unique(place, name, table, shape)


def _check_still_named(place: str, table: Table, shape: TableShape) -> None:
    """An emptied row must not name the person any more."""
    for kind, columns in table.identities.items():
        for one in columns:
            made_of = shape.columns[one.column].made_of
            follows = made_of is not None and any(
                re.search(rf"\b{re.escape(column)}\b", made_of) for column in table.declared
            )
            if one.column not in table.declared and not follows:
                raise fault(
                    f"{place}.null",
                    f"{one.column!r} holds the {kind.value} and would still name the person; add it to "
                    "null or set",
                )


def _check_unique(place: str, name: str, table: Table, shape: TableShape) -> None:
    same = [column for column, value in table.set_to.items() if not per_row(value)]
    for column in same:
        alone = any(column in columns and columns <= set(same) for columns in shape.unique)
        inside = any(re.search(rf"\b{re.escape(column)}\b", one) for one in shape.unique_expressions)
        if alone or inside:
            raise fault(
                f"{place}.set",
                f"column {column!r} must be unique in {name}; put it in null, or give each row a value of "
                "its own "
                f'with its key in it, such as {column} = "deleted-{{key}}"',
            )


def _check_pairs(place: str, name: str, table: Table, data_map: DataMap, target: TargetShape) -> None:
    """What points at a key must be of a type that compares as the key does."""
    for parent in table.parents:
        _check_pair(f"{place}.parent", name, parent.columns, parent.table, data_map, target)
    for pointer in table.pointed_at_by:
        _check_pair(f"{place}.pointed_at_by", pointer.table, pointer.columns, name, data_map, target)
    for sharer in table.shared_by:
        _check_pair(
            f"{place}.shared_by", sharer.table, sharer.columns, name, data_map, target, only_alike=True
        )
    for mention in table.mentions:
        if mention.table is not None and not mention.array:
            _check_pair(f"{place}.mentions", name, (mention.column,), mention.table, data_map, target)


# Families whose values a database compares without losing one.
_COMPARED = ({TypeFamily.INTEGER, TypeFamily.NUMERIC}, {TypeFamily.TEXT, TypeFamily.PADDED})


def _check_pair(  # noqa: PLR0917 - two ends, and where both are described
    place: str,
    pointing: str,
    columns: tuple[str, ...],
    pointed: str,
    data_map: DataMap,
    target: TargetShape,
    *,
    only_alike: bool = False,
) -> None:
    for column, key in zip(columns, data_map.tables[pointed].key, strict=True):
        ours = target.tables[pointing].columns.get(column)
        theirs = target.tables[pointed].columns.get(key)
        if ours is None or theirs is None:
            continue  # said where that table is looked at
        if ours.family is theirs.family:
            fits = ours.family is not TypeFamily.EXACT or ours.plain == theirs.plain
        else:
            # The key of a shared row is read from the column that points at it, so both are of one family.
            fits = not only_alike and (
                {ours.family, theirs.family} in _COMPARED
                or target.written_out(pointing, column, pointed, key)
            )
        if not fits:
            raise fault(place, f"{column!r} ({ours.full}) cannot point at a key of type {theirs.full}")


def _check_types_beside(place: str, name: str, table: Table, target: TargetShape) -> None:
    """A number that points at another table for each type must be followed with its type."""
    references = [
        *(("parent", name, one.table, one.columns, one) for one in table.parents),
        *(("mentions", name, one.table, (one.column,), one) for one in table.mentions if one.table),
        *(("pointed_at_by", one.table, name, one.columns, one) for one in table.pointed_at_by),
        *(("shared_by", one.table, name, one.columns, one) for one in table.shared_by),
    ]
    for key, pointing, pointed, columns, reference in references:
        beside = type_beside(columns[-1], target.tables[pointing].columns)
        if beside is None or "where" in reference.model_fields_set:
            continue  # where = {} says that every row points there
        if target.held_by_key(pointed, pointing, columns) is None:
            where = "where" if key != "shared_by" else "pointed_at_by instead, with where"
            raise fault(
                f"{place}.{key}",
                f"{pointing} has {beside!r} beside {columns[-1]!r}: rows that point at another table by the "
                f"same number would be taken for those of {pointed}. Write {where} = "
                f'{{ {beside} = "…" }}, what stands there for {pointed}; or where = {{}}, if every row '
                f"points at {pointed}",
            )


def type_beside(column: str, columns: Iterable[str]) -> str | None:
    """The column that says at which table another one points: ``subject_type`` beside ``subject_id``."""
    stem = re.sub(r"(?i)_?(id|key|uuid)$", "", column)
    wanted = {_bare_name(f"{stem}{end}") for end in ("type", "type_id", "kind")}
    if _bare_name(stem) == "object":
        wanted.add("contenttypeid")  # Django's generic foreign keys
    return next((one for one in columns if one != column and _bare_name(one) in wanted), None)


def _bare_name(name: str) -> str:
    return name.replace("_", "").lower()


_ON_DELETE = {
    "NO ACTION": "so its rows cannot be deleted while others point at them",
    "RESTRICT": "so its rows cannot be deleted while others point at them",
    "CASCADE": "and rows there would be deleted with it unseen (ON DELETE CASCADE)",
    "SET NULL": "and rows there would be cut loose from it unseen (ON DELETE SET NULL)",
    "SET DEFAULT": "and rows there would be given to another unseen (ON DELETE SET DEFAULT)",
}


def _check_reference(place: str, pointed: str, key: ForeignKey, data_map: DataMap) -> None:
    """Refuse what a deletion would do by a foreign key behind the data map's back.

    A foreign key into a table whose rows are deleted either stops the deletion, or deletes or changes rows
    elsewhere. It may stay only where the map reaches those rows by the very columns that point, or says that
    they go: then the sink deals with them, or counts them, before the row they point at goes.
    """
    table = data_map.tables[pointed]
    columns = ", ".join(key.columns)
    if table.erase is ErasureMethod.DELETE and not _reached(key, pointed, table, data_map):
        raise fault(
            f"{place}{'.shared_by' if table.shared_by else ''}",
            f"{key.shown} ({columns}) refers to {pointed}, {_ON_DELETE[key.action]}; "
            + _way_out(key, pointed, table),
        )
    changed = sorted(
        {*table.declared, *table.marked, *(mention.column for mention in table.mentions)} & set(key.keys)
    )
    if changed:
        raise fault(
            place,
            f"{key.shown} ({columns}) refers to column {changed[0]!r}, so it cannot be changed; "
            "drop that constraint, or leave the column as it is",
        )


def _check_cascades(place: str, name: str, data_map: DataMap, target: TargetShape) -> None:
    """What the target takes along by itself must be counted, so it goes on only to what is counted, too."""
    keys = {_cascade(key): key for key in target.tables[name].foreign_keys}
    for cascade in data_map.tables[name].cascades:
        key = keys.get(cascade)
        if key is None or key.action in {"NO ACTION", "RESTRICT"}:
            raise fault(
                place, f"{cascade!r} is no foreign key into this table that acts on a deletion; remove it"
            )
        unseen = _goes_on_unseen(key, name, data_map, target) if key.action == "CASCADE" else None
        if unseen is not None:
            pointing = cascade.rpartition(".")[0]
            raise fault(
                place,
                f"{cascade!r} takes rows of {pointing} along, and {unseen} refers to those, so it "
                f"would go on from there uncounted; add {pointing} to the data map with a parent, or with "
                f'a key, erase = "delete" and cascades = ["{unseen}"], or drop one of the two constraints',
            )


def _goes_on_unseen(key: ForeignKey, pointed: str, data_map: DataMap, target: TargetShape) -> str | None:
    """What points at rows that a cascade takes along, if the erasure does not deal with it; None: nothing."""
    order = data_map.erasing_order()
    if (
        key.pointing is None
        or not data_map.knows_rows(key.pointing)
        or data_map.sharers(key.pointing)
        or order.index(key.pointing) > order.index(pointed)
    ):
        return key.onward[0] if key.onward else None
    for onward in target.tables[key.pointing].foreign_keys:
        named = _cascade(onward) in data_map.tables[key.pointing].cascades and onward.action not in {
            "NO ACTION",
            "RESTRICT",
        }
        mentioned = any(
            (other, (mention.column,)) == (onward.pointing, onward.columns)
            for other, mention in data_map.mentioned_by(key.pointing)
            if not mention.where
        )
        if not named and not mentioned:
            return f"{onward.shown}.{onward.columns[0]}"
    return None


def _cascade(key: ForeignKey) -> str:
    """How ``cascades`` names a foreign key."""
    return f"{key.pointing or key.shown}.{key.columns[0]}"


def _reached(key: ForeignKey, pointed: str, table: Table, data_map: DataMap) -> bool:
    """Whether the map deals with the rows that point by these columns before the row they point at goes."""
    if (
        len(key.columns) == 1
        and key.action not in {"NO ACTION", "RESTRICT"}
        and _cascade(key) in table.cascades
    ):
        return True
    if key.pointing is None or set(key.keys) != set(table.key):
        return False
    columns = {dict(zip(key.keys, key.columns, strict=True))[one]: None for one in table.key}
    pointing = data_map.tables[key.pointing]
    by_parent = any(
        (p.table, p.columns) == (pointed, tuple(columns)) and not p.where for p in pointing.parents
    )
    by_mention = any(
        (m.table, (m.column,)) == (pointed, tuple(columns)) and not m.where for m in pointing.mentions
    )
    shared = any((s.table, s.columns) == (key.pointing, tuple(columns)) for s in table.shared_by)
    return by_parent or by_mention or shared


def _way_out(key: ForeignKey, pointed: str, table: Table) -> str:
    column = key.columns[0] if len(key.columns) == 1 else list(key.columns)
    shown = f'"{column}"' if isinstance(column, str) else "[" + ", ".join(f'"{one}"' for one in column) + "]"
    if set(key.keys) != set(table.key):
        keys = ", ".join(map(repr, table.key))
        return f"it points at other columns than the key {keys}: name those as key, or drop the constraint"
    if table.shared_by:
        return "add it"
    cascade = ""
    if key.action not in {"NO ACTION", "RESTRICT"} and len(key.columns) == 1:
        cascade = f', or accept it with cascades = ["{key.pointing or key.shown}.{column}"]'
    reference = f'{{ table = "{pointed}", column = {shown} }}'
    if key.pointing is None:
        return f"add it to the data map with parent = {reference}{cascade}, or drop the constraint"
    return (
        f"add {reference} to the parents of {key.pointing} if such a row is the person's, or to its "
        "mentions if it is "
        f"somebody else's{cascade}"
    )


def _slow(data_map: DataMap, target: TargetShape) -> Iterator[str]:
    """What is searched without an index: right, and slow."""
    for name, column, typed_address in data_map.looked_up():
        folds = typed_address and target.column(name, column).family in TYPED
        expression = f"lower({column})" if folds else column
        if bare(expression) not in {bare(one) for one in target.tables[name].indexed}:
            yield f"no index begins with {expression} on {name}; each batch reads the whole table"


def bare(expression: str) -> str:
    """An indexed expression without casts, brackets, quotes: ``lower((email)::text)`` is what is given."""
    return re.sub(r'::[a-z ]+|[()"`]', "", expression)
