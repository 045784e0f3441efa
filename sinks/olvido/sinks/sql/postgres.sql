-- The fixed SQL of the PostgreSQL sink. What is made from a data map is made in tables/statements.py.
-- Ids and JSON are read as text: what psycopg2 makes of them depends on what the process has registered.

-- name: begin
-- A batch never waits for ever, on a lock or on itself. Instants are read as UTC. Its own instant comes last.
SET LOCAL lock_timeout = %(lock_timeout_ms)s;
SET LOCAL statement_timeout = %(statement_timeout_ms)s;
SET LOCAL idle_in_transaction_session_timeout = %(statement_timeout_ms)s;
SET LOCAL timezone = 'UTC';
-- A batch looks up a thousand keys by index. Compiling its statements, or helpers for them, cost more
-- than running them; and on the disks of today a random page costs little more than the next one.
SET LOCAL jit = off;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL random_page_cost = 1.1;
-- A receipt goes out after the COMMIT, so the COMMIT must outlive a crash of the server, whatever the target's default.
SELECT now(), CASE WHEN current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
    THEN set_config('synchronous_commit', 'on', true) END;

-- name: has_version
-- Whether the journal says which version it has.
SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('olvido') AND relname = 'journal_version');

-- name: journal_version
-- The version it has: that of the last of its steps.
SELECT coalesce(max(version), 0) FROM olvido.journal_version;

-- name: may_install
-- Whether this role may make the schema, or make and change tables in the one that is there: that takes their owner.
SELECT CASE WHEN to_regnamespace('olvido') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
    ELSE has_schema_privilege('olvido', 'CREATE') AND NOT EXISTS (
        SELECT FROM pg_class
        WHERE relnamespace = to_regnamespace('olvido') AND relkind IN ('r', 'v') AND NOT pg_has_role(relowner, 'USAGE'))
    END;

-- name: see_others_steps
-- What another member commits while this one waits for it is seen: the transaction has no snapshot of its own.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

-- name: install_alone
-- One member of a group at a time, until the transaction ends. Whoever needs a table after a step that waits for it waits
-- as long, so a step waits less than a batch may, and is tried again.
SELECT pg_advisory_xact_lock(hashtext('olvido.install'));
SET LOCAL lock_timeout = '2s';

