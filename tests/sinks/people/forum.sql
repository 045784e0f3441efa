-- A forum, without a foreign key: addresses in a table of their own, messages between two people.
-- Every person is invented; what names one has quimera, 600731 or 203.0.113 in it.

CREATE TABLE fo_users (id bigint PRIMARY KEY, username text NOT NULL, created_at timestamp NOT NULL DEFAULT now());
CREATE TABLE fo_user_emails (id bigint PRIMARY KEY, user_id bigint NOT NULL, email text NOT NULL);
CREATE TABLE fo_posts (id bigint PRIMARY KEY, author_id bigint NOT NULL, raw text NOT NULL,
    created_at timestamp NOT NULL DEFAULT now());
CREATE TABLE fo_messages (id bigint PRIMARY KEY, sender_id bigint NOT NULL, recipient_id bigint NOT NULL, body text);
CREATE TABLE fo_settings (key text PRIMARY KEY, value text);
INSERT INTO fo_users (id, username) SELECT n, 'quimera' || n FROM generate_series(1, 40) AS n;
INSERT INTO fo_user_emails SELECT n, 1 + n % 40, 'quimera.' || n || '@example.es' FROM generate_series(1, 50) AS n;
INSERT INTO fo_posts (id, author_id, raw) SELECT n, 1 + n % 40, 'Said quimera.' || n || '@example.es, too'
    FROM generate_series(1, 60) AS n;
INSERT INTO fo_messages SELECT n, 1 + n % 40, 1 + (n * 7) % 40, 'Hello' FROM generate_series(1, 30) AS n;
INSERT INTO fo_settings VALUES ('colour', 'green');
