"""Schemas that people really have, one after another, on the databases that they are found in.

Each is a known application's,
reduced to what it is about. X (7) asks; H (8) is somebody else. Compared are the answer
and all rows: by table the keys of those that went, and what came in the place of those that changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from sinks.databases import Database, MySQLDatabase, Rows
from sinks.mapped_world import Tables, World, refused

from olvido.core.outcomes import Outcome

X, H = "ximena@correo.example", "hugo@correo.example"
EVERYWHERE = ("postgres", "duckdb", "sqlite", "mysql")
SERVERS = ("postgres", "mysql")
WITH_FOREIGN_KEYS = (*SERVERS, "sqlite")
Changes = Mapping[str, tuple[Sequence[Any], Rows]]


class Case(NamedTuple):
    """One schema, and one request on it."""

    kinds: Sequence[str]
    schema: str
    tables: Tables
    person: Mapping[str, Any]
    outcome: Outcome
    changes: Changes


CASES = {
    # 0 is nobody, guests write under an address, and a date may be one that there never was.
    "WordPress": Case(
        ("mysql",),
        f"""
        SET SESSION sql_mode = 'ANSI_QUOTES';
        CREATE TABLE wp_users (ID bigint unsigned PRIMARY KEY, user_login varchar(60) NOT NULL,
            user_email varchar(100) NOT NULL,
            user_registered datetime NOT NULL DEFAULT '0000-00-00 00:00:00');
        INSERT INTO wp_users VALUES (7, 'ximena', '{X}', '0000-00-00'), (8, 'hugo', '{H}', '2020-01-01');
        CREATE TABLE wp_usermeta (umeta_id bigint unsigned PRIMARY KEY, user_id bigint unsigned NOT NULL,
            meta_key varchar(255), meta_value longtext);
        INSERT INTO wp_usermeta VALUES (1, 7, 'nickname', 'Xime'), (2, 8, 'nickname', 'Hu');
        CREATE TABLE wp_comments (comment_ID bigint unsigned PRIMARY KEY, comment_author tinytext NOT NULL,
            comment_author_email varchar(100) NOT NULL, comment_content text,
            user_id bigint unsigned NOT NULL);
        INSERT INTO wp_comments VALUES (1, 'Ximena', '{X}', 'a', 7), (2, 'Ximena', '{X}', 'as a guest', 0),
            (3, 'Hugo', '{H}', 'b', 8), (4, '', '', 'c', 0);
        CREATE TABLE wp_posts (ID bigint unsigned PRIMARY KEY,
            post_author bigint unsigned NOT NULL DEFAULT 0);
        INSERT INTO wp_posts VALUES (1, 7), (2, 8), (3, 0);
        """,
        {
            "wp_users": {
                "key": "ID", "person": "user_login", "created": "user_registered", "erase": "delete",
                "identities": {"customer_id": "user_login", "email": "user_email"},
            },
            "wp_usermeta": {
                "key": "umeta_id", "parent": {"table": "wp_users", "column": "user_id"}, "erase": "delete",
            },
            "wp_comments": {
                "key": "comment_ID", "parent": {"table": "wp_users", "column": "user_id"}, "unlink": 0,
                "identities": {"email": "comment_author_email"}, "erase": "anonymise",
                "set": {"comment_author": "Anónimo", "comment_author_email": ""},
            },
            "wp_posts": {
                "key": "ID", "parent": {"table": "wp_users", "column": "post_author"}, "unlink": 0,
                "erase": "retain", "ground": "articles of the house",
            },
        },
        {"email": X},
        Outcome.RETAINED,
        {
            "wp_users": ([7], []), "wp_usermeta": ([1], []), "wp_posts": ([1], [(1, 0)]),
            "wp_comments": ([1, 2], [(1, "Anónimo", "", "a", 0), (2, "Anónimo", "", "as a guest", 0)]),
        },
    ),
    # Several addresses an account; a log that holds keys of all tables as texts, whoever did the deed being
    # a key.
    "Django with allauth": Case(
        EVERYWHERE,
        f"""
        CREATE TABLE auth_user (id bigint PRIMARY KEY, username varchar(150) NOT NULL, email varchar(254));
        INSERT INTO auth_user VALUES (7, 'ximena', '{X}'), (8, 'hugo', '{H}'), (3, 'staff', NULL);
        CREATE TABLE account_emailaddress (id bigint PRIMARY KEY,
            user_id bigint NOT NULL REFERENCES auth_user (id), email varchar(254) NOT NULL);
        INSERT INTO account_emailaddress VALUES (1, 7, '{X}'), (2, 7, 'x2@correo.example'), (3, 8, '{H}');
        CREATE TABLE django_admin_log (id bigint PRIMARY KEY, object_id varchar(200),
            object_repr varchar(200),
            content_type_id bigint, user_id bigint NOT NULL REFERENCES auth_user (id));
        INSERT INTO django_admin_log VALUES (1, '7', 'ximena', 4, 3), (2, '7', 'a group', 5, 3),
            (3, '8', 'hugo', 4, 7), (4, 'no number', 'x', 4, 3), (5, '07', 'x', 4, 3);
        """,
        {
            "auth_user": {"key": "id", "identities": {"email": "email"}, "erase": "delete"},
            "account_emailaddress": {
                "key": "id", "parent": {"table": "auth_user", "column": "user_id", "climb": True},
                "identities": {"email": "email"}, "erase": "delete",
            },
            "django_admin_log": {
                "key": "id", "erase": "anonymise", "set": {"object_repr": ""}, "unlink": "-",
                "parent": {"table": "auth_user", "column": "object_id", "where": {"content_type_id": 4}},
                "mentions": [{"table": "auth_user", "column": "user_id", "set": 3}],
            },
        },
        {"email": "x2@correo.example"},
        Outcome.ANONYMISED,
        {
            "auth_user": ([7], []), "account_emailaddress": ([1, 2], []),
            "django_admin_log": ([1, 3], [(1, "-", "", 4, 3), (3, "8", "hugo", 4, 3)]),
        },
    ),
    # Type and id, files that two records share, and who did it as a text that need not be anybody's number.
    "Rails with ActiveStorage and PaperTrail": Case(
        EVERYWHERE,
        f"""
        CREATE TABLE users (id bigint PRIMARY KEY, email varchar(80) NOT NULL, unconfirmed_email varchar(80));
        INSERT INTO users VALUES (7, '{X}', NULL), (8, '{H}', NULL);
        CREATE TABLE active_storage_blobs (id bigint PRIMARY KEY, filename varchar(80));
        INSERT INTO active_storage_blobs VALUES (1, 'x.png'), (2, 'h.png'), (3, 'both.png');
        CREATE TABLE active_storage_attachments (id bigint PRIMARY KEY, record_type varchar(20) NOT NULL,
            record_id bigint NOT NULL, blob_id bigint NOT NULL REFERENCES active_storage_blobs (id));
        INSERT INTO active_storage_attachments VALUES (1, 'User', 7, 1), (2, 'User', 8, 2), (3, 'Project',
            7, 2),
            (4, 'User', 7, 3), (5, 'User', 8, 3);
        CREATE TABLE versions (id bigint PRIMARY KEY, item_type varchar(20), item_id bigint,
            whodunnit varchar(40));
        INSERT INTO versions VALUES (1, 'User', 7, '7'), (2, 'Project', 7, '7'), (3, 'Project', 1, '8'),
            (4, 'Project', 1, 'console');
        """,
        {
            "users": {"key": "id", "identities": {"email": ["email", "unconfirmed_email"]},
            "erase": "delete"},
            "active_storage_attachments": {
                "key": "id", "erase": "delete",
                "parent": {"table": "users", "column": "record_id", "where": {"record_type": "User"}},
            },
            "active_storage_blobs": {
                "key": "id", "shared_by": [{"table": "active_storage_attachments", "column": "blob_id"}],
                "erase": "delete",
            },
            "versions": {
                "key": "id", "erase": "delete",
                "parent": {"table": "users", "column": "item_id", "where": {"item_type": "User"}},
                "mentions": [{"table": "users", "column": "whodunnit"}],
            },
        },
        {"email": X},
        Outcome.ERASED,
        {
            "users": ([7], []), "active_storage_blobs": ([1], []), "active_storage_attachments": ([1, 4], []),
            "versions": ([1, 2], [(2, "Project", 7, None)]),
        },
    ),
    # UUIDs in a column for keys of any type, in small letters or capitals.
    "Laravel with uuid keys": Case(
        ("postgres", "duckdb", "mysql"),
        f"""
        CREATE TABLE users (id uuid PRIMARY KEY, email varchar(80) NOT NULL);
        INSERT INTO users VALUES ('0190ff00-aa5c-7e5d-8a27-0000000000a7', '{X}'),
            ('0190ff00-aa5c-7e5d-8a27-0000000000a8', '{H}');
        CREATE TABLE activity_log (id bigint PRIMARY KEY, subject_type varchar(40), subject_id varchar(36));
        INSERT INTO activity_log VALUES (1, 'User', '0190ff00-aa5c-7e5d-8a27-0000000000a7'),
            (2, 'User', '0190FF00-AA5C-7E5D-8A27-0000000000A7'), (3, 'Team', '7'), (4, 'User', 'nobody'),
            (5, 'User', '0190ff00-aa5c-7e5d-8a27-0000000000a8');
        """,
        {
            "users": {"key": "id", "identities": {"email": "email"}, "erase": "delete"},
            "activity_log": {
                "key": "id", "erase": "anonymise", "unlink": True,
                "parent": {"table": "users", "column": "subject_id", "where": {"subject_type": "User"}},
            },
        },
        {"email": X},
        Outcome.ANONYMISED,
        {
            "users": (["0190ff00-aa5c-7e5d-8a27-0000000000a7"], []),
            "activity_log": ([1, 2], [(1, "User", None), (2, "User", None)]),
        },
    ),
    # A contact of a company, a login below it, and everybody who ever touched a row written beside it.
    "Odoo": Case(
        ("postgres",),
        f"""
        CREATE TABLE res_partner (id int PRIMARY KEY, parent_id int REFERENCES res_partner ON DELETE SET NULL,
            name varchar, email varchar, create_uid int);
        CREATE TABLE res_users (id int PRIMARY KEY, login varchar NOT NULL UNIQUE,
            partner_id int NOT NULL REFERENCES res_partner ON DELETE RESTRICT);
        ALTER TABLE res_partner ADD FOREIGN KEY (create_uid) REFERENCES res_users ON DELETE SET NULL;
        INSERT INTO res_partner VALUES (1, NULL, 'ACME', 'info@acme.example'), (7, 1, 'Ximena', '{X}'),
            (8, 1, 'Hugo', '{H}');
        INSERT INTO res_users VALUES (17, 'ximena', 7), (18, 'hugo', 8);
        UPDATE res_partner SET create_uid = 17 WHERE id = 8;
        CREATE TABLE mail_message (id int PRIMARY KEY,
            author_id int REFERENCES res_partner ON DELETE SET NULL,
            email_from varchar, body text);
        INSERT INTO mail_message VALUES (1, 8, 'Hugo <{H}>', 'of x'), (2, 7, '"Ximena" <{X}>', 'hi'),
            (3, NULL, '{X}', 'by mail');
        """,
        {
            "res_partner": {
                "key": "id", "identities": {"email": "email"}, "erase": "anonymise", "null": ["email"],
                "set": {"name": "deleted {key}"}, "mentions": [{"table": "res_users",
                "column": "create_uid"}],
            },
            "res_users": {
                "key": "id", "parent": {"table": "res_partner", "column": "partner_id", "climb": True},
                "identities": {"customer_id": "login"}, "erase": "anonymise",
                "set": {"login": "deleted-{key}"},
            },
            "mail_message": {
                "key": "id", "parent": {"table": "res_partner", "column": "author_id"}, "erase": "anonymise",
                "identities": {"email": {"column": "email_from", "inside": True}}, "null": ["email_from"],
                "set": {"body": ""},
            },
        },
        {"customer_id": "ximena", "email": X},
        Outcome.ANONYMISED,
        {
            "res_partner": ([7, 8], [(7, 1, "deleted 7", None, None), (8, 1, "Hugo", H, None)]),
            "res_users": ([17], [(17, "deleted-17", 7)]),
            "mail_message": ([2, 3], [(2, 7, None, ""), (3, None, None, "")]),
        },
    ),
    # Guests' orders, and one that somebody else made with her address: it is his, and the answer says so.
    "Magento": Case(
        WITH_FOREIGN_KEYS,
        f"""
        CREATE TABLE customer_entity (entity_id bigint PRIMARY KEY, email varchar(80));
        INSERT INTO customer_entity VALUES (7, '{X}'), (8, '{H}');
        CREATE TABLE customer_entity_varchar (value_id bigint PRIMARY KEY, attribute_id bigint,
            entity_id bigint,
            value varchar(80),
            FOREIGN KEY (entity_id) REFERENCES customer_entity (entity_id) ON DELETE CASCADE);
        INSERT INTO customer_entity_varchar VALUES (1, 5, 7, 'Ximena'), (2, 5, 8, 'Hugo');
        CREATE TABLE sales_order (entity_id bigint PRIMARY KEY, customer_id bigint,
            customer_email varchar(80),
            FOREIGN KEY (customer_id) REFERENCES customer_entity (entity_id) ON DELETE SET NULL);
        INSERT INTO sales_order VALUES (1, 7, '{X}'), (2, NULL, '{X}'), (3, 8, '{X}'), (4, 8, '{H}');
        """,
        {
            "customer_entity": {"key": "entity_id", "identities": {"email": "email"}, "erase": "delete"},
            "customer_entity_varchar": {
                "key": "value_id", "parent": {"table": "customer_entity", "column": "entity_id"},
                "erase": "delete",
            },
            "sales_order": {
                "key": "entity_id", "parent": {"table": "customer_entity", "column": "customer_id"},
                "identities": {"email": "customer_email"}, "erase": "anonymise", "null": ["customer_email"],
                "unlink": True,
            },
        },
        {"email": X},
        Outcome.AMBIGUOUS,
        {
            "customer_entity": ([7], []), "customer_entity_varchar": ([1], []),
            "sales_order": ([1, 2], [(1, None, None), (2, None, None)]),
        },
    ),
    # No foreign keys, numbers for instants, and a teacher in the pupil's row.
    "Moodle": Case(
        EVERYWHERE,
        f"""
        CREATE TABLE mdl_user (id bigint PRIMARY KEY, email varchar(100) NOT NULL, deleted smallint NOT NULL);
        INSERT INTO mdl_user VALUES (7, '{X}', 0), (8, '{H}', 0);
        CREATE TABLE mdl_journal_entries (id bigint PRIMARY KEY, userid bigint NOT NULL,
            teacher bigint NOT NULL);
        INSERT INTO mdl_journal_entries VALUES (1, 7, 3), (2, 8, 7), (3, 8, 3);
        CREATE TABLE mdl_log (id bigint PRIMARY KEY, userid bigint NOT NULL, relateduserid bigint,
            ip varchar(45), timecreated bigint NOT NULL);
        INSERT INTO mdl_log VALUES (1, 7, NULL, 'a', 1500000000), (2, 3, 7, 'b', 1500000000),
            (3, 7, NULL, 'of a new life', 4000000000);
        """,
        {
            "mdl_user": {
                "key": "id", "identities": {"email": "email"}, "erase": "anonymise",
                "set": {"email": "deleted-{key}@invalid.example", "deleted": 1},
            },
            "mdl_journal_entries": {
                "key": "id", "parent": {"table": "mdl_user", "column": "userid"}, "erase": "delete",
                "mentions": [{"table": "mdl_user", "column": "teacher", "set": 0}],
            },
            "mdl_log": {
                "key": "id", "parent": {"table": "mdl_user", "column": "userid"}, "erase": "anonymise",
                "created": {"column": "timecreated", "clock": "epoch_s"}, "null": ["ip"], "unlink": 0,
                "mentions": [{"table": "mdl_user", "column": "relateduserid"}],
            },
        },
        {"email": X},
        Outcome.ANONYMISED,
        {
            "mdl_user": ([7], [(7, "deleted-7@invalid.example", 1)]),
            "mdl_journal_entries": ([1, 2], [(2, 8, 0)]),
            "mdl_log": ([1, 2], [(1, 0, None, None, 1500000000), (2, 3, None, "b", 1500000000)]),
        },
    ),
    # A phone among attributes, typed with blanks; what a login event says in JSON, where it is JSON.
    "Keycloak": Case(
        EVERYWHERE,
        f"""
        CREATE TABLE user_entity (id varchar(36) NOT NULL PRIMARY KEY, email varchar(255));
        INSERT INTO user_entity VALUES ('u7', '{X}'), ('u8', '{H}');
        CREATE TABLE user_attribute (id varchar(36) NOT NULL PRIMARY KEY, name varchar(255),
            value varchar(255),
            user_id varchar(36) NOT NULL REFERENCES user_entity (id));
        INSERT INTO user_attribute VALUES ('a1', 'phone', '+34 600-000-007', 'u7'), ('a2', 'phone',
            '600 000 008', 'u8'),
            ('a3', 'theme', 'dark', 'u7');
        CREATE TABLE event_entity (id varchar(36) NOT NULL PRIMARY KEY, details_json varchar(2550),
            user_id varchar(36));
        INSERT INTO event_entity VALUES ('e1', '{{"username": "ximena"}}', 'u7'), ('e2', 'no JSON', 'u8'),
            ('e3', '{{"username": "{X}"}}', NULL), ('e4', '', NULL), ('e5', NULL, NULL);
        """,
        {
            "user_entity": {"key": "id", "identities": {"email": "email"}, "erase": "delete"},
            "user_attribute": {
                "key": "id", "parent": {"table": "user_entity", "column": "user_id", "climb": True},
                "identities": {"phone": {"column": "value", "form": "typed:ES"}}, "erase": "delete",
            },
            "event_entity": {
                "key": "id", "parent": {"table": "user_entity", "column": "user_id"}, "erase": "delete",
                "identities": {"email": {"column": "details_json", "json": "username"}},
            },
        },
        {"phone": "+34600000007", "email": X},
        Outcome.ERASED,
        {
            "user_entity": (["u7"], []), "user_attribute": (["a1", "a3"], []), "event_entity": (["e1",
            "e3"], []),
        },
    ),
    # Keys of sixteen bytes, a flag of one bit, an amount that becomes 0.00.
    "Shopware": Case(
        ("mysql",),
        f"""
        CREATE TABLE customer (id binary(16) NOT NULL PRIMARY KEY, email varchar(254), active bit(1),
            total decimal(10,2), last_login datetime);
        INSERT INTO customer VALUES (UNHEX('0190FF00AA5C7E5D8A2700000000FF20'), '{X}', b'1', 9.5,
            '2024-05-05'),
            (UNHEX('0190FF00AA5C7E5D8A2700000000FF21'), '{H}', b'1', 9.5, '2024-05-05');
        CREATE TABLE order_customer (id binary(16) NOT NULL, version_id binary(16) NOT NULL,
            customer_id binary(16),
            remote_address varchar(40), PRIMARY KEY (id, version_id),
            FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE SET NULL);
        INSERT INTO order_customer VALUES (UNHEX('07'), UNHEX('0FA9'),
            UNHEX('0190FF00AA5C7E5D8A2700000000FF20'), '::1'),
            (UNHEX('08'), UNHEX('0FA9'), UNHEX('0190FF00AA5C7E5D8A2700000000FF21'), '::2');
        """,
        {
            "customer": {
                "key": "id", "identities": {"email": "email"}, "erase": "anonymise",
                "set": {"email": "deleted-{key}@invalid.example", "active": False, "total": 0,
                        "last_login": "1970-01-01"},
            },
            "order_customer": {
                "key": ["id", "version_id"], "parent": {"table": "customer", "column": "customer_id"},
                "erase": "delete",
            },
        },
        {"email": X},
        Outcome.ANONYMISED,
        {
            "customer": ([bytes.fromhex("0190FF00AA5C7E5D8A2700000000FF20")], ...),
            "order_customer": ([bytes.fromhex("07").ljust(16, b"\0")], []),
        },
    ),
    "keys of bytes": Case(
        ("sqlite", "duckdb"),
        f"""
        CREATE TABLE people (id blob NOT NULL PRIMARY KEY, email varchar(80));
        INSERT INTO people VALUES (BYTES7, '{X}'), (BYTES8, '{H}');
        CREATE TABLE orders (id bigint PRIMARY KEY, person_id blob);
        INSERT INTO orders VALUES (1, BYTES7), (2, BYTES8);
        """,
        {
            "people": {"key": "id", "identities": {"email": "email"}, "erase": "delete"},
            "orders": {
                "key": "id", "parent": {"table": "people", "column": "person_id"}, "erase": "anonymise",
                "unlink": True,
            },
        },
        {"email": X},
        Outcome.ANONYMISED,
        {"people": ([b"\x07'"], []), "orders": ([1], [(1, None)])},
    ),
    # Versions that point at their earlier ones, a login below the person, and NOT NULL pointers at who made
    # a row.
    "OpenMRS": Case(
        WITH_FOREIGN_KEYS,
        """
        CREATE TABLE person (person_id bigint PRIMARY KEY, gender varchar(10));
        INSERT INTO person VALUES (1, ''), (7, 'F'), (8, 'M');
        CREATE TABLE users (user_id bigint PRIMARY KEY, username varchar(50),
            person_id bigint NOT NULL REFERENCES person (person_id), creator bigint NOT NULL);
        INSERT INTO users VALUES (11, 'admin', 1, 11), (17, 'ximena', 7, 11), (18, 'hugo', 8, 17);
        CREATE TABLE patient (patient_id bigint PRIMARY KEY REFERENCES person (person_id),
            allergy varchar(50));
        INSERT INTO patient VALUES (7, 'nuts'), (8, 'none');
        CREATE TABLE obs (obs_id bigint PRIMARY KEY, person_id bigint NOT NULL REFERENCES person (person_id),
            previous_version bigint, FOREIGN KEY (previous_version) REFERENCES obs (obs_id));
        INSERT INTO obs VALUES (1, 7, NULL), (2, 7, 1), (3, 7, 2), (4, 8, NULL);
        """,
        {
            "person": {"key": "person_id", "identities": {"device_id": "gender"}, "erase": "delete"},
            "users": {
                "key": "user_id", "parent": {"table": "person", "column": "person_id", "climb": True},
                "identities": {"customer_id": "username"}, "erase": "delete",
                "mentions": [{"table": "users", "column": "creator", "set": 11}],
            },
            "patient": {
                "key": "patient_id", "parent": {"table": "person", "column": "patient_id"}, "erase": "delete",
            },
            "obs": {
                "key": "obs_id", "erase": "delete",
                "parent": [
                    {"table": "person", "column": "person_id"}, {"table": "obs",
                    "column": "previous_version"},
                ],
            },
        },
        {"customer_id": "ximena"},
        Outcome.ERASED,
        {
            "person": ([7], []), "users": ([17, 18], [(18, "hugo", 8, 11)]), "patient": ([7], []),
            "obs": ([1, 2, 3], []),
        },
    ),
    # The same person in two tenants; keys are unique in a tenant alone.
    "software for many tenants": Case(
        WITH_FOREIGN_KEYS,
        f"""
        CREATE TABLE members (tenant varchar(20) NOT NULL, id bigint NOT NULL, email varchar(80),
            PRIMARY KEY (tenant, id));
        INSERT INTO members VALUES ('a', 1, '{X}'), ('b', 1, '{H}'), ('b', 2, '{X}');
        CREATE TABLE tasks (tenant varchar(20) NOT NULL, id bigint NOT NULL, owner bigint,
            PRIMARY KEY (tenant, id),
            FOREIGN KEY (tenant, owner) REFERENCES members (tenant, id));
        INSERT INTO tasks VALUES ('a', 1, 1), ('b', 1, 1), ('b', 2, 2);
        """,
        {
            "members": {"key": ["tenant", "id"], "identities": {"email": "email"}, "erase": "delete"},
            "tasks": {
                "key": ["tenant", "id"], "parent": {"table": "members", "column": ["tenant", "owner"]},
                "erase": "delete",
            },
        },
        {"email": X},
        Outcome.ERASED,
        {"members": (["a", "b"], []), "tasks": (["a", "b"], [])},
    ),
    # The account's default address is one of its addresses: each points at the other.
    "an address book": Case(
        SERVERS,
        f"""
        CREATE TABLE users (id bigint PRIMARY KEY, email varchar(80), default_address bigint);
        CREATE TABLE addresses (id bigint PRIMARY KEY, user_id bigint,
            FOREIGN KEY (user_id) REFERENCES users (id));
        INSERT INTO users VALUES (7, '{X}', NULL), (8, '{H}', NULL);
        INSERT INTO addresses VALUES (1, 7), (2, 8);
        UPDATE users SET default_address = id - 6;
        ALTER TABLE users ADD FOREIGN KEY (default_address) REFERENCES addresses (id);
        """,
        {
            "users": {
                "key": "id", "identities": {"email": "email"}, "erase": "delete",
                "mentions": [{"table": "addresses", "column": "default_address"}],
            },
            "addresses": {"key": "id", "parent": {"table": "users", "column": "user_id"}, "erase": "delete"},
        },
        {"email": X},
        Outcome.ERASED,
        {"users": ([7], []), "addresses": ([1], [])},
    ),
    # Rows of past months lie in tables that inherit from the one that applications name.
    "Pagila": Case(
        ("postgres",),
        f"""
        CREATE TABLE customer (customer_id int PRIMARY KEY, email text);
        INSERT INTO customer VALUES (7, '{X}'), (8, '{H}');
        CREATE TABLE payment (payment_id int, customer_id int NOT NULL, paid_on date);
        CREATE TABLE payment_2022 (FOREIGN KEY (customer_id) REFERENCES customer) INHERITS (payment);
        INSERT INTO payment_2022 VALUES (1, 7, '2022-01-01'), (2, 8, '2022-01-01');
        INSERT INTO payment VALUES (3, 7, '2023-01-01');
        """,
        {
            "customer": {"key": "customer_id", "identities": {"email": "email"}, "erase": "delete"},
            "payment": {"parent": {"table": "customer", "column": "customer_id"}, "erase": "delete"},
        },
        {"email": X},
        Outcome.ERASED,
        {"customer": ([7], []), "payment": ([1, 3], []), "payment_2022": ([1], [])},
    ),
    "a list of addresses": Case(
        ("postgres", "duckdb"),
        f"""
        CREATE TABLE contacts (id bigint PRIMARY KEY, emails varchar(80)[]);
        INSERT INTO contacts VALUES (7, ARRAY['other@correo.example', '{X}']), (8, ARRAY['{H}']), (9, NULL);
        """,
        {
            "contacts": {
                "key": "id", "identities": {"email": {"column": "emails", "inside": True}}, "erase": "delete",
            },
        },
        {"email": X},
        Outcome.ERASED,
        {"contacts": ([7], [])},
    ),
    "a document with a list in it": Case(
        ("postgres", "duckdb", "mysql"),
        f"""
        CREATE TABLE orders (id bigint PRIMARY KEY, payload json);
        INSERT INTO orders VALUES (7, '{{"to": ["{X}", "b@x.example"]}}'), (8, '{{"to": ["{H}"]}}'), (9,
            NULL);
        """,
        {
            "orders": {
                "key": "id", "identities": {"email": {"column": "payload", "inside": True}},
                "erase": "anonymise", "null": ["payload"],
            },
        },
        {"email": X},
        Outcome.ANONYMISED,
        {"orders": ([7], [(7, None)])},
    ),
    # A stranger's number in another country has her digits: he stays, and the answer does not claim that
    # all is done.
    "phones as people type them": Case(
        EVERYWHERE,
        """
        CREATE TABLE people (id bigint PRIMARY KEY, phone varchar(40));
        INSERT INTO people VALUES (1, '600 00 00 07'), (2, '+34 600-000-007'), (3, '0034 600000007'),
            (4, '(34) 60000-0007'), (5, '600000007 ext 1'), (6, '+34 600 000 008'), (7, NULL), (8,
            '600.000.007');
        """,
        {
            "people": {
                "key": "id", "identities": {"phone": {"column": "phone", "form": "typed:ES"}},
                "erase": "delete",
            },
        },
        {"phone": "+34600000007"},
        Outcome.AMBIGUOUS,
        {"people": ([1, 2, 3, 8], [])},
    ),
    # The address itself is the key, in a table without row numbers, and overlooks case.
    "an SQLite file without row numbers": Case(
        ("sqlite",),
        f"""
        CREATE TABLE users (email TEXT PRIMARY KEY COLLATE NOCASE, name TEXT) WITHOUT ROWID;
        INSERT INTO users VALUES ('{X}', 'x'), ('{H}', 'h');
        CREATE TABLE prefs (email TEXT REFERENCES users (email) ON DELETE CASCADE, k TEXT,
            PRIMARY KEY (email, k))
            WITHOUT ROWID;
        INSERT INTO prefs VALUES ('{X.title()}', 'a'), ('{H}', 'a');
        """,
        {
            "users": {"key": "email", "identities": {"email": "email"}, "erase": "delete"},
            "prefs": {
                "key": ["email", "k"], "parent": {"table": "users", "column": "email"}, "erase": "delete",
            },
        },
        {"email": X.upper()},
        Outcome.ERASED,
        {"users": ([X], []), "prefs": ([X.title()], [])},
    ),
    # The only identity is a key that PostgreSQL fills up with blanks, and another one is its first letter.
    "Northwind": Case(
        ("postgres",),
        """
        CREATE TABLE customers (customer_id bpchar NOT NULL PRIMARY KEY, company_name varchar(40));
        INSERT INTO customers VALUES ('XIMRI', 'Comercial X'), ('X', 'Another');
        CREATE TABLE customer_demo (customer_id bpchar NOT NULL REFERENCES customers, type_id bpchar,
            PRIMARY KEY (customer_id, type_id));
        INSERT INTO customer_demo VALUES ('XIMRI', 'a'), ('XIMRI', 'b'), ('X', 'a');
        CREATE TABLE orders (order_id smallint PRIMARY KEY, customer_id bpchar REFERENCES customers,
            ship_name varchar(40));
        INSERT INTO orders VALUES (1, 'XIMRI', 'Comercial X'), (2, 'X', 'Another');
        """,
        {
            "customers": {
                "key": "customer_id", "identities": {"customer_id": "customer_id"}, "erase": "delete",
            },
            "customer_demo": {
                "parent": {"table": "customers", "column": "customer_id"}, "erase": "delete",
            },
            "orders": {
                "key": "order_id", "parent": {"table": "customers", "column": "customer_id"},
                "erase": "anonymise", "null": ["ship_name"], "unlink": True,
            },
        },
        {"customer_id": "XIMRI"},
        Outcome.ANONYMISED,
        {"customers": (["XIMRI"], []), "customer_demo": (["XIMRI", "XIMRI"], []), "orders": ([1], [
            (1, None, None)])},
    ),
    # The address is in a child of the account; words of the person are edited by others.
    "Discourse": Case(
        ("postgres",),
        f"""
        CREATE TABLE users (id int PRIMARY KEY, username_lower varchar(60) NOT NULL UNIQUE);
        INSERT INTO users VALUES (7, 'ximena'), (8, 'hugo');
        CREATE TABLE user_emails (id int PRIMARY KEY, user_id int NOT NULL, email varchar(513) NOT NULL);
        CREATE UNIQUE INDEX ON user_emails (lower(email));
        INSERT INTO user_emails VALUES (1, 7, '{X}'), (2, 7, 'xime@correo.example'), (3, 8, '{H}');
        CREATE TABLE posts (id int PRIMARY KEY, user_id int, raw text NOT NULL, raw_email text);
        INSERT INTO posts VALUES (1, 7, 'hers', 'From: her'), (2, 8, 'his', NULL);
        CREATE TABLE post_revisions (id int PRIMARY KEY, user_id int, post_id int, modifications text);
        INSERT INTO post_revisions VALUES (1, 8, 1, 'her words'), (2, 7, 2, 'his words'), (3, 8, 2, 'his');
        CREATE TABLE user_histories (id int PRIMARY KEY, acting_user_id int, target_user_id int,
            email varchar);
        INSERT INTO user_histories VALUES (1, 8, 7, '{X}'), (2, 7, 8, NULL);
        """,
        {
            "users": {
                "key": "id", "person": "username_lower", "identities": {"customer_id": "username_lower"},
                "erase": "delete",
            },
            "user_emails": {
                "parent": {"table": "users", "column": "user_id", "climb": True},
                "identities": {"email": "email"}, "erase": "delete",
            },
            "posts": {
                "key": "id", "parent": {"table": "users", "column": "user_id"}, "erase": "anonymise",
                "set": {"raw": ""}, "null": ["raw_email"], "unlink": True,
            },
            "post_revisions": {
                "key": "id", "parent": {"table": "posts", "column": "post_id"}, "erase": "delete",
                "mentions": [{"table": "users", "column": "user_id"}],
            },
            "user_histories": {
                "key": "id", "parent": {"table": "users", "column": "target_user_id"},
                "identities": {"email": "email"}, "erase": "anonymise", "null": ["email"], "unlink": True,
                "mentions": [{"table": "users", "column": "acting_user_id"}],
            },
        },
        {"email": X},
        Outcome.ANONYMISED,
        {
            "users": ([7], []), "user_emails": ([1, 2], []),
            "posts": ([1], [(1, None, "", None)]),
            "post_revisions": ([1, 2], [(2, None, 2, "his words")]),
            "user_histories": ([1, 2], [(1, 8, None, None), (2, None, 8, None)]),
        },
    ),
    # The login hangs on the account; boosts go with what they boost, and with them what mentions them.
    "Mastodon": Case(
        ("postgres",),
        f"""
        CREATE TABLE accounts (id bigint PRIMARY KEY, username varchar NOT NULL,
            moved_to_account_id bigint REFERENCES accounts ON DELETE SET NULL);
        INSERT INTO accounts VALUES (7, 'ximena', NULL), (8, 'hugo', 7), (9, 'yago', NULL);
        CREATE TABLE users (id bigint PRIMARY KEY, email varchar NOT NULL UNIQUE, unconfirmed_email varchar,
            account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE);
        INSERT INTO users VALUES (1, 'old@correo.example', '{X}', 7), (2, '{H}', NULL, 8);
        CREATE TABLE statuses (id bigint PRIMARY KEY, text text,
            account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
            in_reply_to_id bigint REFERENCES statuses ON DELETE SET NULL,
            reblog_of_id bigint REFERENCES statuses ON DELETE CASCADE);
        INSERT INTO statuses VALUES (1, 'hers', 7, NULL, NULL), (2, 'his answer', 8, 1, NULL),
            (3, '', 8, NULL, 1), (4, 'his', 8, NULL, NULL), (5, '', 9, NULL, 3);
        CREATE TABLE mentions (id bigint PRIMARY KEY,
            status_id bigint NOT NULL REFERENCES statuses ON DELETE CASCADE,
            account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE);
        INSERT INTO mentions VALUES (1, 4, 7), (2, 1, 8), (3, 4, 9), (4, 5, 9);
        CREATE TABLE account_conversations (id bigint PRIMARY KEY,
            account_id bigint REFERENCES accounts ON DELETE CASCADE, participants bigint[] NOT NULL);
        INSERT INTO account_conversations VALUES (1, 7, '{{8}}'), (2, 8, '{{7,9}}'), (3, 9, '{{8}}');
        CREATE TABLE blocks (id bigint PRIMARY KEY, hash varchar NOT NULL,
            account_id bigint REFERENCES accounts ON DELETE CASCADE);
        INSERT INTO blocks VALUES (1, 'banned', 7);
        """,
        {
            "accounts": {
                "key": "id", "erase": "delete",
                "mentions": [{"table": "accounts", "column": "moved_to_account_id"}],
            },
            "users": {
                "parent": {"table": "accounts", "column": "account_id", "climb": True}, "erase": "delete",
                "identities": {"email": ["email", "unconfirmed_email"]},
            },
            "statuses": {
                "key": "id", "parent": {"table": "accounts", "column": "account_id"}, "erase": "delete",
                "mentions": [{"table": "statuses", "column": "in_reply_to_id"}],
                "cascades": ["statuses.reblog_of_id", "mentions.status_id"],
            },
            "mentions": {"parent": {"table": "accounts", "column": "account_id"}, "erase": "delete"},
            "account_conversations": {
                "parent": {"table": "accounts", "column": "account_id"}, "erase": "delete",
                "mentions": [{"table": "accounts", "column": "participants", "array": True}],
            },
            "blocks": {"mentions": [{"table": "accounts", "column": "account_id"}]},
        },
        {"email": X},
        Outcome.ERASED,
        {
            "accounts": ([7, 8], [(8, "hugo", None)]), "users": ([1], []),
            "statuses": ([1, 2, 3, 5], [(2, "his answer", 8, None, None)]), "mentions": ([1, 2, 4], []),
            "account_conversations": ([1, 2], [(2, 8, [9])]), "blocks": ([1], [(1, "banned", None)]),
        },
    ),
    # Guests by their address; a number that points at another table for each type; a home of several.
    "Solidus": Case(
        ("postgres",),
        f"""
        CREATE TABLE users (id int PRIMARY KEY, email varchar, home_id int);
        INSERT INTO users VALUES (7, '{X}', 70), (8, '{H}', 78);
        CREATE TABLE orders (id int PRIMARY KEY, user_id int, email varchar, home_id int, made_at timestamp);
        INSERT INTO orders VALUES (1, 7, '{X}', 70, '2026-01-01'), (2, NULL, '{X.upper()}', 71, '2026-01-01'),
            (3, 8, '{H}', 78, '2026-01-01'), (4, 7, '{X}', 78, '2026-07-01'), (5, 7, NULL, 78, '2026-01-01');
        CREATE TABLE payments (id int PRIMARY KEY, order_id int, source_type varchar, source_id int);
        INSERT INTO payments VALUES (1, 1, 'Card', 1), (2, 2, 'Card', 2), (3, 3, 'Card', 3),
            (4, 1, 'Voucher', 3);
        CREATE TABLE cards (id int PRIMARY KEY, name varchar);
        INSERT INTO cards VALUES (1, 'Ximena'), (2, 'Ximena as a guest'), (3, 'Hugo');
        CREATE TABLE log_entries (id int PRIMARY KEY, source_type varchar, source_id int);
        INSERT INTO log_entries VALUES (1, 'Payment', 1), (2, 'Refund', 1), (3, 'Payment', 3);
        CREATE TABLE homes (id int PRIMARY KEY, street varchar);
        INSERT INTO homes VALUES (70, 'hers'), (71, 'a guest''s'), (78, 'of both');
        """,
        {
            "users": {"key": "id", "person": "email", "identities": {"email": "email"}, "erase": "delete"},
            "orders": {
                "key": "id", "parent": {"table": "users", "column": "user_id"}, "created": "made_at",
                "identities": {"email": "email"}, "erase": "anonymise", "null": ["email", "home_id"],
                "unlink": True,
            },
            "payments": {
                "key": "id", "parent": {"table": "orders", "column": "order_id"}, "erase": "retain",
                "ground": "law",
            },
            "log_entries": {
                "parent": {"table": "payments", "column": "source_id", "where": {"source_type": "Payment"}},
                "erase": "delete",
            },
            "cards": {
                "key": "id", "erase": "delete", "pointed_at_by": [
                    {"table": "payments", "column": "source_id", "where": {"source_type": "Card"}}],
            },
            "homes": {
                "key": "id", "erase": "delete", "shared_by": [
                    {"table": "users", "column": "home_id"}, {"table": "orders", "column": "home_id"}],
            },
        },
        {"email": X},
        Outcome.RETAINED,
        {
            "users": ([7], []),
            "orders": ([1, 2, 5], ...), "cards": ([1, 2], []), "log_entries": ([1], []),
            "homes": ([70, 71], []),
        },
    ),
    # A ghost for what must have an author, a log with partitions, names of which one column must be filled.
    "GitLab": Case(
        ("postgres",),
        f"""
        CREATE TABLE users (id bigint PRIMARY KEY, username varchar UNIQUE, email varchar NOT NULL);
        INSERT INTO users VALUES (7, 'ximena', '{X}'), (8, 'hugo', '{H}'), (1, 'ghost', 'g@correo.example');
        CREATE TABLE follows (follower_id bigint REFERENCES users ON DELETE CASCADE,
            followee_id bigint REFERENCES users ON DELETE CASCADE, PRIMARY KEY (follower_id, followee_id));
        INSERT INTO follows VALUES (7, 8), (8, 7), (8, 1);
        CREATE TABLE notes (id bigint PRIMARY KEY, note text, author_id bigint, updated_by_id bigint);
        INSERT INTO notes VALUES (1, 'hers', 7, 8), (2, 'his', 8, 7);
        CREATE TABLE members (id bigint PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE,
            invite_email varchar);
        INSERT INTO members VALUES (1, 7, NULL), (2, NULL, '{X}'), (3, 8, '{X}');
        CREATE TABLE audit_events (id bigint NOT NULL, author_id bigint NOT NULL, author_name text,
            made_at timestamp NOT NULL, PRIMARY KEY (id, made_at)) PARTITION BY RANGE (made_at);
        CREATE TABLE audit_old PARTITION OF audit_events FOR VALUES FROM ('2000-01-01') TO ('2026-05-01');
        CREATE TABLE audit_new PARTITION OF audit_events FOR VALUES FROM ('2026-05-01') TO ('2030-01-01');
        INSERT INTO audit_events VALUES (1, 7, 'X', '2026-01-01'), (1, 7, 'X', '2026-05-02'),
            (2, 8, 'H', '2026-01-01');
        CREATE TABLE commit_users (id bigint PRIMARY KEY, name text, email text,
            CHECK (COALESCE(name, '') <> '' OR COALESCE(email, '') <> ''), UNIQUE (name, email));
        INSERT INTO commit_users VALUES (1, 'X', '{X}'), (2, 'Ximena', '{X}'), (3, 'H', '{H}');
        """,
        {
            "users": {
                "key": "id", "person": "username", "identities": {"customer_id": "username",
                "email": "email"}, "erase": "delete",
                "cascades": ["follows.follower_id", "follows.followee_id"],
            },
            "notes": {
                "key": "id", "parent": {"table": "users", "column": "author_id"}, "erase": "anonymise",
                "set": {"note": ""}, "unlink": 1,
                "mentions": [{"table": "users", "column": "updated_by_id", "set": 1}],
            },
            "members": {
                "key": "id", "parent": {"table": "users", "column": "user_id"}, "erase": "delete",
                "identities": {"email": "invite_email"},
            },
            "audit_events": {
                "parent": {"table": "users", "column": "author_id"}, "erase": "anonymise",
                "null": ["author_name"], "unlink": 1,
            },
            "commit_users": {
                "key": "id", "identities": {"email": "email"}, "erase": "anonymise",
                "set": {"email": "deleted-{key}@commits.invalid"}, "null": ["name"],
            },
        },
        {"customer_id": "ximena", "email": X},
        Outcome.AMBIGUOUS,  # his membership was taken up from an invitation to her
        {
            "users": ([7], []), "follows": ([7, 8], []),
            "notes": ([1, 2], [(1, "", 1, 8), (2, "his", 8, 1)]), "members": ([1, 2], []),
            "audit_events": ([1, 1], ...), "audit_old": ([1], ...), "audit_new": ([1], ...),
            "commit_users": ([1, 2], [(1, None, "deleted-1@commits.invalid"),
                (2, None, "deleted-2@commits.invalid")]),
        },
    ),
    # Consent in a join table; what is counted stays, and names nobody.
    "listmonk": Case(
        ("postgres",),
        f"""
        CREATE TYPE status AS ENUM ('enabled', 'disabled', 'blocklisted');
        CREATE TABLE subscribers (id int PRIMARY KEY, email text NOT NULL, status status NOT NULL);
        CREATE UNIQUE INDEX ON subscribers (lower(email));
        INSERT INTO subscribers VALUES (7, '{X}', 'enabled'), (8, '{H}', 'enabled');
        CREATE TABLE subscriber_lists (subscriber_id int REFERENCES subscribers ON DELETE CASCADE
            ON UPDATE CASCADE, list_id int, PRIMARY KEY (subscriber_id, list_id));
        INSERT INTO subscriber_lists VALUES (7, 1), (7, 2), (8, 1);
        CREATE TABLE campaign_views (campaign_id int NOT NULL,
            subscriber_id int NULL REFERENCES subscribers ON DELETE SET NULL);
        INSERT INTO campaign_views VALUES (1, 7), (1, 8), (2, 7);
        """,
        {
            "subscribers": {
                "key": "id", "person": "email", "identities": {"email": "email"}, "erase": "delete",
            },
            "subscriber_lists": {
                "key": ["subscriber_id", "list_id"], "erase": "delete",
                "parent": {"table": "subscribers", "column": "subscriber_id"},
            },
            "campaign_views": {"mentions": [{"table": "subscribers", "column": "subscriber_id"}]},
        },
        {"email": X.title()},
        Outcome.ERASED,
        {
            "subscribers": ([7], []), "subscriber_lists": ([7, 7], []),
            "campaign_views": ([1, 2], [(1, None), (2, None)]),
        },
    ),
    # As Prisma writes names.
    "Cal.com": Case(
        ("postgres",),
        f"""
        CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL UNIQUE);
        INSERT INTO users VALUES (7, '{X}'), (8, '{H}');
        CREATE TABLE "EventType" (id int PRIMARY KEY, "userId" int REFERENCES users ON DELETE CASCADE);
        INSERT INTO "EventType" VALUES (1, 7), (2, 8);
        CREATE TABLE "Booking" (id int PRIMARY KEY, "userId" int REFERENCES users ON DELETE SET NULL,
            "eventTypeId" int REFERENCES "EventType" ON DELETE SET NULL);
        INSERT INTO "Booking" VALUES (1, 7, 1), (2, 8, 2);
        CREATE TABLE "Attendee" (id int PRIMARY KEY, email text NOT NULL,
            "bookingId" int REFERENCES "Booking" ON DELETE CASCADE);
        INSERT INTO "Attendee" VALUES (1, '{H}', 1), (2, 'g@correo.example', 2);
        CREATE TABLE "Credential" (id int PRIMARY KEY, key jsonb NOT NULL,
            "userId" int REFERENCES users ON DELETE CASCADE);
        INSERT INTO "Credential" VALUES (1, '{{"mail": "{X}"}}', 7), (2, '{{}}', 8);
        """,
        {
            "users": {"key": "id", "identities": {"email": "email"}, "erase": "delete"},
            "EventType": {
                "key": "id", "parent": {"table": "users", "column": "userId"}, "erase": "delete",
            },
            "Booking": {
                "key": "id", "parent": {"table": "users", "column": "userId"}, "erase": "delete",
                "mentions": [{"table": "EventType", "column": "eventTypeId"}],
                "cascades": ["Attendee.bookingId"],
            },
            "Credential": {"parent": {"table": "users", "column": "userId"}, "erase": "delete"},
        },
        {"email": X},
        Outcome.ERASED,
        {
            "users": ([7], []), "EventType": ([1], []), "Booking": ([1], []), "Attendee": ([1], []),
            "Credential": ([1], []),
        },
    ),
}  # fmt: skip
BYTES = {"sqlite": ("x'0727'", "x'0827'"), "duckdb": ("'\\x07\\x27'::BLOB", "'\\x08\\x27'::BLOB")}


@pytest.mark.parametrize(
    ("database", "name"),
    [(kind, name) for name, case in CASES.items() for kind in case.kinds],
    indirect=["database"],
)
def test_her_rows_go_and_nobody_elses(database: Database, name: str) -> None:
    case = CASES[name]
    schema = case.schema
    for marked, written in zip(("BYTES7", "BYTES8"), BYTES.get(database.kind, ()), strict=False):
        schema = schema.replace(marked, written)
    world = World(database, schema, case.tables)
    [(outcome, _)] = world.ask(case.person)
    assert outcome is case.outcome
    changes = world.changes
    assert {table: [str(row[0]) for row in went] for table, (went, _) in changes.items()} == {
        table: [str(key) for key in keys] for table, (keys, _) in case.changes.items()
    }
    for table, (_, came) in case.changes.items():
        assert came is ... or changes[table][1] == came


def test_rows_that_point_at_each_other_and_may_not_be_cut_loose_are_refused_on_mariadb(
    reused_mariadb: str,
) -> None:
    """InnoDB would refuse the deletion, row by row."""
    schema = """
        CREATE TABLE people (id bigint PRIMARY KEY, email varchar(80));
        CREATE TABLE folders (id bigint PRIMARY KEY, person_id bigint, above bigint NOT NULL,
            FOREIGN KEY (above) REFERENCES folders (id))
    """
    tables = {
        "people": {"key": "id", "identities": {"email": "email"}, "erase": "delete"},
        "folders": {
            "key": "id",
            "parent": [{"table": "people", "column": "person_id"}, {"table": "folders", "column": "above"}],
            "erase": "delete",
        },
    }
    said = refused(MySQLDatabase(reused_mariadb), schema, tables)
    assert "rows of folders point at each other by 'above', which refuses null" in said


def test_a_shared_row_must_be_pointed_at_by_what_its_key_is(database: Database) -> None:
    schema = """
        CREATE TABLE homes (id bigint PRIMARY KEY);
        CREATE TABLE people (id bigint PRIMARY KEY, email varchar(80), home varchar(20));
    """
    tables = {
        "people": {"key": "id", "identities": {"email": "email"}, "erase": "delete"},
        "homes": {"key": "id", "shared_by": [{"table": "people", "column": "home"}], "erase": "delete"},
    }
    assert "'home'" in refused(database, schema, tables)
