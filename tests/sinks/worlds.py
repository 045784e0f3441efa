"""Random schemas with their foreign keys, data maps of them, contents, and what is asked of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from sinks.shop import ASKED_AT

Row = dict[str, Any]
Table = dict[str, Any]
Person = Mapping[str, str]  # who asks: by kind, an identity

OWN = ("t0", "t1", "t2", "t3")
SHARED, POINTED, MENTIONING, OUTSIDE, BEYOND = "shared", "cards", "notes", "outside", "beyond"
GHOST = 0  # the key of a row that stands for nobody
NOBODY_THERE = 99  # a key that no row has
ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
CHECKED = ("", "", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED")
PEOPLE = (None, "A", "A", "B", "B", "C")
ADDRESSES = (None, "a@x.org", "A@X.org", "b@x.org", "us@x.org", "US@x.org")
KINDS = (None, "k1", "k2")
# What the column of an instant holds of a day before, the very instant, and a day after.
CLOCKS: Mapping[str, tuple[str, Any, tuple[Any, ...]]] = {
    "timestamp": (
        "timestamptz",
        "made",
        tuple((ASKED_AT + timedelta(days=n)).isoformat() for n in (-1, 0, 1)),
    ),
    "epoch_s": (
        "bigint",
        {"column": "made", "clock": "epoch_s"},
        tuple(int((ASKED_AT + timedelta(days=n)).timestamp()) for n in (-1, 0, 1)),
    ),
    "date": (
        "date",
        {"column": "made", "clock": "date"},
        tuple((ASKED_AT + timedelta(days=n)).date().isoformat() for n in (-1, 0, 1)),
    ),
}


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of the target, in the data map or not."""

    table: str
    columns: tuple[str, ...]
    pointed: str
    action: str
    checked: str = ""


@dataclass
class World:
    """A target, its data map, what the tables hold, and what is asked."""

    tables: dict[str, Table] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)  # by table: each column's type
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    batches: Sequence[Sequence[Person]] = ()  # one, or two that two members take at once
    # By table and columns: the tables whose keys may stand there.
    pointing: dict[tuple[str, tuple[str, ...]], list[str]] = field(default_factory=dict)

    def held(self, table: str, columns: tuple[str, ...], pointed: str) -> bool:
        """Whether a foreign key sees to it that such a row is there."""
        return any((k.table, k.columns, k.pointed) == (table, columns, pointed) for k in self.foreign_keys)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """One world."""
    return a_world(lambda least, most: draw(st.integers(least, most)))


def a_world(number: Callable[[int, int], int]) -> World:
    """One world, by whatever chooses numbers between two others."""
    return _Making(number).world()


