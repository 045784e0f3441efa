-- name: insert_events
-- Keep events as they were read; one whose id is there already, of either kind, is left alone and not returned.
insert into events (source_id, topic, event)
select source_id, %(topic)s, event from unnest(%(source_ids)s::uuid[], %(events)s::bytea[]) as new (source_id, event)
on conflict do nothing
returning source_id;

-- name: events_framed
-- The next events that are kept under the id that a registry gave their schema.
select source_id, topic, event from events
where substring(event from 1 for 1) = '\x00'::bytea and source_id > %(after)s
order by source_id limit %(limit)s;

-- name: rewrite_events
-- Keep events in another form, unless somebody has rewritten or deleted them meanwhile.
update events e set event = new.event
from unnest(%(source_ids)s::uuid[], %(befores)s::bytea[], %(events)s::bytea[]) as new (source_id, before, event)
where e.source_id = new.source_id and e.event = new.before;
