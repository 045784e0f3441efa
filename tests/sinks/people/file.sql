-- A small file of contacts, in words that SQLite, DuckDB and MariaDB understand.
-- Every person is invented; what names one has quimera, 600731 or 203.0.113 in it.

CREATE TABLE contacts (id integer PRIMARY KEY, email text NOT NULL, name text, created_at timestamp);
CREATE TABLE visits (id integer PRIMARY KEY, contact_id integer REFERENCES contacts (id), page text);
CREATE TABLE colours (id integer PRIMARY KEY, label text);
INSERT INTO contacts VALUES (1, 'quimera.1@example.es', 'Ana Quimera', NULL), (2, 'quimera.2@example.es', NULL, NULL),
    (3, 'quimera.3@example.es', NULL, NULL), (4, 'quimera.4@example.es', NULL, NULL),
    (5, 'quimera.5@example.es', NULL, NULL), (6, 'quimera.6@example.es', NULL, NULL);
INSERT INTO visits VALUES (1, 1, '/'), (2, 2, '/lamps');
INSERT INTO colours VALUES (1, 'green');
