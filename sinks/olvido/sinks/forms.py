"""How a column writes an identity down: ``form = "…"`` in the data map, and the very texts to search it for.

| form | a column holds | of |
|---|---|---|
| ``plain`` | the identity as people write it, in any of its spellings; the default | every kind |
| ``e164`` | ``+34600000007`` | phone |
| ``digits`` | ``34600000007`` or ``0034600000007`` | phone |
| ``national:ES`` | ``600000007``: the number as it is dialled in that country, without blanks | phone |
| ``typed:ES`` | a number as people of that country type it, with anything between the digits | phone |
| ``sha256``, ``sha1``, ``md5`` | the digest in small hexadecimal letters | every kind |

A text that might be the number of somebody else is none of an identity's, so each form is exact: a column in
which people write numbers as they like is ``typed``, with the country of those without a code. Under
``plain`` it is searched for what was given and for E.164.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat

from olvido.core.errors import did_you_mean
from olvido.core.spellings import phone_forms
from olvido.core.subject import Identity, IdentityKind

PLAIN = "plain"
NATIONAL = "national"
TYPED = "typed"
_PHONE_FORMS = ("e164", "digits", NATIONAL, TYPED)
_OF_A_COUNTRY = frozenset({NATIONAL, TYPED})
_DIGESTS = ("sha256", "sha1", "md5")
FORMS = (PLAIN, *_PHONE_FORMS, *_DIGESTS)

_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
# With a letter it is more than a number: an extension, a name.
_TYPED = re.compile(r"[\s+()\-./0-9\u2010-\u2015]*")
_NOT_DIALLED = str.maketrans("", "", " ()-./")  # what phonenumbers writes between the digits


def checked_form(form: str, kind: IdentityKind) -> str:
    """A form that a column of this kind of identity may have.

    Raises:
        ValueError: saying what is wrong and what to write; the data map names file, line and key.
    """
    word, colon, region = form.partition(":")
    if word not in FORMS:
        raise ValueError(f"there is no such form{did_you_mean(word, FORMS)}; forms are {', '.join(FORMS)}")
    if word in _PHONE_FORMS and kind is not IdentityKind.PHONE:
        raise ValueError(f"{word} is a form of phone numbers, and this column holds {kind.value}")
    if word in _OF_A_COUNTRY and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(
            "a number without its country code is one number in each country: say which, in two capitals, "
            f'such as form = "{word}:ES"'
        )
    if colon and word not in _OF_A_COUNTRY:
        raise ValueError(f"{word} has no country: write form = {word!r}")
    return form


def stored(identity: Identity, form: str) -> tuple[str, ...]:
    """The texts by which a column of this form may hold an identity, each once; none if it cannot hold it.

    The case of an e-mail address is overlooked under ``plain``: the search has to fold it.
    """
    word, _, region = form.partition(":")
    return tuple(dict.fromkeys(_STORED[word](identity, region)))


def split(identity: Identity) -> tuple[tuple[str, str], ...]:
    """The pairs by which two columns, dialling code and number, may hold a phone number, each once.

    ``34``, ``+34`` and ``0034`` stand with ``600000007``, ``44`` with ``2079460018`` and ``02079460018``. A
    pair names one number, so a row is the person's only if both columns hold what stands in one pair.
    """
    number = _parsed(identity.normalised) if _is_number(identity) else None
    if number is None:
        return ()
    code = number.country_code or 0
    region = phonenumbers.region_code_for_country_code(code)
    texts = {phonenumbers.national_significant_number(number): None} | dict.fromkeys(
        _national(identity, region)
    )
    return tuple((dialled, text) for dialled in (f"{code}", f"+{code}", f"00{code}") for text in texts)


def _e164(identity: Identity, _region: str) -> Iterator[str]:
    if _is_number(identity):
        yield from phone_forms(identity.normalised)


def _digits(identity: Identity, region: str) -> Iterator[str]:
    for number in _e164(identity, region):
        yield number.removeprefix("+")
        yield number.replace("+", "00", 1)


def _national(identity: Identity, region: str) -> Iterator[str]:
    """The number as it is dialled in a country, with its trunk prefix and without it.

    Each text is read again as that country does, and left out unless the same number comes of it.
    """
    metadata = PhoneMetadata.metadata_for_region(region)
    trunk = (metadata and metadata.national_prefix) or ""
    texts: dict[str, None] = {}
    for form in _e164(identity, region):
        number = _parsed(form)
        if number is not None and phonenumbers.country_code_for_region(region) == number.country_code:
            significant = phonenumbers.national_significant_number(number)
            dialled = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL).translate(_NOT_DIALLED)
            texts |= dict.fromkeys((significant, trunk + significant, dialled, dialled.removeprefix(trunk)))
    yield from (text for text in texts if _read_in(region, text) == identity.normalised)


def is_typed(form: str) -> bool:
    """Whether a column of a form holds numbers as people type them, so that their digits are compared."""
    return form.partition(":")[0] == TYPED


def is_written_as(text: str, identity: Identity, form: str) -> bool:
    """Whether a text with the digits of a number is that number.

    With a plus or two noughts before them they are those of E.164; else those that are dialled in the form's
    country: ``(34) 60000-0007`` is somebody in Brazil, and not ``+34 600 000 007``.
    """
    if _TYPED.fullmatch(text) is None:
        return False
    region = form.partition(":")[2]
    digits, international = re.sub("[^0-9]", "", text), text.strip(" (").startswith(("+", "00"))
    return digits in (_international(identity) if international else _national(identity, region))


def _typed(identity: Identity, region: str) -> Iterator[str]:
    yield from _international(identity)
    yield from _national(identity, region)


def _international(identity: Identity) -> Iterator[str]:
    """The digits of E.164, with ``00`` before them, and with the nought that people put in brackets."""
    yield from _digits(identity, "")
    number = _parsed(identity.normalised) if _is_number(identity) else None
    code = number.country_code if number is not None else None
    if number is None or code is None:
        return
    region = phonenumbers.region_code_for_country_code(code)
    metadata = PhoneMetadata.metadata_for_region(region)
    trunk = (metadata and metadata.national_prefix) or ""
    bracketed = f"{code}{trunk}{phonenumbers.national_significant_number(number)}"
    # Read again, and left out unless the same number comes of it.
    if trunk and _read_in(region, f"+{bracketed}") == identity.normalised:
        yield bracketed
        yield f"00{bracketed}"


def _digest(name: str) -> Callable[[Identity, str], Iterator[str]]:
    """A digest of each text that systems compute one of.

    Of an address, it is that of its small letters: so do Gravatar, Mailchimp and advertisers. Of a number, it
    is that of E.164, with the plus (Google) or without it (Meta).
    """

    def digests(identity: Identity, region: str) -> Iterator[str]:
        for text in (*identity.spellings, *_digits(identity, region)):
            yield _hexdigest(name, text.lower() if identity.kind is IdentityKind.EMAIL else text)

    return digests


def _hexdigest(name: str, text: str) -> str:
    # It hides nothing: the target computed it, and this finds it again. A text that no system can hold, with
    # half a surrogate in it, has a digest that none has.
    return hashlib.new(name, text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def _plain(identity: Identity, _region: str) -> Iterator[str]:
    yield from identity.spellings


_STORED: Mapping[str, Callable[[Identity, str], Iterator[str]]] = {
    PLAIN: _plain,
    "e164": _e164,
    "digits": _digits,
    NATIONAL: _national,
    TYPED: _typed,
    **{name: _digest(name) for name in _DIGESTS},
}


def _is_number(identity: Identity) -> bool:
    return identity.kind is IdentityKind.PHONE and _E164.fullmatch(identity.normalised) is not None


def _parsed(text: str, region: str | None = None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException:
        return None


def _read_in(region: str, text: str) -> str | None:
    """The normalised number that a text is in a country."""
    number = _parsed(text, region)
    if number is None:
        return None
    return phone_forms(phonenumbers.format_number(number, PhoneNumberFormat.E164))[0]
