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
       h.proposed_at
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
