-- The fixed SQL of the MariaDB sink. What is made from a data map is made in tables/statements.py.
-- Instants are kept as UTC without a zone. Values come as one parameter, given: a list of objects in JSON.
-- What stands between /*M! and */ is for MariaDB alone: MySQL reads it as a comment.

-- name: session
-- How this connection speaks, whatever the server's own settings are. A statement and a lock have a limit.
SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION',
    foreign_key_checks = 1, innodb_lock_wait_timeout = %(lock_timeout_s)s, lock_wait_timeout = %(lock_timeout_s)s
    /*M!100108 , max_statement_time = %(statement_timeout_s)s */;

-- name: can_detect_changes
-- Whether a row that changed since it was read can be told from one that did not.
SHOW VARIABLES LIKE 'innodb_snapshot_isolation';

-- name: detect_changes
-- One snapshot for finding and destroying: a row that changed meanwhile is a conflict, and looked at again.
SET SESSION innodb_snapshot_isolation = 1;

-- name: lock_what_is_read
-- Where changes cannot be told, nobody may make any: what is read stays locked until the transaction ends.
SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE;

-- name: now
-- By the clock of the target, in UTC.
SELECT NOW(6);

-- name: durable
-- Whether what is committed outlives a crash of the server.
SELECT @@innodb_flush_log_at_trx_commit = 1;

-- name: own_tables
-- The names of Olvido's own tables that are there.
SELECT table_name FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name LIKE 'olvido\_%%';

-- name: has_version
-- Whether the journal says which version it has.
SELECT COUNT(*) FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name = 'olvido_journal_version';

-- name: journal_version
-- The version it has: that of the last of its steps.
SELECT COALESCE(MAX(version), 0) FROM olvido_journal_version;

-- name: install_alone
-- One member of a group at a time. The lock is the connection's.
SELECT GET_LOCK(CONCAT('olvido install ', LEFT(MD5(DATABASE()), 32)), 10) = 1;

-- name: install_done
-- Others may install.
SELECT RELEASE_LOCK(CONCAT('olvido install ', LEFT(MD5(DATABASE()), 32)));

-- name: give_statement
-- A statement, as text.
SET @olvido_statement = %s;

-- name: try_statement
-- A statement that is prepared has its rights looked at, and does nothing.
PREPARE olvido_statement FROM @olvido_statement;

-- name: forget_statement
-- It is not carried out.
DEALLOCATE PREPARE olvido_statement;

