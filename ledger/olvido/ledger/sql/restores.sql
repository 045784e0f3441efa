-- name: patiently
-- A restore is one transaction, however large it is. In this one only.
select set_config('statement_timeout', '15min', true);

-- name: one_restore_at_a_time
-- Of two restores of one sink the second sees which generations the first has asked for.
select pg_advisory_xact_lock(hashtext('olvido.restore'), hashtext(%(sink)s));

-- name: first_request_at
-- Since when the ledger knows of anything.
select least((select min(received_at) from requests), (select min(received_at) from consent_changes));

-- name: issue_again
-- Ask a sink again for what a backup taken at an instant does not have; what it would be, where nothing is to be written.
-- A task that was sent and is not answered may be done already, its receipt under way: then the restore
-- undid it, and the receipt would hide that. So it is asked again too, also if it is parked: it may have been
-- done when it was delivered once more. What was never sent is still to come.
-- What counts is when we received the answer: a target's clock may be behind. Its own instant is asked too, for
-- answers of before we kept that, and since ours may be behind as well: to ask for too much does no harm.
-- Requests are held in the order that recorders hold them: they and we take turns.
with chosen as materialized (
    select t.source_id, t.generation, t.task_id, t.action,
           t.outcome is not null and t.outcome not in ${not_final} as answered
    from tasks t
    where t.sink = %(sink)s and t.action = any(%(actions)s::text[])
      and case when t.outcome is null or t.outcome in ${not_final} then t.attempts > 0
               else greatest(t.answered_at, t.applied_at) >= %(since)s end
      and not exists (select from tasks n where n.source_id = t.source_id and n.sink = t.sink
                      and n.generation > t.generation)
), issued as (
    insert into tasks (source_id, sink, generation, task_id, action, sent_at, due_at, attempts, operation_id)
    select source_id, %(sink)s, generation + 1, task_id, action, %(now)s, %(now)s, 0, %(operation_id)s
    from chosen
    where not %(dry_run)s
), new as (
    select r.request_id, r.state as before, %(reopened)s as state, r.tasks,
           r.answered - c.answered::int as answered, false as final
    from chosen c join requests r on r.request_id = c.source_id
    where not %(dry_run)s
    order by r.request_id
    for update of r
), reopened as (
    ${move_requests}
)
select action, count(*) filter (where answered), count(*) filter (where not answered)
from chosen group by action order by action;

-- name: set_position
-- How far an operation is: written with the work it counts.
update operations set position = %(position)s where operation_id = %(operation_id)s;
