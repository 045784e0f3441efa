"""Values that go to PostgreSQL as one array come back as they were."""

from datetime import UTC, datetime

import psycopg2
import psycopg2.extras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olvido.ledger.connection import array_of

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def cursor(postgres_admin_dsn):
    """A session of its own."""
    connection = psycopg2.connect(postgres_admin_dsn)
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    yield connection.cursor()
    connection.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
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
