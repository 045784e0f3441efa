"""One written rule for each kind: the same person always gets the same form, and what has none is refused."""

import sqlite3
import unicodedata
from contextlib import closing

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from olvido.core.errors import InvalidInput
from olvido.core.subject import IdentityKind
from olvido.schemas.privacy.identities import _email_by_uts46, identities_from, normalise

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
        ("ana@correo.example.", "ana@correo.example"),  # the final dot names the root
        ("ana@例え。jp。", "ana@xn--r8jz45g.jp"),
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
        ("tel:+34600000000", "+34600000000"),
        ("+34 (600) 000-000", "+34600000000"),
        ("+34‐600–000．000", "+34600000000"),  # hyphens and a full stop of print
        ("+٣٤ ٦٠٠ ٠٠٠ ٠٠٠", "+34600000000"),
        ("+44 (0)20 7946 0018", "+442079460018"),
        ("+39 06 1234567", "+39061234567"),  # Italy keeps its 0
        ("+52 55 1234 5678", "+525512345678"),
        ("+52 1 55 1234 5678", "+525512345678"),  # Mexico's mobile form until 2019
        ("+521 55 1234 5678", "+525512345678"),
        ("+52 1 123 456 7890", "+521234567890"),
        ("+52 123 456 7890", "+521234567890"),  # ten digits that begin with 1: nothing is taken away
        ("+54 9 11 2345 6789", "+5491123456789"),
        ("+54 11 2345 6789", "+5491123456789"),
        ("+54 11 15 2345 6789", "+5491123456789"),  # as dialled within Argentina
        ("+54 9 2966 123456", "+5492966123456"),
        ("+54 2966 123456", "+5492966123456"),
        ("+54 800 555 1234", "+548005551234"),  # no subscriber's, so without a mark
    ],
)
def test_a_phone_number_has_one_form(given_value: str, expected: str) -> None:
    assert normalise(PHONE, given_value).normalised == expected


@pytest.mark.parametrize(
    "given_value",
    [
        "+1 212 555 1000 ext. 42",
        "+1 212 555 1000 ext 42",
        "+1 212 555 1000;ext=42",
        "+1 212 555 1000 x42",
        "+1 212 555 1000x42",
        "+1 212 555 1000 #42",
        "+1 212 555 1000,42",
        "+1 212 555 1000,,42#",
        "+34 600 000 007 доб. 5",
        "+34 600 000 007 anexo 5",
        "+49 30 123456 (42)",  # a number of more digits, if the brackets were nothing
        "tel:+34600000007;isub=1",
        "tel:600000007;phone-context=+34",
        "+34600ABCDEF",
        "+1 800 FLOWERS",
        "+34 six hundred",
        "+34600000007/8",
        "+34 600 000 007 / +34 600 000 008",
        "+34 600 000 007 +34 600 000 008",
        "+34 600 000 007 o",
        "Ana +34 600 000 007",
        "+34 *600000007",
        "+34~600000007",
        "0034600000007",
        "600 000 007",
        "+52 044 55 1234 5678",
        "+52 01 55 1234 5678",
        "+54 9 011 2345 6789",
        "+49 00 30 123456",
    ],
)
def test_a_number_that_may_be_somebody_elses_is_refused(given_value: str) -> None:
    """An extension names one of those who share the number, and letters become whatever a keypad says."""
    with pytest.raises(InvalidInput, match=r"^phone: "):
        normalise(PHONE, given_value)


ZOE_LOCAL, ZOE_DOMAIN = "zo\u00eb", "b\u00fccher.example"
ZOE = {
    "composed": f"{ZOE_LOCAL}@{ZOE_DOMAIN}",
    "punycode": f"{ZOE_LOCAL}@xn--bcher-kva.example",
    "decomposed": "zoe\u0308@bu\u0308cher.example",
    "decomposed, punycode": "zoe\u0308@xn--bcher-kva.example",
}
SAME_PERSON = {
    EMAIL: [
        [*ZOE.values(), ZOE["composed"].upper(), ZOE["punycode"].upper(), ZOE["composed"] + "."],
        ["ana@peña.example", "ana@PEÑA.example", "ana@xn--pea-8ma.example", "ana@pen\u0303a.example"],
        ["ana@straße.example", "ANA@xn--strae-oqa.example"],
        ["ana@例え.テスト", "ana@xn--r8jz45g.xn--zckzah", "ana@例え。テスト"],
        ["ana@correo.example", "Ana@Correo.Example", "ana@correo.example."],
    ],
    PHONE: [
        ["+525512345678", "+5215512345678", "+52 1 55 1234 5678"],
        ["+5491123456789", "+541123456789", "+54 11 15 2345 6789"],
        ["+34600000000", "+34 600-000-000", "tel:+34 600 000 000"],
    ],
    CUSTOMER: [["n\u00fam-1", "nu\u0301m-1"]],
}


@pytest.mark.parametrize(
    ("kind", "same"), [(kind, same) for kind, people in SAME_PERSON.items() for same in people]
)
def test_all_forms_of_one_identity_are_one_person(kind: IdentityKind, same: list[str]) -> None:
    assert len({normalise(kind, form).normalised for form in same}) == 1


@pytest.mark.parametrize("given_value", [*ZOE.values(), ZOE["composed"].upper()])
def test_a_target_is_searched_for_all_forms_whichever_one_upstream_sent(given_value: str) -> None:
    assert set(ZOE.values()) <= set(normalise(EMAIL, given_value).spellings)


