"""What the values of a column are, judged by a sample: e-mail addresses, phone numbers, personal numbers.

Pure: a sample goes in, and a share comes out; no value does. Random digits pass for phone numbers and for
numbers with one check digit often enough (a third of all runs of nine digits is a Spanish phone number), so
a column's name, or how its values are written, counts as well.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import phonenumbers
import stdnum.ar.cuit
import stdnum.br.cpf
import stdnum.cl.rut
import stdnum.cn.ric
import stdnum.cn.uscc
import stdnum.es.dni
import stdnum.es.nie
import stdnum.iban
import stdnum.it.codicefiscale
import stdnum.luhn
import stdnum.mx.curp
import stdnum.mx.rfc

from olvido.sinks.discovery.column_names import Personal

SHARE_BY_FORM = 0.8  # of the samples: e-mail addresses, phone numbers, IP addresses
SHARE_BY_CHECKSUM = 0.9  # of the samples: what has check digits
SAMPLES_MIN = 5  # fewer values say nothing against chance: one in ten passes a check digit
REGIONS = (
    "ES",
    "CN",
    "SG",
    "MX",
    "CO",
    "AR",
    "CL",
    "PE",
    "US",
)  # whose national numbers are known without a +

_EMAIL = re.compile(r"[^\s@<>\"'(),;:\[\]{}|\\]{1,64}@[^\s@<>\"'(),;:\[\]{}|\\/]{1,250}\.[^\W\d_][\w-]{1,62}")
_PHONE = re.compile(r"(?:\+|00)?[\d ().\-/]{6,24}\d")
# Three groups at least, as long as people write them. Dates, decimals and numbers of orders have none such.
_GROUPED = re.compile(r"\(?\d{2,4}\)?(?:[ .\-/]\d{2,4}){2,5}")
_DATE = re.compile(r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})(?:\b.*)?")
_DIGESTS = {64: "sha256", 40: "sha1", 32: "md5"}  # by how many letters they have
_NRIC_WEIGHTS = (2, 7, 6, 5, 4, 3, 2)
_NRIC_LETTERS = {
    "S": (0, "JZIHGFEDCBA"), "T": (4, "JZIHGFEDCBA"),
    "F": (0, "XWUTRQPNMLK"), "G": (4, "XWUTRQPNMLK"),
    "M": (3, "XWUTRQPNJLK"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form that values may have."""

    what: str  # in the plural, such as "e-mail addresses"
    personal: Personal
    accepts: Callable[[str], bool]
    share: float
    unmistakable: Callable[[str], bool] | None = None  # how it is written where no name hints at it


@dataclass(frozen=True, slots=True, kw_only=True)
class FormSeen:
    """What most values of a column are."""

    form: Form
    passed: int
    of: int


def recognise(values: Sequence[str], hinted: Personal | None) -> FormSeen | None:
    """What the values of a column are, if that can be told.

    Args:
        values: some values of one column.
        hinted: what the column's name suggests.
    """
    texts = [text for text in map(str.strip, values) if text]
    for form in FORMS:
        hints = hinted is form.personal
        if len(set(texts)) < (1 if hints else SAMPLES_MIN):
            continue
        if form.unmistakable is not None and not hints and not _enough(texts, form.unmistakable, form.share):
            continue
        passed = _passing(texts, form.accepts, form.share)
        if passed is not None:
            return FormSeen(form=form, passed=passed, of=len(texts))
    return None


def national_regions(values: Sequence[str]) -> list[str]:
    """The regions in which most values are numbers as they are dialled there, in digits alone."""
    texts = [text for text in map(str.strip, values) if text]
    if not _enough(texts, str.isdecimal, SHARE_BY_FORM):
        return []
    return [
        region for region in REGIONS if _enough(texts, partial(_valid_phone, region=region), SHARE_BY_FORM)
    ]


def digest_of(values: Sequence[str]) -> str:
    """The digest that all values are written like, in hexadecimal letters; empty if none."""
    lengths = {len(text) if re.fullmatch(r"[0-9a-f]+", text) else 0 for text in values}
    return _DIGESTS.get(lengths.pop(), "") if len(lengths) == 1 else ""


def naming(values: Sequence[str]) -> int:
    """How many values have an e-mail address somewhere inside."""
    return sum(_EMAIL.search(text) is not None for text in values)