-- name: install_1
-- A statement that makes or changes a table commits by itself, so each one of a step can be repeated, and its number
-- comes last: killed between two of them, the whole step is done again.
-- Olvido's own tables in the target: the journal of tasks, what people decided, and the boxes of erasures until
-- their last look. No identity is in them in clear. They are made in their newest form: what is only tried before
-- they are there (olvido sinks plan) is done in temporary ones.
CREATE TABLE IF NOT EXISTS olvido_applied (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    generation INT NOT NULL,
    outcome VARCHAR(40) NOT NULL,
    counts TEXT NOT NULL,
    detail TEXT NOT NULL,
    applied_at DATETIME(6) NOT NULL,
    verified_at DATETIME(6),
    PRIMARY KEY (task_id, generation)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS olvido_consent_state (
    handle VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    purpose VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    occurred_at DATETIME(6) NOT NULL,
    decision VARCHAR(40) NOT NULL,
    event_id CHAR(36) NOT NULL,
    policy_version TEXT NOT NULL,
    PRIMARY KEY (handle, purpose)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS olvido_objections (
    handle VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    purpose VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    occurred_at DATETIME(6) NOT NULL,
    request_id CHAR(36) NOT NULL,
    released BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (handle, purpose),
    KEY objections_of (request_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS olvido_row_marks (
    table_name VARCHAR(129) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    row_key VARBINARY(1500) NOT NULL,
    purpose VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    mark_rank TINYINT NOT NULL,
    occurred_at DATETIME(6) NOT NULL,
    event_id CHAR(36) NOT NULL,
    PRIMARY KEY (table_name, row_key, purpose)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS olvido_shared_rows (
    table_name VARCHAR(129) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    row_key VARBINARY(1500) NOT NULL,
    left_at DATETIME(6) NOT NULL,
    PRIMARY KEY (table_name, row_key)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS olvido_kept_erasures (
    batch_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sink VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    place INT NOT NULL,
    applied_at DATETIME(6) NOT NULL,
    erasures INT NOT NULL,
    tasks LONGTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (batch_id),
    KEY due (sink, place, applied_at),
    KEY done (sink, applied_at)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS olvido_deleted_keys (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    generation INT NOT NULL,
    gone LONGTEXT NOT NULL,
    PRIMARY KEY (task_id, generation)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS olvido_kept_decisions (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    sink VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    subject_id VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    task LONGTEXT NOT NULL,
    place INT NOT NULL,
    due_at DATETIME(6) NOT NULL,
    KEY due (sink, due_at),
    KEY subject (subject_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS olvido_journal_version (
    version INT NOT NULL PRIMARY KEY,
    installed_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
INSERT IGNORE INTO olvido_journal_version (version) VALUES (1);

-- name: install_2
-- An objection can be taken back: the latest of both stands for each handle and purpose. A restriction is one against
-- every use, with no purpose.
ALTER TABLE olvido_objections ADD COLUMN IF NOT EXISTS released BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX IF NOT EXISTS objections_of ON olvido_objections (request_id);
INSERT IGNORE INTO olvido_journal_version (version) VALUES (2);

-- name: remembered
-- The answers given before.
SELECT a.task_id, a.generation, a.outcome, a.counts, a.detail, a.applied_at, a.verified_at
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.task_ids',
    generation INT PATH '$.generations')) AS w
JOIN olvido_applied AS a ON a.task_id = w.task_id AND a.generation = w.generation;

-- name: known
-- Which of some tasks were done before.
SELECT a.task_id, a.generation
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.task_ids',
    generation INT PATH '$.generations')) AS w
JOIN olvido_applied AS a ON a.task_id = w.task_id AND a.generation = w.generation
WHERE a.outcome <> '';

-- name: save_progress
-- What all chunks so far of a task have done: an answer without an outcome.
INSERT INTO olvido_applied (task_id, generation, outcome, counts, detail, applied_at)
SELECT task_id, generation, '', counts, '', NOW(6)
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) PATH '$.task_ids', generation INT PATH '$.generations', counts TEXT PATH '$.counts')) AS w
ON DUPLICATE KEY UPDATE counts = w.counts, applied_at = NOW(6);

-- name: forget_progress
-- The task is answered now.
DELETE p FROM olvido_applied AS p
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.task_ids',
    generation INT PATH '$.generations')) AS w ON p.task_id = w.task_id AND p.generation = w.generation
WHERE p.outcome = '';

-- name: remember
-- Keep new answers. Who did one of these tasks since this transaction looked makes of it a duplicate, and the batch
-- begins again. In the order of the ids, or two batches could wait for each other.
INSERT INTO olvido_applied (task_id, generation, outcome, counts, detail, applied_at, verified_at)
SELECT w.task_id, w.generation, a.outcome, a.counts, a.detail, %(at)s, IF(a.verified, %(at)s, NULL)
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) PATH '$.task_ids', generation INT PATH '$.generations', answer INT PATH '$.answers')) AS w
JOIN JSON_TABLE(%(distinct)s, '$[*]' COLUMNS (
    answer INT PATH '$.answer', outcome VARCHAR(40) PATH '$.outcome', counts JSON PATH '$.counts',
    detail TEXT PATH '$.detail', verified INT PATH '$.verified')) AS a ON a.answer = w.answer
ORDER BY w.task_id, w.generation;

-- name: states
-- What is known about these.
SELECT s.handle, s.purpose, s.occurred_at, s.decision, s.event_id, s.policy_version
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    handle VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin PATH '$.handles',
    purpose VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.purposes')) AS w
JOIN olvido_consent_state AS s ON s.handle = w.handle AND s.purpose = w.purpose;

