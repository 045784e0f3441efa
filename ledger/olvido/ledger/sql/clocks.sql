-- name: clock
-- The database's clock.
select now();
