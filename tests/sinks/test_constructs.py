"""What a data map can say, one construct after another, on every database that has it.

Each test makes a small schema of the kind that people have, asks, and compares all rows with those before:
what went, what came in its place, and nothing else.
"""

import hashlib
from typing import Any

import pytest
from sinks.databases import (
    Database,
    PostgresDatabase,
    Rows,
)
from sinks.mapped_world import Tables, World, refused
from sinks.shop import LATER, LONG_AGO, a_consent, a_task, an_erasure, an_objection, identities

from olvido.core.causes import Cause
from olvido.core.errors import ConfigError, Refused
from olvido.core.events import Decision
from olvido.core.outcomes import Outcome
from olvido.core.rights.names import Action
from olvido.core.subject import IdentityKind
from olvido.sinks.contract import OpenedTask
from olvido.sinks.kinds import postgres_catalogue
from olvido.sinks.rights.target import JOINT
from olvido.sinks.tables.engine import only_in_others, stands_in


@pytest.fixture
def postgres_database(reused_postgres: str) -> PostgresDatabase:
    """For what only PostgreSQL has."""
    return PostgresDatabase(reused_postgres)


PEOPLE = {
    "key": "id",
    "person": "name",
    "identities": {"customer_id": "name", "email": "email"},
    "erase": "delete",
}
PEOPLE_SCHEMA = """
    CREATE TABLE people (id bigint PRIMARY KEY, name varchar(40), email varchar(80));
    INSERT INTO people VALUES (1, 'ana', 'ana@x.example'), (2, 'bea', 'bea@x.example'), (3, 'cem', NULL);
"""
ANA, BEA = (1, "ana", "ana@x.example"), (2, "bea", "bea@x.example")


def a_child(**more: Any) -> dict[str, Any]:
    """A table that hangs on people and goes with them."""
    return {"parent": {"table": "people", "column": "person_id"}, "erase": "delete", **more}


# --- 1. keys of several columns --------------------------------------------------------------


SEATS = """
    CREATE TABLE seats (room varchar(8), place bigint, email varchar(80), PRIMARY KEY (room, place));
    INSERT INTO seats VALUES ('A', 1, 'ana@x.example'), ('A', 2, 'bea@x.example'), ('B', 1, 'cem@x.example');
    CREATE TABLE wishes (id bigint PRIMARY KEY, seat_room varchar(8), seat_place bigint, wish varchar(20));
    INSERT INTO wishes VALUES (1, 'A', 1, 'window'), (2, 'A', 2, 'aisle'), (3, 'B', 1, 'quiet'),
                              (4, 'A', NULL, 'half'), (5, NULL, 1, 'half');
"""


@pytest.mark.parametrize("erase", ["delete", "anonymise"])
def test_a_row_is_addressed_by_its_whole_key(database: Database, erase: str) -> None:
    """Each half of Ana's key is a stranger's as well."""
    seats = {"key": ["room", "place"], "identities": {"email": "email"}, "erase": erase}
    if erase == "anonymise":
        seats["null"] = ["email"]
    wishes = {"parent": {"table": "seats", "column": ["seat_room", "seat_place"]}, "erase": "delete"}
    world = World(database, SEATS, {"seats": seats, "wishes": wishes})
    done = "deleted" if erase == "delete" else "anonymised"
    assert world.ask({"email": "ana@x.example"}) == [
        (
            Outcome.ERASED if erase == "delete" else Outcome.ANONYMISED,
            {f"seats.{done}": 1, "wishes.deleted": 1},
        )
    ]
    left: Rows = [] if erase == "delete" else [("A", 1, None)]
    assert world.changes == {
        "seats": ([("A", 1, "ana@x.example")], left),
        "wishes": ([(1, "A", 1, "window")], []),
    }


def test_a_join_table_under_a_key_of_several_columns_goes_for_two_people_at_once(database: Database) -> None:
    """What hangs on a row of a join table is found by both columns; two batches of keys do not mix."""
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE members (team bigint, person_id bigint, PRIMARY KEY (team, person_id));
        INSERT INTO members VALUES (1, 1), (1, 2), (2, 1), (2, 3), (3, 2);
        CREATE TABLE votes (id bigint PRIMARY KEY, team bigint, voter bigint);
        INSERT INTO votes VALUES (1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 3), (5, 3, 1);
    """
    tables = {
        "people": PEOPLE,
        "members": a_child(key=["team", "person_id"]),
        "votes": {"parent": {"table": "members", "column": ["team", "voter"]}, "erase": "delete"},
    }
    world = World(database, schema, tables)
    assert world.ask({"customer_id": "ana"}, {"customer_id": "bea"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "members.deleted": 2, "votes.deleted": 1}),
        (Outcome.ERASED, {"people.deleted": 1, "members.deleted": 2, "votes.deleted": 1}),
    ]
    assert world.changes == {
        "people": ([ANA, BEA], []),
        "members": ([(1, 1), (1, 2), (2, 1), (3, 2)], []),
        # Not (2, 2) and (3, 1): such members are not there.
        "votes": ([(1, 1, 1), (2, 1, 2)], []),
    }


# --- 2. tables without a unique column -------------------------------------------------------


def test_a_log_without_a_key_is_done_by_its_parent(database: Database) -> None:
    """Her rows and a stranger's are alike but for whom they hang on, and twice the same."""
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE views (person_id bigint, page varchar(20));
        INSERT INTO views VALUES (1, '/a'), (1, '/a'), (2, '/a'), (2, '/a'), (NULL, '/a');
    """
    world = World(database, schema, {"people": PEOPLE, "views": a_child()})
    assert world.ask({"customer_id": "ana"}) == [(Outcome.ERASED, {"people.deleted": 1, "views.deleted": 2})]
    assert world.changes == {"people": ([ANA], []), "views": ([(1, "/a"), (1, "/a")], [])}


@pytest.mark.parametrize("erase", ["delete", "anonymise"])
def test_rows_without_a_key_that_name_a_person_are_addressed_by_where_they_are(
    database: Database, erase: str
) -> None:
    schema = """
        CREATE TABLE log (email varchar(80), act varchar(20));
        INSERT INTO log VALUES ('ana@x.example', 'login'), ('ana@x.example', 'login'),
                               ('bea@x.example', 'login'), (NULL, 'login');
    """
    log: dict[str, Any] = {"identities": {"email": "email"}, "erase": erase}
    if erase == "anonymise":
        log["null"] = ["email"]
    if not database.addresses:
        assert "key" in refused(database, schema, {"log": log})
        return
    world = World(database, schema, {"log": log})
    [(_, counts)] = world.ask({"email": "ANA@x.example"})
    assert list(counts.values()) == [2]
    left: Rows = [] if erase == "delete" else [(None, "login"), (None, "login")]
    assert world.changes == {"log": ([("ana@x.example", "login")] * 2, left)}


def test_rows_of_tables_that_inherit_are_their_parents(postgres_database: PostgresDatabase) -> None:
    """A child by inheritance has neither the key nor the indexes of its parent, and its rows go as well."""
    schema = """
        CREATE TABLE visits (id bigint, email varchar(80));
        CREATE TABLE visits_2026 () INHERITS (visits);
        INSERT INTO visits VALUES (1, 'ana@x.example');
        INSERT INTO visits_2026 VALUES (1, 'bea@x.example'), (1, 'ana@x.example');
    """
    world = World(
        postgres_database, schema, {"visits_2026": {"identities": {"email": "email"}, "erase": "delete"}}
    )
    assert world.ask({"email": "ana@x.example"}) == [(Outcome.ERASED, {"visits_2026.deleted": 1})]
    # ``visits`` shows the rows of both tables.
    assert world.changes["visits_2026"] == ([(1, "ana@x.example")], [])


def test_a_partitioned_table_is_addressed_by_all_columns_that_its_key_must_have(
    postgres_database: PostgresDatabase,
) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE audits (id bigint, day date, person_id bigint, who text, PRIMARY KEY (id, day))
            PARTITION BY RANGE (day);
        CREATE TABLE audits_may PARTITION OF audits FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
        CREATE TABLE audits_june PARTITION OF audits FOR VALUES FROM ('2026-06-01') TO ('2026-07-01');
        INSERT INTO audits VALUES (1, '2026-05-02', 1, 'ana'), (1, '2026-06-02', 2, 'bea'),
                                  (2, '2026-06-02', 1, 'ana');
    """
    audits = a_child(key=["id", "day"], erase="anonymise", set={"who": "somebody-{key}"}, unlink=-1)
    world = World(postgres_database, schema, {"people": PEOPLE, "audits": audits})
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.ANONYMISED, {"people.deleted": 1, "audits.anonymised": 2})
    ]
    gone, left = world.changes["audits"]
    assert [row[2:] for row in gone] == [(1, "ana"), (1, "ana")]
    assert [row[2:] for row in left] == [(-1, "somebody-1-2026-05-02"), (-1, "somebody-2-2026-06-02")]