-- name: save_states
-- The later decisions, as core.consents.later chose them.
REPLACE INTO olvido_consent_state (handle, purpose, occurred_at, decision, event_id, policy_version)
SELECT handle, purpose, occurred_at, decision, event_id, policy_version
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    handle VARCHAR(80) PATH '$.handles', purpose VARCHAR(100) PATH '$.purposes',
    occurred_at DATETIME(6) PATH '$.occurred_at', decision VARCHAR(40) PATH '$.decisions',
    event_id CHAR(36) PATH '$.event_ids', policy_version TEXT PATH '$.policy_versions')) AS w
ORDER BY handle, purpose;

-- name: objections
-- The latest that is known about these.
SELECT o.handle, o.purpose, o.occurred_at, o.request_id, o.released
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    handle VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin PATH '$.handles',
    purpose VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.purposes')) AS w
JOIN olvido_objections AS o ON o.handle = w.handle AND o.purpose = w.purpose;

-- name: save_objections
-- The later ones, as core.objections.later chose them.
REPLACE INTO olvido_objections (handle, purpose, occurred_at, request_id, released)
SELECT w.handle, w.purpose, w.occurred_at, w.request_id, w.released
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    handle VARCHAR(80) PATH '$.handles', purpose VARCHAR(100) PATH '$.purposes',
    occurred_at DATETIME(6) PATH '$.occurred_at', request_id CHAR(36) PATH '$.request_ids',
    released BOOLEAN PATH '$.released')) AS w
ORDER BY w.handle, w.purpose;

-- name: objections_of
-- What stands of the objections that these requests made.
SELECT o.handle, o.purpose, o.occurred_at, o.request_id, o.released
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (request_id CHAR(36) PATH '$.request_ids')) AS w
JOIN olvido_objections AS o ON o.request_id = w.request_id
WHERE NOT o.released;

-- name: row_marks
-- The marks of these rows.
SELECT CONVERT(m.row_key USING utf8mb4), m.purpose, m.mark_rank, m.occurred_at, m.event_id
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    row_key VARCHAR(1500) PATH '$.row_keys',
    purpose VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.purposes')) AS w
JOIN olvido_row_marks AS m
    ON m.table_name = %(table)s AND m.row_key = CAST(w.row_key AS BINARY) AND m.purpose = w.purpose;

-- name: save_row_marks
-- The marks that stand, in order, or two batches could wait for each other.
REPLACE INTO olvido_row_marks (table_name, row_key, purpose, mark_rank, occurred_at, event_id)
SELECT %(table)s, row_key, purpose, mark_rank, occurred_at, event_id
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    row_key VARCHAR(1500) PATH '$.row_keys', purpose VARCHAR(100) PATH '$.purposes', mark_rank INT PATH '$.ranks',
    occurred_at DATETIME(6) PATH '$.occurred_at', event_id CHAR(36) PATH '$.event_ids')) AS w
ORDER BY row_key, purpose;

-- name: release_row_marks
-- The objections of these marks were taken back.
DELETE m FROM olvido_row_marks AS m
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    row_key VARCHAR(1500) PATH '$.row_keys',
    purpose VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.purposes')) AS w
    ON m.table_name = %(table)s AND m.row_key = CAST(w.row_key AS BINARY) AND m.purpose = w.purpose;

-- name: forget_row_marks
-- The rows are gone.
DELETE m FROM olvido_row_marks AS m
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (row_key VARCHAR(1500) PATH '$.row_keys')) AS w
    ON m.table_name = %(table)s AND m.row_key = CAST(w.row_key AS BINARY);

-- name: lock_shared_rows
-- Before anybody asks who else points at a shared row. Two transactions that each erase one of the last two people
-- would each still see the other's row in their snapshot, and leave the shared one behind. Both write here, so the
-- second waits and then meets a changed row, and begins again. In order, or two batches could wait for each other.
INSERT INTO olvido_shared_rows (table_name, row_key, left_at)
SELECT %(table)s, row_key, NOW(6)
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (row_key VARCHAR(1500) PATH '$.row_keys')) AS w
ORDER BY row_key
ON DUPLICATE KEY UPDATE left_at = VALUES(left_at);

-- name: forget_shared_rows
-- The rows are gone.
DELETE s FROM olvido_shared_rows AS s
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (row_key VARCHAR(1500) PATH '$.row_keys')) AS w
    ON s.table_name = %(table)s AND s.row_key = CAST(w.row_key AS BINARY);

