-- What `olvido sinks discover` and `olvido sinks check` ask of the catalogue of a MariaDB. It reads, and no more.
-- What stands between /*M! and */ is for MariaDB alone: MySQL reads it as a comment.

-- name: limits
-- Each statement may take so long, and waits for no lock.
SET SESSION lock_wait_timeout = 1, innodb_lock_wait_timeout = 1 /*M!100108 , max_statement_time = 10 */;

-- name: begin
-- It cannot write, whatever the role may do.
START TRANSACTION READ ONLY;

-- name: tables
-- Every table of the database but Olvido's own. Who may not read it sees it by another right.
SELECT table_name, table_rows FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type <> 'VIEW' AND table_type <> 'SEQUENCE'
    AND table_name NOT LIKE 'olvido\_%%'
ORDER BY table_name;

-- name: columns
-- Their columns, with a collation that tells the cases of letters apart, and whether this role may read them.
SELECT table_name, column_name, data_type,
    CONCAT(column_type, IF(COALESCE(collation_name, '_ci') LIKE '%%\_ci', '', CONCAT(' COLLATE ', collation_name))),
    is_nullable = 'NO', privileges LIKE '%%select%%'
FROM information_schema.columns
WHERE table_schema = DATABASE()
ORDER BY table_name, ordinal_position;

-- name: indexes
-- The columns of their indexes, in order. A part of a column (a prefix) tells rows apart as the whole does.
SELECT table_name, index_name, non_unique = 0, column_name FROM information_schema.statistics
WHERE table_schema = DATABASE() AND index_type <> 'FULLTEXT'
ORDER BY table_name, index_name, seq_in_index;

-- name: references
-- Their foreign keys, column by column.
SELECT k.table_name, k.constraint_name, k.column_name, k.referenced_table_name, k.referenced_column_name,
    r.delete_rule
FROM information_schema.key_column_usage AS k
JOIN information_schema.referential_constraints AS r
    ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name
    AND r.table_name = k.table_name
WHERE k.table_schema = DATABASE() AND k.referenced_table_schema = DATABASE()
ORDER BY k.table_name, k.constraint_name, k.ordinal_position;