@pytest.mark.parametrize(
    ("kind", "given_value", "expected"),
    [
        (EMAIL, "ana@example.es", ("ana@example.es",)),
        (EMAIL, "ana@correo.example.", ("ana@correo.example", "ana@correo.example.")),
        (
            EMAIL,
            "ana@xn--pea-8ma.example",
            (
                "ana@xn--pea-8ma.example",
                "ana@pe\u00f1a.example",
                "ana@pen\u0303a.example",
                "ana@pe\u00d1a.example",
            ),
        ),
        (EMAIL, "stra\u00dfe@example.de", ("stra\u00dfe@example.de",)),  # whose capitals are another address
        (PHONE, "+34 600 000 000", ("+34600000000", "+34 600 000 000")),
        (PHONE, "+34600000000", ("+34600000000",)),
        (PHONE, "+52 55 1234 5678", ("+525512345678", "+52 55 1234 5678", "+5215512345678")),
        (PHONE, "+5215512345678", ("+525512345678", "+5215512345678")),
        (PHONE, "+54 11 2345 6789", ("+5491123456789", "+54 11 2345 6789", "+541123456789")),
        (PHONE, "+5491123456789", ("+5491123456789", "+541123456789")),
        (CUSTOMER, "C-1042", ("C-1042",)),
        (CUSTOMER, "nu\u0301m-1", ("n\u00fam-1", "nu\u0301m-1")),
    ],
)
def test_what_a_target_is_searched_for(
    kind: IdentityKind, given_value: str, expected: tuple[str, ...]
) -> None:
    assert normalise(kind, given_value).spellings == expected


@pytest.mark.parametrize(
    "held",
    [
        "MARCIANO-S\u00c1ENZ@X.EXAMPLE",
        "Marciano-s\u00e1enz@x.example",
        "\u00c1lvaro.Mu\u00f1oz@x.example",
        "\u00c1LVARO.MU\u00d1OZ@X.EXAMPLE",
        "\u00e1lvaro.MU\u00d1OZ@x.example",
        "\u041d\u0430\u0442\u0430\u0448\u0430@x.example",
        "\u041d\u0410\u0422\u0410\u0428\u0410@X.EXAMPLE",
        "ana@PE\u00d1A.example",
    ],
)
def test_a_target_that_overlooks_the_case_of_ascii_letters_alone_finds_capitals(held: str) -> None:
    """Such as SQLite, whose ``lower`` leaves all other letters as they are."""
    spellings = normalise(EMAIL, held.lower()).spellings
    with closing(sqlite3.connect(":memory:")) as connection:
        found = [
            connection.execute("SELECT lower(?) = lower(?)", (held, text)).fetchone()[0] for text in spellings
        ]
    assert 1 in found


LETTERS = st.characters(categories=("L", "N", "M"), include_characters="+.-_'")
LABELS = st.text(
    st.sampled_from("abcxyzABC019-äöüßñÑçéè例えテスト中文привет") | LETTERS, min_size=1, max_size=12
)
ADDRESSES = st.builds(
    lambda local, labels, end, form: unicodedata.normalize(form, f"{local}@{'.'.join(labels)}{end}"),
    st.text(LETTERS, min_size=1, max_size=20),
    st.lists(LABELS | LABELS.map(lambda label: "xn--" + label), min_size=1, max_size=3),
    st.sampled_from(["", "", "."]),
    st.sampled_from(["NFC", "NFD"]),
)
NUMBERS = st.builds(
    lambda country, digits, gaps: "+" + country + "".join(a + b for a, b in zip(gaps, digits, strict=False)),
    st.sampled_from(["52", "521", "54", "549", "1", "34", "39", "44", "49", "55", "7", "86"]),
    st.lists(st.sampled_from("0123456789٣３"), min_size=5, max_size=13),
    st.lists(st.sampled_from(["", "", "", " ", "-", ".", "(", ")", " x", "/"]), min_size=13, max_size=13),
)


@given(
    st.tuples(st.just(EMAIL), ADDRESSES | st.emails())
    | st.tuples(st.just(PHONE), NUMBERS)
    | st.tuples(st.just(CUSTOMER), st.text(LETTERS, min_size=1, max_size=20))
)
def test_no_spelling_is_another_person(given_value: tuple[IdentityKind, str]) -> None:
    """Each spelling that is searched for normalises to the very identity, so it has the same handle."""
    kind, value = given_value
    try:
        identity = normalise(kind, value)
    except InvalidInput:
        assume(False)
    assert [normalise(kind, spelling).normalised for spelling in identity.spellings] == (
        [identity.normalised] * len(identity.spellings)
    )
    assert len(set(identity.spellings)) == len(identity.spellings)
    assert identity.normalised in identity.spellings


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


LDH = st.text("abcXYZ019-", min_size=1, max_size=8)


@given(local=st.text("aZ9.+_-\"'!", min_size=1, max_size=6), labels=st.lists(LDH, min_size=1, max_size=4))
def test_an_address_in_plain_ascii_has_the_form_that_uts_46_gives_it(local: str, labels: list[str]) -> None:
    """However it is found: a form of its own would be another person."""
    address = f"{local}@{'.'.join(labels)}"
    try:
        expected = _email_by_uts46(address)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            normalise(IdentityKind.EMAIL, address)
    else:
        assert normalise(IdentityKind.EMAIL, address).normalised == expected


@pytest.mark.parametrize("label", ["a" * 63, "a" * 64, ("a" * 63 + ".") * 4 + "es"])
def test_a_domain_that_is_too_long_is_refused_as_uts_46_refuses_it(label: str) -> None:
    address = f"ana@{label}.es"
    try:
        expected = _email_by_uts46(address)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            normalise(IdentityKind.EMAIL, address)
    else:
        assert normalise(IdentityKind.EMAIL, address).normalised == expected
