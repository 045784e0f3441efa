"""Values come back as they were; who vanishes in the middle of a transaction lets go of what it holds."""

from datetime import UTC, datetime

import psycopg2
import psycopg2.extras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olvido.core.errors import Unavailable
from olvido.core.sql import array_of
from olvido.ledger import connection as connecting
from olvido.ledger.connection import Database

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def cursor(postgres_admin_dsn):
    """A session of its own."""
    connection = psycopg2.connect(postgres_admin_dsn)
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    yield connection.cursor()
    connection.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    st.one_of(
        st.tuples(st.just("text"), st.lists(st.one_of(st.none(), texts))),
        st.tuples(st.just("bytea"), st.lists(st.one_of(st.none(), st.binary()))),
        st.tuples(st.just("uuid"), st.lists(st.one_of(st.none(), st.uuids()))),
        st.tuples(st.just("bool"), st.lists(st.booleans())),
        st.tuples(st.just("bigint"), st.lists(st.integers(-(2**63), 2**63 - 1))),
        st.tuples(
            st.just("timestamptz"),
            st.lists(st.datetimes(datetime(1900, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))),
        ),
    )
)
def test_an_array_comes_back_as_it_was(cursor, given):
    kind, values = given
    cursor.execute(f"select %s::{kind}[]", (array_of(values),))
    [[found]] = cursor.fetchall()
    if kind == "bytea":
        found = [None if item is None else bytes(item) for item in found]
    assert found == values


def test_what_a_vanished_process_held_is_let_go_of(ledger, ledger_dsn, monkeypatch):
    """Its machine is gone: nobody ends its session, and whoever wants what it holds would wait for ever."""
    take = {"topics": ["t"], "partitions": [0], "lows": [0], "highs": [1]}
    monkeypatch.setattr(connecting, "IDLE_IN_TRANSACTION_S", 1)
    vanished, waiting = (Database(ledger_dsn, application=f"tests-{name}") for name in ("one", "two"))

    def meanwhile() -> None:
        with vanished.transaction() as held:
            held.run("add_progress", **take)
            with waiting.transaction() as transaction:  # stands until the server has ended the other
                assert transaction.run("add_progress", **take) == 1

    with pytest.raises(Unavailable):
        meanwhile()
    with vanished.transaction() as again:  # it had not vanished: it goes on with a session of its own
        assert again.run("add_progress", **take) == 1