# --- 3. the person's row is above the row that holds the identity -----------------------------


ACCOUNTS = """
    CREATE TABLE accounts (id bigint PRIMARY KEY, name varchar(40), made_at timestamp);
    INSERT INTO accounts VALUES (1, 'ana', '2026-01-01'), (2, 'bea', '2026-01-01'), (3, 'ana2', '2026-07-01');
    CREATE TABLE emails (id bigint PRIMARY KEY, account_id bigint REFERENCES accounts (id),
        address varchar(80));
    INSERT INTO emails VALUES (1, 1, 'ana@x.example'), (2, 1, 'Ana@work.example'), (3, 2, 'bea@x.example'),
        (4, 1, 'us@x.example'), (5, 2, 'us@x.example'), (6, 3, 'new@x.example'), (7, NULL, 'loose@x.example');
    CREATE TABLE posts (id bigint PRIMARY KEY, account_id bigint REFERENCES accounts (id), body varchar(20));
    INSERT INTO posts VALUES (1, 1, 'hers'), (2, 2, 'his');
"""
ACCOUNT_TABLES: Tables = {
    "accounts": {
        "key": "id",
        "person": "name",
        "created": "made_at",
        "identities": {"customer_id": "name"},
        "erase": "delete",
    },
    "emails": {
        "key": "id",
        "parent": {"table": "accounts", "column": "account_id", "climb": True},
        "identities": {"email": "address"},
        "erase": "delete",
    },
    "posts": {"parent": {"table": "accounts", "column": "account_id"}, "erase": "delete"},
}


def test_an_address_in_a_child_table_leads_to_the_account_and_all_that_hangs_on_it(
    database: Database,
) -> None:
    world = World(database, ACCOUNTS, ACCOUNT_TABLES)
    assert world.ask({"email": "ana@WORK.example"}) == [
        (Outcome.ERASED, {"accounts.deleted": 1, "emails.deleted": 3, "posts.deleted": 1})
    ]
    assert {name: len(gone) for name, (gone, left) in world.changes.items() if not left} == {
        "accounts": 1, "emails": 3, "posts": 1,
    }  # fmt: skip
    assert world.changes["posts"] == ([(1, 1, "hers")], [])


def test_an_address_in_children_of_two_accounts_is_nobodys_in_particular(database: Database) -> None:
    world = World(database, ACCOUNTS, ACCOUNT_TABLES)
    assert world.ask({"email": "us@x.example"}) == [(Outcome.AMBIGUOUS, {})]
    assert world.changes == {}


def test_who_says_which_account_is_theirs_loses_that_one_and_the_others_address_stays(
    database: Database,
) -> None:
    world = World(database, ACCOUNTS, ACCOUNT_TABLES)
    [(outcome, counts)] = world.ask({"customer_id": "ana", "email": "us@x.example"})
    assert outcome is Outcome.AMBIGUOUS
    assert counts == {"accounts.deleted": 1, "emails.deleted": 3, "posts.deleted": 1}
    assert (5, 2, "us@x.example") not in world.changes["emails"][0]


def test_two_accounts_of_one_address_go_when_both_ask_in_one_batch(database: Database) -> None:
    world = World(database, ACCOUNTS, ACCOUNT_TABLES)
    answers = world.ask(
        {"customer_id": "ana", "email": "us@x.example"}, {"customer_id": "bea", "email": "us@x.example"}
    )
    assert [outcome for outcome, _ in answers] == [Outcome.ERASED, Outcome.ERASED]
    assert [len(gone) for gone, _ in world.changes.values()] == [2, 5, 2]


def test_a_climb_to_an_account_of_a_new_life_leads_nowhere(database: Database) -> None:
    """She asked, and signed up again a month later."""
    world = World(database, ACCOUNTS, ACCOUNT_TABLES)
    assert world.ask({"email": "new@x.example"}) == [(Outcome.NOT_FOUND, {})]
    assert world.changes == {}


def test_an_address_that_hangs_on_nothing_goes_alone(database: Database) -> None:
    world = World(database, ACCOUNTS, ACCOUNT_TABLES)
    assert world.ask({"email": "loose@x.example"}) == [(Outcome.ERASED, {"emails.deleted": 1})]
    assert world.changes == {"emails": ([(7, None, "loose@x.example")], [])}


def test_a_climb_goes_over_several_tables(database: Database) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE logins (id bigint PRIMARY KEY, person_id bigint);
        INSERT INTO logins VALUES (10, 1), (20, 2);
        CREATE TABLE phones (login_id bigint, number varchar(20) PRIMARY KEY);
        INSERT INTO phones VALUES (10, '+34600000001'), (20, '+34600000002');
    """
    tables = {
        "people": PEOPLE,
        "logins": {"key": "id", "parent": {"table": "people", "column": "person_id", "climb": True},
                   "identities": {"device_id": "id"}, "erase": "delete"},
        "phones": {"parent": {"table": "logins", "column": "login_id", "climb": True},
                   "identities": {"phone": "number"}, "erase": "delete",
                   **({} if database.addresses else {"key": "number"})},
    }  # fmt: skip
    world = World(database, schema, tables)
    assert world.ask({"phone": "+34600000001"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "logins.deleted": 1, "phones.deleted": 1})
    ]
    assert world.changes == {
        "people": ([ANA], []),
        "logins": ([(10, 1)], []),
        "phones": ([(10, "+34600000001")], []),
    }


# --- 4. parents by type and id ----------------------------------------------------------------


EVENTS = f"""
    {PEOPLE_SCHEMA}
    CREATE TABLE orders (id bigint PRIMARY KEY, person_id bigint);
    INSERT INTO orders VALUES (1, 2), (2, 1);
    CREATE TABLE events (id bigint PRIMARY KEY, subject_type varchar(20), subject_id bigint,
        words varchar(20));
    INSERT INTO events VALUES (1, 'Person', 1, 'of ana'), (2, 'Order', 1, 'of an order of bea'),
        (3, 'Order', 2, 'of an order of ana'), (4, 'Invoice', 1, 'of nobody we know'),
        (5, NULL, 1, 'of what');
