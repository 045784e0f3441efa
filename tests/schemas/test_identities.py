"""One written rule for each kind: the same person always gets the same form, and what has none is refused."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.errors import InvalidInput
from olvido.core.subject import IdentityKind
from olvido.schemas.privacy.identities import identities_from, normalise

ORDER = tuple(IdentityKind)
EMAIL, PHONE, CUSTOMER = IdentityKind.EMAIL, IdentityKind.PHONE, IdentityKind.CUSTOMER_ID


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ("ana@example.es", "ana@example.es"),
        ("  Ana@Example.ES\t", "ana@example.es"),
        (unicodedata.normalize("NFD", "josé@example.es"), unicodedata.normalize("NFC", "josé@example.es")),
        ("ana.maria@gmail.com", "ana.maria@gmail.com"),  # dots stay: only the provider knows what they mean
        ("ana+shop@gmail.com", "ana+shop@gmail.com"),
        ("ana@españa.es", "ana@xn--espaa-rta.es"),
        ("ana@XN--ESPAA-RTA.es", "ana@xn--espaa-rta.es"),
        ("ana@例え.jp", "ana@xn--r8jz45g.jp"),
        ("STRASSE@straße.de", "strasse@xn--strae-oqa.de"),
        ("straße@example.de", "straße@example.de"),  # of the local part nothing is folded but case
        ("İ@example.com.tr", "i̇@example.com.tr"),  # its lower case has two characters
        ("ana@ｅｘａｍｐｌｅ.es", "ana@example.es"),  # full width, in the domain (UTS 46)
        ('"a@b"@example.es', '"a@b"@example.es'),
    ],
)
def test_an_e_mail_address_has_one_form(given_value: str, expected: str) -> None:
    assert normalise(EMAIL, given_value).normalised == expected


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ("+34 600 000 000", "+34600000000"),
        ("+34-600-000-000", "+34600000000"),
        ("+34600000000", "+34600000000"),
        ("＋３４ ６００ ０００ ０００", "+34600000000"),  # full width
        ("+86 138 0013 8000", "+8613800138000"),
        ("+65 6123 4567", "+6561234567"),
    ],
)
def test_a_phone_number_has_one_form(given_value: str, expected: str) -> None:
    assert normalise(PHONE, given_value).normalised == expected


@pytest.mark.parametrize(
    ("given_value", "expected"), [(" C-1042 ", "C-1042"), ("c-1042", "c-1042"), ("王-1", "王-1")]
)
def test_an_id_keeps_its_case(given_value: str, expected: str) -> None:
    assert normalise(CUSTOMER, given_value).normalised == expected


@given(st.emails())
def test_normalising_twice_is_normalising_once(address: str) -> None:
    once = normalise(EMAIL, address).normalised
    assert normalise(EMAIL, once).normalised == once


@given(st.emails())
def test_case_and_composition_make_no_difference(address: str) -> None:
    other = unicodedata.normalize("NFD", address.upper()).lower()
    assert normalise(EMAIL, other).normalised == normalise(EMAIL, address).normalised


@pytest.mark.parametrize("kind", ORDER)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param(" ", id="blank"),
        pytest.param("%", id="percent"),
        pytest.param("*", id="star"),
        pytest.param("canary\0", id="NUL"),
        pytest.param("canary\u202e1", id="RTL mark"),
        pytest.param("canary\u200b1", id="zero width"),
        pytest.param("canary\ud800", id="half a surrogate"),
        pytest.param("canary" * 2000, id="10 kB"),
        pytest.param("canary canary", id="white space"),
    ],
)
def test_what_names_nobody_is_refused_by_field_and_not_shown(kind: IdentityKind, value: str) -> None:
    """B34: ``%`` or ``*`` might name everybody."""
    with pytest.raises(InvalidInput) as told:
        normalise(kind, value)
    assert told.value.field == kind.value
    assert "canary" not in str(told.value)


@pytest.mark.parametrize(
    "value",
    ["canary", "canary@", "@canary.es", "canary@-.es", "canary@" + "a" * 64 + ".es", "canary@exa mple.es"],
)
def test_an_address_that_is_none_is_refused_by_field_and_not_shown(value: str) -> None:
    """B35"""
    with pytest.raises(InvalidInput) as told:
        normalise(EMAIL, value)
    assert (told.value.field, "canary" in str(told.value)) == ("email", False)


@pytest.mark.parametrize("value", ["611 222 333", "+49", "+1234567890123456789", "canary", "+999 1"])
def test_a_number_that_is_none_is_refused_by_field_and_not_shown(value: str) -> None:
    with pytest.raises(InvalidInput) as told:
        normalise(PHONE, value)
    assert (told.value.field, value in str(told.value)) == ("phone", False)


@given(kind=st.sampled_from(ORDER), value=st.text(max_size=60))
def test_whatever_is_given_has_a_form_or_is_refused(kind: IdentityKind, value: str) -> None:
    try:
        identity = normalise(kind, value)
    except InvalidInput:
        return
    assert identity.normalised
    assert normalise(kind, identity.normalised).normalised == identity.normalised


def test_the_value_as_given_is_kept_beside_it() -> None:
    identity = normalise(EMAIL, " Ana@Example.es ")
    assert (identity.value, identity.spellings) == ("Ana@Example.es", ("ana@example.es",))


def test_the_first_kind_of_the_deployment_names_the_subject() -> None:
    given_values = {"email": "ana@example.es", "customer_id": "C-1"}
    usual = identities_from(given_values, ORDER)
    other = identities_from(given_values, (EMAIL, CUSTOMER))
    assert [identity.kind for identity in usual] == [CUSTOMER, EMAIL]
    assert [identity.kind for identity in other] == [EMAIL, CUSTOMER]


@pytest.mark.parametrize("given_values", [{}, {"passport": "X-1"}])
def test_nobody_and_unknown_kinds_are_refused(given_values: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"^identities: ") as told:
        identities_from(given_values, ORDER)
    assert "passport" not in str(told.value)  # key and value may have been swapped
