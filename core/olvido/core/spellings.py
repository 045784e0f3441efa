"""The forms in which systems write one identity: a search by one form misses the rows that hold another.

Every form here names the same person for certain. What may name somebody else is no form of an identity.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, combinations
from unicodedata import normalize

LABEL_MAX = 63  # characters of one label of a domain: RFC 1035
CAPITALS_MAX = 3  # letters beyond ASCII in one part of an address, of which each is tried in both cases

# A mobile mark stands between the country code and ten digits. People write it or leave it out, and no number
# differs from another by it alone. Mexico gave its 1 up in 2019; Argentina's 9 is part of a mobile's E.164.
# The ten digits of an Argentine subscriber begin with 1, 2 or 3: 600 and 800 numbers have no mark.
_MOBILE_MARKS = (
    (re.compile(r"(\+52)1?([0-9]{10})"), ("", "1")),
    (re.compile(r"(\+54)9?([1-3][0-9]{9})"), ("9", "")),
)
_MARKING = ("+52", "+54")


def phone_forms(number: str) -> tuple[str, ...]:
    """The forms of a number in E.164: the normalised one first, then the one with the other mobile mark."""
    for pattern, marks in _MOBILE_MARKS if number.startswith(_MARKING) else ():
        if match := pattern.fullmatch(number):
            country, digits = match.groups()
            return tuple(f"{country}{mark}{digits}" for mark in marks)
    return (number,)


def email_forms(address: str) -> tuple[str, ...]:
    """The forms of an address: its domain in ASCII or in Unicode letters, all composed or decomposed.

    Targets overlook the case of an address, and some, such as SQLite, that of its ASCII letters alone: so the
    letters beyond ASCII are there in both cases.
    """
    if address.isascii() and "xn--" not in address:  # nearly always
        return (address,)
    local, _, domain = address.rpartition("@")
    unicode_domain = ".".join(_unicode_label(label) for label in domain.split("."))
    locals_ = _once((*composed(local), *_with_capitals(local)))
    domains = _once((domain, *composed(unicode_domain), *_with_capitals(unicode_domain)))
    return _once(f"{a}@{b}" for b in domains for a in locals_)


def composed(text: str) -> tuple[str, ...]:
    """A text as it is, and its letters composed (NFC) and decomposed (NFD), each form once."""
    return (text,) if text.isascii() else _once((text, normalize("NFC", text), normalize("NFD", text)))


def _unicode_label(label: str) -> str:
    """A label of a domain in Unicode letters, or as it is where it is no ``xn--`` label or no valid one."""
    if not label.startswith("xn--") or len(label) > LABEL_MAX:
        return label
    encoded = label.removeprefix("xn--")
    try:
        decoded = encoded.encode("ascii").decode("punycode")
        same = decoded.encode("punycode").decode("ascii") == encoded
    except UnicodeError:
        return label
    # A label that IDNA allows decodes to small, composed letters; others might name somebody else's domain.
    allowed = same and not decoded.isascii() and decoded.isprintable()
    allowed = allowed and normalize("NFC", decoded).lower() == decoded
    return decoded if allowed else label


def _with_capitals(text: str) -> Iterator[str]:
    """A text in small letters with capitals for each choice of its letters beyond ASCII.

    Where these are many, the choices are the first of them and all.
    """
    places = tuple(n for n, letter in enumerate(text) if not letter.isascii() and len(letter.upper()) == 1)
    sizes = range(1, len(places) + 1) if len(places) <= CAPITALS_MAX else ()
    for chosen in (*chain.from_iterable(combinations(places, size) for size in sizes), places[:1], places):
        capitals = "".join(letter.upper() if n in chosen else letter for n, letter in enumerate(text))
        if capitals.lower() == text:  # else it is another text: a dotless i, a final sigma
            yield capitals


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
