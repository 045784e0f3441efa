-- What `olvido sinks discover` and `olvido sinks check` ask of a PostgreSQL's catalogue. It reads, and no more.

-- name: limits
-- Each statement may take so long, and waits for no lock.
SET LOCAL statement_timeout = '10s';
SET LOCAL lock_timeout = '1s';
SET LOCAL idle_in_transaction_session_timeout = '60s';

-- name: tables
-- Every table of the database but the system's, an extension's, a partition, and Olvido's own.
SELECT c.oid, n.nspname, c.relname, pg_table_is_visible(c.oid), c.reltuples::bigint,
    has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'olvido')
    AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname;

-- name: columns
-- Their columns: the type as it is written, and what it is made of (a domain's own, or ARRAY).
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN t.typcategory = 'A' THEN 'array' WHEN b.typname IS NOT NULL THEN b.typname ELSE t.typname END,
    t.typtype::text, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_type AS b ON b.oid = t.typbasetype AND t.typtype = 'd'
WHERE a.attrelid = ANY(%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum;

-- name: indexes
-- Their indexes: the columns if they are plain ones, the first column or expression, and what they are for.
SELECT x.indrelid, pg_get_indexdef(x.indexrelid, 1, true),
    array(SELECT a.attname::text FROM unnest(x.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
          JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.number
          WHERE k.place <= x.indnkeyatts ORDER BY k.place),
    x.indisprimary, x.indisunique AND x.indpred IS NULL AND x.indexprs IS NULL
FROM pg_index AS x
WHERE x.indrelid = ANY(%(tables)s::oid[]) AND x.indisvalid;

-- name: references
-- Their foreign keys, without the copies that partitions have.
SELECT k.conrelid, k.confrelid, k.confdeltype::text,
    array(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (number, place)
          JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number ORDER BY c.place),
    array(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (number, place)
          JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = c.number ORDER BY c.place)
FROM pg_constraint AS k
WHERE k.contype = 'f' AND k.conrelid = ANY(%(tables)s::oid[]) AND k.confrelid = ANY(%(tables)s::oid[])
ORDER BY k.conrelid, k.conname;