"""
BY_TYPE = [
    {"table": "people", "column": "subject_id", "where": {"subject_type": "Person"}},
    {"table": "orders", "column": "subject_id", "where": {"subject_type": ["Order", "Cart"]}},
]


def test_a_row_hangs_on_the_table_that_its_type_says(database: Database) -> None:
    """Five rows bear the number 1 or 2; two of them are hers."""
    tables = {
        "people": PEOPLE,
        "orders": a_child(key="id"),
        "events": {"key": "id", "parent": BY_TYPE, "erase": "delete"},
    }
    world = World(database, EVENTS, tables)
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "orders.deleted": 1, "events.deleted": 2})
    ]
    assert world.changes == {
        "people": ([ANA], []),
        "orders": ([(2, 1)], []),
        "events": ([(1, "Person", 1, "of ana"), (3, "Order", 2, "of an order of ana")], []),
    }


def test_one_type_of_several_is_done_by_its_parent_alone(database: Database) -> None:
    events = {"parent": BY_TYPE[0], "erase": "anonymise", "null": ["words"], "unlink": True}
    world = World(database, EVENTS, {"people": PEOPLE, "events": events})
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.ANONYMISED, {"people.deleted": 1, "events.anonymised": 1})
    ]
    assert world.changes["events"] == ([(1, "Person", 1, "of ana")], [(1, "Person", None, None)])


def test_a_type_that_says_nothing_may_stand_beside_a_number(database: Database) -> None:
    """The map says that every row points at people, whatever stands there."""
    events = {"parent": {"table": "people", "column": "subject_id", "where": {}}, "erase": "delete"}
    world = World(database, EVENTS, {"people": PEOPLE, "events": events})
    world.ask({"customer_id": "ana"})
    assert [row[0] for row in world.changes["events"][0]] == [1, 2, 4, 5]


@pytest.mark.parametrize("way", ["parent", "mentions"])
def test_a_number_beside_its_type_is_refused_without_it(database: Database, way: str) -> None:
    """Written so, the map would take rows of anything that has the same number."""
    reference = {"table": "people", "column": "subject_id"}
    events: dict[str, Any] = {"parent": reference, "erase": "delete"}
    if way == "mentions":
        events = {"mentions": [reference]}
    said = refused(database, EVENTS, {"people": PEOPLE, "events": {"key": "id", **events}})
    assert f"sinks.crm.tables.events.{way}" in said
    assert 'where = { subject_type = "' in said


# --- 5. a second pointer to a person; a row with two parents ----------------------------------


MESSAGES = f"""
    {PEOPLE_SCHEMA}
    CREATE TABLE messages (id bigint PRIMARY KEY, sender_id bigint, recipient_id bigint, body varchar(20));
    INSERT INTO messages VALUES (1, 1, 2, 'ana to bea'), (2, 2, 3, 'bea to cem'), (3, 1, 1, 'to herself'),
        (4, NULL, 1, 'from the shop'), (5, 1, 99, 'to who is gone');
    CREATE TABLE "reads" (message_id bigint, seen varchar(20));
    INSERT INTO "reads" VALUES (1, 'noon'), (2, 'noon'), (3, 'noon');
"""
BETWEEN_TWO = {
    "key": "id",
    "parent": [{"table": "people", "column": "sender_id"}, {"table": "people", "column": "recipient_id"}],
    "erase": "delete",
}
MESSAGE_TABLES = {
    "people": PEOPLE,
    "messages": BETWEEN_TWO,
    "reads": {"parent": {"table": "messages", "column": "message_id"}, "erase": "delete"},
}


def test_a_row_between_two_people_is_kept_and_the_answer_says_so(database: Database) -> None:
    world = World(database, MESSAGES, MESSAGE_TABLES)
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.AMBIGUOUS, {"people.deleted": 1, "messages.deleted": 3, "reads.deleted": 1})
    ]
    assert [row[0] for row in world.changes["messages"][0]] == [3, 4, 5]
    assert world.changes["reads"] == ([(3, "noon")], [])


def test_a_row_between_two_people_goes_when_both_ask_at_once_as_it_would_one_after_the_other(
    database: Database,
) -> None:
    """The second of them would be the only one that the row still hangs on."""
    world = World(database, MESSAGES, MESSAGE_TABLES)
    answers = world.ask({"customer_id": "ana"}, {"customer_id": "bea"})
    assert [outcome for outcome, _ in answers] == [Outcome.ERASED, Outcome.AMBIGUOUS]
    assert sum(counts.get("messages.deleted", 0) for _, counts in answers) == 4
    assert [row[0] for row in world.changes["messages"][0]] == [1, 3, 4, 5]
    assert world.changes["reads"] == ([(1, "noon"), (3, "noon")], [])


def test_a_row_between_two_people_stays_when_one_of_them_only_restricts(database: Database) -> None:
    tables = {**MESSAGE_TABLES, "people": {**PEOPLE, "restrict": {"email": "x"}, "identities": {
        "customer_id": "name"}}}  # fmt: skip
    world = World(database, MESSAGES, tables)
    receipts = world.apply(
        an_erasure(customer_id="ana"), a_task(Action.RESTRICT, identities(customer_id="bea"))
    )
    assert [receipt.outcome for receipt in receipts] == [Outcome.AMBIGUOUS, Outcome.RESTRICTED]
    assert [row[0] for row in world.changes["messages"][0]] == [3, 4, 5]


def test_who_made_or_changed_a_row_of_somebody_else_leaves_it_and_the_row_stays(database: Database) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE notes (id bigint PRIMARY KEY, person_id bigint, changed_by bigint,
            closed_by bigint NOT NULL, body varchar(20));
        INSERT INTO notes VALUES (1, 2, 1, 1, 'of bea'), (2, 1, 2, 2, 'of ana'), (3, 2, NULL, 3, 'of bea'),
            (4, 3, 1, 2, 'of cem');
    """
    notes = a_child(
        key="id",
        mentions=[
            {"table": "people", "column": "changed_by"},
            {"table": "people", "column": "closed_by", "set": 0},
        ],
    )
    world = World(database, schema, {"people": PEOPLE, "notes": notes})
    assert world.ask({"customer_id": "ana"}, {"customer_id": "nobody"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "notes.deleted": 1, "notes.unlinked": 3}),
        (Outcome.NOT_FOUND, {}),
    ]
    assert world.changes["notes"] == (
        [(1, 2, 1, 1, "of bea"), (2, 1, 2, 2, "of ana"), (4, 3, 1, 2, "of cem")],
        [(1, 2, None, 0, "of bea"), (4, 3, None, 2, "of cem")],
    )


def test_a_row_of_her_own_without_a_key_that_mentions_people_is_found_again_or_refused(
    database: Database,
) -> None:
    """A row that is emptied may move; one without a key is then nowhere to be found."""
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE log (email varchar(80), by_id bigint);
        INSERT INTO log VALUES ('ana@x.example', 1);
    """
    log = {
        "identities": {"email": "email"},
        "mentions": [{"table": "people", "column": "by_id"}],
        "erase": "delete",
    }
    assert "tables.log.key" in refused(database, schema, {"people": PEOPLE, "log": log})


def test_foreign_keys_of_a_second_pointer_need_it_in_the_map(postgres_database: PostgresDatabase) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE notes (id bigint PRIMARY KEY, person_id bigint REFERENCES people (id),
            changed_by bigint REFERENCES people (id));
        INSERT INTO notes VALUES (1, 2, 1);
    """
    said = refused(postgres_database, schema, {"people": PEOPLE, "notes": a_child()})
    assert 'add { table = "people", column = "changed_by" } to the parents of notes' in said
    postgres_database.run("DROP TABLE notes, people")
    mentions = [{"table": "people", "column": "changed_by"}]
    world = World(
        postgres_database, schema, {"people": PEOPLE, "notes": a_child(key="id", mentions=mentions)}
    )
    assert world.ask({"customer_id": "ana"}) == [(Outcome.ERASED, {"people.deleted": 1, "notes.unlinked": 1})]
    assert world.changes["notes"] == ([(1, 2, 1)], [(1, 2, None)])


# --- 6. self references -----------------------------------------------------------------------


