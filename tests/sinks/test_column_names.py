"""What names suggest, in three languages, and what they do not."""

import pytest

from olvido.sinks.discovery.column_names import (
    Personal,
    about_people,
    created_rank,
    hint_of,
    of_consent,
    of_trade,
    words_of,
)
from olvido.sinks.discovery.evidence import Basis, judge
from olvido.sinks.discovery.live import Family, LiveColumn, LiveTable, Sample


@pytest.mark.parametrize(
    ("name", "personal"),
    [
        ("email", Personal.EMAIL),
        ("emailAddress", Personal.EMAIL),
        ("correo_electronico", Personal.EMAIL),
        ("correo_electrónico", Personal.EMAIL),
        ("youxiang", Personal.EMAIL),
        ("邮箱", Personal.EMAIL),
        ("HomePhone", Personal.PHONE),
        ("movil", Personal.PHONE),
        ("shouji", Personal.PHONE),
        ("手机号", Personal.PHONE),
        ("dni", Personal.NATIONAL_ID),
        ("sfzh", Personal.NATIONAL_ID),
        ("shenfenzheng_hao", Personal.NATIONAL_ID),
        ("FechaNacimiento", Personal.BIRTH),
        ("apellidos", Personal.NAME),
        ("xingming", Personal.NAME),
        ("last_sign_in_ip", Personal.IP),
        ("codigo_postal", Personal.ADDRESS),
        ("device_id", Personal.DEVICE),
        ("customer_id", Personal.CUSTOMER),
        ("password_digest", Personal.SECRET),
    ],
)
def test_a_name_suggests_what_a_column_holds(name: str, personal: Personal):
    hint = hint_of(name)
    assert hint is not None
    assert (hint.personal, hint.clear) == (personal, True)


@pytest.mark.parametrize(
    "name", ["email_verified", "address_id", "phone_type", "user_id", "status", "total", "mailing"]
)
def test_what_is_about_such_a_value_is_none(name: str):
    assert hint_of(name) is None


@pytest.mark.parametrize(("table", "looks"), [("products", False), ("customers", True)])
def test_a_bare_name_is_a_persons_only_in_a_table_about_people(table: str, looks: bool):
    column = LiveColumn(name="name", type="text", family=Family.TEXT)
    seen = judge(LiveTable(name=table, columns=(column,)), Sample())
    assert ("name" in seen.evidence) is looks


def test_a_yes_or_no_is_never_personal_by_its_name():
    column = LiveColumn(name="email", type="boolean", family=Family.BOOLEAN)
    assert judge(LiveTable(name="customers", columns=(column,)), Sample()).evidence == {}


def test_what_is_called_so_and_is_not_written_so_is_doubtful():
    column = LiveColumn(name="email", type="text", family=Family.TEXT)
    seen = judge(LiveTable(name="blocks", columns=(column,)), Sample(values={"email": ["5f4dcc3b"] * 9}))
    assert seen.evidence["email"].basis is Basis.NAME
    assert seen.evidence["email"].doubtful


def test_words_of_a_name():
    assert words_of("HTTPRemoteAddr_v2") == ("http", "remote", "addr", "v2")
    assert words_of("correo_electrónico") == ("correo", "electronico")


def test_tables_of_people_and_of_trade():
    assert about_people("crm.clientes")
    assert not about_people("products")
    assert of_trade("sales_orders")
    assert of_trade("facturas")
    assert not of_trade("sessions")
    assert of_consent("newsletterOptIn")
    assert created_rank("created_at") == 0
    assert created_rank("fecha_alta") is not None
    assert created_rank("updated_at") is None