def _enough(texts: Sequence[str], accepts: Callable[[str], bool], share: float) -> bool:
    return _passing(texts, accepts, share) is not None


def _passing(texts: Sequence[str], accepts: Callable[[str], bool], share: float) -> int | None:
    """How many are accepted; None as soon as it is certain that they are too few."""
    allowed = len(texts) - share * len(texts)  # failures
    failed = 0
    for text in texts:
        if not accepts(text):
            failed += 1
            if failed > allowed:
                return None
    return len(texts) - failed


# --- forms ---------------------------------------------------------------------------------------


def is_email(text: str) -> bool:
    """Whether a text is one e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Whether a text is a number that a phone may have: with its country, or in one of ``REGIONS``."""
    if not _PHONE.fullmatch(text) or _DATE.fullmatch(text) or _is_ip(text):
        return False
    if not 7 <= sum(character.isdigit() for character in text) <= 15:
        return False
    if text.startswith(("+", "00")):
        return _valid_phone("+" + text.removeprefix("00").removeprefix("+"), None)
    return any(_valid_phone(text, region) for region in REGIONS)


def is_nric(text: str) -> bool:
    """Whether a text is an NRIC or FIN of Singapore: a letter, seven digits, a check letter."""
    match = re.fullmatch(r"([STFGM])(\d{7})([A-Z])", text.upper())
    if match is None:
        return False
    offset, letters = _NRIC_LETTERS[match[1]]
    total = offset + sum(weight * int(digit) for weight, digit in zip(_NRIC_WEIGHTS, match[2], strict=True))
    return letters[total % 11] == match[3]


def is_card(text: str) -> bool:
    """Whether a text is the number of a payment card: ISO/IEC 7812 with its check digit."""
    digits = re.sub(r"[ -]", "", text)
    return re.fullmatch(r"[3-6]\d{13,18}", digits) is not None and _guarded(stdnum.luhn.is_valid)(digits)


def _written_as_phone(text: str) -> bool:
    return text.startswith("+") or (_GROUPED.fullmatch(text) is not None and not _DATE.fullmatch(text))


def _valid_phone(text: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "." in text or ":" in text  # a bare number would be one, too


def _guarded(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """A check of python-stdnum's, which raises on some input instead of refusing it."""

    def guarded(text: str) -> bool:
        try:
            return bool(check(text))
        except Exception:  # noqa: BLE001 - anything: what it cannot read is not of that form
            return False

    return guarded


def _by_checksum(what: str, check: Callable[[str], bool], personal: Personal = Personal.NATIONAL_ID) -> Form:
    return Form(what=what, personal=personal, accepts=_guarded(check), share=SHARE_BY_CHECKSUM)


# The first that fits is it: what is narrower comes first.
FORMS = (
    Form(what="e-mail addresses", personal=Personal.EMAIL, accepts=is_email, share=SHARE_BY_FORM),
    Form(what="IP addresses", personal=Personal.IP, accepts=_is_ip, share=SHARE_BY_FORM),
    _by_checksum("resident ids of China", stdnum.cn.ric.is_valid),
    _by_checksum("social credit codes of China (of a sole trader: personal)", stdnum.cn.uscc.is_valid),
    _by_checksum("NRIC or FIN of Singapore", is_nric),
    _by_checksum(
        "DNI or NIE of Spain",
        lambda text: stdnum.es.dni.is_valid(text) or stdnum.es.nie.is_valid(text),
    ),
    _by_checksum("CURP of Mexico", stdnum.mx.curp.is_valid),
    _by_checksum("RFC of Mexico", stdnum.mx.rfc.is_valid),
    _by_checksum("codici fiscali of Italy", stdnum.it.codicefiscale.is_valid),
    _by_checksum("IBAN", stdnum.iban.is_valid, Personal.PAYMENT),
    _by_checksum("card numbers", is_card, Personal.PAYMENT),
    _by_checksum("CPF of Brazil", stdnum.br.cpf.is_valid),
    _by_checksum("CUIT of Argentina", stdnum.ar.cuit.is_valid),
    _by_checksum("RUT of Chile", stdnum.cl.rut.is_valid),
    Form(
        what="phone numbers",
        personal=Personal.PHONE,
        accepts=is_phone,
        share=SHARE_BY_FORM,
        unmistakable=_written_as_phone,
    ),
)  # fmt: skip