def test_answers_below_her_comment_go_with_it_or_stay_as_the_map_says(database: Database) -> None:
    """A tree of comments: what hangs on hers is hers by and by, unless it hangs on somebody else as well."""
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE comments (id bigint PRIMARY KEY, person_id bigint, answers bigint, body varchar(20));
        INSERT INTO comments VALUES (1, 1, NULL, 'ana'), (2, 2, 1, 'bea answers'), (3, 1, 2, 'ana answers'),
            (4, NULL, 1, 'a guest answers'), (5, NULL, 4, 'and again'), (6, 2, NULL, 'bea');
    """
    comments = {
        "key": "id",
        "parent": {"table": "people", "column": "person_id"},
        "mentions": [{"table": "comments", "column": "answers"}],
        "erase": "delete",
    }
    world = World(database, schema, {"people": PEOPLE, "comments": comments})
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "comments.deleted": 2, "comments.unlinked": 2})
    ]
    assert world.changes["comments"] == (
        [(1, 1, None, "ana"), (2, 2, 1, "bea answers"), (3, 1, 2, "ana answers"),
         (4, None, 1, "a guest answers")],
        [(2, 2, None, "bea answers"), (4, None, None, "a guest answers")],
    )  # fmt: skip


def test_versions_of_her_row_go_with_it_however_deep(database: Database) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE versions (id bigint PRIMARY KEY, person_id bigint, before_id bigint, body varchar(20));
        INSERT INTO versions VALUES (1, 1, NULL, 'a'), (2, NULL, 1, 'b'), (3, NULL, 2, 'c'),
            (4, 2, NULL, 'd'), (5, NULL, 4, 'e');
    """
    versions = {
        "key": "id",
        "parent": [{"table": "people", "column": "person_id"}, {"table": "versions", "column": "before_id"}],
        "erase": "delete",
    }
    world = World(database, schema, {"people": PEOPLE, "versions": versions})
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "versions.deleted": 3})
    ]
    assert [row[0] for row in world.changes["versions"][0]] == [1, 2, 3]


def test_whom_she_leads_has_no_leader_any_more(database: Database) -> None:
    """A foreign key into its own table, as staff tables have it."""
    schema = """
        CREATE TABLE staff (id bigint PRIMARY KEY, email varchar(80), leader bigint REFERENCES staff (id));
        INSERT INTO staff VALUES (1, 'ana@x.example', NULL), (2, 'bea@x.example', 1), (3, 'cem@x.example', 2);
    """
    staff = {
        "key": "id",
        "identities": {"email": "email"},
        "mentions": [{"table": "staff", "column": "leader"}],
        "erase": "delete",
    }
    world = World(database, schema, {"staff": staff})
    assert world.ask({"email": "ana@x.example"}) == [
        (Outcome.ERASED, {"staff.deleted": 1, "staff.unlinked": 1})
    ]
    assert world.changes == {
        "staff": (
            [(1, "ana@x.example", None), (2, "bea@x.example", 1)],
            [(2, "bea@x.example", None)],
        )
    }


# --- 7. rows under shared rows; shared rows that are emptied -----------------------------------


CARDS = f"""
    {PEOPLE_SCHEMA}
    CREATE TABLE payments (id bigint PRIMARY KEY, person_id bigint, source_type varchar(10),
        source_id bigint);
    INSERT INTO payments VALUES (1, 1, 'Card', 1), (2, 1, 'Card', 2), (3, 2, 'Card', 2), (4, 1, 'Voucher', 3),
        (5, 2, 'Card', 3);
    CREATE TABLE cards (id bigint PRIMARY KEY, holder varchar(20));
    INSERT INTO cards VALUES (1, 'ana'), (2, 'ana and bea'), (3, 'bea'), (4, 'nobody');
    CREATE TABLE stamps (card_id bigint, made varchar(20));
    INSERT INTO stamps VALUES (1, 'noon'), (2, 'noon'), (3, 'noon');
"""
CARD_TABLES = {
    "people": PEOPLE,
    "payments": a_child(key="id"),
    "cards": {
        "key": "id",
        "pointed_at_by": [{"table": "payments", "column": "source_id", "where": {"source_type": "Card"}}],
        "erase": "delete",
    },
    "stamps": {"parent": {"table": "cards", "column": "card_id"}, "erase": "delete"},
}


def test_what_her_rows_alone_point_at_is_hers_with_all_below_it(database: Database) -> None:
    schema = f"{CARDS}; DELETE FROM payments WHERE id = 3;"
    world = World(database, schema, CARD_TABLES)
    assert world.ask({"customer_id": "ana"}) == [
        (
            Outcome.ERASED,
            {"people.deleted": 1, "payments.deleted": 3, "cards.deleted": 2, "stamps.deleted": 2},
        )
    ]
    assert world.changes["cards"] == ([(1, "ana"), (2, "ana and bea")], [])
    assert world.changes["stamps"] == ([(1, "noon"), (2, "noon")], [])


def test_what_somebody_elses_row_points_at_as_well_stays_and_she_is_not_erased(database: Database) -> None:
    """The card with her name on it stayed, and the answer was `erased`."""
    world = World(database, CARDS, CARD_TABLES)
    [receipt] = world.apply(an_erasure(customer_id="ana"))
    assert (receipt.outcome, receipt.detail) == (Outcome.AMBIGUOUS, JOINT)
    assert receipt.counts == {
        "people.deleted": 1, "payments.deleted": 3, "cards.deleted": 1, "stamps.deleted": 1
    }  # fmt: skip
    assert world.changes["cards"] == ([(1, "ana")], [])
    assert world.changes["stamps"] == ([(1, "noon")], [])
    # Now nothing else points at it.
    assert world.ask({"customer_id": "bea"}) == [
        (
            Outcome.ERASED,
            {"people.deleted": 1, "payments.deleted": 2, "cards.deleted": 2, "stamps.deleted": 2},
        )
    ]


def test_what_the_rows_of_two_people_point_at_goes_when_both_ask_at_once(database: Database) -> None:
    world = World(database, CARDS, CARD_TABLES)
    world.ask({"customer_id": "ana"}, {"customer_id": "bea"})
    assert world.changes["cards"] == ([(1, "ana"), (2, "ana and bea"), (3, "bea")], [])


def test_what_the_rows_of_two_people_point_at_stays_when_one_of_them_only_restricts(
    database: Database,
) -> None:
    """She was in the same batch, and lost the card with it."""
    tables = {**CARD_TABLES, "people": {**PEOPLE, "restrict": {"email": "x"}, "identities": {
        "customer_id": "name"}}}  # fmt: skip
    world = World(database, CARDS, tables)
    hers, _ = world.apply(
        an_erasure(customer_id="ana"), a_task(Action.RESTRICT, identities(customer_id="bea"))
    )
    assert (hers.outcome, hers.detail) == (Outcome.AMBIGUOUS, JOINT)
    assert world.changes["cards"] == ([(1, "ana")], [])


def test_a_shared_row_may_be_emptied_with_the_last_who_uses_it(database: Database) -> None:
    schema = """
        CREATE TABLE people (id bigint PRIMARY KEY, name varchar(40), home bigint);
        INSERT INTO people VALUES (1, 'ana', 7), (2, 'bea', 7), (3, 'cem', 8);
        CREATE TABLE homes (id bigint PRIMARY KEY, street varchar(20), city varchar(20));
        INSERT INTO homes VALUES (7, 'Calle 7', 'Vigo'), (8, 'Calle 8', 'Vigo');
    """
    tables = {
        "people": {"key": "id", "identities": {"customer_id": "name"}, "erase": "delete"},
        "homes": {
            "key": "id",
            "shared_by": [{"table": "people", "column": "home"}],
            "erase": "anonymise",
            "set": {"street": "-"},
        },
    }
    world = World(database, schema, tables)
    assert world.ask({"customer_id": "ana"}) == [(Outcome.ERASED, {"people.deleted": 1})]
    assert world.changes == {"people": ([(1, "ana", 7)], [])}
    assert world.ask({"customer_id": "bea"}) == [
        (Outcome.ANONYMISED, {"people.deleted": 1, "homes.anonymised": 1})
    ]
    assert world.changes["homes"] == ([(7, "Calle 7", "Vigo")], [(7, "-", "Vigo")])


