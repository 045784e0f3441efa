-- name: consent_changes_known
-- What is known of some event ids.
select event_id, digest, source_partition, source_offset, appended_at
from consent_changes
where event_id = any(%(ids)s::uuid[]);

-- name: request_ids
-- Which of some event ids a request has.
select request_id from requests where request_id = any(%(ids)s::uuid[]);

-- name: insert_consent_changes
-- Insert consent changes; one that is there already is left alone and not returned.
insert into consent_changes (event_id, purpose, decision, subject_id, occurred_at, received_at, digest,
                             source_partition, source_offset, appended_at, late)
select * from unnest(%(event_ids)s::uuid[], %(purposes)s::text[], %(decisions)s::text[],
                     %(subject_ids)s::text[], %(occurred_ats)s::timestamptz[], %(received_ats)s::timestamptz[],
                     %(digests)s::bytea[], %(partitions)s::int[], %(offsets)s::bigint[],
                     %(appended_ats)s::timestamptz[], %(lates)s::bool[])
on conflict do nothing
returning event_id;
