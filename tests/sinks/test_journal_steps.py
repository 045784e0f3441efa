"""The journal's version: each kind of database is brought to the newest, in steps that may be interrupted."""

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
from sinks.looking import Boxes
from sinks.shop import a_consent, a_customer, an_erasure
from sinks.targets import make_sink
from values import Journal

from olvido.core.errors import ConfigError, Refused, Unavailable
from olvido.core.events import Decision
from olvido.sinks.contract import Rehearsing
from olvido.sinks.tables import journal_steps
from olvido.sinks.tables.journal import queries
from olvido.sinks.tables.journal_steps import missing_steps, steps

# What brings a journal back to what it was before there were versions.
_UNNAMED = (
    "DROP VIEW olvido.row_words",
    "ALTER TABLE olvido.row_marks RENAME TO row_words",
    "DROP TABLE olvido.journal_version",
)
BACK = {
    "postgres": (
        "DROP INDEX olvido.objections_of",
        "ALTER TABLE olvido.objections DROP COLUMN released",
        *_UNNAMED,
    ),
    "duckdb": ("ALTER TABLE olvido.objections DROP COLUMN released", *_UNNAMED),
    "sqlite": (
        "DROP INDEX olvido_objections_of",
        "ALTER TABLE olvido_objections DROP COLUMN released",
        "DROP TABLE olvido_journal_version",
    ),
    "mysql": (
        "ALTER TABLE olvido_objections DROP COLUMN released",
        "ALTER TABLE olvido_objections DROP INDEX objections_of",
        "DROP TABLE olvido_journal_version",
    ),
}
NEWER = 99


def kind_of(target: Any) -> str:
    kind: str = target.environment["OLVIDO_TEST_KIND"]
    return kind


def own(target: Any) -> str:
    """How the names of Olvido's own tables begin."""
    return "olvido." if kind_of(target) in {"postgres", "duckdb"} else "olvido_"


def a_sink(target: Any) -> Any:
    """A new process of the sink, that has looked at nothing yet."""
    return closing(make_sink(kind_of(target)))


def to_before(target: Any) -> None:
    """Take the versions away."""
    for statement in BACK[kind_of(target)]:
        target.run(statement)


def versions(target: Any) -> list[int]:
    """The steps that the journal says it had; none if it says nothing."""
    name = "journal_version" if own(target) == "olvido." else "olvido_journal_version"
    there = "SELECT count(*) FROM information_schema.tables WHERE table_name = '{}' AND table_schema = {}"
    schema = "DATABASE()" if kind_of(target) == "mysql" else "'olvido'"
    if kind_of(target) == "sqlite":
        there = "SELECT count(*) FROM sqlite_schema WHERE name = '{}' -- {}"
    if target.run(there.format(name, schema)) == [(0,)]:
        return []
    return [
        version for (version,) in target.run(f"SELECT version FROM {own(target)}journal_version ORDER BY 1")
    ]


def newest(target: Any) -> list[int]:
    """The steps that this program knows."""
    return list(range(1, len(steps(kind_of(target))) + 1))


def planted(target: Any, number: int, *others: str) -> str:
    """A step after those that there are, which cannot be done twice where a step is one transaction."""
    once = "IF NOT EXISTS " if kind_of(target) == "mysql" else ""
    return ";\n".join(
        [
            f"CREATE TABLE {once}{own(target)}planted_{number} (one INT)",
            *others,
            f"INSERT INTO {own(target)}journal_version (version) VALUES ({number})",
        ]
    )