# --- 8. a value of its own for each row; unlinking to a ghost ----------------------------------


def test_an_address_that_must_be_unique_becomes_another_one_for_each_row(database: Database) -> None:
    schema = """
        CREATE TABLE people (id bigint PRIMARY KEY, email varchar(80) NOT NULL UNIQUE, name varchar(40));
        INSERT INTO people VALUES (1, 'ana@x.example', 'Ana'), (2, 'bea@x.example', 'Bea'),
            (3, 'cem@x.example', 'Cem');
    """
    people = {
        "key": "id",
        "identities": {"email": "email"},
        "erase": "anonymise",
        "set": {"email": "deleted-{key}@invalid.example", "name": "{key} was {key}"},
    }
    world = World(database, schema, {"people": people})
    assert (
        world.ask({"email": "ana@x.example"}, {"email": "bea@x.example"})
        == [(Outcome.ANONYMISED, {"people.anonymised": 1})] * 2
    )
    assert world.changes == {
        "people": (
            [(1, "ana@x.example", "Ana"), (2, "bea@x.example", "Bea")],
            [(1, "deleted-1@invalid.example", "1 was 1"), (2, "deleted-2@invalid.example", "2 was 2")],
        )
    }


def test_one_value_for_all_rows_of_a_unique_column_is_refused(postgres_database: PostgresDatabase) -> None:
    schema = """
        CREATE TABLE people (id bigint PRIMARY KEY, email text);
        CREATE UNIQUE INDEX ON people (lower(email));
    """
    people = {"key": "id", "identities": {"email": "email"}, "erase": "anonymise", "set": {"email": "gone"}}
    assert "deleted-{key}" in refused(postgres_database, schema, {"people": people})


@pytest.mark.parametrize("ghost", [0, -1])
def test_rows_that_must_hang_on_somebody_hang_on_a_ghost(database: Database, ghost: int) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        INSERT INTO people VALUES ({ghost}, 'ghost', NULL);
        CREATE TABLE orders (id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES people (id),
            total bigint);
        INSERT INTO orders VALUES (1, 1, 70), (2, 2, 80), (3, 1, 90);
    """
    orders = a_child(erase="retain", ground="accounts of trade, 10 years", unlink=ghost)
    world = World(database, schema, {"people": PEOPLE, "orders": orders})
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.RETAINED, {"people.deleted": 1, "orders.retained": 2})
    ]
    assert world.changes["orders"] == ([(1, 1, 70), (3, 1, 90)], [(1, ghost, 70), (3, ghost, 90)])


# --- 9. several columns of a kind; several identities of a kind --------------------------------


TWO_COLUMNS = """
    CREATE TABLE people (id bigint PRIMARY KEY, email varchar(80), new_email varchar(80), phone varchar(20));
    INSERT INTO people VALUES (1, 'ana@x.example', 'ana@new.example', '+34600000001'),
        (2, 'bea@x.example', NULL, '+34600000002'), (3, NULL, 'cem@x.example', '600000001');
"""


def test_an_identity_may_stand_in_several_columns(database: Database) -> None:
    people = {"key": "id", "identities": {"email": ["email", "new_email"]}, "erase": "delete"}
    world = World(database, TWO_COLUMNS, {"people": people})
    assert (
        world.ask({"email": "CEM@x.example"}, {"email": "ana@new.example"})
        == [(Outcome.ERASED, {"people.deleted": 1})] * 2
    )
    assert [row[0] for row in world.changes["people"][0]] == [1, 3]


def test_who_names_two_addresses_loses_the_rows_of_both(database: Database) -> None:
    people = {"key": "id", "identities": {"email": ["email", "new_email"]}, "erase": "delete"}
    world = World(database, TWO_COLUMNS, {"people": people})
    assert world.ask({"email": ["ana@new.example", "ana@x.example", "cem@x.example"]}) == [
        (Outcome.ERASED, {"people.deleted": 2})
    ]
    assert [row[0] for row in world.changes["people"][0]] == [1, 3]


def test_every_column_that_names_her_must_be_emptied(database: Database) -> None:
    people = {
        "key": "id",
        "identities": {"email": ["email", "new_email"]},
        "erase": "anonymise",
        "null": ["email"],
    }
    assert "'new_email' holds the email" in refused(database, TWO_COLUMNS, {"people": people})


def test_a_number_is_written_in_the_form_that_its_column_has(database: Database) -> None:
    people = {
        "key": "id",
        "identities": {"phone": {"column": "phone", "form": "national:ES"}},
        "erase": "delete",
    }
    world = World(database, TWO_COLUMNS, {"people": people})
    assert world.ask({"phone": "+34600000001"}) == [(Outcome.ERASED, {"people.deleted": 1})]
    assert [row[0] for row in world.changes["people"][0]] == [3]


# --- 10. a fence in a number; a fence for children ----------------------------------------------


@pytest.mark.parametrize("dial", ["smallint", "text"])
def test_a_number_may_stand_in_two_columns(database: Database, dial: str) -> None:
    """Country code and number: neither of them alone is anybody's."""
    world = World(
        database,
        f"""
        CREATE TABLE phones (id int PRIMARY KEY, dial_code {dial}, number text);
        INSERT INTO phones VALUES (1, '34', '600000007'), (2, '44', '600000007'), (3, '34', '600000008'),
            (4, NULL, '600000007'), (5, '34', '600000007');
        """,
        {"phones": {
            "key": "id", "erase": "delete",
            "identities": {"phone": {"column": "number", "dial": "dial_code"}}}},
        identities=(IdentityKind.PHONE,),
    )  # fmt: skip
    [(outcome, counts)] = world.ask({"phone": "+34600000007"})
    assert (outcome, counts) == (Outcome.ERASED, {"phones.deleted": 2})
    gone, came = world.changes["phones"]
    assert sorted(row[0] for row in gone) == [1, 5]
    assert not came


@pytest.mark.parametrize("clock", ["epoch_s", "epoch_ms"])
def test_an_instant_may_be_a_number(database: Database, clock: str) -> None:
    """She asked on 1 June; whoever bears her address since is a new life."""
    factor = 1 if clock == "epoch_s" else 1000
    before, after = (int(at.timestamp()) * factor for at in (LONG_AGO, LATER))
    schema = f"""
        CREATE TABLE people (id bigint PRIMARY KEY, email varchar(80), made bigint);
        INSERT INTO people VALUES (1, 'ana@x.example', {before}), (2, 'ana@x.example', {after}),
            (3, 'ana@x.example', NULL);
    """
    people = {
        "key": "id",
        "identities": {"email": "email"},
        "created": {"column": "made", "clock": clock},
        "erase": "delete",
    }
    world = World(database, schema, {"people": people})
    assert world.ask({"email": "ana@x.example"}) == [(Outcome.ERASED, {"people.deleted": 2})]
    assert [row[0] for row in world.changes["people"][0]] == [1, 3]


@pytest.mark.parametrize(("zone", "gone"), [("America/New_York", [1]), ("Asia/Shanghai", [1, 2])])
def test_a_row_of_the_very_day_is_not_shown_to_be_older(
    database: Database, zone: str, gone: list[int]
) -> None:
    """She asked on 1 June at midnight in UTC, which is 1 June in Shanghai and 31 May in New York."""
    schema = """
        CREATE TABLE people (id bigint PRIMARY KEY, email varchar(80), day date);
        INSERT INTO people VALUES (1, 'ana@x.example', '2026-05-30'), (2, 'ana@x.example', '2026-05-31'),
            (3, 'ana@x.example', '2026-06-01');
    """
    people = {
        "key": "id",
        "identities": {"email": "email"},
        "created": {"column": "day", "clock": "date", "zone": zone},
        "erase": "delete",
    }
    world = World(database, schema, {"people": people})
    world.ask({"email": "ana@x.example"})
    assert [row[0] for row in world.changes["people"][0]] == gone


