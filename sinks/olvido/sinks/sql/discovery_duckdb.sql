-- What `olvido sinks discover` and `olvido sinks check` ask of a DuckDB file's catalogue.

-- name: tables
-- Every table of the file but Olvido's own.
SELECT schema_name, table_name, estimated_size
FROM duckdb_tables()
WHERE database_name = current_database() AND NOT internal AND NOT temporary AND schema_name <> 'olvido'
ORDER BY ALL;

-- name: columns
-- Their columns.
SELECT schema_name, table_name, column_name, data_type, NOT is_nullable
FROM duckdb_columns()
WHERE database_name = current_database() AND NOT internal AND schema_name <> 'olvido'
ORDER BY schema_name, table_name, column_index;

-- name: constraints
-- Primary keys, unique and foreign keys.
SELECT schema_name, table_name, constraint_type, constraint_column_names, referenced_table,
    referenced_column_names
FROM duckdb_constraints()
WHERE database_name = current_database() AND schema_name <> 'olvido'
    AND constraint_type IN ('PRIMARY KEY', 'UNIQUE', 'FOREIGN KEY')
ORDER BY schema_name, table_name, constraint_index;