class _Making:
    """A world that is being made."""

    def __init__(self, number: Callable[[int, int], int]) -> None:
        self._number = number
        self._made = World()

    def world(self) -> World:
        made = self._made
        for place, name in enumerate(OWN[: self._number(1, len(OWN))]):
            self._own(name, OWN[:place])
        own = list(made.tables)
        if self._maybe(4):
            self._mentioning()
        if self._maybe(4):
            self._shared(own)
        if self._maybe(4):
            self._pointed(own)
        for name in list(made.tables):
            often = 10 if name == MENTIONING else 5 if made.keys[name] else 1  # without a key it is refused
            if name not in {SHARED, POINTED} and self._maybe(often):
                self._mention(name)
        if MENTIONING in made.tables and "mentions" not in made.tables[MENTIONING]:
            made.tables[MENTIONING]["mentions"] = [{"identity": "customer_id", "column": "who"}]
        self._unmapped(own)
        self._mail_leads_to_a_person()
        for name in made.columns:
            self._fill(name)
        made.batches = self._batches()
        return made

    # --- chance ------------------------------------------------------------------------------

    def _maybe(self, of_ten: int) -> bool:
        return self._number(1, 10) > 10 - of_ten

    def _one(self, choices: Sequence[Any]) -> Any:
        return choices[self._number(0, len(choices) - 1)]

    # --- tables ------------------------------------------------------------------------------

    def _table(self, name: str, key: tuple[str, ...]) -> dict[str, str]:
        self._made.keys[name] = key
        self._made.columns[name] = {**dict.fromkeys(key, "int"), "kind": "text", "note": "text"}
        return self._made.columns[name]

    def _own(self, name: str, before: Sequence[str]) -> None:
        made = self._made
        key = ("id",) if name == "t0" else self._one([("id",), ("id",), ("id",), ("a", "b"), ()])
        columns = self._table(name, key)
        table: Table = {"erase": self._one(["delete", "delete", "delete", "anonymise", "retain"])}
        if key:
            table["key"] = list(key)
        made.tables[name] = table
        keyed = [one for one in before if made.keys[one]]
        if keyed and self._maybe(8):
            self._parents(name, table, keyed)
        if "parent" not in table or self._maybe(4):
            self._identities(name, table, columns)
        if (table.get("identities") or table.get("parent")) and self._maybe(4):
            columns["made"], table["created"], _ = CLOCKS[self._one(list(CLOCKS))]
        self._erasing(name, table, columns)

    def _identities(self, name: str, table: Table, columns: dict[str, str]) -> None:
        identities: dict[str, Any] = {}
        if name == "t0" or self._maybe(6):
            identities["customer_id"] = "who"
            columns["who"] = self._one(["text", "text", "varchar(20)", "char(8)"])
        if not identities or self._maybe(6):
            identities["email"] = ["mail", "mail2"] if self._maybe(2) else "mail"
            columns["mail"] = "text"
            if isinstance(identities["email"], list):
                columns["mail2"] = "text"
        table["identities"] = identities
        if "customer_id" in identities and self._maybe(5):
            table["person"] = "who"
        climbing = [one for one in table.get("parent", ()) if one["table"] != name]
        if climbing and self._maybe(5):
            self._one(climbing)["climb"] = True

    def _parents(self, name: str, table: Table, keyed: Sequence[str]) -> None:
        made = self._made
        single = [one for one in keyed if made.keys[one] == ("id",)]
        if len(single) > 1 and self._maybe(1):  # type and id
            one, other = single[-1], single[-2]
            made.columns[name]["p0"] = "int"
            table["parent"] = [
                {"table": one, "column": "p0", "where": {"kind": "k1"}},
                {"table": other, "column": "p0", "where": {"kind": "k2"}},
            ]
            made.pointing[name, ("p0",)] = [one, other]
            return
        parents = [self._one(keyed)]
        if self._maybe(3):
            parents.append(self._one(keyed))
        if made.keys[name] == ("id",) and self._maybe(2):
            parents.append(name)
        table["parent"] = []
        for number, parent in enumerate(parents):
            columns = tuple(f"p{number}{'' if key == 'id' else key}" for key in made.keys[parent])
            self._points(name, columns, parent, of_ten=6)
            reference: Table = {"table": parent, "column": columns[0] if len(columns) == 1 else list(columns)}
            if self._maybe(1):
                reference["where"] = {"kind": self._one(["k1", ["k1", "k2"]])}
            table["parent"].append(reference)

    def _points(self, name: str, columns: tuple[str, ...], pointed: str, *, of_ten: int) -> None:
        """Columns that point at a table, perhaps with a foreign key."""
        made = self._made
        made.columns[name].update(dict.fromkeys(columns, "int"))
        made.pointing[name, columns] = [pointed]
        if self._maybe(of_ten):
            self._key(name, columns, pointed)

    def _key(self, name: str, columns: tuple[str, ...], pointed: str) -> None:
        action = self._one(ACTIONS)
        if action == "SET DEFAULT" and len(columns) == 1:
            self._made.columns[name][columns[0]] += f" DEFAULT {GHOST}"
        self._made.foreign_keys.append(ForeignKey(name, columns, pointed, action, self._one(CHECKED)))

    def _erasing(self, name: str, table: Table, columns: dict[str, str]) -> None:
        if table["erase"] == "anonymise":
            table["null"] = [one for one in ("who", "mail", "mail2") if one in columns]
            if not table["null"] or self._maybe(5):
                keyed = self._made.keys[name] and self._maybe(5)
                table["set"] = {"note": "gone-{key}" if keyed else "gone"}
        if table["erase"] == "retain":
            table["ground"] = "law"
        above = [one["table"] for one in table.get("parent", ())]
        goes = any(self._made.tables[one]["erase"] == "delete" for one in above)
        if above and table["erase"] != "delete" and (goes or self._maybe(3)):
            single = all(self._made.keys[one] == ("id",) for one in above)
            table["unlink"] = GHOST if single and self._maybe(2) else True

    def _mentioning(self) -> None:
        """A table whose rows are nobody's."""
        columns = self._table(MENTIONING, self._one([("id",), ("a", "b")]))
        columns["who"] = "text"
        self._made.tables[MENTIONING] = {"key": list(self._made.keys[MENTIONING])}

    def _mention(self, name: str) -> None:
        made = self._made
        table, columns = made.tables[name], made.columns[name]
        single = [one for one in made.tables if made.keys[one] == ("id",) and one not in {SHARED, MENTIONING}]
        way = self._one(["identity", "key", "key", "array"])
        mention: Table
        if way == "identity":
            kind = self._one(["customer_id", "email"])
            mention = {"identity": kind, "column": "named"}
            columns["named"] = "text"
        elif way == "key":
            mention = {"table": self._one(single), "column": "by"}
            self._points(name, ("by",), mention["table"], of_ten=5)
        else:
            mention = {"table": self._one(single), "column": "all_of", "array": True}
            columns["all_of"] = "int[]"
            made.pointing[name, ("all_of",)] = [mention["table"]]
        if way != "array" and self._maybe(3):
            mention["set"] = GHOST if way == "key" else "nobody"
        if self._maybe(2):
            mention["where"] = {"kind": "k2"}
        table["mentions"] = [mention]

    def _shared(self, own: Sequence[str]) -> None:
        made = self._made
        self._table(SHARED, ("id",))
        table: Table = {"key": "id", "erase": self._one(["delete", "delete", "anonymise"]), "shared_by": []}
        if table["erase"] == "anonymise":
            table["set"] = {"note": "nobody's"}
        made.tables[SHARED] = table
        for name in own:
            if made.keys[name] and (self._maybe(6) or not table["shared_by"]):
                self._points(name, ("place",), SHARED, of_ten=6)
                table["shared_by"].append({"table": name, "column": "place"})
                if made.tables[name]["erase"] == "anonymise" and self._maybe(5):
                    made.tables[name]["null"].append("place")

    def _pointed(self, own: Sequence[str]) -> None:
        made = self._made
        columns = self._table(POINTED, ("id",))
        table: Table = {
            "key": "id",
            "erase": self._one(["delete", "delete", "anonymise", "retain"]),
            "pointed_at_by": [],
        }
        if self._maybe(3):
            table["identities"] = {"email": "mail"}
            columns["mail"] = "text"
        made.tables[POINTED] = table
        self._erasing(POINTED, table, columns)
        for name in own:
            if made.keys[name] and (self._maybe(4) or not table["pointed_at_by"]):
                self._points(name, ("card",), POINTED, of_ten=1 if table["erase"] == "delete" else 6)
                pointer: Table = {"table": name, "column": "card"}
                if self._maybe(2):
                    pointer["where"] = {"kind": "k1"}
                table["pointed_at_by"].append(pointer)

    def _unmapped(self, own: Sequence[str]) -> None:
        """Foreign keys beside the map: of a column that it does not name, of tables outside it."""
        made = self._made
        named = {one: made.tables[one].setdefault("cascades", []) for one in own}
        single = [one for one in own if made.keys[one] == ("id",)]
        if self._maybe(2):
            pointed = self._one(single)
            self._table(OUTSIDE, ("id",))
            self._points(OUTSIDE, ("of",), pointed, of_ten=10)
            if made.foreign_keys[-1].action not in ACTIONS[:2] and self._maybe(9):
                named[pointed].append(f"{OUTSIDE}.of")
            if self._maybe(5):
                self._table(BEYOND, ("id",))
                self._points(BEYOND, ("of",), OUTSIDE, of_ten=10)
                if self._maybe(1):
                    named[pointed].append(f"{BEYOND}.of")
        if self._maybe(1):
            name, pointed = self._one(own), self._one(single)
            self._points(name, ("beside",), pointed, of_ten=10)
            if made.foreign_keys[-1].action not in ACTIONS[:2] and self._maybe(9):
                named[pointed].append(f"{name}.beside")
        for one in own:
            if not named[one] or made.tables[one]["erase"] != "delete":
                del made.tables[one]["cascades"]

    def _mail_leads_to_a_person(self) -> None:
        """A kind of identity that leads to nobody is refused when the map is read: it is left out here."""
        tables = self._made.tables
        reached: set[str] = set()
        for name, table in tables.items():
            climbs = {one["table"] for one in table.get("parent", ()) if one.get("climb")}
            if "parent" not in table or climbs & reached:
                reached.add(name)
        if any("email" in tables[name].get("identities", ()) for name in reached):
            return
        for table in tables.values():
            identities = table.get("identities", {})
            identities.pop("email", None)
            if not identities and table.pop("identities", None) is not None:
                for parent in table.get("parent", ()):
                    parent.pop("climb", None)

    # --- contents ----------------------------------------------------------------------------

    def _fill(self, name: str) -> None:
        made = self._made
        key = made.keys[name]
        rows: list[Row] = []
        if key == ("id",):
            rows.append({**dict.fromkeys(made.columns[name]), "id": GHOST})
        made.rows[name] = rows
        instants = (None,)
        for type_, _, values in CLOCKS.values():
            if made.columns[name].get("made") == type_:
                instants = (None, *values)
        for number in range(1, self._number(1, 4) + 1):
            row: Row = dict.fromkeys(made.columns[name])
            row.update({"kind": self._one(KINDS), "note": "n"})
            if key:
                row.update({"id": number} if key == ("id",) else {"a": number // 2, "b": number % 2})
            for column, values in (("who", PEOPLE), ("mail", ADDRESSES), ("made", instants)):
                if column in row:
                    row[column] = self._one(values)
            if "mail2" in row:
                row["mail2"] = self._one(ADDRESSES)
            if "named" in row:
                row["named"] = self._one((*PEOPLE, *ADDRESSES))
            if made.columns[name].get("who", "").startswith("char") and row["who"]:
                row["who"] = row["who"].ljust(8)
            rows.append(row)

    def _batches(self) -> Sequence[Sequence[Person]]:
        self._point()
        tasks = [self._task() for _ in range(self._number(1, 3))]
        if len(tasks) > 1 and self._maybe(3):
            return (tasks[:1], tasks[1:])
        return (tasks,)

    def _task(self) -> Person:
        way = self._number(0, 3)
        person: dict[str, str] = {}
        if way != 1:
            person["customer_id"] = self._one(["A", "B"])
        if way in {1, 2}:
            person["email"] = self._one(["a@x.org", "b@x.org", "us@x.org"])
        return person

    def _point(self) -> None:
        made = self._made
        for (name, columns), pointed in made.pointing.items():
            held = [k.pointed for k in made.foreign_keys if (k.table, k.columns) == (name, columns)]
            for row in made.rows[name]:
                if row.get("id", None) == GHOST:
                    continue
                among = self._one(held or pointed)
                there = [tuple(one[c] for c in made.keys[among]) for one in made.rows[among]]
                if columns[0].startswith("p") and isinstance(made.tables[name].get("unlink", False), bool):
                    there = [key for key in there if key != (GHOST,)]  # nobody put a row there
                choices = [None, *there, *([] if held else [(NOBODY_THERE,) * len(columns)])]
                if columns == ("all_of",):
                    row["all_of"] = [self._one(choices[1:])[0] for _ in range(self._number(0, 3))]
                    continue
                to = self._one(choices)
                row.update(dict.fromkeys(columns) if to is None else zip(columns, to, strict=True))


def ddl(world: World) -> str:
    """The target, made anew: one statement after another in one text."""
    parts = ["DROP SCHEMA IF EXISTS world CASCADE", "CREATE SCHEMA world"]
    for name, columns in world.columns.items():
        held = [f"{column} {kind}" for column, kind in columns.items()]
        if world.keys[name]:
            held.append(f"PRIMARY KEY ({', '.join(world.keys[name])})")
        parts.append(f"CREATE TABLE world.{name} ({', '.join(held)})")
        if world.rows[name]:
            rows = (f"({', '.join(map(_literal, row.values()))})" for row in world.rows[name])
            parts.append(f"INSERT INTO world.{name} ({', '.join(columns)}) VALUES {', '.join(rows)}")
    for key in world.foreign_keys:
        parts.append(
            f"ALTER TABLE world.{key.table} ADD FOREIGN KEY ({', '.join(key.columns)}) REFERENCES "
            f"world.{key.pointed} ON DELETE {key.action} {key.checked}"
        )
    return "; ".join(parts)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "'{" + ",".join(map(str, value)) + "}'"
    return str(value) if isinstance(value, int) else f"'{value}'"
