-- The fixed SQL of the DuckDB sink. What is made from a data map is made in tables/statements.py.
-- Instants are kept as UTC without a zone.

-- name: install
-- Olvido's own tables in the file: the journal of tasks and what people said. No identity is in them.
CREATE SCHEMA IF NOT EXISTS olvido;
CREATE TABLE IF NOT EXISTS olvido.applied (
    task_id UUID NOT NULL,
    generation INTEGER NOT NULL,
    outcome VARCHAR NOT NULL,
    counts VARCHAR NOT NULL,  -- JSON
    detail VARCHAR NOT NULL,
    applied_at TIMESTAMP NOT NULL,
    verified_at TIMESTAMP,
    PRIMARY KEY (task_id, generation)
);
CREATE TABLE IF NOT EXISTS olvido.consent_state (
    handle VARCHAR NOT NULL,
    purpose VARCHAR NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    decision VARCHAR NOT NULL,
    event_id UUID NOT NULL,
    policy_version VARCHAR NOT NULL,
    PRIMARY KEY (handle, purpose)
);
CREATE TABLE IF NOT EXISTS olvido.objections (
    handle VARCHAR NOT NULL,
    purpose VARCHAR NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    request_id UUID NOT NULL,
    PRIMARY KEY (handle, purpose)
);
CREATE TABLE IF NOT EXISTS olvido.row_words (
    table_name VARCHAR NOT NULL,
    row_key VARCHAR NOT NULL,
    purpose VARCHAR NOT NULL,
    rank TINYINT NOT NULL,  -- 0 granted, 1 withdrawn, 2 objected
    occurred_at TIMESTAMP NOT NULL,
    event_id UUID NOT NULL,
    PRIMARY KEY (table_name, row_key, purpose)
);
CREATE TABLE IF NOT EXISTS olvido.compaction_due (since TIMESTAMP NOT NULL);

-- name: remembered
-- The answers given before.
SELECT a.task_id::VARCHAR, a.generation, a.outcome, a.counts, a.detail, a.applied_at, a.verified_at
FROM (SELECT unnest($task_ids::UUID[]) AS task_id, unnest($generations::INTEGER[]) AS generation) AS t
JOIN olvido.applied AS a USING (task_id, generation);

-- name: known
-- Which of some tasks were done before.
SELECT a.task_id::VARCHAR, a.generation
FROM (SELECT unnest($task_ids::UUID[]) AS task_id, unnest($generations::INTEGER[]) AS generation) AS t
JOIN olvido.applied AS a USING (task_id, generation);

-- name: remember
-- Keep new answers. Nobody else can be writing: the file is locked.
INSERT INTO olvido.applied
SELECT unnest($task_ids::UUID[]), unnest($generations::INTEGER[]), unnest($outcomes::VARCHAR[]),
    unnest($counts::VARCHAR[]), unnest($details::VARCHAR[]), $at::TIMESTAMP,
    CASE WHEN unnest($verified::BOOLEAN[]) THEN $at::TIMESTAMP END;

-- name: states
-- What is known about these.
SELECT s.handle, s.purpose, s.occurred_at, s.decision, s.event_id, s.policy_version
FROM (SELECT unnest($handles::VARCHAR[]) AS handle, unnest($purposes::VARCHAR[]) AS purpose) AS t
JOIN olvido.consent_state AS s USING (handle, purpose);

-- name: save_states
-- The later decisions, as core.consents.later chose them.
INSERT OR REPLACE INTO olvido.consent_state
SELECT unnest($handles::VARCHAR[]), unnest($purposes::VARCHAR[]), unnest($occurred_at::TIMESTAMP[]),
    unnest($decisions::VARCHAR[]), unnest($event_ids::UUID[]), unnest($policy_versions::VARCHAR[]);

-- name: save_objections
-- The first objection stands.
INSERT OR IGNORE INTO olvido.objections
SELECT unnest($handles::VARCHAR[]), unnest($purposes::VARCHAR[]), unnest($occurred_at::TIMESTAMP[]),
    unnest($request_ids::UUID[]);

-- name: objected
-- Those of these pairs that were objected to.
SELECT o.handle, o.purpose
FROM (SELECT unnest($handles::VARCHAR[]) AS handle, unnest($purposes::VARCHAR[]) AS purpose) AS t
JOIN olvido.objections AS o USING (handle, purpose);

-- name: row_marks
-- The marks of these rows.
SELECT w.row_key, w.purpose, w.rank, w.occurred_at, w.event_id
FROM (SELECT unnest($row_keys::VARCHAR[]) AS row_key, unnest($purposes::VARCHAR[]) AS purpose) AS t
JOIN olvido.row_words AS w USING (row_key, purpose)
WHERE w.table_name = $table;

-- name: save_row_marks
-- The marks that stand.
INSERT OR REPLACE INTO olvido.row_words
SELECT $table, unnest($row_keys::VARCHAR[]), unnest($purposes::VARCHAR[]), unnest($ranks::TINYINT[]),
    unnest($occurred_at::TIMESTAMP[]), unnest($event_ids::UUID[]);

-- name: forget_row_marks
-- The rows are gone.
DELETE FROM olvido.row_words
WHERE table_name = $table AND row_key IN (SELECT unnest($row_keys::VARCHAR[]));

-- name: lock_shared_rows
-- Nothing: the file is locked already.
SELECT 1 WHERE $table = '' AND len($row_keys::VARCHAR[]) < 0;

-- name: forget_shared_rows
-- Nothing: none was written down.
SELECT 1 WHERE $table = '' AND len($row_keys::VARCHAR[]) < 0;

-- name: compaction_due
-- Whether something was deleted since the file was last written anew.
SELECT count(*) > 0 FROM olvido.compaction_due;

-- name: make_compaction_due
-- In the transaction that deletes: so a crash forgets neither.
INSERT INTO olvido.compaction_due
SELECT $since WHERE NOT EXISTS (SELECT 1 FROM olvido.compaction_due);

-- name: columns
-- The columns of all tables of this file.
SELECT c.schema_name, c.table_name, c.column_name, c.data_type, c.is_nullable
FROM duckdb_columns() AS c
JOIN duckdb_tables() AS t ON t.table_oid = c.table_oid AND t.database_name = c.database_name
WHERE t.database_name = current_database();

-- name: references
-- The foreign keys of this file: who points at whom.
SELECT schema_name, table_name, referenced_table
FROM duckdb_constraints()
WHERE constraint_type = 'FOREIGN KEY' AND database_name = current_database();

-- name: tables
-- All tables of one database, to compare a copy by.
SELECT schema_name, table_name
FROM duckdb_tables()
WHERE database_name = $database
ORDER BY ALL;
