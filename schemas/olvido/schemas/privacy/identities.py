"""One written rule for each kind of identity, so that the same person always gets the same handle.

E-mail: trimmed, NFC, lower case, IDN domain (UTS 46) without a final dot; dots and ``+tag`` are kept,
because only the mail provider knows what they mean. Phone: E.164, in Mexico without the old mobile 1, in
Argentina with the mobile 9. Ids: trimmed, NFC, case kept.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import idna
import phonenumbers

from olvido.core.errors import InvalidInput
from olvido.core.spellings import phone_forms
from olvido.core.subject import Identity, IdentityKind

LENGTH_MAX = 320  # RFC 3696 erratum 1690: 64 of local part, @, 255 of domain

# Addresses whose written form is their lower case, as nearly all are: each label of the domain is of letters,
# digits and single hyphens inside. To ask UTS 46 about one took ten times as long.
_LABEL = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_PLAIN_EMAIL = re.compile(rf"[!-?A-~]+@{_LABEL}(?:\.{_LABEL})+", re.IGNORECASE | re.ASCII)
_LABEL_MAX, _DOMAIN_MAX = 63, 253  # RFC 1035

# A plus and digits of any script, between blanks, hyphens, dots and brackets; a digit is the last.
# phonenumbers takes more: it turns letters into the digits of a keypad, cuts extensions off, and makes one
# number of those on both sides of a stroke. Each of these would name somebody else.
_PHONE = re.compile(r"(?:tel:)?\s*[+＋][\d\s().（）．\-‐‑‒–—―−－]*\d", re.IGNORECASE)


def normalise(kind: IdentityKind, value: str) -> Identity:
    """Bring one identity into its written form, keeping the value as given beside it.

    Raises:
        InvalidInput: naming the kind and what is expected, never the value.
    """
    text = unicodedata.normalize("NFC", value.strip())
    if not text:
        raise InvalidInput(kind.value, "is empty")
    if len(text) > LENGTH_MAX:
        raise InvalidInput(kind.value, f"is longer than {LENGTH_MAX} characters")
    plain = text.isascii() and text.isprintable()
    if not plain and any(unicodedata.category(character)[0] == "C" for character in text):
        raise InvalidInput(kind.value, "holds a control, format or unassigned character")
    match kind:
        case IdentityKind.EMAIL:
            normalised = _email(text)
        case IdentityKind.PHONE:
            normalised = _phone(text)
        case _:
            normalised = _opaque(text, kind)
    return Identity(kind=kind, value=text, normalised=normalised)


def identities_from(given: Mapping[str, str], order: Sequence[IdentityKind]) -> tuple[Identity, ...]:
    """Normalise what a caller gave, in the deployment's order of kinds; the first names the subject.

    Raises:
        InvalidInput: nothing was given, a kind is unknown, or a value breaks its rule.
    """
    if not isinstance(given, Mapping):
        raise InvalidInput("identities", 'is not a mapping such as {"email": …}')
    if not set(given) <= {kind.value for kind in order}:
        # What stands where a kind should be may be the address itself: it is not shown.
        raise InvalidInput("identities", f"holds a kind that is none of {', '.join(order)}")
    for kind, value in given.items():
        if not isinstance(value, str):
            raise InvalidInput(kind, "is not a string")
    if not given:
        raise InvalidInput("identities", "at least one is needed, such as email or customer_id")
    return tuple(normalise(kind, given[kind.value]) for kind in order if kind.value in given)


def _email(text: str) -> str:
    if _PLAIN_EMAIL.fullmatch(text):
        domain = text.rpartition("@")[2]
        if len(domain) <= _DOMAIN_MAX and max(map(len, domain.split("."))) <= _LABEL_MAX:
            return text.lower()
    return _email_by_uts46(text)


def _email_by_uts46(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or any(character.isspace() for character in text):
        raise InvalidInput("email", "is not of the form local@domain")
    try:
        ascii_domain = idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise InvalidInput("email", "has a domain that is no internationalised domain name") from None
    # The final dot names the root, and so the same domain.
    return f"{unicodedata.normalize('NFC', local.lower())}@{ascii_domain.lower().removesuffix('.')}"


def _phone(text: str) -> str:
    if not _PHONE.fullmatch(text):
        what = "is not an international number, such as +34 600 000 000, without letters and extensions"
        raise InvalidInput("phone", what)
    try:
        # phonenumbers does not know the old Mexican form, so it judges the normalised form.
        normalised = phone_forms(_e164(phonenumbers.parse(text, None)))[0]
        number = phonenumbers.parse(normalised, None)
    except phonenumbers.NumberParseException:
        raise InvalidInput("phone", "is not an international number, such as +34 600 000 000") from None
    # Of several trunk prefixes phonenumbers takes one away: read again, what is left is another number.
    if not phonenumbers.is_possible_number(number) or _e164(number) != normalised:
        raise InvalidInput("phone", "has an impossible number of digits for its country")
    return normalised


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _opaque(text: str, kind: IdentityKind) -> str:
    if any(character.isspace() for character in text):
        raise InvalidInput(kind.value, "holds white space")
    if not any(character.isalnum() for character in text):
        raise InvalidInput(kind.value, "holds neither a letter nor a digit")
    return text
