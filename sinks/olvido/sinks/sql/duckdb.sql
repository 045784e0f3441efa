-- The fixed SQL of the DuckDB sink. What is made from a data map is made in tables/statements.py.
-- Instants are kept as UTC without a zone.

-- name: has_version
-- Whether the journal says which version it has.
SELECT count(*) FROM duckdb_tables()
WHERE database_name = current_database() AND schema_name = 'olvido' AND table_name = 'journal_version';

-- name: journal_version
-- The version it has: that of the last of its steps.
SELECT coalesce(max(version), 0) FROM olvido.journal_version;

-- name: install_1
-- Olvido's own tables in the file: the journal of tasks, what people decided, and the boxes of erasures until their
-- last look. No identity is in them in clear.
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
CREATE TABLE IF NOT EXISTS olvido.kept_erasures (
    batch_id UUID NOT NULL PRIMARY KEY,
    sink VARCHAR NOT NULL,
    place INTEGER NOT NULL,  -- of the next look among those of the setting
    applied_at TIMESTAMP NOT NULL,
    erasures INTEGER NOT NULL,  -- how many
    tasks VARCHAR NOT NULL  -- JSON: the tasks with their sealed boxes
);
CREATE TABLE IF NOT EXISTS olvido.deleted_keys (
    task_id UUID NOT NULL,
    generation INTEGER NOT NULL,
    gone VARCHAR NOT NULL,  -- JSON, by table: the keys of deleted rows on which others may still hang
    PRIMARY KEY (task_id, generation)
);
CREATE TABLE IF NOT EXISTS olvido.compaction_due (since TIMESTAMP NOT NULL);
CREATE TABLE IF NOT EXISTS olvido.kept_decisions (
    task_id UUID NOT NULL PRIMARY KEY,
    sink VARCHAR NOT NULL,
    subject_id VARCHAR NOT NULL,
    task VARCHAR NOT NULL,  -- JSON, with the sealed box
    place INTEGER NOT NULL,  -- of its next look among those of the setting
    due_at TIMESTAMP NOT NULL
);
CREATE TABLE olvido.journal_version (
    version INTEGER PRIMARY KEY,
    installed_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')
);
INSERT INTO olvido.journal_version (version) VALUES (1);

-- name: install_2
-- What a row has is a mark. Both statements change the catalogue alone, however many rows there are.
ALTER TABLE olvido.row_words RENAME TO row_marks;
-- A program that is not updated would make an empty table of that name, and nobody would read the marks that it writes
-- there. Into a view it cannot write, so it does nothing and waits.
CREATE VIEW olvido.row_words AS SELECT * FROM olvido.row_marks;
INSERT INTO olvido.journal_version (version) VALUES (2);

-- name: install_3
-- An objection can be taken back: the latest of both stands for each handle and purpose. A restriction is one against
-- every use, with no purpose.
ALTER TABLE olvido.objections ADD COLUMN released BOOLEAN DEFAULT false;
INSERT INTO olvido.journal_version (version) VALUES (3);

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
SELECT w.task_id, w.generation, a.answer ->> '$.outcome', a.answer ->> '$.counts', a.answer ->> '$.detail',
    $at::TIMESTAMP, CASE WHEN a.answer ->> '$.verified' THEN $at::TIMESTAMP END
FROM (SELECT unnest($task_ids::UUID[]) AS task_id, unnest($generations::INTEGER[]) AS generation,
        unnest($answers::INTEGER[]) AS answer) AS w
JOIN (SELECT unnest(json_extract($distinct::JSON, '$[*]')) AS answer) AS a
    ON (a.answer ->> '$.answer')::INTEGER = w.answer;

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

-- name: objections
-- The latest that is known about these.
SELECT o.handle, o.purpose, o.occurred_at, o.request_id, o.released
FROM (SELECT unnest($handles::VARCHAR[]) AS handle, unnest($purposes::VARCHAR[]) AS purpose) AS t
JOIN olvido.objections AS o USING (handle, purpose);

-- name: save_objections
-- The later ones, as core.objections.later chose them.
INSERT OR REPLACE INTO olvido.objections
SELECT unnest($handles::VARCHAR[]), unnest($purposes::VARCHAR[]), unnest($occurred_at::TIMESTAMP[]),
    unnest($request_ids::UUID[]), unnest($released::BOOLEAN[]);

-- name: objections_of
-- What stands of the objections that these requests made.
SELECT handle, purpose, occurred_at, request_id, released FROM olvido.objections
WHERE request_id IN (SELECT unnest($request_ids::UUID[])) AND NOT released;

-- name: row_marks
-- The marks of these rows.
SELECT w.row_key, w.purpose, w.rank, w.occurred_at, w.event_id
FROM (SELECT unnest($row_keys::VARCHAR[]) AS row_key, unnest($purposes::VARCHAR[]) AS purpose) AS t
JOIN olvido.row_marks AS w USING (row_key, purpose)
WHERE w.table_name = $table;

-- name: save_row_marks
-- The marks that stand.
INSERT OR REPLACE INTO olvido.row_marks
SELECT $table, unnest($row_keys::VARCHAR[]), unnest($purposes::VARCHAR[]), unnest($ranks::TINYINT[]),
    unnest($occurred_at::TIMESTAMP[]), unnest($event_ids::UUID[]);

-- name: release_row_marks
-- The objections of these marks were taken back.
DELETE FROM olvido.row_marks
WHERE table_name = $table AND (row_key, purpose) IN
    (SELECT (unnest($row_keys::VARCHAR[]), unnest($purposes::VARCHAR[])));

-- name: forget_row_marks
-- The rows are gone.
DELETE FROM olvido.row_marks
WHERE table_name = $table AND row_key IN (SELECT unnest($row_keys::VARCHAR[]));

