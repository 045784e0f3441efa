"""How long a sink waits for others, and has others wait: settings of its section."""

from collections.abc import Callable
from contextlib import closing
from itertools import count
from typing import Any

import pytest
from sinks.mysql_target import MySQLTarget
from sinks.shop import a_customer, an_erasure
from sinks.targets import make_sink

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused
from olvido.sinks.tables.time_limits import TIME_LIMITS, Deadline, TimeLimits

ASKED = {
    "postgres": "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')",
    "mysql": "SELECT CAST(@@innodb_lock_wait_timeout AS CHAR), CAST(@@max_statement_time AS CHAR)",
}


def test_no_statement_begins_when_it_could_end_too_late() -> None:
    """Each takes a third of the time at most, and so does COMMIT after the last one."""
    now = [0.0]
    deadline = TimeLimits(transaction_timeout_s=12).deadline(lambda: now[0])
    for at in (0.0, 3.9, 4.0):
        now[0] = at
        deadline.check()
    now[0] = 4.1
    with pytest.raises(Refused, match=r"more than 12 s \(transaction_timeout_s\)") as caught:
        deadline.check()
    assert caught.value.cause is Cause.TOO_SLOW


@pytest.fixture(params=["postgres", "mysql"])
def server_target(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"{request.param}_target")


def test_the_server_is_given_both(server_target: Any) -> None:
    kind = server_target.environment["OLVIDO_TEST_KIND"]
    with closing(make_sink(kind, lock_timeout_s=3, transaction_timeout_s=12)) as sink:
        sink.install()
        with sink._committed() as rows:
            given = rows.session.run(ASKED[kind])
    assert given == ([("3s", "4s")] if kind == "postgres" else [("3", "4.000000")])


def test_a_connection_to_mariadb_waits_for_the_slowest_statement(mysql_target: MySQLTarget) -> None:
    """Else the slow statement of one task is a server that does not answer, and stops the sink."""
    with closing(make_sink("mysql", transaction_timeout_s=180)) as sink:
        sink.install()
        with sink._committed() as rows:
            [(limit,)] = rows.session.run("SELECT @@max_statement_time")
        assert sink._connection._read_timeout > limit


def test_what_goes_on_for_too_long_is_rolled_back_and_parked(
    server_target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by ten seconds with each statement."""
    server_target.add("customers", a_customer(1))
    begin: Callable[..., Deadline] = TimeLimits.deadline
    with closing(make_sink(server_target.environment["OLVIDO_TEST_KIND"])) as sink:
        sink.install()
        with monkeypatch.context() as patch:
            slow = lambda waiting: begin(waiting, map(float, count(step=10)).__next__)  # noqa: E731
            patch.setattr(TimeLimits, "deadline", slow)
            with pytest.raises(Refused) as caught:
                sink.apply([an_erasure(customer_id="C-1")])
        assert caught.value.cause is Cause.TOO_SLOW
        assert len(server_target.rows("customers")) == 1
        [receipt] = sink.apply([an_erasure(customer_id="C-1")])
    assert receipt.counts == {"customers.deleted": 1}


@pytest.mark.parametrize(
    "wrong", [{"lock_timeout_s": 0}, {"transaction_timeout_s": 0.5}, {"transaction_timeout_s": 181}]
)
@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_a_limit_that_is_none_is_refused(
    kind: str, wrong: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", "unused")
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        make_sink(kind, **wrong)


def test_what_is_not_given_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLVIDO_TEST_CRM", "unused")
    assert make_sink("postgres")._time_limits == TIME_LIMITS
    assert make_sink("sqlite")._time_limits == TimeLimits(lock_timeout_s=5, transaction_timeout_s=60)