ORDERS = f"""
    {PEOPLE_SCHEMA}
    CREATE TABLE orders (id bigint PRIMARY KEY, person_id bigint, made_at timestamp, words varchar(20));
    INSERT INTO orders VALUES (1, 1, '2026-01-01', 'old'), (2, 1, '2026-07-01', 'new'),
        (3, 2, '2026-01-01', 'b');
"""


@pytest.mark.parametrize("row_by_row", [False, True])
def test_a_child_newer_than_the_request_stays_whole(database: Database, row_by_row: bool) -> None:
    orders = a_child(key="id", created="made_at", erase="anonymise", null=["words"], unlink=True)
    tables = {"people": PEOPLE, "orders": orders}
    schema = ORDERS
    if row_by_row:
        schema += """;
            CREATE TABLE "lines" (order_id bigint, words varchar(20));
            INSERT INTO "lines" VALUES (1, 'x'), (2, 'y')
        """
        tables["lines"] = {"parent": {"table": "orders", "column": "order_id"}, "erase": "delete"}
    world = World(database, schema, tables)
    world.ask({"customer_id": "ana"})
    assert [row[0] for row in world.changes["orders"][0]] == [1]
    if row_by_row:
        assert world.changes["lines"] == ([(1, "x")], [])


def test_a_child_that_a_foreign_key_holds_goes_whatever_its_age(postgres_database: PostgresDatabase) -> None:
    """It cannot stay without the row that it points at."""
    schema = ORDERS.replace("person_id bigint,", "person_id bigint REFERENCES people (id),")
    world = World(
        postgres_database, schema, {"people": PEOPLE, "orders": a_child(key="id", created="made_at")}
    )
    assert world.ask({"customer_id": "ana"}) == [(Outcome.ERASED, {"people.deleted": 1, "orders.deleted": 2})]
    assert [row[0] for row in world.changes["orders"][0]] == [1, 2]


@pytest.mark.parametrize("erase", ["anonymise", "retain"])
def test_a_child_that_a_foreign_key_holds_to_a_row_that_stays_may_be_of_a_new_life(
    database: Database, erase: str
) -> None:
    """It went with the older ones, as if its parent had been deleted."""
    schema = ORDERS.replace("person_id bigint", "person_id bigint REFERENCES people (id)")
    how = {"null": ["name", "email"]} if erase == "anonymise" else {"ground": "law"}
    tables = {
        "people": {**PEOPLE, "erase": erase, **how},
        "orders": a_child(key="id", created="made_at"),
    }
    world = World(database, schema, tables)
    [(_, counts)] = world.ask({"customer_id": "ana"})
    assert counts["orders.deleted"] == 1
    assert [row[0] for row in world.changes["orders"][0]] == [1]


# --- 11. names ---------------------------------------------------------------------------------


def test_names_with_capitals_blanks_and_letters_of_any_alphabet_are_names(database: Database) -> None:
    schema = """
        CREATE TABLE "EventType" ("Id" bigint PRIMARY KEY, "userEmail" varchar(80), "姓名" varchar(20),
            "a ""b"" %s" varchar(20));
        INSERT INTO "EventType" VALUES (1, 'ana@x.example', 'Ana', 'x'), (2, 'bea@x.example', 'Bea', 'y');
        CREATE TABLE "Año" ("eventTypeId" bigint, "select" varchar(20));
        INSERT INTO "Año" VALUES (1, 'of ana'), (2, 'of bea');
    """
    tables = {
        "EventType": {"key": "Id", "identities": {"email": "userEmail"}, "erase": "anonymise",
                      "null": ["userEmail", "姓名"], "set": {'a "b" %s': "{key}%s"}},
        "Año": {"parent": {"table": "EventType", "column": "eventTypeId"}, "erase": "anonymise",
                "set": {"select": "-"}},
    }  # fmt: skip
    world = World(database, schema, tables)
    assert world.ask({"email": "ana@x.example"}) == [
        (Outcome.ANONYMISED, {"EventType.anonymised": 1, "Año.anonymised": 1})
    ]
    assert world.changes == {
        "EventType": ([(1, "ana@x.example", "Ana", "x")], [(1, None, None, "1%s")]),
        "Año": ([(1, "of ana")], [(1, "-")]),
    }


# --- 12. types -----------------------------------------------------------------------------------


def test_domains_numerics_and_generated_columns_find_a_person(postgres_database: PostgresDatabase) -> None:
    schema = """
        CREATE DOMAIN address AS text CHECK (VALUE LIKE '%@%');
        CREATE TABLE people (id numeric PRIMARY KEY, email address,
            folded text GENERATED ALWAYS AS (lower(email)) STORED);
        INSERT INTO people (id, email) VALUES (1.50, 'Ana@x.example'), (1.5001, 'bea@x.example');
        CREATE TABLE notes (person_id numeric, body text);
        INSERT INTO notes VALUES (1.500, 'of ana'), (1.5001, 'of bea');
    """
    tables = {
        "people": {"key": "id", "identities": {"email": ["email", "folded"]}, "erase": "anonymise",
                   "null": ["email"]},
        "notes": a_child(),
    }  # fmt: skip
    world = World(postgres_database, schema, tables)
    assert world.ask({"email": "ana@x.example"}) == [
        (Outcome.ANONYMISED, {"people.anonymised": 1, "notes.deleted": 1})
    ]
    assert [row[1:] for row in world.changes["people"][1]] == [(None, None)]
    assert [row[1] for row in world.changes["notes"][0]] == ["of ana"]


def test_an_identity_that_is_always_generated_can_be_deleted_and_not_set(
    postgres_database: PostgresDatabase,
) -> None:
    schema = """
        CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text);
        INSERT INTO people (email) VALUES ('ana@x.example'), ('bea@x.example');
    """
    people = {"key": "id", "identities": {"customer_id": "id", "email": "email"}, "erase": "delete"}
    world = World(postgres_database, schema, {"people": people})
    assert world.ask({"customer_id": "1"}) == [(Outcome.ERASED, {"people.deleted": 1})]
    assert world.changes == {"people": ([(1, "ana@x.example")], [])}
    postgres_database.run("DROP TABLE people")
    number = "CREATE TABLE people (id bigint PRIMARY KEY, no bigint GENERATED ALWAYS AS IDENTITY, email text)"
    people = {**people, "identities": {"customer_id": "no"}, "erase": "anonymise", "null": ["no"]}
    assert "'no'" in refused(postgres_database, number, {"people": people})


# --- 13. inside other values -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["sha256", "sha1", "md5"])
def test_a_digest_of_an_address_is_found_by_the_address(database: Database, form: str) -> None:
    digests = {name: hashlib.new(form, f"{name}@x.example".encode()).hexdigest() for name in ("ana", "bea")}
    schema = f"""
        CREATE TABLE audience (id bigint PRIMARY KEY, digest varchar(64));
        INSERT INTO audience VALUES (1, '{digests["ana"]}'), (2, '{digests["bea"]}'), (3, 'ana@x.example');
    """
    audience = {
        "key": "id",
        "identities": {"email": {"column": "digest", "form": form}},
        "erase": "delete",
    }
    world = World(database, schema, {"audience": audience})
    assert world.ask({"email": "ana@x.example"}) == [(Outcome.ERASED, {"audience.deleted": 1})]
    assert world.changes == {"audience": ([(1, digests["ana"])], [])}


def test_an_address_at_a_path_inside_json_finds_its_row(database: Database) -> None:
    schema = """
        CREATE TABLE hooks (id bigint PRIMARY KEY, payload json);
        INSERT INTO hooks VALUES (1, '{"customer": {"e-mail": "Ana@x.example"}}'),
            (2, '{"customer": {"e-mail": "bea@x.example"}, "e-mail": "ana@x.example"}'),
            (3, '{"customer": "ana@x.example"}'), (4, NULL), (5, '[]');
    """
    hooks = {
        "key": "id",
        "identities": {"email": {"column": "payload", "json": ["customer", "e-mail"]}},
        "erase": "anonymise",
        "null": ["payload"],
    }
    world = World(database, schema, {"hooks": hooks})
    assert world.ask({"email": "ana@x.example"}) == [(Outcome.ANONYMISED, {"hooks.anonymised": 1})]
    gone, left = world.changes["hooks"]
    assert ([row[0] for row in gone], left) == ([1], [(1, None)])