-- name: keep_batch
-- The tasks of one transaction's erasures with their sealed boxes, until their last look. No identity is in clear.
INSERT INTO olvido_kept_erasures (batch_id, sink, place, applied_at, erasures, tasks)
VALUES (%(batch_id)s, %(sink)s, 0, %(applied_at)s, %(erasures)s, %(tasks)s);

-- name: keep_fewer
-- Some of a batch are kept no longer.
UPDATE olvido_kept_erasures SET erasures = %(erasures)s, tasks = %(tasks)s WHERE batch_id = %(batch_id)s;

-- name: keep_gone
-- The keys of the rows that tasks have deleted.
INSERT INTO olvido_deleted_keys (task_id, generation, gone)
SELECT task_id, generation, gone
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) PATH '$.task_ids', generation INT PATH '$.generations', gone LONGTEXT PATH '$.gone')) AS w
ORDER BY task_id, generation
ON DUPLICATE KEY UPDATE gone = VALUES(gone);

-- name: gone_of
-- The keys of deleted rows that these tasks have kept, by generation.
SELECT k.task_id, k.generation, k.gone
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.task_ids')) AS w
JOIN olvido_deleted_keys AS k ON k.task_id = w.task_id;

-- name: drop_gone
-- They are looked at no more.
DELETE k FROM olvido_deleted_keys AS k
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.task_ids',
    generation INT PATH '$.generations')) AS w
    ON k.task_id = w.task_id AND k.generation = w.generation;

-- name: superseded
-- Those of these tasks that were asked for again, and answered: the newest generation is looked at, and no other.
SELECT DISTINCT w.task_id, w.generation
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.task_ids',
    generation INT PATH '$.generations')) AS w
JOIN olvido_applied AS a ON a.task_id = w.task_id AND a.generation > w.generation;

-- name: keep_decisions
-- The task of each decision that protects a person, with its sealed box. No identity is in clear.
INSERT IGNORE INTO olvido_kept_decisions (task_id, sink, subject_id, task, place, due_at)
SELECT task_id, %(sink)s, subject_id, task, 0, %(due_at)s
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) PATH '$.task_ids', subject_id VARCHAR(80) PATH '$.subject_ids', task LONGTEXT PATH '$.tasks')) AS w
ORDER BY task_id;

-- name: due_decisions
-- Those whose look is due, the longest overdue first.
SELECT task, place FROM olvido_kept_decisions
WHERE sink = %(sink)s AND due_at <= %(before)s
ORDER BY due_at, task_id LIMIT %(limit)s;

-- name: put_off_decisions
-- They are looked at then, and not before.
UPDATE olvido_kept_decisions AS k
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.task_ids')) AS w ON k.task_id = w.task_id
SET k.place = %(place)s, k.due_at = %(due_at)s;

-- name: drop_decisions
-- They are looked at no more.
DELETE k FROM olvido_kept_decisions AS k
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.task_ids')) AS w ON k.task_id = w.task_id;

-- name: drop_decisions_of
-- Their people are erased.
DELETE k FROM olvido_kept_decisions AS k
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    subject_id VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin PATH '$.subject_ids')) AS w
    ON k.subject_id = w.subject_id
WHERE k.sink = %(sink)s;

-- name: look_alone
-- Whether no other process looks for this sink now. The lock is let go when the transaction has ended.
SELECT GET_LOCK(CONCAT('olvido look ', LEFT(MD5(CONCAT(DATABASE(), '.', %(sink)s)), 32)), 0) = 1;

-- name: look_done
-- Others may look.
SELECT RELEASE_LOCK(CONCAT('olvido look ', LEFT(MD5(CONCAT(DATABASE(), '.', %(sink)s)), 32)));

-- name: beyond
-- What has had as many looks as the setting has, or more, since it had more of them before.
SELECT batch_id, erasures, applied_at FROM olvido_kept_erasures
WHERE sink = %(sink)s AND place >= %(places)s
ORDER BY applied_at LIMIT %(limit)s;

-- name: oldest_due
-- For each look that is due for some erasure, when the oldest of those was done.
SELECT l.place, MIN(l.applied_at)
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    place INT PATH '$.places', before_at DATETIME(6) PATH '$.before')) AS w
JOIN olvido_kept_erasures AS l ON l.place = w.place AND l.applied_at <= w.before_at
WHERE l.sink = %(sink)s
GROUP BY l.place;

