"""What a data map may not say: whatever could erase somebody else, or nobody, is refused when it is read."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError

from olvido.core.errors import ConfigError, did_you_mean
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import SinkSettings
from olvido.sinks.forms import PLAIN, checked_form
from olvido.sinks.section import fault, read_part
from olvido.sinks.tables.data_map import (
    ROW_KEY,
    Clock,
    DataMap,
    ErasureMethod,
    Table,
    check_table_name,
    pointing_first,
)


def read_data_map(settings: SinkSettings, tables: object) -> DataMap:
    """Read and check ``sinks.<name>.tables``.

    Raises:
        ConfigError: naming table, key and the fix.
    """
    place = f"sinks.{settings.name}.tables"
    if not isinstance(tables, Mapping) or not tables:
        raise fault(place, "says nothing of what is erased; declare at least one table")
    read = {str(name): _read(str(name), content, place) for name, content in tables.items()}
    for name, table in read.items():
        _check_table(f"{place}.{name}", name, table, settings)
        _check_references(f"{place}.{name}", name, table, read)
        _check_taking_back(f"{place}.{name}", table, read)
    ordered = _parents_first(read, place)
    _check_reach(settings, read)
    data_map = DataMap(sink=settings.name, tables={name: read[name] for name in ordered})
    try:
        data_map.erasing_order()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise fault(f"{place}.{error.args[1][0]}.shared_by", f"goes in a circle: {circle}; cut it") from None
    return data_map


def refuses_null(place: str, name: str, table: Table, column: str) -> ConfigError:
    """The error about a column that the map empties and the target does not let be empty."""
    allow = f"ALTER TABLE {name} ALTER {column} DROP NOT NULL"
    if column in table.unlinked:
        # Nobody wrote `null` here: the key that asks for it is `unlink`.
        parents = " and ".join(dict.fromkeys(parent.table for parent in table.parents))
        return fault(
            f"{place}.unlink",
            f"column {column!r} of {name} refuses null, so its rows cannot be cut loose from {parents}: "
            f"write unlink = the key of a row that stands for nobody; or {allow}; or delete these rows as "
            "well; "
            f'or keep those in {parents}, with erase = "anonymise"',
        )
    return fault(
        f"{place}.null", f"column {column!r} of {name} refuses null; use set, or {allow}, or delete the rows"
    )


def _read(name: str, content: object, place: str) -> Table:
    try:
        check_table_name(name)
    except ValueError as error:
        raise fault(f"{place}.{name!r}", str(error)) from None
    return read_part(Table, content, place=f"{place}.{name}")


def _check_table(place: str, name: str, table: Table, settings: SinkSettings) -> None:
    """What one table says against itself."""
    if table.only_mentions and not table.mentions:
        raise fault(
            place,
            "could erase everybody: say by which identities, by which parent or by whom its rows are shared",
        )
    if not table.identities and table.parents and all(parent.table == name for parent in table.parents):
        raise fault(f"{place}.parent", f"goes in a circle: {name} → {name}; name another parent as well")
    if not table.only_mentions and "erase" not in table.model_fields_set:
        raise fault(f"{place}.erase", "is missing; give it")
    _check_identities(place, table)
    _check_created(place, table)
    _check_erase(place, table)
    _check_shared(place, table)
    _check_mentions(place, table)
    _check_marks(place, table, settings)
    _check_labels(f"{place}.columns", table)


def _check_identities(place: str, table: Table) -> None:
    for kind, columns in table.identities.items():
        for column in columns:
            try:
                checked_form(column.form, kind)
            except ValueError as error:
                raise fault(f"{place}.identities.{kind.value}.form", str(error)) from None
            if column.dial is not None and (
                kind is not IdentityKind.PHONE or column.form != PLAIN or column.json_path
            ):
                raise fault(
                    f"{place}.identities.{kind.value}.dial",
                    "is for phone numbers whose country code is in a column of its own, without form and "
                    "json",
                )
            if column.inside and (kind is not IdentityKind.EMAIL or column.form != PLAIN):
                raise fault(
                    f"{place}.identities.{kind.value}.inside",
                    "is for e-mail addresses in plain: of nothing else can be told where it ends in a text",
                )
    if table.person is not None:
        named = [c for columns in table.identities.values() for c in columns if c.column == table.person]
        if not named:
            raise fault(
                f"{place}.person",
                f"{table.person!r} is not one of identities; declare there which kind it holds",
            )
        if named[0].form != PLAIN or named[0].json_path or named[0].inside or named[0].dial:
            raise fault(f"{place}.person", "must be a column that holds the identity itself, in plain")
    if set(table.key) & set(table.identity_columns) and table.erase is ErasureMethod.ANONYMISE:
        raise fault(f"{place}.key", "also holds an identity and so cannot be anonymised; delete the rows")


def _check_created(place: str, table: Table) -> None:
    created = table.created
    if created is None:
        return
    if not table.identities and not table.parents and not table.mentions:
        raise fault(
            f"{place}.created", "is a fence for rows found by identities or by a parent; this table has none"
        )
    if created.clock in {Clock.SECONDS, Clock.MILLISECONDS} and created.zone != "UTC":
        raise fault(f"{place}.created.zone", "has no meaning with a number of seconds; remove it")


def _check_erase(place: str, table: Table) -> None:
    match table.erase:
        case ErasureMethod.DELETE:
            _refuse(place, {"set": table.set_to, "null": table.null, "unlink": table.unlinked}, "delete")
        case ErasureMethod.ANONYMISE:
            if not table.declared:
                raise fault(
                    f"{place}.erase", "anonymise changes nothing here; say which columns by set or null"
                )
            _check_anonymised(place, table)
        case ErasureMethod.RETAIN:
            _refuse(place, {"set": table.set_to, "null": table.null}, "retain")
            if not table.only_mentions and not table.ground.strip():
                raise fault(
                    f"{place}.ground", "is missing; retain needs the ground on which the rows are kept"
                )
    if table.unlinked and not table.parents:
        raise fault(f"{place}.unlink", "has no parent to unlink from; remove it")
    if table.unlink is not False and not table.parents:
        raise fault(f"{place}.unlink", "has no parent to unlink from; remove it")
    if table.cascades and table.erase is not ErasureMethod.DELETE:
        raise fault(f"{place}.cascades", f'has no effect with erase = "{table.erase}"; remove it')


def _refuse(place: str, keys: Mapping[str, object], erase: str) -> None:
    for key, value in keys.items():
        if value:
            raise fault(f"{place}.{key}", f'has no effect with erase = "{erase}"; remove it')


def _check_anonymised(place: str, table: Table) -> None:
    for column in (*table.set_to, *table.null):
        if column in table.key:
            raise fault(f"{place}.set", f"{column!r} is the key; a row cannot lose it")
        if column in table.parent_columns:
            raise fault(f"{place}.set", f"{column!r} points at the parent; write unlink = true instead")
    both = sorted(set(table.set_to) & set(table.null))
    if both:
        raise fault(f"{place}.null", f"{both[0]!r} is in set as well; choose one")


def _check_shared(place: str, table: Table) -> None:
    if not table.shared_by:
        return
    if table.identities or table.parents or table.pointed_at_by:
        raise fault(
            f"{place}.shared_by", "cannot stand beside identities or parent; a shared row is nobody's own"
        )
    if table.erase is ErasureMethod.RETAIN:
        raise fault(
            f"{place}.erase",
            'must be "delete" or "anonymise" with shared_by: it happens when nobody is left',
        )


def _check_mentions(place: str, table: Table) -> None:
    for number, mention in enumerate(table.mentions):
        here = f"{place}.mentions.{number}"
        if (mention.table is None) == (mention.identity is None):
            raise fault(here, "needs either table (the column points at its key) or identity (it holds one)")
        if mention.identity is not None:
            if mention.array:
                raise fault(f"{here}.array", "is for columns that hold the keys of a table; name the table")
            try:
                checked_form(mention.form, mention.identity)
            except ValueError as error:
                raise fault(f"{here}.form", str(error)) from None
        taken = {*table.key, *table.parent_columns, *table.identity_columns, *table.declared}
        if mention.column in taken:
            raise fault(
                f"{here}.column",
                f"{mention.column!r} is the key, points at a parent, holds an identity or is set by the "
                "erasure; "
                "a mention is a column beside those",
            )


def _check_marks(place: str, table: Table, settings: SinkSettings) -> None:
    given = {
        "restrict": table.restrict,
        "lift_restriction": table.lift_restriction,
        "consent": table.consent,
        "objection": table.objection,
        "withdraw_objection": table.withdraw_objection,
    }
    if not table.identities and not table.parents:
        for key, value in given.items():
            if value:
                raise fault(f"{place}.{key}", "needs identities or a parent to know whose rows they are")
    for key, purposes in (
        ("consent", table.consent),
        ("objection", table.objection),
        ("withdraw_objection", table.withdraw_objection),
    ):
        for purpose in purposes:
            if purpose not in settings.purposes:
                raise fault(
                    f"{place}.{key}.{purpose}",
                    f"is not one of sinks.{settings.name}.purposes{did_you_mean(purpose, settings.purposes)}",
                )
    tested = {column for condition in table.conditions for column in condition}
    taken = sorted(
        table.marked & {*table.key, *table.parent_columns, *table.identity_columns}
        or (table.marked | set(table.declared)) & (tested - set(table.declared))
    )
    if taken:
        raise fault(
            place,
            f"{taken[0]!r} is the key, points at the parent, tells rows apart or holds an identity; "
            "consents, "
            "objections and restrictions may not set it",
        )


def _check_taking_back(place: str, table: Table, tables: Mapping[str, Table]) -> None:
    """What takes back sets the columns that were set, and does so in every table or in none."""
    ways = {"lift_restriction": ("restrict", table.restrict, table.lift_restriction)}
    for purpose in {*table.objection, *table.withdraw_objection}:
        set_by, undone_by = table.objection.get(purpose, {}), table.withdraw_objection.get(purpose, {})
        ways[f"withdraw_objection.{purpose}"] = (f"objection.{purpose}", set_by, undone_by)
    for key, (what, set_by, undone_by) in ways.items():
        if undone_by and set(undone_by) != set(set_by):
            raise fault(f"{place}.{key}", f"takes back what {what} sets, so it has just the columns of that")
    lifted = any(other.lift_restriction for other in tables.values())
    if lifted and table.restrict and not table.lift_restriction:
        raise fault(f"{place}.lift_restriction", "is missing: another table has it, and rows here would stay")
    for purpose in table.objection:
        undone = any(purpose in other.withdraw_objection for other in tables.values())
        if undone and purpose not in table.withdraw_objection:
            raise fault(
                f"{place}.withdraw_objection.{purpose}",
                "is missing: another table has it, and rows here would stay",
            )


def _check_labels(place: str, table: Table) -> None:
    for column, labelled in table.columns.items():
        here = f"{place}.{column}"
        if labelled.secret and (labelled.label or labelled.origin):
            key = "label" if labelled.label else "origin"
            raise fault(f"{here}.{key}", "has no effect with secret = true, which never leaves; remove it")
        if not labelled.secret and labelled.label is None:
            raise fault(here, "does not say what it holds: give its label, or secret = true")


def _check_references(place: str, name: str, table: Table, tables: Mapping[str, Table]) -> None:
    """What one table says of another."""
    for number, reference in enumerate(table.parents):
        here = f"{place}.parent" if len(table.parents) == 1 else f"{place}.parent.{number}"
        parent = _referred(f"{here}.table", reference.table, tables)
        _check_columns(f"{here}.column", reference.columns, reference.table, parent)
        if parent.shared_by:
            raise fault(f"{here}.table", "is a shared table; rows under shared rows cannot be followed")
        if reference.climb and not table.identities:
            raise fault(f"{here}.climb", "has no effect: no identity stands in this table; remove it")
        stays = table.erase is not ErasureMethod.DELETE and not table.unlinked
        if parent.erase is ErasureMethod.DELETE and stays:
            raise fault(
                f"{place}.unlink",
                f"its rows stay while their parent in {reference.table} is deleted; write unlink = true: "
                f"{', '.join(reference.columns)} becomes null, and a row that stays no longer says whose "
                "it was",
            )
    for number, sharer in enumerate(table.shared_by):
        pointing = _referred(f"{place}.shared_by.{number}.table", sharer.table, tables)
        if pointing.shared_by or sharer.table == name:
            raise fault(f"{place}.shared_by.{number}.table", "is itself shared; only owned rows can share")
        _check_columns(f"{place}.shared_by.{number}.column", sharer.columns, name, table)
    for number, pointer in enumerate(table.pointed_at_by):
        here = f"{place}.pointed_at_by.{number}"
        if _referred(f"{here}.table", pointer.table, tables).shared_by or pointer.table == name:
            raise fault(f"{here}.table", "is shared, or this table itself; only owned rows lead to others")
        _check_columns(f"{here}.column", pointer.columns, name, table)
    for number, mention in enumerate(table.mentions):
        if mention.table is not None:
            here = f"{place}.mentions.{number}"
            pointed = _referred(f"{here}.table", mention.table, tables)
            _check_columns(f"{here}.column", (mention.column,), mention.table, pointed)


def _referred(place: str, name: str, tables: Mapping[str, Table]) -> Table:
    if name not in tables:
        raise fault(place, f"{name!r} is not one of the tables{did_you_mean(name, tables)}")
    return tables[name]


def _check_columns(place: str, columns: tuple[str, ...], name: str, pointed: Table) -> None:
    """Refuse a pointer with fewer or more columns than the key has that it points at."""
    if not pointed.key:
        raise fault(place, f"points at {name}, which has no key; name it under tables.{name}.key")
    if len(columns) != len(pointed.key):
        raise fault(
            place,
            f"is of {len(columns)} and the key of {name} of {len(pointed.key)} columns "
            f"({', '.join(pointed.key)}); name as many, in their order",
        )


def _check_reach(settings: SinkSettings, tables: Mapping[str, Table]) -> None:
    """By every kind of identity that a sink is given, somebody's own row must be found.

    A row that hangs on a parent is its parent's person's, and leads there only where the map says that it
    climbs. So a kind that stands in other such rows alone finds rows and never whose they are.
    """
    for kind in settings.identities:
        holding = [name for name, table in tables.items() if kind in table.identities]
        mentioning = any(m.identity is kind for table in tables.values() for m in table.mentions)
        if not holding and not mentioning:
            raise fault(
                f"sinks.{settings.name}.identities",
                f"no table can be searched by {kind.value}; name its column under a table's identities",
            )
        if holding and not any(_leads_to_a_person(name, tables) for name in holding):
            name = holding[0]
            root = _root(name, tables)
            raise fault(
                f"sinks.{settings.name}.tables.{name}.identities.{kind.value}",
                f"finds rows of {name} and never the person's row in {root}, which has no {kind.value}: "
                f"write climb = true in the parent of {name}, if each of its rows is about the person it "
                "hangs on; "
                f"or name a column of {root} under tables.{root}.identities; or take {kind.value} out of "
                f"sinks.{settings.name}.identities",
            )


def _leads_to_a_person(name: str, tables: Mapping[str, Table]) -> bool:
    """Whether a row that names an identity is the person's own row, or climbs to it."""
    table = tables[name]
    if not table.parents:
        return True
    return any(
        parent.climb and (parent.table == name or _leads_to_a_person(parent.table, tables))
        for parent in table.parents
    )


def _root(name: str, tables: Mapping[str, Table]) -> str:
    """The table at the top: no parent is above it."""
    above = [parent.table for parent in tables[name].parents if parent.table != name]
    return _root(above[0], tables) if above else name


def _parents_first(tables: Mapping[str, Table], place: str) -> Iterable[str]:
    pointing = [
        (name, parent.table)
        for name, table in tables.items()
        for parent in (*table.parents, *table.pointed_at_by)
        if parent.table != name
    ]
    try:
        return tuple(reversed(pointing_first(tables, pointing)))
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise fault(f"{place}.{error.args[1][0]}.parent", f"goes in a circle: {circle}; cut it") from None


def per_row(value: object) -> bool:
    """Whether a value of the map is another one for each row."""
    return isinstance(value, str) and ROW_KEY in value
