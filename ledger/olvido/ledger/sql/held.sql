-- name: brake_turn
-- Those that start erasures take turns, from their count to their commit.
select pg_advisory_xact_lock(hashtext('olvido.brake'));

-- name: erasures_counted
-- How many erasures started in the last hour, by who asked. The minute in which it began counts whole.
select asked_by, sum(erasures)::bigint
from erasures_started
where minute >= date_trunc('minute', clock_timestamp()) - interval '60 minutes'
group by asked_by;

-- name: count_erasures
-- Count erasures that start now, and delete those that no longer count.
with gone as (
    delete from erasures_started where minute < date_trunc('minute', clock_timestamp()) - interval '60 minutes'
)
insert into erasures_started (minute, asked_by, erasures)
select date_trunc('minute', clock_timestamp()), asked_by, count(*)
from unnest(%(asked_bys)s::text[]) as new (asked_by)
group by asked_by
on conflict (minute, asked_by) do update set erasures = erasures_started.erasures + excluded.erasures;

-- name: insert_held
-- Note requests that no sink is asked for yet.
insert into held (request_id, held_for, held_at, start_at)
select request_id, held_for, %(now)s, start_at
from unnest(%(request_ids)s::uuid[], %(held_fors)s::text[], %(start_ats)s::timestamptz[])
     as new (request_id, held_for, start_at)
on conflict do nothing;

-- name: held_due
-- The next requests that may start by now, by their ids.
select h.request_id, h.held_for, r.asked_by, e.event
from held h join requests r using (request_id) left join events e on e.source_id = h.request_id
where h.start_at <= %(now)s and h.request_id > %(after)s::uuid
order by h.request_id limit %(limit)s;

-- name: end_held
-- Take requests that start out of those that are held; one that may not start any more is not returned.
delete from held
where request_id = any(%(ids)s::uuid[]) and start_at <= %(now)s
returning request_id;

-- name: hold_back
-- Requests that were about to start by themselves are above a limit: they wait for people.
update held h set held_for = new.held_for, start_at = null
from unnest(%(request_ids)s::uuid[], %(held_fors)s::text[]) as new (request_id, held_for)
where h.request_id = new.request_id and h.start_at is not null;

-- name: held_requests
-- The requests that are held, the oldest first.
select h.request_id, r.right_ as right, h.held_for, r.asked_by, h.held_at, h.start_at, h.proposal, h.proposed_by,
       h.proposed_at, '' as sink, '' as reason
from held h join requests r using (request_id)
where (%(asked_by)s::text is null or r.asked_by = %(asked_by)s)
order by h.held_at, h.request_id
limit %(limit)s;

-- name: held_counts
-- How many requests are held, for what, and since when.
select held_for, count(*) as requests, min(held_at) as oldest_at from held group by held_for order by held_for;

-- name: choose_held
-- Requests that people decide about, taken hold of; and whether another person has decided the same of each.
select h.request_id, coalesce(h.proposal = %(decision)s and h.proposed_by <> %(who)s, false)
from requests r join held h using (request_id)
where h.start_at is null
  and (%(ids)s::uuid[] is null or h.request_id = any(%(ids)s::uuid[]))
  and (%(asked_by)s::text is null or r.asked_by = %(asked_by)s)
order by request_id
for update;

-- name: propose_held
-- What one person has decided of requests that are held. A second one has to decide the same.
update held set proposal = %(decision)s, proposed_by = %(who)s, proposed_at = %(now)s
where request_id = any(%(ids)s::uuid[]);

-- name: release_held
-- Requests that two people released: the processors start them.
update held set held_for = %(released)s, start_at = %(now)s where request_id = any(%(ids)s::uuid[]);

-- name: delete_held
-- Requests that will never start.
delete from held where request_id = any(%(ids)s::uuid[]);

-- name: hold_tasks
-- Tasks that are above a limit of their sink: two people decide about each. What was decided before is over.
insert into held_tasks (source_id, sink, generation, task_id, limit_, reason, held_at)
select distinct on (t.source_id, t.sink, t.generation)
       t.source_id, t.sink, t.generation, t.task_id, d.field, d.reason, d.failed_at