-- name: due_looks
-- Those whose look of one place is due, the oldest first. Of one instant all or none: the record speaks of all
-- that was done between two instants.
SELECT batch_id, erasures, applied_at FROM olvido_kept_erasures
WHERE sink = %(sink)s AND place = %(place)s AND applied_at <= (
    SELECT MAX(applied_at) FROM (
        SELECT applied_at FROM olvido_kept_erasures
        WHERE sink = %(sink)s AND place = %(place)s AND applied_at <= %(before)s
        ORDER BY applied_at LIMIT %(limit)s) AS chosen)
ORDER BY applied_at;

-- name: done_after
-- Those that were done after an instant, whatever looks they had, the oldest first.
SELECT batch_id, erasures, applied_at FROM olvido_kept_erasures
WHERE sink = %(sink)s AND applied_at > %(instant)s AND applied_at <= (
    SELECT MAX(applied_at) FROM (
        SELECT applied_at FROM olvido_kept_erasures
        WHERE sink = %(sink)s AND applied_at > %(instant)s
        ORDER BY applied_at LIMIT %(limit)s) AS chosen)
ORDER BY applied_at;

-- name: read_batches
-- The tasks of batches.
SELECT l.batch_id, l.tasks
FROM JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    batch_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.batch_ids')) AS w
JOIN olvido_kept_erasures AS l ON l.batch_id = w.batch_id;

-- name: looked
-- They had the look of a place, and wait for the next one.
UPDATE olvido_kept_erasures AS l
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    batch_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.batch_ids')) AS w
    ON l.batch_id = w.batch_id
SET l.place = %(place)s + 1
WHERE l.place = %(place)s;

-- name: drop_batches
-- They are looked at no more.
DELETE l FROM olvido_kept_erasures AS l
JOIN JSON_TABLE(%(given)s, '$[*]' COLUMNS (
    batch_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin PATH '$.batch_ids')) AS w
    ON l.batch_id = w.batch_id;

-- name: tables
-- What there is of each name, and what keeps its rows.
SELECT table_name, table_type, engine FROM information_schema.tables WHERE table_schema = DATABASE();

-- name: columns
-- The columns of all tables, how the target makes their values, and what this role may do with them.
SELECT table_name, column_name, data_type, column_type, collation_name, character_set_name, is_nullable = 'NO',
    generation_expression, extra LIKE '%%GENERATED%%', privileges LIKE '%%select%%', privileges LIKE '%%update%%'
FROM information_schema.columns WHERE table_schema = DATABASE();

-- name: indexes
-- The columns of the indexes of all tables, in order; an expression has no column.
SELECT table_name, index_name, non_unique = 0, column_name FROM information_schema.statistics
WHERE table_schema = DATABASE() AND index_type = 'BTREE'
ORDER BY table_name, index_name, seq_in_index;

-- name: references
-- Every foreign key, also of tables that this role may not see: schema and table that point, schema and table that
-- are pointed at, columns, keys, and what a deletion does (bits: 1 cascade, 2 set null).
SELECT CONVERT(CAST(CONVERT(SUBSTRING_INDEX(f.for_name, '/', 1) USING binary) AS CHAR CHARACTER SET filename) USING utf8mb4),
    CONVERT(CAST(CONVERT(SUBSTRING_INDEX(f.for_name, '/', -1) USING binary) AS CHAR CHARACTER SET filename) USING utf8mb4),
    CONVERT(CAST(CONVERT(SUBSTRING_INDEX(f.ref_name, '/', 1) USING binary) AS CHAR CHARACTER SET filename) USING utf8mb4),
    CONVERT(CAST(CONVERT(SUBSTRING_INDEX(f.ref_name, '/', -1) USING binary) AS CHAR CHARACTER SET filename) USING utf8mb4),
    f.id, c.for_col_name, c.ref_col_name, f.type, DATABASE()
FROM information_schema.innodb_sys_foreign AS f
JOIN information_schema.innodb_sys_foreign_cols AS c ON c.id = f.id
ORDER BY f.id, c.pos;