def test_an_address_among_other_text_is_the_whole_of_it_or_somebody_elses(database: Database) -> None:
    schema = """
        CREATE TABLE mails (id bigint PRIMARY KEY, sent_to varchar(200));
        INSERT INTO mails VALUES (1, 'Ana <Ana@x.example>'), (2, 'bea@x.example, ana@x.example'),
            (3, 'juliana@x.example'), (4, 'ana@x.example.org'), (5, 'Bea <bea@x.example>'),
            (6, 'write to ana@x.example.'), (7, 'ana@x.examples');
    """
    mails = {
        "key": "id",
        "identities": {"email": {"column": "sent_to", "inside": True}},
        "erase": "delete",
    }
    world = World(database, schema, {"mails": mails})
    [(outcome, counts)] = world.ask({"email": "ana@x.example"})
    assert [row[0] for row in world.changes["mails"][0]] == [1, 2, 6]
    # Row 4 may name somebody else, or be a sentence without a blank after it.
    assert (outcome, counts) == (Outcome.AMBIGUOUS, {"mails.deleted": 3})


def test_an_address_that_is_a_part_of_a_longer_one_alone_names_somebody_else(database: Database) -> None:
    schema = """
        CREATE TABLE mails (id bigint PRIMARY KEY, sent_to varchar(200));
        INSERT INTO mails VALUES (1, 'Ana <Ana@x.example>'), (2, 'juliana@x.example'), (3, 'ana@x.examples'),
            (4, 'mariana@x.example, juliana@x.example'), (5, 'juliana@x.example, ana@x.example');
    """
    mails = {
        "key": "id",
        "identities": {"email": {"column": "sent_to", "inside": True}},
        "erase": "delete",
    }
    world = World(database, schema, {"mails": mails})
    assert world.ask({"email": "ana@x.example"}) == [(Outcome.ERASED, {"mails.deleted": 2})]
    assert [row[0] for row in world.changes["mails"][0]] == [1, 5]


@pytest.mark.parametrize(
    "text",
    [
        r'{"to": "\nana@x.example"}',  # escapes of JSON and of addresses of pages
        r'{"to": "\u003cana@x.example\u003e"}',
        "to=%20ana@x.example",
        "-ana@x.example",
        "联系ana@x.example",  # no blanks are written there
        "ana@x.example.org",
        "juliana@x.example, =ana@x.example",
    ],
)
def test_what_may_be_the_end_of_something_else_before_an_address_is_not_taken_for_a_longer_one(text: str):
    assert not stands_in("ana@x.example", text)
    assert not only_in_others("ana@x.example", text)


def test_her_number_leaves_arrays_of_others_also_when_two_ask_at_once(database: Database) -> None:
    if not database.arrays:
        pytest.skip(f"{database.kind} has no arrays")
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE talks (id bigint PRIMARY KEY, person_id bigint, readers bigint[]);
        INSERT INTO talks VALUES (1, 3, ARRAY[1, 2, 3]), (2, 3, ARRAY[3]), (3, 2, ARRAY[1]),
            (4, 3, ARRAY[2, 1, 2]), (5, NULL, NULL), (6, 3, ARRAY[11, 12, NULL]);
    """
    talks = a_child(key="id", mentions=[{"table": "people", "column": "readers", "array": True}])
    world = World(database, schema, {"people": PEOPLE, "talks": talks})
    answers = world.ask({"customer_id": "ana"}, {"customer_id": "bea"})
    assert [outcome for outcome, _ in answers] == [Outcome.ERASED, Outcome.ERASED]
    assert world.changes["talks"] == (
        [(1, 3, [1, 2, 3]), (3, 2, [1]), (4, 3, [2, 1, 2])],
        [(1, 3, [3]), (4, 3, [])],
    )


def test_an_address_that_only_mentions_her_leaves_and_the_row_stays(database: Database) -> None:
    schema = """
        CREATE TABLE invitations (id bigint PRIMARY KEY, host varchar(40), guest varchar(80),
            state varchar(10));
        INSERT INTO invitations VALUES (1, 'bea', 'Ana@x.example', 'open'),
            (2, 'bea', 'cem@x.example', 'open'), (3, 'bea', 'ana@x.example', 'taken');
    """
    invitations = {
        "key": "id",
        "mentions": [{"identity": "email", "column": "guest", "where": {"state": "open"}}],
    }
    world = World(database, schema, {"invitations": invitations}, identities=(IdentityKind.EMAIL,))
    assert world.ask({"email": "ana@x.example"}) == [(Outcome.ANONYMISED, {"invitations.unlinked": 1})]
    assert world.changes == {
        "invitations": ([(1, "bea", "Ana@x.example", "open")], [(1, "bea", None, "open")])
    }


def test_a_text_with_json_in_it_is_refused_where_the_server_cannot_say_what_is_json(
    postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row that is none would have stopped the sink for everybody, as in PostgreSQL before 16."""
    monkeypatch.setattr(postgres_catalogue, "TELLS_JSON", 10**9)
    schema = "CREATE TABLE events (id bigint PRIMARY KEY, said text, held jsonb)"
    events = {"key": "id", "identities": {"email": {"column": "said", "json": "mail"}}, "erase": "delete"}
    assert "ALTER TABLE events ALTER said TYPE jsonb USING said::jsonb" in refused(
        postgres_database, schema, {"events": events}
    )
    events["identities"] = {"email": {"column": "held", "json": "mail"}}
    postgres_database.sink({"events": events}).close()


# --- 14. consent in a child or join table -------------------------------------------------------------


SUBSCRIPTIONS = f"""
    {PEOPLE_SCHEMA}
    CREATE TABLE subscriptions (person_id bigint, list varchar(20), status varchar(20),
        PRIMARY KEY (person_id, list));
    INSERT INTO subscriptions VALUES (1, 'offers', 'confirmed'), (1, 'news', 'confirmed'),
        (2, 'offers', 'confirmed');
"""
SUBSCRIPTION_TABLES: Tables = {
    "people": PEOPLE,
    "subscriptions": a_child(
        key=["person_id", "list"],
        consent={
            "marketing": {
                "where": {"list": ["offers", "sale"]},
                "granted": {"status": "confirmed"},
                "withdrawn": {"status": "unsubscribed"},
            }
        },
    ),
}


@pytest.mark.parametrize(
    "task",
    [a_consent(Decision.WITHDRAWN, customer_id="ana"), an_objection(customer_id="ana")],
    ids=["withdrawal", "objection"],
)
def test_a_decision_about_one_purpose_reaches_the_rows_of_a_join_table_that_are_about_it(
    database: Database, task: OpenedTask
) -> None:
    world = World(database, SUBSCRIPTIONS, SUBSCRIPTION_TABLES, purposes=("marketing",))
    [receipt] = world.apply(task)
    assert list(receipt.counts.values()) == [1]
    assert world.changes == {"subscriptions": ([(1, "offers", "confirmed")], [(1, "offers", "unsubscribed")])}


def test_decisions_about_a_join_table_stand_in_their_order_whatever_order_they_come_in(
    database: Database,
) -> None:
    world = World(database, SUBSCRIPTIONS, SUBSCRIPTION_TABLES, purposes=("marketing",))
    world.apply(a_consent(Decision.WITHDRAWN, at=LATER, customer_id="ana"))
    world.apply(a_consent(Decision.GRANTED, at=LONG_AGO, customer_id="ana"))
    assert world.changes == {"subscriptions": ([(1, "offers", "confirmed")], [(1, "offers", "unsubscribed")])}


