-- name: parked_by_sink
-- For each sink that has any: tasks that wait for a person to decide. By an index that holds only such tasks.
select sink, count(*) from tasks where parked is not null group by sink;
