"""How columns write an identity down: the very texts, and none that is somebody else's."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sinks.shop import settings

from olvido.core.errors import InvalidInput
from olvido.core.subject import Identity, IdentityKind
from olvido.schemas.privacy.identities import normalise
from olvido.sinks.forms import FORMS, checked_form, is_written_as, split, stored
from olvido.sinks.tables.data_map import IdentityColumn
from olvido.sinks.tables.engine import same
from olvido.sinks.tables.map_rules import read_data_map
from olvido.sinks.tables.shape import Column, TypeFamily
from olvido.sinks.tables.statements import overlooks_case

EMAIL, PHONE, CUSTOMER = IdentityKind.EMAIL, IdentityKind.PHONE, IdentityKind.CUSTOMER_ID
ZOE = "zo\u00eb@b\u00fccher.example"
ZOE_ASCII = "zo\u00eb@xn--bcher-kva.example"


def sha256(text: str) -> str:
    """As ``encode(sha256(convert_to(text, 'UTF8')), 'hex')`` of PostgreSQL."""
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("number", "form", "expected"),
    [
        ("+34 600 000 007", "plain", ("+34600000007", "+34 600 000 007")),
        ("+34 600 000 007", "e164", ("+34600000007",)),
        ("+34 600 000 007", "digits", ("34600000007", "0034600000007")),
        ("+34 600 000 007", "national:ES", ("600000007",)),
        ("+34 600 000 007", "national:GB", ()),  # a number of another country is in no such column
        ("+44 20 7946 0018", "national:GB", ("2079460018", "02079460018")),
        ("+44 1481 723 456", "national:GB", ("1481723456", "01481723456")),  # Guernsey shares 44 with Britain
        ("+1 212 555 1000", "national:US", ("2125551000", "12125551000")),
        ("+1 604 555 1000", "national:US", ("6045551000", "16045551000")),  # Canada shares 1
        ("+7 912 345-67-89", "national:RU", ("9123456789", "89123456789")),
        ("+36 1 234 5678", "national:HU", ("12345678", "0612345678")),
        ("+39 06 123 4567", "national:IT", ("061234567",)),  # the 0 is the number's own
        ("+65 6123 4567", "national:SG", ("61234567",)),
        ("+86 138 0013 8000", "national:CN", ("13800138000", "013800138000")),
        ("+52 55 1234 5678", "e164", ("+525512345678", "+5215512345678")),
        (
            "+52 55 1234 5678",
            "digits",
            ("525512345678", "00525512345678", "5215512345678", "005215512345678"),
        ),
        ("+52 1 55 1234 5678", "national:MX", ("5512345678", "15512345678")),
        ("+54 9 11 2345 6789", "e164", ("+5491123456789", "+541123456789")),
        (
            "+54 9 11 2345 6789",
            "national:AR",
            ("91123456789", "091123456789", "0111523456789", "111523456789", "1123456789", "01123456789"),
        ),
        ("+800 1234 5678", "digits", ("80012345678", "0080012345678")),
    ],
)  # fmt: skip
def test_how_a_column_holds_a_number(number: str, form: str, expected: tuple[str, ...]) -> None:
    assert stored(normalise(PHONE, number), form) == expected


@pytest.mark.parametrize(
    ("number", "codes", "texts"),
    [
        ("+34 600 000 007", ("34", "+34", "0034"), ("600000007",)),
        ("+44 20 7946 0018", ("44", "+44", "0044"), ("2079460018", "02079460018")),
        ("+52 1 55 1234 5678", ("52", "+52", "0052"), ("5512345678", "15512345678")),
        ("+1 604 555 1000", ("1", "+1", "001"), ("6045551000", "16045551000")),
        ("+800 1234 5678", ("800", "+800", "00800"), ("12345678",)),  # of no country
    ],
)
def test_how_two_columns_hold_a_number(number: str, codes: tuple[str, ...], texts: tuple[str, ...]) -> None:
    assert split(normalise(PHONE, number)) == tuple((code, text) for code in codes for text in texts)


@pytest.mark.parametrize(
    "identity",
    [
        normalise(EMAIL, "ana@example.es"),
        normalise(CUSTOMER, "34600000007"),
        Identity(kind=PHONE, value="x", normalised="x"),
    ],
)
def test_what_is_no_number_is_in_no_column_of_numbers(identity: Identity) -> None:
    found = [stored(identity, form) for form in ("e164", "digits", "national:ES")]
    assert (found, split(identity)) == ([(), (), ()], ())


def test_the_digests_of_an_address_are_those_that_systems_compute() -> None:
    ximena = normalise(EMAIL, "Ximena.Rios@Correo.example")
    assert stored(ximena, "sha256") == ("dba828c13de05e7ae1f87a26c48bfe9a1befa83b530427fa600a723efb091d3d",)
    # The example of Gravatar's documentation of its older digest, and of the newer one.
    gravatar = normalise(EMAIL, " MyEmailAddress@example.com ")
    assert stored(gravatar, "md5") == ("0bc83cb571cd1c50ba6f3e8a78ef1346",)
    assert stored(gravatar, "sha256") == (sha256("myemailaddress@example.com"),)
    assert stored(gravatar, "sha1") == (hashlib.sha1(b"myemailaddress@example.com").hexdigest(),)


@pytest.mark.parametrize("given_value", [ZOE, ZOE.upper(), ZOE_ASCII])
def test_a_digest_may_be_of_any_form_of_an_address(given_value: str) -> None:
    found = stored(normalise(EMAIL, given_value), "sha256")
    assert {sha256(ZOE), sha256(ZOE_ASCII)} <= set(found)


def test_a_digest_of_a_number_is_with_the_plus_or_without_it() -> None:
    found = stored(normalise(PHONE, "+34600000007"), "sha256")
    assert {sha256("+34600000007"), sha256("34600000007")} <= set(found)


def test_a_digest_of_an_id_keeps_its_case() -> None:
    assert stored(normalise(CUSTOMER, "C-1"), "sha256") == (sha256("C-1"),)


@pytest.mark.parametrize(
    ("held", "kind", "given_value", "form", "expected"),
    [
        ("Ana@Example.ES", EMAIL, "ana@example.es", "plain", True),
        ("ZO\u00cb@B\u00dcCHER.example", EMAIL, ZOE_ASCII, "plain", True),
        ("ana+shop@example.es", EMAIL, "ana@example.es", "plain", False),
        ("ana@example.es ", EMAIL, "ana@example.es", "plain", False),
        ("c-1", CUSTOMER, "C-1", "plain", False),
        ("+34600000007", PHONE, "+34 600 000 007", "plain", True),
        ("600000007", PHONE, "+34 600 000 007", "plain", False),
        ("600000007", PHONE, "+34 600 000 007", "national:ES", True),
        ("600000007", PHONE, "+49 600 000 007", "national:ES", False),
        ("34600000007", PHONE, "+34 600 000 007", "digits", True),
        ("034600000007", PHONE, "+34 600 000 007", "digits", False),
        ("+34600000007", PHONE, "+34 600 000 007", "digits", False),
        (sha256("ana@example.es"), EMAIL, "Ana@Example.es", "sha256", True),
        (sha256("ana@example.es").upper(), EMAIL, "ana@example.es", "sha256", False),
        ("ana@example.es", EMAIL, "ana@example.es", "sha256", False),
    ],
)
def test_what_was_found_is_compared_once_more(
    held: str, kind: IdentityKind, given_value: str, form: str, expected: bool
) -> None:
    column = Column(family=TypeFamily.TEXT, plain="text", full="text")
    fold = overlooks_case(kind, IdentityColumn(column="c", form=form), column)
    texts = stored(normalise(kind, given_value), form)
    assert any(same(held, text, column, fold=fold) for text in texts) is expected


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("plain", EMAIL),
        ("plain", CUSTOMER),
        ("sha256", EMAIL),
        ("sha1", PHONE),
        ("md5", IdentityKind.DEVICE_ID),
        ("e164", PHONE),
        ("digits", PHONE),
        ("national:ES", PHONE),
        ("national:GB", PHONE),
    ],
)
def test_a_form_that_a_column_may_have(form: str, kind: IdentityKind) -> None:
    assert checked_form(form, kind) == form


@pytest.mark.parametrize(
    ("form", "kind", "what"),
    [
        ("e164", EMAIL, "e164 is a form of phone numbers, and this column holds email"),
        ("national:ES", CUSTOMER, "national is a form of phone numbers"),
        ("national", PHONE, 'form = "national:ES"'),
        ("national:", PHONE, 'form = "national:ES"'),
        ("national:XX", PHONE, 'form = "national:ES"'),
        ("national:es", PHONE, "two capitals"),
        ("e164:ES", PHONE, "e164 has no country"),
        ("sha265", EMAIL, "did you mean 'sha256'"),
        ("", EMAIL, "forms are plain, e164"),
        ("bcrypt", EMAIL, "there is no such form"),
    ],
)
def test_a_form_that_no_column_can_have_is_refused_with_the_fix(
    form: str, kind: IdentityKind, what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        checked_form(form, kind)


NUMBERS = st.builds(
    lambda country, digits: f"+{country}{digits}",
    st.sampled_from(["52", "521", "54", "549", "1", "34", "39", "44", "49", "55", "7", "86", "36", "370"]),
    st.text("0123456789", min_size=6, max_size=11),
)
PHONE_FORMS = (
    "plain",
    "e164",
    "digits",
    "sha256",
    *(f"national:{c}" for c in ("MX", "AR", "US", "GB", "RU", "DE")),
)


@given(st.lists(NUMBERS, min_size=2, max_size=2), st.sampled_from(PHONE_FORMS))
def test_no_text_is_of_two_numbers(numbers: list[str], form: str) -> None:
    one, other = _numbers(numbers)
    assert not set(stored(one, form)) & set(stored(other, form))
    assert not set(split(one)) & set(split(other))


@given(NUMBERS, st.sampled_from(["0", "1", "8", "9", "06", "15", "52", "54"]), st.sampled_from(PHONE_FORMS))
def test_no_text_is_of_a_number_that_a_prefix_more_makes(number: str, prefix: str, form: str) -> None:
    """What a trunk prefix or a mobile mark might be taken for."""
    one, other = _numbers([number, number[:3] + prefix + number[3:]])
    assert not set(stored(one, form)) & set(stored(other, form))
    assert not set(split(one)) & set(split(other))


@pytest.mark.parametrize(
    ("text", "number", "country", "hers"),
    [
        ("+34 600-000-007", "+34600000007", "ES", True),
        ("0034 (600) 000.007", "+34600000007", "ES", True),
        ("600 00 00 07", "+34600000007", "ES", True),
        ("600 00 00 07", "+34600000007", "MX", False),  # a number of another country
        ("34 600 000 007", "+34600000007", "ES", False),  # without the plus it may be (34) 60000-0007
        ("600000007 ext 1", "+34600000007", "ES", False),
        ("+44 (0)20 7946 0018", "+442079460018", "ES", True),
        ("(020) 7946 0018", "+442079460018", "GB", True),
        ("", "+34600000007", "ES", False),
    ],
)
def test_a_number_that_is_typed_is_hers_if_it_can_be_nobody_elses(
    text: str, number: str, country: str, hers: bool
) -> None:
    identity = normalise(PHONE, number)
    assert is_written_as(text, identity, f"typed:{country}") is hers
    assert not hers or re.sub("[^0-9]", "", text) in stored(identity, f"typed:{country}")


@given(
    st.lists(NUMBERS, min_size=2, max_size=2),
    st.sampled_from(["ES", "MX", "AR", "US", "GB", "RU", "DE", "HU"]),
    st.sampled_from(["{}", "+{}", "00{}", "+ ({}"]),
)
def test_no_typed_text_is_of_two_numbers(numbers: list[str], country: str, around: str) -> None:
    one, other = _numbers(numbers)
    for text in (*stored(one, f"typed:{country}"), *stored(other, f"typed:{country}")):
        written = around.format(text)
        assert not (
            is_written_as(written, one, f"typed:{country}")
            and is_written_as(written, other, f"typed:{country}")
        )


def _numbers(given_values: list[str]) -> tuple[Identity, Identity]:
    """Two numbers, in E.164 as given."""
    try:
        one, other = (normalise(PHONE, value) for value in given_values)
    except InvalidInput:
        assume(False)
    assume(one.normalised != other.normalised)
    return one, other


@given(st.sampled_from(IdentityKind), st.text(), st.text() | st.text("+0123456789"), st.sampled_from(FORMS))
def test_any_identity_has_texts(kind: IdentityKind, value: str, normalised: str, word: str) -> None:
    """A box may be of any version of a producer: nothing in it may raise."""
    identity = Identity(kind=kind, value=value, normalised=normalised)
    form = f"{word}:ES" if word in {"national", "typed"} else word
    assert all(isinstance(text, str) for text in stored(identity, form))
    assert all(text.isdecimal() for _, text in split(identity))


PAGE = (Path(__file__).parents[2] / "docs" / "sinks" / "forms.md").read_text(encoding="utf-8")


def test_the_page_of_forms_has_all_of_them() -> None:
    table = re.search(r"^\| form .*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert table is not None
    first_cells = [line.split("|")[1] for line in table[0].splitlines()[2:] if line]
    assert [word.split(":")[0] for cell in first_cells for word in re.findall(r"`(.*?)`", cell)] == list(
        FORMS
    )


def test_the_example_of_the_page_is_a_data_map() -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    tables = tomllib.loads(example[1])["sinks"]["crm"]["tables"]
    [customers] = read_data_map(settings({}), tables).tables.values()
    columns = {
        kind.value: [(c.column, c.form) for c in found] for kind, found in customers.identities.items()
    }
    assert columns == {
        "customer_id": [("customer_no", "plain")],
        "email": [("email", "plain"), ("email_md5", "md5")],
        "phone": [("mobile", "national:ES")],
    }
