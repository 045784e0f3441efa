"""The forms of one identity. A box may be of any version of a producer: nothing in it may raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.core.spellings import email_forms, phone_forms
from olvido.core.subject import Identity, IdentityKind


@given(st.sampled_from(IdentityKind), st.text(), st.text() | st.text().map(lambda text: "a@xn--" + text))
def test_any_identity_has_spellings_and_none_is_blank(
    kind: IdentityKind, value: str, normalised: str
) -> None:
    spellings = Identity(kind=kind, value=value, normalised=normalised).spellings
    assert all(spelling.strip() for spelling in spellings)
    assert (normalised in spellings) == bool(normalised.strip())


@pytest.mark.parametrize(
    "domain",
    [
        "xn--abc-",  # decodes to abc, which is another domain
        "xn--Bcher-kva",
        "xn--bCHER-kva",
        "xn--a",  # a control character
        "xn--",
        "xn--\N{LATIN SMALL LETTER U WITH DIAERESIS}",
        "xn--" + "a" * 100_000,
    ],
)
def test_a_label_that_no_registry_gives_out_has_no_unicode_letters(domain: str) -> None:
    forms = email_forms(f"ana@{domain}")
    assert [form for form in forms if not form.startswith("ana@xn--")] == []


@pytest.mark.parametrize("number", ["+525512345678", "+5215512345678"])
def test_mexicos_old_mobile_form_is_the_same_number(number: str) -> None:
    assert phone_forms(number) == ("+525512345678", "+5215512345678")


@pytest.mark.parametrize("number", ["+5491123456789", "+541123456789"])
def test_argentinas_mobile_mark_makes_no_other_number(number: str) -> None:
    assert phone_forms(number) == ("+5491123456789", "+541123456789")


@pytest.mark.parametrize(
    "number",
    [
        "+34600000000",
        "+1212555100",
        "+521234",
        "+52155123456789",
        "+548005551234",
        "+549800555123",
        "+55521234567890",
        "",
        "+52٥٥١٢٣٤٥٦٧٨",
    ],
)
def test_any_other_number_has_one_form(number: str) -> None:
    assert phone_forms(number) == (number,)
