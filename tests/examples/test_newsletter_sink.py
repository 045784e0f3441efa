"""The sink of docs/sinks/adding-a-sink.md works as the page says, found by its entry point."""

import sqlite3
from contextlib import closing
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from newsletter_sink import NewsletterSink
from sinks.shop import a_consent, a_task, an_erasure, identities

from olvido.core.consents import Decision
from olvido.core.errors import ConfigError, Unavailable
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.core.subject import IdentityKind
from olvido.schemas.privacy.identities import normalise
from olvido.sinks import plugins
from olvido.sinks.contract import SinkSettings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two people's addresses."""
    path = tmp_path / "news.sqlite"
    with closing(sqlite3.connect(path)) as target:
        target.executescript(
            "CREATE TABLE readers (email TEXT); INSERT INTO readers VALUES ('Ana@x.es'), ('bo@x.es')"
        )
    return path


@pytest.fixture
def sink(file: Path, monkeypatch: pytest.MonkeyPatch):
    """The sink, as `olvido run sink` makes one."""
    entry = EntryPoint(name="news", value="newsletter_sink:NewsletterSink", group=plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [entry])
    made = plugins.make_sink("news", settings(file=str(file)))
    assert made.check() == ()
    made.install()
    made.install()
    made.ping()
    return made


def settings(**own: str) -> SinkSettings:
    return SinkSettings(name="news", region="cn", identities=(IdentityKind.EMAIL,), purposes=(), own=own)


def readers(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as target:
        return [email for (email,) in target.execute("SELECT email FROM readers ORDER BY email")]


def test_a_person_is_erased_once_and_nobody_else_is(sink, file: Path):
    task = an_erasure(email="ana@x.es")
    [first] = sink.apply([task])
    assert (first.outcome, first.counts, first.verified_at) == (
        Outcome.ERASED, {"readers.deleted": 1}, first.applied_at,
    )  # fmt: skip
    assert readers(file) == ["bo@x.es"]
    with closing(sqlite3.connect(file)) as target, target:
        target.execute("INSERT INTO readers VALUES ('ana@x.es')")  # a new life, after the erasure
    assert sink.apply([task]) == [first]
    assert readers(file) == ["ana@x.es", "bo@x.es"]
    assert [one.outcome for one in sink.apply([an_erasure(email="nobody@x.es")])] == [Outcome.NOT_FOUND]


def test_a_reader_is_found_in_whichever_form_the_address_was_typed(sink, file: Path):
    hers = ["zo\u00eb@b\u00fccher.example", "zo\u00eb@xn--bcher-kva.example", "ZO\u00cb@B\u00dcCHER.EXAMPLE"]
    with closing(sqlite3.connect(file)) as target, target:
        target.executemany("INSERT INTO readers VALUES (?)", [(email,) for email in hers])
    zoe = normalise(IdentityKind.EMAIL, "Zo\u00eb@xn--bcher-kva.example")
    [receipt] = sink.apply([a_task(Action.ERASE, (zoe,))])
    assert receipt.counts == {"readers.deleted": 3}
    assert readers(file) == ["Ana@x.es", "bo@x.es"]


def test_what_it_cannot_do_is_said_and_changes_nothing(sink, file: Path):
    batch = [
        a_consent(Decision.WITHDRAWN, email="bo@x.es"),
        a_task(Action.ACCESS, identities(email="bo@x.es")),
        an_erasure(customer_id="C-1"),
    ]
    assert {one.outcome for one in sink.apply(batch)} == {Outcome.UNSUPPORTED}
    with closing(sqlite3.connect(file)) as target, target:
        target.executescript(
            "CREATE TRIGGER keep AFTER DELETE ON readers BEGIN INSERT INTO readers VALUES (old.email); END"
        )
    [back] = sink.apply([an_erasure(email="bo@x.es")])
    assert (back.outcome, back.verified_at) == (Outcome.FAILED, None)
    assert "bo@x.es" in readers(file)


def test_a_target_that_is_not_there_or_does_not_fit_is_told(tmp_path: Path, file: Path):
    with pytest.raises(ConfigError, match=r"sinks\.news\.file: is missing"):
        NewsletterSink(settings())
    with pytest.raises(Unavailable):
        NewsletterSink(settings(file=str(tmp_path / "none.sqlite"))).ping()
    with closing(sqlite3.connect(file)) as target:
        target.execute("ALTER TABLE readers RENAME email TO address")
    with pytest.raises(ConfigError, match="no table readers with email"):
        NewsletterSink(settings(file=str(file))).check()
