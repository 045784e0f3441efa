-- name: insert_events
-- Keep events as they were read.
insert into events (source_id, topic, event)
select source_id, %(topic)s, event from unnest(%(source_ids)s::uuid[], %(events)s::bytea[]) as new (source_id, event)
on conflict do nothing;
