-- The fixed SQL of the SQLite sink. What is made from a data map is made in tables/statements.py.
-- Instants are texts in UTC, all of one length. Values come as one parameter, :given: a list of objects in JSON.

-- name: has_version
-- Whether the journal says which version it has.
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'olvido_journal_version';

-- name: journal_version
-- The version it has: that of the last of its steps.
SELECT coalesce(max(version), 0) FROM olvido_journal_version;

-- name: install_1
-- Olvido's own tables in the file: the journal of tasks, what people decided, and the boxes of erasures until their
-- last look. No identity is in them in clear.
CREATE TABLE IF NOT EXISTS olvido_applied (
    task_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    counts TEXT NOT NULL,  -- JSON
    detail TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    verified_at TEXT,
    PRIMARY KEY (task_id, generation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS olvido_consent_state (
    handle TEXT NOT NULL,
    purpose TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    decision TEXT NOT NULL,
    event_id TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    PRIMARY KEY (handle, purpose)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS olvido_objections (
    handle TEXT NOT NULL,
    purpose TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    request_id TEXT NOT NULL,
    PRIMARY KEY (handle, purpose)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS olvido_row_marks (
    table_name TEXT NOT NULL,
    row_key TEXT NOT NULL,
    purpose TEXT NOT NULL,
    rank INTEGER NOT NULL,  -- 0 granted, 1 withdrawn, 2 objected
    occurred_at TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (table_name, row_key, purpose)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS olvido_kept_erasures (
    batch_id TEXT NOT NULL PRIMARY KEY,
    sink TEXT NOT NULL,
    place INTEGER NOT NULL,  -- of the next look among those of the setting
    applied_at TEXT NOT NULL,
    erasures INTEGER NOT NULL,  -- how many
    tasks TEXT NOT NULL  -- JSON: the tasks with their sealed boxes
);
CREATE INDEX IF NOT EXISTS olvido_kept_erasures_due ON olvido_kept_erasures (sink, place, applied_at);
CREATE INDEX IF NOT EXISTS olvido_kept_erasures_done ON olvido_kept_erasures (sink, applied_at);
CREATE TABLE IF NOT EXISTS olvido_deleted_keys (
    task_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    gone TEXT NOT NULL,  -- JSON, by table: the keys of deleted rows on which others may still hang
    PRIMARY KEY (task_id, generation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS olvido_rewrite_due (since TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS olvido_kept_decisions (
    task_id TEXT NOT NULL PRIMARY KEY,
    sink TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    task TEXT NOT NULL,  -- JSON, with the sealed box
    place INTEGER NOT NULL,  -- of its next look among those of the setting
    due_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS olvido_kept_decisions_due ON olvido_kept_decisions (sink, due_at);
CREATE INDEX IF NOT EXISTS olvido_kept_decisions_of ON olvido_kept_decisions (subject_id);
CREATE TABLE olvido_journal_version (
    version INTEGER PRIMARY KEY,
    installed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now'))
);
INSERT INTO olvido_journal_version (version) VALUES (1);

-- name: install_2
-- An objection can be taken back: the latest of both stands for each handle and purpose. A restriction is one against
-- every use, with no purpose.
ALTER TABLE olvido_objections ADD COLUMN released INTEGER NOT NULL DEFAULT 0;
CREATE INDEX olvido_objections_of ON olvido_objections (request_id);
INSERT INTO olvido_journal_version (version) VALUES (2);

-- name: remembered
-- The answers given before.
SELECT a.task_id, a.generation, a.outcome, a.counts, a.detail, a.applied_at, a.verified_at
FROM json_each(:given) AS w
JOIN olvido_applied AS a
    ON a.task_id = w.value ->> 'task_ids' AND a.generation = w.value ->> 'generations';

-- name: known
-- Which of some tasks were done before.
SELECT a.task_id, a.generation
FROM json_each(:given) AS w
JOIN olvido_applied AS a
    ON a.task_id = w.value ->> 'task_ids' AND a.generation = w.value ->> 'generations'
WHERE a.outcome <> '';

-- name: save_progress
-- What all chunks so far of a task have done: an answer without an outcome.
INSERT INTO olvido_applied (task_id, generation, outcome, counts, detail, applied_at)
SELECT value ->> 'task_ids', value ->> 'generations', '', value ->> 'counts', '',
    strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')
FROM json_each(:given) WHERE true
ON CONFLICT (task_id, generation) DO UPDATE SET counts = excluded.counts, applied_at = excluded.applied_at;

-- name: forget_progress
-- The task is answered now.
DELETE FROM olvido_applied WHERE outcome = '' AND (task_id, generation) IN (
    SELECT value ->> 'task_ids', value ->> 'generations' FROM json_each(:given));

-- name: remember
-- Keep new answers. Nobody else can be writing: the file is locked.
WITH a (answer, outcome, counts, detail, verified_at) AS MATERIALIZED (
    SELECT value ->> 'answer', value ->> 'outcome', value ->> 'counts', value ->> 'detail',
        CASE WHEN value ->> 'verified' THEN :at END
    FROM json_each(:distinct))
INSERT INTO olvido_applied (task_id, generation, outcome, counts, detail, applied_at, verified_at)
SELECT w.value ->> 'task_ids', w.value ->> 'generations', a.outcome, a.counts, a.detail, :at, a.verified_at
FROM json_each(:given) AS w JOIN a ON a.answer = w.value ->> 'answers';

-- name: states
-- What is known about these.
SELECT s.handle, s.purpose, s.occurred_at, s.decision, s.event_id, s.policy_version
FROM json_each(:given) AS w
JOIN olvido_consent_state AS s ON s.handle = w.value ->> 'handles' AND s.purpose = w.value ->> 'purposes';

-- name: save_states
-- The later decisions, as core.consents.later chose them.
INSERT OR REPLACE INTO olvido_consent_state
    (handle, purpose, occurred_at, decision, event_id, policy_version)
SELECT value ->> 'handles', value ->> 'purposes', value ->> 'occurred_at', value ->> 'decisions',
    value ->> 'event_ids', value ->> 'policy_versions'
FROM json_each(:given);

-- name: objections
-- The latest that is known about these.
SELECT o.handle, o.purpose, o.occurred_at, o.request_id, o.released
FROM json_each(:given) AS w
JOIN olvido_objections AS o ON o.handle = w.value ->> 'handles' AND o.purpose = w.value ->> 'purposes';

-- name: save_objections
-- The later ones, as core.objections.later chose them.
INSERT OR REPLACE INTO olvido_objections (handle, purpose, occurred_at, request_id, released)
SELECT value ->> 'handles', value ->> 'purposes', value ->> 'occurred_at', value ->> 'request_ids',
    value ->> 'released'
FROM json_each(:given);

-- name: objections_of
-- What stands of the objections that these requests made.
SELECT o.handle, o.purpose, o.occurred_at, o.request_id, o.released
FROM json_each(:given) AS w
JOIN olvido_objections AS o ON o.request_id = w.value ->> 'request_ids' AND NOT o.released;

-- name: row_marks
-- The marks of these rows.
SELECT m.row_key, m.purpose, m.rank, m.occurred_at, m.event_id
FROM json_each(:given) AS w
JOIN olvido_row_marks AS m
    ON m.table_name = :table AND m.row_key = w.value ->> 'row_keys' AND m.purpose = w.value ->> 'purposes';

-- name: save_row_marks
-- The marks that stand.
INSERT OR REPLACE INTO olvido_row_marks (table_name, row_key, purpose, rank, occurred_at, event_id)
SELECT :table, value ->> 'row_keys', value ->> 'purposes', value ->> 'ranks', value ->> 'occurred_at',
    value ->> 'event_ids'
FROM json_each(:given);

-- name: release_row_marks
-- The objections of these marks were taken back.
DELETE FROM olvido_row_marks
WHERE table_name = :table AND (row_key, purpose) IN
    (SELECT value ->> 'row_keys', value ->> 'purposes' FROM json_each(:given));

-- name: forget_row_marks
-- The rows are gone.
DELETE FROM olvido_row_marks
WHERE table_name = :table AND row_key IN (SELECT value ->> 'row_keys' FROM json_each(:given));

-- name: lock_shared_rows
-- Nothing: the file is locked already.
SELECT 1 WHERE :table = '' AND :given = '';

-- name: forget_shared_rows
-- Nothing: none was written down.
SELECT 1 WHERE :table = '' AND :given = '';

-- name: keep_batch
-- The tasks of one transaction's erasures with their sealed boxes, until their last look. No identity is in clear.
INSERT INTO olvido_kept_erasures (batch_id, sink, place, applied_at, erasures, tasks)
SELECT :batch_id, :sink, 0, :applied_at, :erasures, :tasks WHERE :given <> '';

-- name: keep_fewer
-- Some of a batch are kept no longer.
UPDATE olvido_kept_erasures SET erasures = :erasures, tasks = :tasks WHERE batch_id = :batch_id AND :given <> '';

-- name: keep_gone
-- The keys of the rows that tasks have deleted.
INSERT OR REPLACE INTO olvido_deleted_keys (task_id, generation, gone)
SELECT value ->> 'task_ids', value ->> 'generations', value ->> 'gone' FROM json_each(:given);

-- name: gone_of
-- The keys of deleted rows that these tasks have kept, by generation.
SELECT task_id, generation, gone FROM olvido_deleted_keys
WHERE task_id IN (SELECT value ->> 'task_ids' FROM json_each(:given));

-- name: drop_gone
-- They are looked at no more.
DELETE FROM olvido_deleted_keys
WHERE (task_id, generation) IN (
    SELECT value ->> 'task_ids', value ->> 'generations' FROM json_each(:given));

-- name: superseded
-- Those of these tasks that were asked for again, and answered: the newest generation is looked at, and no other.
SELECT w.value ->> 'task_ids', w.value ->> 'generations' FROM json_each(:given) AS w
WHERE EXISTS (
    SELECT 1 FROM olvido_applied AS a
    WHERE a.task_id = w.value ->> 'task_ids' AND a.generation > w.value ->> 'generations');

-- name: keep_decisions
-- The task of each decision that protects a person, with its sealed box. No identity is in clear.
INSERT OR IGNORE INTO olvido_kept_decisions (task_id, sink, subject_id, task, place, due_at)
SELECT value ->> 'task_ids', :sink, value ->> 'subject_ids', value ->> 'tasks', 0, :due_at
FROM json_each(:given);

-- name: due_decisions
-- Those whose look is due, the longest overdue first.
SELECT task, place FROM olvido_kept_decisions
WHERE sink = :sink AND due_at <= :before AND :given <> ''
ORDER BY due_at, task_id LIMIT :limit;

-- name: put_off_decisions
-- They are looked at then, and not before.
UPDATE olvido_kept_decisions SET place = :place, due_at = :due_at
WHERE task_id IN (SELECT value ->> 'task_ids' FROM json_each(:given));

-- name: drop_decisions
-- They are looked at no more.
DELETE FROM olvido_kept_decisions
WHERE task_id IN (SELECT value ->> 'task_ids' FROM json_each(:given));

-- name: drop_decisions_of
-- Their people are erased.
DELETE FROM olvido_kept_decisions
WHERE sink = :sink AND subject_id IN (SELECT value ->> 'subject_ids' FROM json_each(:given));

-- name: look_alone
-- The file is locked: nobody else can be looking.
SELECT :sink <> '' AND :given <> '';

-- name: beyond
-- What has had as many looks as the setting has, or more, since it had more of them before.
SELECT batch_id, erasures, applied_at FROM olvido_kept_erasures
WHERE sink = :sink AND place >= :places AND :given <> ''
ORDER BY applied_at LIMIT :limit;

-- name: oldest_due
-- For each look that is due for some erasure, when the oldest of those was done.
SELECT l.place, min(l.applied_at)
FROM json_each(:given) AS w
JOIN olvido_kept_erasures AS l ON l.place = w.value ->> 'places' AND l.applied_at <= w.value ->> 'before'
WHERE l.sink = :sink
GROUP BY l.place;

-- name: due_looks
-- Those whose look of one place is due, the oldest first. Of one instant all or none: the record speaks of all
-- that was done between two instants.
SELECT batch_id, erasures, applied_at FROM olvido_kept_erasures
WHERE sink = :sink AND place = :place AND applied_at <= (
    SELECT max(applied_at) FROM (
        SELECT applied_at FROM olvido_kept_erasures
        WHERE sink = :sink AND place = :place AND applied_at <= :before AND :given <> ''
        ORDER BY applied_at LIMIT :limit))
ORDER BY applied_at;

-- name: done_after
-- Those that were done after an instant, whatever looks they had, the oldest first.
SELECT batch_id, erasures, applied_at FROM olvido_kept_erasures
WHERE sink = :sink AND applied_at > :instant AND applied_at <= (
    SELECT max(applied_at) FROM (
        SELECT applied_at FROM olvido_kept_erasures
        WHERE sink = :sink AND applied_at > :instant AND :given <> ''
        ORDER BY applied_at LIMIT :limit))
ORDER BY applied_at;

-- name: read_batches
-- The tasks of batches.
SELECT batch_id, tasks FROM olvido_kept_erasures
WHERE batch_id IN (SELECT value ->> 'batch_ids' FROM json_each(:given));

-- name: looked
-- They had the look of a place, and wait for the next one.
UPDATE olvido_kept_erasures SET place = :place + 1
WHERE place = :place AND batch_id IN (SELECT value ->> 'batch_ids' FROM json_each(:given));

-- name: drop_batches
-- They are looked at no more.
DELETE FROM olvido_kept_erasures WHERE batch_id IN (SELECT value ->> 'batch_ids' FROM json_each(:given));

-- name: rewrite_due
-- Whether something was destroyed since the file was last written anew.
SELECT count(*) > 0 FROM olvido_rewrite_due;

-- name: make_rewrite_due
-- In the transaction that destroys: so a crash forgets neither.
INSERT INTO olvido_rewrite_due SELECT :since WHERE NOT EXISTS (SELECT 1 FROM olvido_rewrite_due);

-- name: rewritten
-- The file is written anew.
DELETE FROM olvido_rewrite_due;

-- name: tables
-- What there is of each name (a table, a view, a virtual table or a part of one), and whether its rows have no number.
SELECT name, type, wr FROM pragma_table_list
WHERE schema = 'main' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'olvido\_%' ESCAPE '\';

-- name: text
-- How a table was made.
SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = :table;

-- name: primary
-- The primary key of one table.
SELECT name FROM pragma_table_info(:table) WHERE pk > 0 ORDER BY pk;

-- name: columns
-- The columns of one table: their types as written, whether null is refused, and whether SQLite makes their values.
SELECT name, type, "notnull", hidden FROM pragma_table_xinfo(:table);

-- name: indexes
-- The indexes of one table, column by column; an expression has no name.
SELECT i.name, i."unique", i.partial, x.name, x.coll, s.sql
FROM pragma_index_list(:table) AS i
JOIN pragma_index_xinfo(i.name) AS x
LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = i.name
WHERE x.key
ORDER BY i.seq, x.seqno;

-- name: triggers
-- The triggers of one table.
SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = :table COLLATE NOCASE;

-- name: references
-- The foreign keys of one table: which of its columns point at which of another's, or at its primary key (null).
SELECT id, "table", "from", "to", on_delete FROM pragma_foreign_key_list(:table) ORDER BY id, seq;