-- name: lock_shared_rows
-- Nothing: the file is locked already.
SELECT 1 WHERE $table = '' AND len($row_keys::VARCHAR[]) < 0;

-- name: forget_shared_rows
-- Nothing: none was written down.
SELECT 1 WHERE $table = '' AND len($row_keys::VARCHAR[]) < 0;

-- name: keep_batch
-- The tasks of one transaction's erasures with their sealed boxes, until their last look. No identity is in clear.
INSERT INTO olvido.kept_erasures VALUES ($batch_id, $sink, 0, $applied_at, $erasures, $tasks);

-- name: keep_fewer
-- Some of a batch are kept no longer.
UPDATE olvido.kept_erasures SET erasures = $erasures, tasks = $tasks WHERE batch_id = $batch_id;

-- name: keep_gone
-- The keys of the rows that tasks have deleted.
INSERT OR REPLACE INTO olvido.deleted_keys
SELECT unnest($task_ids::UUID[]), unnest($generations::INTEGER[]), unnest($gone::VARCHAR[]);

-- name: gone_of
-- The keys of deleted rows that these tasks have kept, by generation.
SELECT task_id::VARCHAR, generation, gone FROM olvido.deleted_keys
WHERE task_id IN (SELECT unnest($task_ids::UUID[]));

-- name: drop_gone
-- They are looked at no more.
DELETE FROM olvido.deleted_keys AS k
USING (SELECT unnest($task_ids::UUID[]) AS task_id, unnest($generations::INTEGER[]) AS generation) AS t
WHERE k.task_id = t.task_id AND k.generation = t.generation;

-- name: superseded
-- Those of these tasks that were asked for again, and answered: the newest generation is looked at, and no other.
SELECT DISTINCT t.task_id::VARCHAR, t.generation
FROM (SELECT unnest($task_ids::UUID[]) AS task_id, unnest($generations::INTEGER[]) AS generation) AS t
JOIN olvido.applied AS a ON a.task_id = t.task_id AND a.generation > t.generation;

-- name: keep_decisions
-- The task of each decision that protects a person, with its sealed box. No identity is in clear.
INSERT OR IGNORE INTO olvido.kept_decisions
SELECT unnest($task_ids::UUID[]), $sink, unnest($subject_ids::VARCHAR[]), unnest($tasks::VARCHAR[]), 0, $due_at::TIMESTAMP;

-- name: due_decisions
-- Those whose look is due, the longest overdue first.
SELECT task, place FROM olvido.kept_decisions
WHERE sink = $sink AND due_at <= $before::TIMESTAMP
ORDER BY due_at, task_id LIMIT $limit;

-- name: put_off_decisions
-- They are looked at then, and not before.
UPDATE olvido.kept_decisions SET place = $place, due_at = $due_at::TIMESTAMP
WHERE task_id IN (SELECT unnest($task_ids::UUID[]));

-- name: drop_decisions
-- They are looked at no more.
DELETE FROM olvido.kept_decisions WHERE task_id IN (SELECT unnest($task_ids::UUID[]));

-- name: drop_decisions_of
-- Their people are erased.
DELETE FROM olvido.kept_decisions WHERE sink = $sink AND subject_id IN (SELECT unnest($subject_ids::VARCHAR[]));

-- name: look_alone
-- The file is locked: nobody else can be looking.
SELECT $sink <> '';

-- name: beyond
-- What has had as many looks as the setting has, or more, since it had more of them before.
SELECT batch_id::VARCHAR, erasures, applied_at FROM olvido.kept_erasures
WHERE sink = $sink AND place >= $places
ORDER BY applied_at LIMIT $limit;

-- name: oldest_due
-- For each look that is due for some erasure, when the oldest of those was done.
SELECT l.place, min(l.applied_at)
FROM (SELECT unnest($places::INTEGER[]) AS place, unnest($before::TIMESTAMP[]) AS before) AS w
JOIN olvido.kept_erasures AS l ON l.place = w.place AND l.applied_at <= w.before
WHERE l.sink = $sink
GROUP BY l.place;

-- name: due_looks
-- Those whose look of one place is due, the oldest first. Of one instant all or none: the record speaks of all
-- that was done between two instants.
SELECT batch_id::VARCHAR, erasures, applied_at FROM olvido.kept_erasures
WHERE sink = $sink AND place = $place AND applied_at <= (
    SELECT max(applied_at) FROM (
        SELECT applied_at FROM olvido.kept_erasures
        WHERE sink = $sink AND place = $place AND applied_at <= $before
        ORDER BY applied_at LIMIT $limit))
ORDER BY applied_at;

-- name: done_after
-- Those that were done after an instant, whatever looks they had, the oldest first.
SELECT batch_id::VARCHAR, erasures, applied_at FROM olvido.kept_erasures
WHERE sink = $sink AND applied_at > $instant AND applied_at <= (
    SELECT max(applied_at) FROM (
        SELECT applied_at FROM olvido.kept_erasures
        WHERE sink = $sink AND applied_at > $instant
        ORDER BY applied_at LIMIT $limit))
ORDER BY applied_at;

-- name: read_batches
-- The tasks of batches.
SELECT batch_id::VARCHAR, tasks FROM olvido.kept_erasures
WHERE batch_id IN (SELECT unnest($batch_ids::UUID[]));

-- name: looked
-- They had the look of a place, and wait for the next one.
UPDATE olvido.kept_erasures SET place = $place + 1
WHERE batch_id IN (SELECT unnest($batch_ids::UUID[])) AND place = $place;

-- name: drop_batches
-- They are looked at no more.
DELETE FROM olvido.kept_erasures WHERE batch_id IN (SELECT unnest($batch_ids::UUID[]));

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