def know(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    """The program knows steps more."""
    monkeypatch.setattr(journal_steps, "steps", lambda dialect: [*steps(dialect), *more])


@pytest.mark.parametrize("dialect", ["postgres", "duckdb", "sqlite", "mysql"])
def test_each_step_ends_with_its_number(dialect: str) -> None:
    """So an administrator can run its text."""
    written = [
        int(re.findall(r"INTO olvido[._]journal_version \(version\) VALUES \((\d+)\);$", step)[0])
        for step in steps(dialect)
    ]
    named = sorted(name for name in queries(dialect) if re.fullmatch(r"install_\d+", name))
    assert [f"install_{number}" for number in written] == named
    assert written == list(range(1, len(written) + 1))


def test_a_new_journal_has_the_newest_version(tables_target: Any) -> None:
    with a_sink(tables_target) as sink:
        sink.check()
        sink.ping()
        assert versions(tables_target) == []
        assert tables_target.run(tables_target.journals) == [(0,)]
        sink.install()
        sink.install()
    assert versions(tables_target) == newest(tables_target)


def test_a_journal_of_before_there_were_versions_goes_on_with_all_that_it_holds(
    tables_target: Any, tmp_path: Path
) -> None:
    target, boxes, sent = tables_target, Boxes(tmp_path), Journal()
    target.add("customers", *map(a_customer, (1, 2, 3)))
    erasure, withdrawal = boxes.erasure(customer_id="C-2"), a_consent(Decision.WITHDRAWN, customer_id="C-1")
    marks = f"SELECT * FROM {own(target)}row_marks ORDER BY 1, 2, 3"
    with a_sink(target) as sink:
        sink.install()
        first = sink.apply([erasure, withdrawal])
        kept = target.run(marks)
        to_before(target)
    assert kept
    before = target.rows("customers")
    with a_sink(target) as sink:
        sink.check()
        sink.ping()
        assert versions(target) == []
        sink.install()
        assert versions(target) == newest(target)
        assert sink.apply([erasure, withdrawal]) == first
        assert (target.rows("customers"), target.run(marks)) == (before, kept)
        earlier = target.earlier.format(int(timedelta(minutes=62).total_seconds()))
        target.run(f"UPDATE {target.kept_erasures} SET applied_at = {earlier}")
        boxes.sweeping(sink, sent).step()
    assert [look.looked for look in boxes.looks(sent.records) if look.of_erasures] == [1]


def test_a_first_batch_brings_a_journal_of_before_to_the_newest_version(tables_target: Any) -> None:
    tables_target.add("customers", a_customer(1))
    task = an_erasure(customer_id="C-1")
    with a_sink(tables_target) as sink:
        first = sink.apply([task])
        to_before(tables_target)
    with a_sink(tables_target) as sink:
        assert sink.apply([task]) == first
    assert versions(tables_target) == newest(tables_target)


def test_a_newer_journal_is_refused_and_nothing_is_written(tables_target: Any) -> None:
    target, task = tables_target, an_erasure(customer_id="C-1")
    target.add("customers", a_customer(1))
    with a_sink(target) as sink:
        sink.install()
    target.run(f"INSERT INTO {own(target)}journal_version (version) VALUES ({NEWER})")
    before = target.rows("customers")
    refused = f"sinks.crm: .* has version {NEWER}, and this program knows {len(newest(target))} at most"
    with a_sink(target) as sink:
        acts: list[Callable[[], Any]] = [sink.check, sink.install, sink.ping, lambda: sink.apply([task])]
        if isinstance(sink, Rehearsing):
            acts.append(lambda: sink.rehearse([task.task], lambda _: task))
        for act in acts:
            with pytest.raises(ConfigError, match=refused):
                act()
    assert (target.rows("customers"), versions(target)) == (before, [*newest(target), NEWER])
    assert target.run(f"SELECT count(*) FROM {own(target)}applied") == [(0,)]


def test_stopped_in_a_step_the_next_start_goes_on_with_that_one(
    tables_target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tables_target
    with a_sink(target) as sink:
        sink.install()
    had = newest(target)
    one, two = len(had) + 1, len(had) + 2
    with monkeypatch.context() as first:
        know(first, planted(target, one), planted(target, two, "SELECT * FROM not_there"))
        with a_sink(target) as sink, pytest.raises((Unavailable, Refused)):
            sink.install()
    assert versions(target) == [*had, one]
    know(monkeypatch, planted(target, one), planted(target, two))
    with a_sink(target) as sink:
        sink.install()
    assert versions(target) == [*had, one, two]
    assert target.run(f"SELECT * FROM {own(target)}planted_{two}") == []


@pytest.mark.parametrize("kind", ["postgres", "sqlite", "mysql"])
def test_of_two_members_that_install_at_once_one_waits_for_the_other(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Both have seen that the steps are missing. A DuckDB file is open in one process alone."""
    target = request.getfixturevalue(f"{kind}_target")
    both, looked = threading.Barrier(2), threading.local()

    def together(*arguments: Any) -> Sequence[str]:
        missing = missing_steps(*arguments)
        if not hasattr(looked, "once"):
            looked.once = both.wait(timeout=60)
        return missing

    monkeypatch.setattr(f"olvido.sinks.kinds.{kind}.missing_steps", together)
    know(monkeypatch, planted(target, len(newest(target)) + 1))

    def install() -> None:
        with a_sink(target) as sink:
            sink.install()

    with ThreadPoolExecutor(2) as pool:
        for work in [pool.submit(install), pool.submit(install)]:
            work.result()
    assert versions(target) == [*newest(target), len(newest(target)) + 1]


@pytest.fixture(params=["postgres", "sqlite"])
def rehearsing_target(request: pytest.FixtureRequest) -> Any:
    """Each that can take back a step that it tries."""
    return request.getfixturevalue(f"{request.param}_target")


def test_a_rehearsal_on_a_journal_of_before_leaves_it_as_it_is(rehearsing_target: Any) -> None:
    target, task = rehearsing_target, an_erasure(customer_id="C-1")
    target.add("customers", a_customer(1))
    with a_sink(target) as sink:
        sink.install()
    to_before(target)
    with a_sink(target) as sink:
        [told] = sink.rehearse([task.task], lambda _: task)
        assert told.receipt is not None
        assert told.receipt.counts == {"customers.deleted": 1}
    assert versions(target) == []
    assert len(target.rows("customers")) == 1


def test_what_mariadb_cannot_take_back_is_not_rehearsed(
    mysql_target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = an_erasure(customer_id="C-1")
    with a_sink(mysql_target) as sink:
        sink.install()
        had = newest(mysql_target)
        know(monkeypatch, planted(mysql_target, len(had) + 1))
    with (
        a_sink(mysql_target) as sink,
        pytest.raises(ConfigError, match=f"lacks install_{len(had) + 1}, which cannot be taken back"),
    ):
        sink.rehearse([task.task], lambda _: task)
    assert versions(mysql_target) == had


def test_a_step_does_not_wait_long_for_a_table_that_others_use(
    postgres_target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would wait for the step meanwhile. It parks nobody's task: the sink starts again."""
    known = queries("postgres")
    quick = {**known, "install_alone": known["install_alone"].replace("'2s'", "'100ms'")}
    assert quick != known
    with a_sink(postgres_target) as sink:
        sink.install()
    to_before(postgres_target)
    monkeypatch.setattr("olvido.sinks.kinds.postgres.queries", lambda _: quick)
    with a_sink(postgres_target) as sink:
        with closing(psycopg2.connect(postgres_target.dsn)) as other, other.cursor() as cursor:
            cursor.execute("SELECT * FROM olvido.row_words")
            with pytest.raises(Unavailable, match="others use its journal"):
                sink.apply([an_erasure(customer_id="C-1")])
        assert versions(postgres_target) == [1]
        sink.install()
    assert versions(postgres_target) == newest(postgres_target)


def test_a_member_that_is_not_updated_yet_goes_on_in_postgresql(postgres_target: Any) -> None:
    """It writes under the old name what the others read under the new one."""
    with a_sink(postgres_target) as sink:
        sink.install()
    row = "('customers', '1', 'marketing', {}, now(), gen_random_uuid())"
    for rank in (0, 1):
        postgres_target.run(
            f"INSERT INTO olvido.row_words (table_name, row_key, purpose, rank, occurred_at, event_id) "
            f"VALUES {row.format(rank)} ON CONFLICT (table_name, row_key, purpose) DO UPDATE "
            "SET rank = excluded.rank, occurred_at = excluded.occurred_at, event_id = excluded.event_id"
        )
    assert postgres_target.run("SELECT row_key, rank FROM olvido.row_marks") == [("1", 1)]


def test_a_program_that_is_not_updated_writes_no_marks_that_nobody_reads_in_duckdb(
    duckdb_target: Any,
) -> None:
    with a_sink(duckdb_target) as sink:
        sink.install()
    with pytest.raises(duckdb.CatalogException):
        duckdb_target.run(
            "INSERT OR REPLACE INTO olvido.row_words "
            "VALUES ('customers', '1', 'marketing', 0, TIMESTAMP '2026-01-01', uuid())"
        )