from unnest(%(source_ids)s::uuid[], %(task_ids)s::uuid[], %(generations)s::int[], %(fields)s::text[],
            %(reasons)s::text[], %(failed_ats)s::timestamptz[])
     as d (source_id, task_id, generation, field, reason, failed_at)
join tasks t on t.source_id = d.source_id and t.task_id = d.task_id and t.generation = d.generation
where t.outcome is null
on conflict (source_id, sink, generation) do update
set limit_ = excluded.limit_, reason = excluded.reason, held_at = excluded.held_at, proposal = null,
    proposed_by = null, proposed_at = null, principal = null, key_id = null, signature = null;

-- name: held_tasks
-- The tasks that wait because they are above a limit of their sink, the oldest first.
select h.source_id as request_id, r.right_ as right, h.limit_ as held_for, r.asked_by, h.held_at,
       null::timestamptz as start_at, h.proposal, h.proposed_by, h.proposed_at, h.sink, h.reason
from held_tasks h join tasks t using (source_id, sink, generation) join requests r on r.request_id = h.source_id
where t.parked = 'ABOVE_LIMIT' and t.outcome is null
  and (%(asked_by)s::text is null or r.asked_by = %(asked_by)s)
  and (%(sink)s::text is null or h.sink = %(sink)s)
order by h.held_at, h.source_id, h.sink
limit %(limit)s;

-- name: held_task_counts
-- How many tasks are above a limit of each sink.
select h.sink, count(*) as tasks
from held_tasks h join tasks t using (source_id, sink, generation)
where t.parked = 'ABOVE_LIMIT' and t.outcome is null
group by h.sink order by h.sink;

-- name: choose_held_tasks
-- Tasks that people decide about, taken hold of; and whether another person has decided the same of each.
select h.source_id, h.sink, h.generation, h.task_id,
       coalesce(h.proposal = %(decision)s and h.proposed_by <> %(who)s, false) as second
from held_tasks h join tasks t using (source_id, sink, generation) join requests r on r.request_id = h.source_id
where t.parked = 'ABOVE_LIMIT' and t.outcome is null
  and (%(ids)s::uuid[] is null or h.source_id = any(%(ids)s::uuid[]))
  and (%(asked_by)s::text is null or r.asked_by = %(asked_by)s)
  and (%(sink)s::text is null or h.sink = %(sink)s)
order by h.source_id, h.sink, h.generation
for update of t;

-- name: propose_held_tasks
-- What one person has decided of tasks. A second one has to decide the same.
update held_tasks h set proposal = %(decision)s, proposed_by = %(who)s, proposed_at = %(now)s
from unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[]) as d (source_id, sink, generation)
where h.source_id = d.source_id and h.sink = d.sink and h.generation = d.generation;

-- name: release_held_tasks
-- Tasks that two people released: the reconciler sends them, with the release that goes with each.
with released as (
    update held_tasks h
    set principal = d.principal, key_id = d.key_id, signature = d.signature
    from unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(principals)s::text[],
                %(key_ids)s::text[], %(signatures)s::bytea[])
         as d (source_id, sink, generation, principal, key_id, signature)
    where h.source_id = d.source_id and h.sink = d.sink and h.generation = d.generation
    returning h.source_id, h.sink, h.generation, h.task_id
), letters as (
    update dead_letters l set state = 'redriven', decided_at = %(now)s
    from released r
    where l.source_id = r.source_id and l.task_id = r.task_id and l.generation = r.generation
      and l.cause = 'ABOVE_LIMIT' and l.state = 'open'
)
update tasks t set parked = null, due_at = %(now)s
from released r
where t.source_id = r.source_id and t.sink = r.sink and t.generation = r.generation;

-- name: letters_of_held_tasks
-- The open dead letters of tasks that two people decided to discard.
select l.dead_letter_id
from unnest(%(source_ids)s::uuid[], %(task_ids)s::uuid[], %(generations)s::int[])
     as d (source_id, task_id, generation)
join dead_letters l on l.source_id = d.source_id and l.task_id = d.task_id and l.generation = d.generation
where l.cause = 'ABOVE_LIMIT' and l.state = 'open';
