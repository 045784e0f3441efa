"""What the name of a column suggests that it holds of a person: in Spanish, English and Chinese.

Pure. A name is a hint and no proof: ``name`` may be a person's or a product's. What is said of
a column by its name alone is said to be no more than that.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files


class Personal(StrEnum):
    """What a column may hold of a person. The value is what stands after "are" in a sentence.

    Of two that a name fits, the first is it.
    """

    IP = "IP addresses"
    EMAIL = "e-mail addresses"
    PHONE = "phone numbers"
    NATIONAL_ID = "personal numbers"
    PAYMENT = "numbers of accounts or cards"
    BIRTH = "dates of birth"
    GENDER = "genders"
    DEVICE = "ids of devices"
    COOKIE = "ids of cookies or visitors"
    CUSTOMER = "customer numbers"
    LOGIN = "login names"
    NAME = "names"
    ADDRESS = "parts of a postal address"
    LOCATION = "places on a map"
    SECRET = "passwords or tokens"  # noqa: S105 - what a column may hold
    TEXT = "texts that people wrote"


@dataclass(frozen=True, slots=True)
class Hint:
    """What a name suggests."""

    personal: Personal
    clear: bool  # whatever table it stands in; else only in a table that is about people


_MARKETING = re.compile(
    r"(newsletter|marketing|opt_?in|opted_in|opt_?out|consent|subscribed|allow_?(contact|mail|ads|track)"
    r"|tracking_allowed|boletin|suscri|publicidad|consentimiento|dingyue|订阅|yingxiao)"
)


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name, small and without accents: ``homePhone`` and ``home_phone`` are home, phone."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    bare = "".join(c for c in unicodedata.normalize("NFKD", split) if not unicodedata.combining(c)).lower()
    return tuple(re.findall(r"[a-z0-9]+|[^\W\da-z_]+", bare))


@lru_cache(maxsize=4096)
def hint_of(name: str) -> Hint | None:
    """What a column's name suggests that it holds, or None."""
    words = words_of(name)
    if not words:
        return None
    text = f" {' '.join(words)} "
    for personal, clear, phrase in _phrases():
        if f" {phrase} " in text and (
            text.endswith(f" {phrase} ") or words[-1] not in listed("endings", "about")
        ):
            return Hint(personal, clear)
    return None


def about_people(table: str) -> bool:
    """Whether the name of a table is one that rows of people stand in."""
    return bool(set(listed("tables", "people")) & set(words_of(table.rpartition(".")[2])))


def customer_rank(table: str) -> tuple[bool, int] | None:
    """How surely the rows of a table are customers, the least the surest; None if not even people."""
    words = words_of(table.rpartition(".")[2])
    people = listed("tables", "people")
    ranks = [people.index(word) for word in words if word in people]
    return (not set(words) & set(listed("tables", "customers")), min(ranks)) if ranks else None


def of_organisations(table: str) -> bool:
    """Whether the name of a table is one that rows of organisations stand in."""
    return bool(set(listed("tables", "organisations")) & set(words_of(table.rpartition(".")[2])))


def of_trade(table: str) -> bool:
    """Whether the name of a table is one that accounts of trade stand in, which a law may want kept."""
    return bool(set(listed("tables", "trade")) & set(words_of(table.rpartition(".")[2])))


def of_consent(column: str) -> bool:
    """Whether a column's name is that of a consent."""
    return _MARKETING.search("_".join(words_of(column))) is not None


def created_rank(column: str) -> int | None:
    """How surely a column says when its row was made, 0 the surest; None if its name does not say so."""
    name = "_".join(words_of(column))
    names = listed("instants", "created")
    return names.index(name) if name in names else None


def listed(section: str, key: str) -> tuple[str, ...]:
    """A list of ``words.toml``."""
    return _lists()[section, key]


@lru_cache(maxsize=1)
def _phrases() -> tuple[tuple[Personal, bool, str], ...]:
    """Every phrase of a column's name: what it suggests, and whether in any table."""
    return tuple(
        (personal, key == "clear", phrase)
        for personal in Personal
        for key in ("clear", "among_people")
        for phrase in _lists().get((personal.name, key), ())
    )


@lru_cache(maxsize=1)
def _lists() -> Mapping[tuple[str, str], tuple[str, ...]]:
    read = tomllib.loads((files("olvido.sinks.discovery") / "words.toml").read_text(encoding="utf-8"))
    columns = read.pop("columns")
    return {
        (section, key): tuple(" ".join(text.split()).split(", "))
        for section, lists in {**read, **columns}.items()
        for key, text in lists.items()
    }
