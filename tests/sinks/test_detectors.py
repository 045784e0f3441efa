"""What values are told from samples, and that chance does not pass for a person."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olvido.sinks.discovery.column_names import Personal
from olvido.sinks.discovery.detectors import FORMS, is_card, is_nric, is_phone, naming, recognise

DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
DIGITS = "0123456789"


def dni(number: int) -> str:
    return f"{number:08}{DNI_LETTERS[number % 23]}"


def what(values: list[str], hinted: Personal | None = None) -> str | None:
    seen = recognise(values, hinted)
    return seen.form.what if seen else None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([f"ana.{n}@example.es" for n in range(9)], "e-mail addresses"),
        ([f"josé{n}@peña.example" for n in range(9)], "e-mail addresses"),
        ([f"+34 600 731 {n:03}" for n in range(9)], "phone numbers"),
        ([f"91 731 2{n}0 0" for n in range(9)], None),
        ([f"+86138007310{n:02}" for n in range(9)], "phone numbers"),
        ([f"203.0.113.{n}" for n in range(9)], "IP addresses"),
        ([f"2001:db8::{n}" for n in range(9)], "IP addresses"),
        ([dni(n) for n in range(12345678, 12345690)], "DNI or NIE of Spain"),
        (["X1234567L", "Y1234567X", "Z1234567R", "X0000001R", "X0000002W"], "DNI or NIE of Spain"),
        (["S1234567D", "T1234567J", "F1234567N", "G1234567X", "M1234567K"], "NRIC or FIN of Singapore"),
        (["2024-01-02", "2024-01-03", "2024-02-03", "2024-03-03", "2025-01-01"], None),
        (["12.50", "1234567.89", "99.00", "12345678.10", "7.25"], None),
        ([f"2024-{n:06}" for n in range(300, 340)], None),
        (["paid", "open", "shipped", "lost", "returned"], None),
    ],
)
def test_a_column_is_what_most_of_its_values_are(values: list[str], expected: str | None):
    assert what(values) == expected


def test_most_is_80_of_100_by_form_and_90_by_check_digits():
    def mixed(value: str, share: int) -> list[str]:
        return [value.replace("#", f"{n:03}") for n in range(share)] + ["-"] * (100 - share)

    assert what(mixed("a#@example.es", 80)) == "e-mail addresses"
    assert what(mixed("a#@example.es", 79)) is None
    assert what(mixed("+34600731#", 80)) == "phone numbers"
    assert what(mixed("+34600731#", 79)) is None
    numbers = [dni(n) for n in range(100)]
    assert what(numbers[:90] + ["-"] * 10) == "DNI or NIE of Spain"
    assert what(numbers[:89] + ["-"] * 11) is None


def test_bare_digits_are_phone_numbers_only_where_the_name_says_so():
    values = [f"600731{n:03}" for n in range(50)]
    assert what(values) is None
    assert what(values, Personal.PHONE) == "phone numbers"
    assert what([f"{n}" for n in range(50)], Personal.PHONE) is None


def test_a_few_values_prove_nothing_unless_the_name_says_the_same():
    assert what(["ana@example.es"] * 50) is None
    assert what(["ana@example.es"], Personal.EMAIL) == "e-mail addresses"


@given(
    seed=st.integers(0, 2**32),
    length=st.integers(6, 19),
    shape=st.sampled_from(["digits", "digits and a letter", "letter, digits, letter", "grouped", "decimal"]),
)
def test_random_digits_are_nobodys_numbers(seed: int, length: int, shape: str):
    """9 digits are a Spanish phone number in 32 of 100 cases, 8 digits and a letter a DNI in 4."""
    chance = random.Random(seed)

    def one() -> str:
        digits = "".join(chance.choices(DIGITS, k=length))
        match shape:
            case "digits":
                return digits
            case "digits and a letter":
                return digits[:8] + chance.choice(DNI_LETTERS)
            case "letter, digits, letter":
                return chance.choice("STFGM") + digits[:7].zfill(7) + chance.choice("ABCDEFGHIZJ")
            case "grouped":
                return f"{digits[:3]}-{digits[3:]}"
            case _:
                return f"{digits[:-2]}.{digits[-2:]}"

    assert recognise([one() for _ in range(50)], None) is None


@given(st.lists(st.text(max_size=40), min_size=5, max_size=8))
def test_no_text_makes_a_detector_raise(values: list[str]):
    """python-stdnum raises on some input."""
    for form in FORMS:
        for value in values:
            assert form.accepts(value) in {True, False}


@pytest.mark.parametrize("text", ["S1234567A", "A1234567D", "S123456D", "", "S12345678"])
def test_an_nric_has_its_check_letter(text: str):
    assert not is_nric(text)


def test_a_card_number_has_its_check_digit_and_its_first_digit():
    assert is_card("4111 1111 1111 1111")
    assert not is_card("4111 1111 1111 1112")
    assert not is_card("1111111111111117")


def test_a_date_and_an_address_of_a_network_are_no_phones():
    assert not is_phone("2024-01-02")
    assert not is_phone("192.168.100.200")
    assert is_phone("0034 600 731 001")


def test_an_address_inside_of_a_text_is_seen():
    assert naming(["write to ana@example.es.", "no address", '{"mail": "eva@example.es"}']) == 2
