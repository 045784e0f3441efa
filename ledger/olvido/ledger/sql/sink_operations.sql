-- name: open_operation
-- Note a restore or a backfill as begun; one that is open already is left alone.
insert into operations (operation_id, name, kind, sink, plan, state, position, created_at, started_at)
values (%(operation_id)s, %(name)s, %(kind)s, %(sink)s, %(plan)s, 'running', %(position)s, %(now)s, %(now)s)
on conflict (kind, sink, coalesce(plan ->> 'backup_taken_at', ''))
    where finished_at is null and kind in ('restore', 'backfill') do nothing;

-- name: find_open
-- The open restore of a sink from one backup, or its open backfill.
select operation_id, name, kind, sink, created_at
from operations
where finished_at is null and kind = %(kind)s and sink = %(sink)s
  and coalesce(plan ->> 'backup_taken_at', '') = %(backup_taken_at)s;

-- name: sink_operations
-- The restores or backfills there are, newest first: what their tasks have come to.
-- Only what is open is counted, by an index; the rest is answered.
select o.operation_id, o.name, o.kind, o.sink, o.state, o.plan, o.position, o.created_at, o.finished_at,
       (o.position ->> 'tasks')::bigint as tasks,
       (o.position ->> 'tasks')::bigint - c.open as answered,
       c.unsent, c.waiting, c.parked, c.failed, c.forgotten
from operations o
cross join lateral (
    select count(*) as open,
           count(*) filter (where not ended and parked is null and attempts = 0) as unsent,
           count(*) filter (where not ended and parked is null and attempts > 0) as waiting,
           count(*) filter (where not ended and parked is not null) as parked,
           count(*) filter (where ended and not forgot) as failed,
           count(*) filter (where ended and forgot) as forgotten
    from (
        select attempts, parked, coalesce(outcome in ${left_over}, false) as ended,
               coalesce(detail like %(forgotten)s, false) as forgot
        from tasks
        where operation_id = o.operation_id and (outcome is null or outcome in ${open})
    ) t
) c
where o.kind = %(kind)s and (%(name)s::text is null or o.name = %(name)s)
  and (%(sink)s::text is null or o.sink = %(sink)s)
order by o.created_at desc, o.name
limit %(limit)s;

-- name: open_operations
-- What is asked of sinks as a whole and not at its end, the oldest first.
select operation_id, name, kind, sink, created_at
from operations
where finished_at is null and kind in ('restore', 'backfill')
order by created_at, name;

-- name: finish_operations
-- End the operations that are planned whole and whose last receipt is in, and says that it was done.
update operations o
set state = 'done', finished_at = %(now)s
where o.finished_at is null and o.kind in ('restore', 'backfill') and o.position @> '{"planned": true}'
  and not exists (select from tasks t where t.operation_id = o.operation_id
                  and (t.outcome is null or t.outcome in ${open}))
returning name;

-- name: close_operation
-- End an operation whose rest a person takes over.
update operations
set state = 'cancelled', finished_at = %(now)s
where name = %(name)s and kind = %(kind)s and finished_at is null
returning operation_id;

-- name: hand_over_unsent
-- What was not sent when its operation was closed becomes work of the day: it stays owed.
update tasks
set attempts = 1, due_at = %(now)s
where operation_id = %(operation_id)s and attempts = 0 and outcome is null;

-- name: open_tasks_of
-- The tasks of an operation that have not ended well, and why.
select source_id, task_id, action, generation, coalesce(outcome, case when parked is null then 'owed' else 'parked' end)
           as state, coalesce(detail, parked) as detail
from tasks
where operation_id = %(operation_id)s and (outcome is null or outcome in ${open})
  and (not %(stuck)s or parked is not null or outcome in ${left_over})
order by (outcome in ${left_over}) desc nulls last, source_id
limit %(limit)s;
