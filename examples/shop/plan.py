"""Who has which rows in which system: planned as plain values, before anything is written.

Every row knows whose it is. So what must be left of it at the end can be told without asking Olvido.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import idna

from shop.people import SEED, Cast, Person

BEGAN_AT = datetime(2023, 3, 1, 8, tzinfo=UTC)  # when the shop opened: long before any request
_PAGES = ("/", "/ofertas", "/zapatos", "/carrito", "/帮助", "/returns")
_PRODUCTS = ("zapatos", "abrigo", "茶壶", "teapot", "灯笼", "mochila")
_CATEGORIES = ("envío", "devolución", "发票", "payment")

# How the extra rows of the person who has ten thousand are spread; events take what is left.
_HEAVY = {"tickets": 600, "enquiries": 500, "orders": 300, "sessions": 600}

Value = str | int | bool | datetime | None


class Fate(StrEnum):
    """What is left of a row when all whose it is have left."""

    GONE = "gone"
    ANONYMISED = "anonymised"  # still there, and nobody's
    KEPT = "kept"  # the same byte for byte, on a legal ground


# Written down once more, apart from olvido.toml: the demo must not believe what it checks.
FATES: Mapping[str, Mapping[str, Fate]] = {
    "crm": {
        "addresses": Fate.GONE,
        "customers": Fate.GONE,
        "contacts": Fate.GONE,
        "enquiries": Fate.GONE,
        "tickets": Fate.ANONYMISED,
    },
    "marketing": {"contacts": Fate.GONE},
    "analytics": {"visitors": Fate.GONE, "events": Fate.GONE},
    "store-cn": {
        "products": Fate.KEPT,
        "accounts": Fate.ANONYMISED,
        "emails": Fate.GONE,
        "addresses": Fate.GONE,
        "wishes": Fate.GONE,
        "messages": Fate.GONE,
        "orders": Fate.KEPT,
        "sessions": Fate.GONE,
    },
    "store-sg": {"accounts": Fate.GONE, "orders": Fate.GONE, "sessions": Fate.GONE},
}


@dataclass(slots=True)
class Table:
    """The rows of one table, in columns' order, and whose each is. The first columns are the key."""

    columns: tuple[str, ...]
    keys: int = 1  # how many columns the key has
    rows: list[tuple[Value, ...]] = field(default_factory=list)
    owners: dict[str, tuple[int, ...]] = field(default_factory=dict)  # people's numbers by key
    named: dict[str, int] = field(default_factory=dict)  # who is named in somebody else's row, by its key

    def put(self, owners: Sequence[int], *values: Value) -> None:
        """Add a row with a key of its own."""
        self.rows.append(values)
        self.owners["/".join(map(str, values[: self.keys]))] = tuple(owners)

    def add(self, owners: Sequence[int], *values: Value) -> int:
        """Add a row with the next key, and return the key."""
        key = len(self.rows) + 1
        self.put(owners, key, *values)
        return key


@dataclass(frozen=True, slots=True)
class Plan:
    """All rows, by system and table. Parents come before children."""

    tables: Mapping[str, Mapping[str, Table]]

    @property
    def rows(self) -> int:
        """How many rows there are over all systems."""
        return sum(len(table.rows) for tables in self.tables.values() for table in tables.values())

    def rows_of(self, person: Person) -> int:
        """How many rows a person has, alone or with others."""
        return sum(
            person.number in owners
            for tables in self.tables.values()
            for table in tables.values()
            for owners in table.owners.values()
        )


def plan_rows(cast: Cast, seed: int = SEED) -> Plan:
    """Plan everybody's rows. The same cast and seed give the same rows."""
    planner = _Planner(cast, random.Random(seed))
    for person in cast.everybody:
        planner.plant(person)
    planner.plant_messages()
    planner.plant_heavy(cast.heavy, cast.heavy_rows)
    return Plan(planner.tables)


