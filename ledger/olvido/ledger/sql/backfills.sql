-- name: hold_backfill
-- Take an open backfill in hand: two that carry on with one take turns, batch by batch.
select position from operations where operation_id = %(operation_id)s and finished_at is null for update;

-- name: know_backfills
-- Processors that know the sink of a backfill say so, once: from then on they plan for it themselves.
update operations set position = position || jsonb_build_object('known_at', %(now)s::timestamptz)
where finished_at is null and kind = 'backfill' and sink = any(%(sinks)s::text[])
  and position ->> 'known_at' is null;

-- name: requests_after
-- Requests that left something behind, in the order of their ids, that wait for nobody and were not refused.
select r.request_id as source_id, r.right_ as action, r.received_at, e.event
from requests r left join events e on e.source_id = r.request_id
where r.request_id > %(after)s and r.right_ = any(%(rights)s::text[])
  and (%(since)s::timestamptz is null or r.received_at >= %(since)s)
  and r.state not in ${not_asked}
order by r.request_id
limit %(limit)s;

-- name: standing_consents_after
-- The standing decisions about some purposes, in the order of their handles, each with the change that brought it.
select c.handle, c.purpose, c.event_id, g.received_at, e.event
from (
    select handle, purpose, event_id from consents
    where (handle, purpose) > (%(handle)s, %(purpose)s) and purpose = any(%(purposes)s::text[])
    order by handle, purpose
    limit %(limit)s
) c left join consent_changes g using (event_id) left join events e on e.source_id = c.event_id
order by c.handle, c.purpose;

-- name: consent_changes_after
-- Consent changes that came in lately and stand for somebody, in the order of their ids.
select c.event_id, c.received_at, e.event
from consent_changes c left join events e on e.source_id = c.event_id
where c.event_id > %(after)s and c.purpose = any(%(purposes)s::text[]) and c.received_at >= %(since)s
  and exists (select from consents s where s.event_id = c.event_id)
order by c.event_id
limit %(limit)s;

-- name: backfill_size
-- How much there is to look through.
select (select count(*) from requests where right_ = any(%(rights)s::text[]))
     + (select count(*) from consents where purpose = any(%(purposes)s::text[]));

-- name: issue_first
-- Ask a sink for what it was never asked; what it was asked already is left alone and not returned.
insert into tasks (source_id, sink, generation, task_id, action, sent_at, due_at, attempts, operation_id)
select source_id, %(sink)s, 0, task_id, action, %(now)s, %(now)s, 0, %(operation_id)s
from unnest(%(source_ids)s::uuid[], %(task_ids)s::uuid[], %(actions)s::text[]) as new (source_id, task_id, action)
on conflict do nothing
returning source_id;
