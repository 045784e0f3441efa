"""The people of the story: made from a seed, so that the same seed always gives the same people.

Nothing in here is drawn from anybody's data. The domains are reserved for examples (RFC 2606, RFC 6761).
"""

import random
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import phonenumbers
from faker import Faker

SEED = 7
PEOPLE = 2_000
EVERYWHERE = 400  # erasures of people that every system knows: enough work to be interrupted in
ONLY_IN_ONE = 8  # a system
NOWHERE = 20
RESIGNED = 5
PAIRS = 10  # two customers at one address, of whom one leaves
COUPLES = 3  # two customers at one address, who both leave
CONSENTING = 40
REPEATED = 25  # requests that are sent a second time
HEAVY_ROWS = 10_000

SYSTEMS = ("crm", "marketing", "analytics", "store-cn", "store-sg")
STORES = ("store-cn", "store-sg")

# Where people live: locale, dialling code, first digits, how many more digits, weight.
_COUNTRIES = (
    ("es_ES", "+34", "6", 8, 4),
    ("es_MX", "+52", "55", 8, 3),
    ("es_AR", "+54", "911", 8, 2),
    ("es_CO", "+57", "30", 8, 2),
    ("zh_CN", "+86", "138", 8, 4),
    ("en_GB", "+44", "7", 9, 3),
)
_DOMAINS = {
    "es": ("correo.example", "peña.example", "buzón.example", "example.com"),
    "zh": ("邮件.example", "例子.example", "example.org"),
    "en": ("post.example", "café.example", "example.net"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person, as they are and as they type."""

    number: int
    name: str
    locale: str
    customer_id: str
    email: str  # as typed at the first sign-up: any script, any case
    phone: str  # E.164
    device_id: str
    cookie_id: str
    street: str
    city: str
    postcode: str

    def __repr__(self) -> str:
        return f"Person({self.number})"

    @property
    def identities(self) -> Mapping[str, str]:
        """All that an upstream service can say of whom it is about."""
        return {
            "customer_id": self.customer_id,
            "email": self.email,
            "phone": self.phone,
            "device_id": self.device_id,
            "cookie_id": self.cookie_id,
        }

    @property
    def second_email(self) -> str:
        """Another address of theirs, which the store in China knows as well."""
        return f"alum{self.number:05d}@universidad.example"

    @property
    def named_by(self) -> Iterator[tuple[str, str]]:
        """All that would name them, with the kind of it."""
        yield from self.identities.items()
        yield "name", self.name
        yield "email", self.second_email

    @property
    def home_store(self) -> str:
        """The regional store they buy from."""
        return "store-cn" if self.locale.startswith("zh") else "store-sg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many people play each part. Tests use fewer."""

    people: int = PEOPLE
    everywhere: int = EVERYWHERE
    only_in_one: int = ONLY_IN_ONE
    nowhere: int = NOWHERE
    resigned: int = RESIGNED
    pairs: int = PAIRS
    couples: int = COUPLES
    consenting: int = CONSENTING
    repeated: int = REPEATED
    heavy_rows: int = HEAVY_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Who plays which part. No person plays two, but for those whose request is repeated."""

    heavy: Person  # has ten thousand rows, and leaves
    everywhere: tuple[Person, ...]  # every system knows them; they leave
    only_in: Mapping[str, tuple[Person, ...]]  # one system knows them; they leave
    nowhere: tuple[Person, ...]  # no system knows them; they ask all the same
    resigned: tuple[Person, ...]  # leave, and sign up again before the task arrives
    pairs: tuple[tuple[Person, Person], ...]  # share an address and a phone; the first leaves
    couples: tuple[tuple[Person, Person], ...]  # share an address; both leave
    consenting: tuple[Person, ...]  # change their mind about marketing and analytics
    bystanders: tuple[Person, ...]  # nothing happens to them
    repeated: frozenset[int]  # numbers of those whose request is sent twice
    heavy_rows: int
    known_in: Mapping[int, tuple[str, ...]] = field(
        repr=False
    )  # by number; who is not in it is known everywhere

    @property
    def leaving(self) -> tuple[Person, ...]:
        """Everybody who asks to be forgotten, those that no system knows among them."""
        return (
            self.heavy,
            *self.everywhere,
            *(person for people in self.only_in.values() for person in people),
            *self.nowhere,
            *self.resigned,
            *(leaver for leaver, _ in self.pairs),
            *(person for couple in self.couples for person in couple),
        )

    @property
    def staying(self) -> tuple[Person, ...]:
        """Everybody who does not."""
        return (*(stayer for _, stayer in self.pairs), *self.consenting, *self.bystanders)

    @property
    def everybody(self) -> tuple[Person, ...]:
        """All of them, by number."""
        return tuple(sorted((*self.leaving, *self.staying), key=lambda person: person.number))

    def asks_with(self, person: Person) -> Mapping[str, str]:
        """What a person gives when they ask to be forgotten, as they type it.

        Whoever signs up again gives no customer id: the old life and the new one then differ by time alone.
        Whoever is known to the store in China alone gives one of the addresses that it has of them.
        """
        if person in self.only_in["store-cn"]:
            return {"email": person.second_email if person.number % 2 else person.email}
        given = dict(person.identities)
        if person in self.resigned:
            del given["customer_id"]
        if person.number % 7 == 0:
            given["email"] = person.email.upper()
        if person.number % 5 == 0:
            given["phone"] = spaced(person.phone)
        return given

    def systems_of(self, person: Person) -> tuple[str, ...]:
        """The systems that know a person when the story begins."""
        return self.known_in.get(person.number, SYSTEMS)


def make_cast(seed: int = SEED, scale: Scale | None = None) -> Cast:
    """Make everybody, and give each a part. The same seed and scale give the same cast."""
    scale = scale or Scale()
    people = make_people(seed, scale.people)
    shuffled = list(people)
    random.Random(seed).shuffle(shuffled)
    deal = iter(shuffled)

    def take(count: int) -> tuple[Person, ...]:
        return tuple(next(deal) for _ in range(count))

    def take_two(count: int) -> tuple[tuple[Person, Person], ...]:
        return tuple((next(deal), next(deal)) for _ in range(count))

    heavy, everywhere = next(deal), take(scale.everywhere)
    only_in = {system: take(scale.only_in_one) for system in SYSTEMS}
    nowhere = take(scale.nowhere)
    cast = Cast(
        heavy=heavy,
        everywhere=everywhere,
        only_in=only_in,
        nowhere=nowhere,
        resigned=take(scale.resigned),
        pairs=tuple((leaver, _same_home(leaver, stayer)) for leaver, stayer in take_two(scale.pairs)),
        couples=tuple((one, _same_home(one, other)) for one, other in take_two(scale.couples)),
        consenting=take(scale.consenting),
        bystanders=tuple(deal),
        repeated=frozenset(person.number for person in (heavy, *everywhere[: scale.repeated - 1])),
        heavy_rows=scale.heavy_rows,
        known_in={},
    )
    return replace(cast, known_in=_known_in(cast))


def _known_in(cast: Cast) -> Mapping[int, tuple[str, ...]]:
    known: dict[int, tuple[str, ...]] = {person.number: () for person in cast.nowhere}
    for system, people in cast.only_in.items():
        known |= {person.number: (system,) for person in people}
    # Half of the bystanders are customers of one store only.
    for person in cast.bystanders[::2]:
        known[person.number] = tuple(s for s in SYSTEMS if s not in STORES or s == person.home_store)
    return known


def make_people(seed: int, count: int) -> tuple[Person, ...]:
    """Make people: Spanish, Chinese and English names, e-mails in their scripts, valid phones."""
    chance = random.Random(seed)
    fakers = {locale: _faker(locale, seed) for locale, *_ in _COUNTRIES}
    weights = [weight for *_, weight in _COUNTRIES]
    countries = chance.choices(_COUNTRIES, weights=weights, k=count)
    customer_numbers = chance.sample(range(10_000_000, 99_999_999), count)
    return tuple(
        _person(number, country, customer_numbers[number], fakers[country[0]], chance)
        for number, country in enumerate(countries)
    )


def spaced(phone: str) -> str:
    """A phone number as people write it, such as +34 612 34 56 78."""
    number = phonenumbers.parse(phone)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _faker(locale: str, seed: int) -> Faker:
    faker = Faker(locale)
    faker.seed_instance(f"{seed}/{locale}")
    return faker


def _person(
    number: int,
    country: tuple[str, str, str, int, int],
    customer_no: int,
    faker: Faker,
    chance: random.Random,
) -> Person:
    locale, code, prefix, digits, _ = country
    first, last = faker.first_name(), faker.last_name()
    return Person(
        number=number,
        name=f"{last}{first}" if locale == "zh_CN" else f"{first} {last}",
        locale=locale,
        customer_id=f"C-{customer_no}",
        email=_email(first, last, number, locale, chance),
        # The number makes it nobody else's; the rest is spread, so that it is no counter.
        phone=f"{code}{prefix}{(number * 7919 + 10 ** (digits - 1)) % 10**digits:0{digits}d}",
        device_id=f"d-{chance.getrandbits(64):016x}",
        cookie_id=f"ck.{chance.getrandbits(80):020x}",
        street=faker.street_address().replace("\n", ", "),
        city=faker.city(),
        postcode=faker.postcode(),
    )


def _email(first: str, last: str, number: int, locale: str, chance: random.Random) -> str:
    """As people type it: in their own script, sometimes with a tag, sometimes in capitals."""
    language = locale[:2]
    separator = chance.choice((".", "_", "-"))
    words = (last, first) if language == "zh" else (first, last)
    local = separator.join(word.replace(" ", "").replace("'", "") for word in words) + str(number)
    if chance.random() < 0.1:
        local += "+tienda" if language == "es" else "+shop"
    email = f"{local}@{chance.choice(_DOMAINS[language])}"
    typed = chance.random()
    if typed < 0.7:
        email = email.lower()
    elif typed < 0.75:
        email = email.upper()
    return unicodedata.normalize("NFC", email)


def _same_home(one: Person, other: Person) -> Person:
    """Somebody who lives where the other does, and answers the same phone."""
    return replace(other, phone=one.phone, street=one.street, city=one.city, postcode=one.postcode)