-- name: usable
-- Whether this role may do with Olvido's own tables what the sink does.
SELECT bool_and(has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
    AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE'))
FROM unnest(ARRAY['olvido.applied', 'olvido.consent_state', 'olvido.objections', 'olvido.row_marks',
    'olvido.shared_rows', 'olvido.kept_erasures', 'olvido.deleted_keys', 'olvido.kept_decisions', 'olvido.lineages'])
    AS t (name);

-- name: install_1
-- Olvido's own tables in the target: the journal of tasks, what people decided, and the boxes of erasures until their
-- last look. No identity is in them in clear.
-- IF NOT EXISTS would ask for the right to make schemas in this database, though the schema is there.
DO $$ BEGIN IF to_regnamespace('olvido') IS NULL THEN CREATE SCHEMA olvido; END IF; END $$;
CREATE TABLE IF NOT EXISTS olvido.applied (
    task_id uuid NOT NULL,
    generation int NOT NULL,
    outcome text NOT NULL,  -- none while a task is done in chunks
    counts jsonb NOT NULL,
    detail text NOT NULL,
    applied_at timestamptz NOT NULL,
    verified_at timestamptz,
    PRIMARY KEY (task_id, generation)
);
CREATE TABLE IF NOT EXISTS olvido.consent_state (
    handle text NOT NULL,
    purpose text NOT NULL,
    occurred_at timestamptz NOT NULL,
    decision text NOT NULL,
    event_id uuid NOT NULL,
    policy_version text NOT NULL,
    PRIMARY KEY (handle, purpose)
);
CREATE TABLE IF NOT EXISTS olvido.objections (
    handle text NOT NULL,
    purpose text NOT NULL,
    occurred_at timestamptz NOT NULL,
    request_id uuid NOT NULL,
    PRIMARY KEY (handle, purpose)
);
CREATE TABLE IF NOT EXISTS olvido.row_words (
    table_name text NOT NULL,
    row_key text NOT NULL,
    purpose text NOT NULL,
    rank smallint NOT NULL,  -- 0 granted, 1 withdrawn, 2 objected
    occurred_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (table_name, row_key, purpose)
);
CREATE TABLE IF NOT EXISTS olvido.shared_rows (
    table_name text NOT NULL,
    row_key text NOT NULL,
    left_at timestamptz NOT NULL,
    PRIMARY KEY (table_name, row_key)
);
CREATE TABLE IF NOT EXISTS olvido.kept_erasures (
    batch_id uuid PRIMARY KEY,
    sink text NOT NULL,
    place int NOT NULL,  -- of the next look among those of the setting
    applied_at timestamptz NOT NULL,
    erasures int NOT NULL,  -- how many
    tasks text NOT NULL  -- JSON: the tasks with their sealed boxes
);
-- What is sealed grows no smaller by compression.
ALTER TABLE olvido.kept_erasures ALTER tasks SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS kept_erasures_due ON olvido.kept_erasures (sink, place, applied_at);
CREATE INDEX IF NOT EXISTS kept_erasures_done ON olvido.kept_erasures (sink, applied_at);
CREATE TABLE IF NOT EXISTS olvido.deleted_keys (
    task_id uuid NOT NULL,
    generation int NOT NULL,
    gone jsonb NOT NULL,  -- by table: the keys of deleted rows on which others may still hang
    PRIMARY KEY (task_id, generation)
);
CREATE TABLE IF NOT EXISTS olvido.kept_decisions (
    task_id uuid PRIMARY KEY,
    sink text NOT NULL,
    subject_id text NOT NULL,
    task text NOT NULL,  -- JSON: the task with its sealed box
    place int NOT NULL,  -- of its next look among those of the setting
    due_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS kept_decisions_due ON olvido.kept_decisions (sink, due_at);
CREATE INDEX IF NOT EXISTS kept_decisions_of ON olvido.kept_decisions (subject_id);
CREATE TABLE IF NOT EXISTS olvido.lineages (
    lineage text PRIMARY KEY,  -- which cluster, and which timeline of it
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);
CREATE TABLE olvido.journal_version (
    version int PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO olvido.journal_version (version) VALUES (1);

-- name: install_2
-- What a row has is a mark. Both statements change the catalogue alone, however many rows there are.
ALTER TABLE olvido.row_words RENAME TO row_marks;
-- A member of the group that is not updated yet goes on under the old name. Without the view it would make an empty
-- table of that name, and nobody would read the marks that it writes there.
CREATE VIEW olvido.row_words AS SELECT * FROM olvido.row_marks;
INSERT INTO olvido.journal_version (version) VALUES (2);

-- name: install_3
-- An objection can be taken back: the latest of both stands for each handle and purpose. A restriction is one against
-- every use, with no purpose.
ALTER TABLE olvido.objections ADD COLUMN released boolean NOT NULL DEFAULT false;
CREATE INDEX objections_of ON olvido.objections (request_id);
INSERT INTO olvido.journal_version (version) VALUES (3);

-- name: lineage
-- Which cluster this is and which timeline it writes. Both change when a replica is promoted or a backup put back.
SELECT system_identifier || '/' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int,
    to_regclass('olvido.lineages') IS NOT NULL
FROM pg_control_system();

-- name: note_lineage
-- Note that the target goes on with a lineage; another process may note the same at this moment.
INSERT INTO olvido.lineages (lineage, first_seen_at, last_seen_at) VALUES (%(lineage)s, %(at)s, %(at)s)
ON CONFLICT (lineage) DO UPDATE SET last_seen_at = greatest(lineages.last_seen_at, excluded.last_seen_at);

-- name: lineages
-- Those that were noted, the one that was seen last first.
SELECT lineage, last_seen_at FROM olvido.lineages ORDER BY last_seen_at DESC, first_seen_at DESC;

-- name: remembered
-- The answers given before.
SELECT a.task_id::text, a.generation, a.outcome, a.counts::text, a.detail, a.applied_at, a.verified_at
FROM unnest(%(task_ids)s::uuid[], %(generations)s::int[]) AS t (task_id, generation)
JOIN olvido.applied AS a USING (task_id, generation);

-- name: known
-- Which of some tasks were done before.
SELECT a.task_id::text, a.generation
FROM unnest(%(task_ids)s::uuid[], %(generations)s::int[]) AS t (task_id, generation)
JOIN olvido.applied AS a USING (task_id, generation)
WHERE a.outcome <> '';

-- name: remember
-- Keep new answers, with the effects they tell of. If a zombie did one of these tasks since this transaction
-- looked, its row makes of the conflict a unique violation, and the batch begins again.
-- In the order of the ids, or two batches could wait for each other.
INSERT INTO olvido.applied (task_id, generation, outcome, counts, detail, applied_at, verified_at)
SELECT t.task_id, t.generation, a.outcome, a.counts, a.detail, %(at)s, CASE WHEN a.verified THEN %(at)s END
FROM unnest(%(task_ids)s::uuid[], %(generations)s::int[], %(answers)s::int[]) AS t (task_id, generation, answer)
JOIN jsonb_to_recordset(%(distinct)s::jsonb)
    AS a (answer int, outcome text, counts jsonb, detail text, verified boolean) USING (answer)
ORDER BY t.task_id, t.generation;

-- name: save_progress
-- What all chunks so far of a task have done: an answer without an outcome. A zombie that does the same task makes of
-- it a serialization failure.
INSERT INTO olvido.applied (task_id, generation, outcome, counts, detail, applied_at)
SELECT task_id, generation, '', counts::jsonb, '', now()
FROM unnest(%(task_ids)s::uuid[], %(generations)s::int[], %(counts)s::text[]) AS t (task_id, generation, counts)
ON CONFLICT (task_id, generation) DO UPDATE SET counts = excluded.counts, applied_at = excluded.applied_at;

-- name: forget_progress
-- The task is answered now.
DELETE FROM olvido.applied AS p
USING unnest(%(task_ids)s::uuid[], %(generations)s::int[]) AS t (task_id, generation)
WHERE p.task_id = t.task_id AND p.generation = t.generation AND p.outcome = '';

-- name: states
-- What is known about these.
SELECT s.handle, s.purpose, s.occurred_at, s.decision, s.event_id::text, s.policy_version
FROM unnest(%(handles)s::text[], %(purposes)s::text[]) AS t (handle, purpose)
JOIN olvido.consent_state AS s USING (handle, purpose);

-- name: save_states
-- The later decisions, as core.consents.later chose them. Who saved another one since this transaction looked makes
-- of the conflict a serialization failure, and the batch looks again.
INSERT INTO olvido.consent_state (handle, purpose, occurred_at, decision, event_id, policy_version)
SELECT * FROM unnest(%(handles)s::text[], %(purposes)s::text[], %(occurred_at)s::timestamptz[],
                     %(decisions)s::text[], %(event_ids)s::uuid[], %(policy_versions)s::text[])
ON CONFLICT (handle, purpose) DO UPDATE
SET occurred_at = excluded.occurred_at, decision = excluded.decision, event_id = excluded.event_id,
    policy_version = excluded.policy_version;

-- name: objections
-- The latest that is known about these.
SELECT o.handle, o.purpose, o.occurred_at, o.request_id::text, o.released
FROM unnest(%(handles)s::text[], %(purposes)s::text[]) AS t (handle, purpose)
JOIN olvido.objections AS o USING (handle, purpose);

-- name: save_objections
-- The later ones, as core.objections.later chose them. Who saved another one since this transaction looked makes of
-- the conflict a serialization failure, and the batch looks again.
INSERT INTO olvido.objections (handle, purpose, occurred_at, request_id, released)
SELECT * FROM unnest(%(handles)s::text[], %(purposes)s::text[], %(occurred_at)s::timestamptz[],
                     %(request_ids)s::uuid[], %(released)s::boolean[])
ON CONFLICT (handle, purpose) DO UPDATE
SET occurred_at = excluded.occurred_at, request_id = excluded.request_id, released = excluded.released;

-- name: objections_of
-- What stands of the objections that these requests made.
SELECT handle, purpose, occurred_at, request_id::text, released
FROM olvido.objections
WHERE request_id = ANY(%(request_ids)s::uuid[]) AND NOT released;

-- name: row_marks
-- The marks of these rows.
SELECT w.row_key, w.purpose, w.rank, w.occurred_at, w.event_id::text
FROM unnest(%(row_keys)s::text[], %(purposes)s::text[]) AS t (row_key, purpose)
JOIN olvido.row_marks AS w USING (row_key, purpose)
WHERE w.table_name = %(table)s;

-- name: save_row_marks
-- The marks that stand, in order, or two batches could wait for each other.
INSERT INTO olvido.row_marks (table_name, row_key, purpose, rank, occurred_at, event_id)
SELECT %(table)s, t.* FROM unnest(%(row_keys)s::text[], %(purposes)s::text[], %(ranks)s::smallint[],
                                  %(occurred_at)s::timestamptz[], %(event_ids)s::uuid[]) AS t
ON CONFLICT (table_name, row_key, purpose) DO UPDATE
SET rank = excluded.rank, occurred_at = excluded.occurred_at, event_id = excluded.event_id;

-- name: release_row_marks
-- The objections of these marks were taken back.
DELETE FROM olvido.row_marks AS m
USING unnest(%(row_keys)s::text[], %(purposes)s::text[]) AS t (row_key, purpose)
WHERE m.table_name = %(table)s AND m.row_key = t.row_key AND m.purpose = t.purpose;

-- name: forget_row_marks
-- The rows are gone.
DELETE FROM olvido.row_marks
WHERE table_name = %(table)s AND row_key = ANY(%(row_keys)s::text[]);

-- name: lock_shared_rows
-- Before anybody asks who else points at a shared row. Two transactions that each erase one of the last two people
-- would each still see the other's row in their snapshot, and leave the shared one behind; a lock on that row
-- itself would make the second wait and then go on with its old snapshot. Both write here, so the second gets
-- a serialization failure, and begins again. In order, or two batches could wait for each other.
INSERT INTO olvido.shared_rows AS known (table_name, row_key, left_at)
SELECT %(table)s, row_key, now() FROM unnest(%(row_keys)s::text[]) AS t (row_key)
ORDER BY row_key
ON CONFLICT (table_name, row_key) DO UPDATE SET left_at = excluded.left_at;

-- name: forget_shared_rows
-- The rows are gone.
DELETE FROM olvido.shared_rows
WHERE table_name = %(table)s AND row_key = ANY(%(row_keys)s::text[]);

-- name: keep_batch
-- The tasks of one transaction's erasures with their sealed boxes, until their last look. No identity is in clear.
INSERT INTO olvido.kept_erasures (batch_id, sink, place, applied_at, erasures, tasks)
VALUES (%(batch_id)s, %(sink)s, 0, %(applied_at)s, %(erasures)s, %(tasks)s);

-- name: keep_fewer
-- Some of a batch are kept no longer.
UPDATE olvido.kept_erasures SET erasures = %(erasures)s, tasks = %(tasks)s WHERE batch_id = %(batch_id)s;

-- name: keep_gone
-- The keys of the rows that tasks have deleted.
INSERT INTO olvido.deleted_keys (task_id, generation, gone)
SELECT task_id, generation, gone::jsonb
FROM unnest(%(task_ids)s::uuid[], %(generations)s::int[], %(gone)s::text[]) AS t (task_id, generation, gone)
ORDER BY task_id, generation
ON CONFLICT (task_id, generation) DO UPDATE SET gone = excluded.gone;

-- name: gone_of
-- The keys of deleted rows that these tasks have kept, by generation.
SELECT task_id::text, generation, gone::text FROM olvido.deleted_keys WHERE task_id = ANY(%(task_ids)s::uuid[]);

-- name: drop_gone
-- They are looked at no more.
DELETE FROM olvido.deleted_keys AS k
USING unnest(%(task_ids)s::uuid[], %(generations)s::int[]) AS t (task_id, generation)
WHERE k.task_id = t.task_id AND k.generation = t.generation;

-- name: superseded
-- Those of these tasks that were asked for again, and answered: the newest generation is looked at, and no other.
SELECT t.task_id::text, t.generation
FROM unnest(%(task_ids)s::uuid[], %(generations)s::int[]) AS t (task_id, generation)
WHERE EXISTS (SELECT 1 FROM olvido.applied AS a
              WHERE a.task_id = t.task_id AND a.generation > t.generation AND a.outcome <> '');

-- name: keep_decisions
-- The task of each decision that protects a person, with its sealed box. No identity is in clear.
INSERT INTO olvido.kept_decisions (task_id, sink, subject_id, task, place, due_at)
SELECT t.task_id, %(sink)s, t.subject_id, t.task, 0, %(due_at)s
FROM unnest(%(task_ids)s::uuid[], %(subject_ids)s::text[], %(tasks)s::text[]) AS t (task_id, subject_id, task)
ORDER BY t.task_id
ON CONFLICT DO NOTHING;

-- name: due_decisions
-- Those whose look is due, the longest overdue first.
SELECT task, place FROM olvido.kept_decisions
WHERE sink = %(sink)s AND due_at <= %(before)s
ORDER BY due_at, task_id LIMIT %(limit)s;

-- name: put_off_decisions
-- They are looked at then, and not before.
UPDATE olvido.kept_decisions SET place = %(place)s, due_at = %(due_at)s
WHERE task_id = ANY(%(task_ids)s::uuid[]);

-- name: drop_decisions
-- They are looked at no more.
DELETE FROM olvido.kept_decisions WHERE task_id = ANY(%(task_ids)s::uuid[]);

-- name: drop_decisions_of
-- Their people are erased.
DELETE FROM olvido.kept_decisions WHERE sink = %(sink)s AND subject_id = ANY(%(subject_ids)s::text[]);

-- name: look_alone
-- Of several members of a sink's group one looks at a time.
SELECT pg_try_advisory_xact_lock(hashtext('olvido.later_looks'), hashtext(%(sink)s));

-- name: beyond
-- What has had as many looks as the setting has, or more, since it had more of them before.
SELECT batch_id::text, erasures, applied_at FROM olvido.kept_erasures
WHERE sink = %(sink)s AND place >= %(places)s
ORDER BY applied_at LIMIT %(limit)s;

-- name: oldest_due
-- For each look that is due for some erasure, when the oldest of those was done.
-- A transaction of a sink that has begun and not ended may still commit an erasure of the instant it began: nothing
-- from then on is looked at, since the record speaks of all that was done between two instants.
WITH open AS (
    SELECT coalesce(min(xact_start), now()) AS began FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'olvido' AND pid <> pg_backend_pid()
)
SELECT w.place, l.applied_at
FROM open, unnest(%(places)s::int[], %(before)s::timestamptz[]) AS w (place, before)
CROSS JOIN LATERAL (
    SELECT applied_at FROM olvido.kept_erasures
    WHERE sink = %(sink)s AND place = w.place AND applied_at <= w.before AND applied_at < open.began
    ORDER BY applied_at LIMIT 1
) AS l;

-- name: due_looks
-- Those whose look of one place is due, the oldest first. Of one instant all or none: see oldest_due.
SELECT batch_id::text, erasures, applied_at FROM olvido.kept_erasures
WHERE sink = %(sink)s AND place = %(place)s AND applied_at <= %(before)s
  AND applied_at < (SELECT coalesce(min(xact_start), now()) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'olvido'
                      AND pid <> pg_backend_pid())
ORDER BY applied_at FETCH FIRST %(limit)s ROWS WITH TIES;

-- name: done_after
-- Those that were done after an instant, whatever looks they had, the oldest first.
SELECT batch_id::text, erasures, applied_at FROM olvido.kept_erasures
WHERE sink = %(sink)s AND applied_at > %(instant)s
  AND applied_at < (SELECT coalesce(min(xact_start), now()) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'olvido'
                      AND pid <> pg_backend_pid())
ORDER BY applied_at FETCH FIRST %(limit)s ROWS WITH TIES;

-- name: read_batches
-- The tasks of batches.
SELECT batch_id::text, tasks FROM olvido.kept_erasures WHERE batch_id = ANY(%(batch_ids)s::uuid[]);

-- name: looked
-- They had the look of a place, and wait for the next one.
UPDATE olvido.kept_erasures SET place = %(place)s + 1
WHERE batch_id = ANY(%(batch_ids)s::uuid[]) AND place = %(place)s;

-- name: drop_batches
-- They are looked at no more.
DELETE FROM olvido.kept_erasures WHERE batch_id = ANY(%(batch_ids)s::uuid[]);

-- name: tables
-- What kind of thing a name is, and what this role may do with it.
SELECT t.name, c.relkind, row_security_active(c.oid),
    has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'DELETE')
FROM unnest(%(names)s::text[], %(quoted)s::text[]) AS t (name, quoted)
JOIN pg_class AS c ON c.oid = to_regclass(t.quoted);

-- name: columns
-- The columns of tables: the type beneath their domains and its kind, that type's name and its name with its length,
-- the collation, whether null is refused, whether this role may change them, and what PostgreSQL makes them of, if it
-- alone does.
-- Without its length "character" would mean character(1), and a cast to it cuts a value to its first letter;
-- "bpchar" is the same type of any length.
WITH RECURSIVE held AS (
    SELECT t.name, a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated,
        a.attidentity, a.attcollation, a.atttypid AS base
    FROM unnest(%(names)s::text[], %(quoted)s::text[]) AS t (name, quoted)
    JOIN pg_attribute AS a ON a.attrelid = to_regclass(t.quoted) AND a.attnum > 0 AND NOT a.attisdropped
    WHERE has_column_privilege(a.attrelid, a.attnum, 'SELECT')
), beneath AS (
    SELECT h.name, h.attnum, h.base, y.typbasetype, y.typnotnull
    FROM held AS h JOIN pg_type AS y ON y.oid = h.base
    UNION ALL
    SELECT b.name, b.attnum, b.typbasetype, y.typbasetype, y.typnotnull OR b.typnotnull
    FROM beneath AS b JOIN pg_type AS y ON y.oid = b.typbasetype
    WHERE b.typbasetype <> 0
)
SELECT h.name, h.attname::text, y.typname::text, y.typtype::text,
    CASE b.base WHEN 'bpchar'::regtype THEN 'bpchar' ELSE format_type(b.base, NULL) END,
    format_type(h.atttypid, h.atttypmod), coalesce(l.collname::text, ''), h.attnotnull OR b.typnotnull,
    has_column_privilege(h.attrelid, h.attnum, 'UPDATE'),
    CASE WHEN h.attidentity = 'a' THEN 'its own numbers' WHEN h.attgenerated <> '' THEN
        (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d
         WHERE d.adrelid = h.attrelid AND d.adnum = h.attnum) END
FROM held AS h
JOIN beneath AS b ON b.name = h.name AND b.attnum = h.attnum AND b.typbasetype = 0
JOIN pg_type AS y ON y.oid = b.base
LEFT JOIN pg_collation AS l ON l.oid = h.attcollation;

-- name: indexes
-- Of each index: what it begins with, whether it is unique for every row and by columns alone, its columns, and how
-- it was made.
SELECT t.name, pg_get_indexdef(x.indexrelid, 1, true), x.indisunique,
    x.indpred IS NULL AND x.indexprs IS NULL AND x.indimmediate,
    array(SELECT a.attname::text FROM unnest(x.indkey[0:x.indnkeyatts - 1]) AS k (number)
          JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.number),
    pg_get_indexdef(x.indexrelid)
FROM unnest(%(names)s::text[], %(quoted)s::text[]) AS t (name, quoted)
JOIN pg_index AS x ON x.indrelid = to_regclass(t.quoted) AND x.indisvalid;

-- name: triggers
-- What acts on a deletion, or on a change, of rows of tables and of what inherits from them.
WITH RECURSIVE family (name, relid) AS (
    SELECT t.name, to_regclass(t.quoted)::oid FROM unnest(%(names)s::text[], %(quoted)s::text[]) AS t (name, quoted)
    UNION
    SELECT f.name, i.inhrelid FROM family AS f JOIN pg_inherits AS i ON i.inhparent = f.relid
)
SELECT DISTINCT f.name, g.tgname::text, g.tgtype & 8 <> 0, g.tgtype & 16 <> 0
FROM family AS f JOIN pg_trigger AS g ON g.tgrelid = f.relid
WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & 24 <> 0
UNION
SELECT DISTINCT f.name, r.rulename::text, r.ev_type = '4', r.ev_type = '2'
FROM family AS f JOIN pg_rewrite AS r ON r.ev_class = f.relid
WHERE r.ev_type IN ('2', '4')
ORDER BY 1, 2;

-- name: references
-- Every foreign key that points at these tables, or at what inherits from them, whatever it does on a deletion
-- and whenever it is checked: who points (its name in the data map if it is there, and its own as a map would
-- name it), by which columns, at which;
-- and what points at those in their turn.
-- Of the copies that partitions have of a key, those of another pointing table are left out: theirs is there.
WITH RECURSIVE family (name, relid) AS (
    SELECT t.name, to_regclass(t.quoted)::oid FROM unnest(%(names)s::text[], %(quoted)s::text[]) AS t (name, quoted)
    UNION
    SELECT f.name, i.inhrelid FROM family AS f JOIN pg_inherits AS i ON i.inhparent = f.relid
)
SELECT DISTINCT pointed.name, pointing.name, array_to_string(parse_ident(k.conrelid::regclass::text), '.'),
    k.confdeltype::text,
    array(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (number, place)
          JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number ORDER BY c.place),
    array(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (number, place)
          JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = c.number ORDER BY c.place),
    array(SELECT array_to_string(parse_ident(o.conrelid::regclass::text), '.') || '.' || a.attname::text
          FROM pg_constraint AS o
          JOIN pg_attribute AS a ON a.attrelid = o.conrelid AND a.attnum = o.conkey[1]
          WHERE o.confrelid = k.conrelid AND o.contype = 'f' ORDER BY 1)
FROM family AS pointed
JOIN pg_constraint AS k ON k.confrelid = pointed.relid AND k.contype = 'f'
LEFT JOIN pg_constraint AS whole ON whole.oid = k.conparentid
LEFT JOIN family AS pointing ON pointing.relid = k.conrelid
WHERE whole.oid IS NULL OR whole.conrelid = k.conrelid
ORDER BY 1, 3;