class _Planner:
    def __init__(self, cast: Cast, chance: random.Random) -> None:
        self._cast, self._chance = cast, chance
        self._homes: dict[int, int] = {}  # the address that somebody they live with has, by number
        self._own: dict[tuple[str, int], int] = {}  # the customer, visitor or account of a person
        self._mates = {
            one.number: other.number
            for pair in (*cast.pairs, *cast.couples)
            for one, other in (pair, pair[::-1])
        }
        self.tables: dict[str, dict[str, Table]] = {
            "crm": {
                "addresses": Table(("id", "line", "city", "postcode", "country")),
                "customers": Table(
                    ("id", "customer_no", "name", "email", "phone", "locale", "address_id", "created_at")
                ),
                "contacts": Table(("id", "customer_id", "relation", "name")),
                "enquiries": Table(("id", "customer_id", "from_email", "body", "received_at")),
                "tickets": Table(("id", "customer_id", "category", "author_name", "body", "opened_at")),
            },
            "marketing": {"contacts": Table(("id", "email", "email_key", "name", "list", "created_at"))},
            "analytics": {
                "visitors": Table(("visitor_id", "customer_id", "device_id", "cookie_id", "first_seen_at")),
                "events": Table(("event_id", "visitor_id", "name", "page", "happened_at")),
            },
            "store-cn": _store_cn_tables(),
            "store-sg": _store_tables(accounts=("id", "customer_id", "email", "phone", "name", "created_at")),
        }
        for title in _PRODUCTS:
            self.tables["store-cn"]["products"].add([], title)

    def plant(self, person: Person) -> None:
        for system in self._cast.systems_of(person):
            match system:
                case "crm":
                    self._crm(person)
                case "marketing":
                    self._marketing(person)
                case "analytics":
                    self._analytics(person)
                case "store-cn":
                    self._store_cn(person)
                case _:
                    self._store(
                        system, person,
                        (person.customer_id, person.email, person.phone, person.name, self._sometime()),
                    )  # fmt: skip

    def plant_heavy(self, person: Person, rows: int) -> None:
        """Give one person so many rows in all."""
        for _ in range(_HEAVY["tickets"]):
            self._ticket(person)
        for _ in range(_HEAVY["enquiries"]):
            self._enquiry(person)
        for store in ("store-cn", "store-sg"):
            for _ in range(_HEAVY["orders"] // 2):
                self._order(store, person)
            for _ in range(_HEAVY["sessions"] // 2):
                self._session(store, person)
        for _ in range(rows - Plan(self.tables).rows_of(person)):
            self._event(person)

    def _crm(self, person: Person) -> None:
        tables = self.tables["crm"]
        customer = tables["customers"].add(
            [person.number], person.customer_id, person.name, person.email, person.phone, person.locale,
            self._address(person), self._sometime(),
        )  # fmt: skip
        self._own["crm", person.number] = customer
        tables["contacts"].add([person.number], customer, "partner", f"{person.name} (casa)")
        if self._chance.random() < 0.5:
            self._ticket(person)
        if self._chance.random() < 0.5:
            self._enquiry(person)

    def _address(self, person: Person) -> int:
        addresses = self.tables["crm"]["addresses"]
        mate = self._mates.get(person.number)
        if mate in self._homes:
            address = self._homes[mate]
            addresses.owners[str(address)] += (person.number,)
        else:
            country = person.locale[-2:]
            address = addresses.add([person.number], person.street, person.city, person.postcode, country)
        self._homes[person.number] = address
        return address

    def _ticket(self, person: Person) -> None:
        customer = self._own["crm", person.number]
        body = f"Soy {person.name}, llámenme al {person.phone}."
        category = self._chance.choice(_CATEGORIES)
        self.tables["crm"]["tickets"].add(
            [person.number], customer, category, person.name, body, self._sometime()
        )

    def _enquiry(self, person: Person) -> None:
        # One in three was written without signing in: it is theirs by its e-mail alone.
        customer = self._own["crm", person.number] if self._chance.random() < 2 / 3 else None
        body = f"{person.name} <{person.email}>: ¿cuándo llega mi pedido? 什么时候到货？"
        self.tables["crm"]["enquiries"].add([person.number], customer, person.email, body, self._sometime())

    def _marketing(self, person: Person) -> None:
        for name in ("newsletter", "ofertas")[: 1 + (self._chance.random() < 0.3)]:
            self.tables["marketing"]["contacts"].add(
                [person.number], person.email, email_key(person.email), person.name, name, self._sometime()
            )

    def _analytics(self, person: Person) -> None:
        """Most visitors are known by all three of their ids; some signed in on one device only."""
        known = person.customer_id if self._chance.random() < 0.8 else None
        self._own["analytics", person.number] = self.tables["analytics"]["visitors"].add(
            [person.number], known, person.device_id, person.cookie_id, self._sometime()
        )
        for _ in range(3):
            self._event(person)

    def _event(self, person: Person) -> None:
        visitor = self._own["analytics", person.number]
        page = self._chance.choice(_PAGES)
        self.tables["analytics"]["events"].add([person.number], visitor, "view", page, self._sometime())

    def plant_messages(self) -> None:
        """Everybody who leaves writes to somebody who stays, and is written to.

        Never to each other: whether a row is emptied before it goes would depend on who asks first.
        """
        staying = [person for person in self._cast.staying if self._knows("store-cn", person)]
        for person in self._cast.leaving:
            if self._knows("store-cn", person):
                other = self._chance.choice(staying)
                self._message(person, other, f"{other.name}, ¿sigue a la venta? 还在吗？")
                self._message(other, person, f"Sí, {person.name}. 在的。")
        for person, other in itertools.pairwise(staying):
            self._message(person, other, "Gracias. 谢谢。")

    def _knows(self, system: str, person: Person) -> bool:
        return system in self._cast.systems_of(person)

    def _message(self, sender: Person, recipient: Person, body: str) -> None:
        store, messages = "store-cn", self.tables["store-cn"]["messages"]
        key = messages.add(
            [sender.number], self._own[store, sender.number], self._own[store, recipient.number], body,
            self._sometime(),
        )  # fmt: skip
        messages.named[str(key)] = recipient.number

    def _store_cn(self, person: Person) -> None:
        tables = self.tables["store-cn"]
        self._store("store-cn", person, (person.customer_id, person.phone, person.name, self._sometime()))
        account = self._own["store-cn", person.number]
        tables["emails"].put([person.number], person.email, account, 1)
        tables["emails"].put([person.number], person.second_email, account, 0)
        for label in ("家", "trabajo")[: self._chance.randint(1, 2)]:
            tables["addresses"].add(
                [person.number], account, label, person.street, person.city, person.postcode
            )
        for product in sorted(self._chance.sample(range(1, len(_PRODUCTS) + 1), 2)):
            tables["wishes"].put([person.number], account, product)

    def _store(self, store: str, person: Person, account: tuple[Value, ...]) -> None:
        self._own[store, person.number] = self.tables[store]["accounts"].add([person.number], *account)
        for _ in range(self._chance.randint(1, 2)):
            self._order(store, person)
        self._session(store, person)

    def _order(self, store: str, person: Person) -> None:
        orders = self.tables[store]["orders"]
        number = f"{store[-2:].upper()}-{len(orders.rows) + 1:07d}"
        cents, currency = self._chance.randint(500, 90_000), "CNY" if store == "store-cn" else "SGD"
        orders.add(
            [person.number], self._own[store, person.number], number, cents, currency, self._sometime()
        )

    def _session(self, store: str, person: Person) -> None:
        account = self._own[store, person.number]
        self.tables[store]["sessions"].add([person.number], account, "Firefox", self._sometime())

    def _sometime(self) -> datetime:
        return BEGAN_AT + timedelta(seconds=self._chance.randrange(60_000_000))  # within 695 days


def email_key(email: str) -> str:
    """How the marketing service compares e-mails (examples/shop/marketing.py)."""
    local, _, domain = email.strip().lower().rpartition("@")
    return f"{local}@{idna.encode(domain, uts46=True).decode()}"


def _store_cn_tables() -> dict[str, Table]:
    return {
        "products": Table(("id", "title")),
        **_store_tables(accounts=("id", "customer_id", "phone", "name", "created_at")),
        "emails": Table(("address", "account_id", "is_main")),
        "addresses": Table(("id", "account_id", "label", "line", "city", "postcode")),
        "wishes": Table(("account_id", "product_id"), keys=2),
        "messages": Table(("id", "sender_id", "recipient_id", "body", "sent_at")),
    }


def _store_tables(*, accounts: tuple[str, ...]) -> dict[str, Table]:
    return {
        "accounts": Table(accounts),
        "orders": Table(("id", "account_id", "number", "total_cents", "currency", "placed_at")),
        "sessions": Table(("id", "account_id", "browser", "began_at")),
    }
