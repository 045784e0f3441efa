"""Whatever a catalogue looks like, its proposal is TOML that names nobody, and a map or an open decision."""

import tomllib
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sinks.shop import settings

from olvido.core.errors import ConfigError
from olvido.core.subject import IdentityKind
from olvido.sinks.discovery.evidence import judge
from olvido.sinks.discovery.live import Family, LiveColumn, LiveReference, LiveTable, Sample
from olvido.sinks.discovery.proposal import propose
from olvido.sinks.discovery.writing import toml_of
from olvido.sinks.tables.map_rules import read_data_map

VALUES = {
    "e-mail": [f"quimera.{n}@example.es" for n in range(9)],
    "phone": [f"+34 600731{n:03}" for n in range(9)],
    "digits": [f"600731{n:03}" for n in range(9)],
    "digest": [f"{n:064x}" for n in range(9)],
    "text": [f"Said quimera.{n}@example.es" for n in range(9)],
    "nothing": [],
}
WORDS = (
    *(
        "user",
        "customer",
        "address",
        "email",
        "phone",
        "order",
        "post",
        "created_at",
        "updated_by",
        "name",
        "ip",
    ),
    *("author_id", "user_id", "customer_id", "subject_type", "subject_id", "id", "newsletter", "company"),
)
# A data map takes no name with a dot inside, or with what cannot be printed.
odd = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="."), min_size=1, max_size=9)
names = st.one_of(st.sampled_from(WORDS), st.sampled_from([f"{word}s" for word in WORDS]), odd)
# Made once: Hypothesis looks through each new strategy.
names_of_tables = st.lists(names, min_size=1, max_size=5, unique=True)
names_of_columns = st.lists(names, min_size=1, max_size=6, unique=True)
families, flags = st.sampled_from(Family), st.booleans()
kinds_of_values = st.sampled_from(sorted(VALUES))
deletions = st.sampled_from(["NO ACTION", "CASCADE", "SET NULL"])


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[LiveTable, Sample]]:
    """A few tables with keys, columns, references and values of any kind."""
    chosen = draw(names_of_tables)
    made: list[tuple[LiveTable, Sample]] = []
    columns_of = {table: draw(names_of_columns) for table in chosen}
    keys = {table: tuple(draw(st.lists(st.sampled_from(columns), max_size=2, unique=True)))
            for table, columns in columns_of.items()}  # fmt: skip
    for table, columns in columns_of.items():
        references = [
            LiveReference(
                columns=tuple(draw(st.permutations(columns))[: len(keys[to])]),
                table=to,
                keys=keys[to],
                on_delete=draw(deletions),
            )
            for to in draw(st.lists(st.sampled_from(chosen), max_size=3))
            if keys[to] and len(keys[to]) <= len(columns)
        ]
        live = LiveTable(
            name=table,
            columns=tuple(
                LiveColumn(
                    name=column,
                    type="text",
                    family=draw(families),
                    not_null=draw(flags),
                )
                for column in columns
            ),
            key=keys[table],
            references=tuple(references),
        )
        values = {column: VALUES[draw(kinds_of_values)] for column in columns}
        made.append((live, Sample(values=values)))
    return made


@given(tables())
def test_any_catalogue_gives_a_proposal(made: list[tuple[LiveTable, Sample]]):
    proposal = propose("crm", [judge(table, sample) for table, sample in made])
    text = toml_of(proposal, declared=(IdentityKind.EMAIL,), rows=200)
    assert not any(planted in text for planted in ("quimera", "600731", "0" * 60))
    declared = tomllib.loads(text).get("sinks", {}).get("crm", {}).get("tables", {})
    assert declared.keys() == {table.name for table in proposal.tables}


@given(tables())
def test_a_proposal_without_an_open_decision_is_a_map(made: list[tuple[LiveTable, Sample]]):
    proposal = propose("crm", [judge(table, sample) for table, sample in made])
    assume(proposal.kinds)
    declared = tomllib.loads(toml_of(proposal, declared=proposal.kinds, rows=200))["sinks"]["crm"]["tables"]
    given_kinds = replace(settings({}), identities=proposal.kinds)
    if proposal.undecided:
        with pytest.raises(ConfigError):
            read_data_map(given_kinds, declared)
    else:
        assert read_data_map(given_kinds, declared).tables.keys() == declared.keys()


@given(tables())
def test_every_table_stands_in_the_proposal_once(made: list[tuple[LiveTable, Sample]]):
    proposal = propose("crm", [judge(table, sample) for table, sample in made])
    told = [
        *(table.name for table in proposal.tables),
        *(one.table.name for one in proposal.unlinked),
        *proposal.others,
    ]
    assert sorted(told) == sorted(table.name for table, _ in made)


@given(tables())
def test_what_a_law_may_want_kept_is_never_deleted_by_a_guess(made: list[tuple[LiveTable, Sample]]):
    proposal = propose("crm", [judge(table, sample) for table, sample in made])
    for table in proposal.tables:
        if table.name in {"order", "orders"} and table.erase is not None and not table.shared_by:
            assert table.undecided