def test_a_restriction_reaches_child_tables(database: Database) -> None:
    tables = {
        **SUBSCRIPTION_TABLES,
        "subscriptions": a_child(key=["person_id", "list"], restrict={"status": "blocked"}),
    }
    world = World(database, SUBSCRIPTIONS, tables)
    [receipt] = world.apply(a_task(Action.RESTRICT, identities(customer_id="ana")))
    assert (receipt.outcome, receipt.counts) == (Outcome.RESTRICTED, {"subscriptions.restricted": 2})
    assert [row[2] for row in world.changes["subscriptions"][1]] == ["blocked", "blocked"]


# --- 15. the key of a row is the identity -------------------------------------------------------------


def test_a_key_that_is_an_identity_goes_with_its_row_and_is_never_emptied(database: Database) -> None:
    schema = """
        CREATE TABLE people (email varchar(80) PRIMARY KEY, name varchar(40));
        INSERT INTO people VALUES ('Ana@x.example', 'Ana'), ('bea@x.example', 'Bea');
        CREATE TABLE notes (person_id varchar(80), body varchar(20));
        INSERT INTO notes VALUES ('Ana@x.example', 'of ana'), ('bea@x.example', 'of bea');
    """
    people = {"key": "email", "identities": {"email": "email"}, "erase": "delete"}
    world = World(database, schema, {"people": people, "notes": a_child()})
    assert world.ask({"email": "ana@x.example"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "notes.deleted": 1})
    ]
    assert world.changes["people"] == ([("Ana@x.example", "Ana")], [])
    emptied = {**people, "erase": "anonymise", "null": ["name"]}
    with pytest.raises(ConfigError, match="also holds an identity and so cannot be anonymised"):
        database.sink({"people": emptied})


# --- 16. some attributes of a (person, name, value) table ---------------------------------------------


def test_some_attributes_go_and_others_stay(database: Database) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE attributes (id bigint PRIMARY KEY, person_id bigint, name varchar(20),
            value varchar(20));
        INSERT INTO attributes VALUES (1, 1, 'nickname', 'Anita'), (2, 1, 'theme', 'dark'),
            (3, 1, 'address', 'Calle 1'), (4, 2, 'nickname', 'Bea');
    """
    tables = {
        "people": {**PEOPLE, "erase": "anonymise", "null": ["name", "email"]},
        "attributes": {
            "parent": {
                "table": "people",
                "column": "person_id",
                "where": {"name": ["nickname", "address"]},
            },
            "erase": "delete",
        },
    }
    world = World(database, schema, tables)
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.ANONYMISED, {"people.anonymised": 1, "attributes.deleted": 2})
    ]
    assert [row[0] for row in world.changes["attributes"][0]] == [1, 3]


# --- what the target does by itself ---------------------------------------------------------------------


def test_rows_that_go_by_cascade_are_counted_once_the_map_accepts_them(
    postgres_database: PostgresDatabase,
) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE follows (who bigint REFERENCES people (id) ON DELETE CASCADE,
            whom bigint REFERENCES people (id) ON DELETE CASCADE);
        INSERT INTO follows VALUES (1, 2), (2, 1), (2, 3), (3, 1);
    """
    assert 'cascades = ["' in refused(postgres_database, schema, {"people": PEOPLE})
    postgres_database.run("DROP TABLE follows, people")
    accepted = {"people": {**PEOPLE, "cascades": ["follows.who", "follows.whom"]}}
    world = World(postgres_database, schema, accepted)
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "follows.cascaded": 3})
    ]
    assert world.changes["follows"] == ([(1, 2), (2, 1), (3, 1)], [])


def test_a_cascade_goes_on_to_rows_that_the_map_names(postgres_database: PostgresDatabase) -> None:
    """A boost goes with the words that it boosts, its marks too, and an answer stays."""
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE posts (id bigint PRIMARY KEY, author bigint REFERENCES people (id),
            boost_of bigint REFERENCES posts (id) ON DELETE CASCADE,
            answers bigint REFERENCES posts (id) ON DELETE SET NULL);
        CREATE TABLE marks (post bigint REFERENCES posts (id) ON DELETE CASCADE);
        INSERT INTO posts VALUES (1, 1, NULL, NULL), (2, 2, 1, NULL), (3, 3, 2, NULL), (4, 1, 1, NULL),
            (5, 3, NULL, 2), (6, 2, NULL, NULL);
        INSERT INTO marks VALUES (1), (2), (3), (4), (5), (6);
    """
    posts: dict[str, Any] = {
        "key": "id",
        "parent": {"table": "people", "column": "author"},
        "mentions": [{"table": "posts", "column": "answers"}],
        "cascades": ["posts.boost_of"],
        "erase": "delete",
    }
    message = refused(postgres_database, schema, {"people": PEOPLE, "posts": posts})
    assert "marks" in message
    assert "cascades" in message
    postgres_database.run("DROP TABLE marks, posts, people")
    posts["cascades"] = ["posts.boost_of", "marks.post"]
    world = World(postgres_database, schema, {"people": PEOPLE, "posts": posts})
    [(outcome, counts)] = world.ask({"customer_id": "ana"})
    assert outcome is Outcome.ERASED
    assert counts == {
        "people.deleted": 1,
        "posts.deleted": 2,
        "posts.cascaded": 2,
        "posts.unlinked": 1,
        "marks.cascaded": 4,
    }


TRIGGERS = {
    "vetoes": "BEFORE DELETE ON people FOR EACH ROW WHEN (old.id = 1) EXECUTE FUNCTION act()",
    "raises": "BEFORE DELETE ON people FOR EACH ROW WHEN (old.id = 1) EXECUTE FUNCTION act()",
    "puts back": "AFTER DELETE ON people FOR EACH ROW WHEN (old.id = 1) EXECUTE FUNCTION act()",
}
ACTS = {
    "vetoes": "RETURN NULL",
    "raises": "RAISE EXCEPTION 'legal hold'",
    "puts back": "INSERT INTO people VALUES (old.*); RETURN NULL",
}


@pytest.mark.parametrize("how", TRIGGERS)
def test_a_row_that_a_trigger_keeps_is_refused_and_others_go(
    postgres_database: PostgresDatabase, how: str
) -> None:
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {ACTS[how]}; END$$;
        CREATE TRIGGER act {TRIGGERS[how]};
    """
    world = World(postgres_database, schema, {"people": PEOPLE})
    with pytest.raises(Refused) as caught:
        world.ask({"customer_id": "ana"}, {"customer_id": "bea"})
    assert caught.value.cause in {Cause.STILL_THERE, Cause.REFUSED_BY_TARGET}
    assert world.changes == {}
    assert world.ask({"customer_id": "bea"}) == [(Outcome.ERASED, {"people.deleted": 1})]
    assert world.changes == {"people": ([BEA], [])}


def test_what_a_trigger_copies_into_a_table_of_the_map_goes_as_well(
    postgres_database: PostgresDatabase,
) -> None:
    """A history that is written when a row goes: it is read back, and erased in the same transaction."""
    schema = f"""
        {PEOPLE_SCHEMA}
        CREATE TABLE history (id bigint, name varchar(40), email varchar(80));
        INSERT INTO history VALUES (2, 'bea', 'bea@old.example');
        CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN INSERT INTO history VALUES (old.*); RETURN NULL; END$$;
        CREATE TRIGGER act AFTER DELETE OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION act();
    """
    history = {"identities": {"customer_id": "name", "email": "email"}, "erase": "delete"}
    world = World(postgres_database, schema, {"people": PEOPLE, "history": history})
    assert world.ask({"customer_id": "ana"}) == [
        (Outcome.ERASED, {"people.deleted": 1, "history.deleted": 1})
    ]
    assert world.changes == {"people": ([ANA], [])}
