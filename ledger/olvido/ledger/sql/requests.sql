-- name: requests_known
-- What is known of some request ids: digest, coordinates, where they stand and what their sinks have answered.
select r.request_id, r.digest, r.source_partition, r.source_offset, r.subject_id, r.state,
       coalesce(${generations}, '{}'), r.appended_at
from requests r
where r.request_id = any(%(ids)s::uuid[]);

-- name: consent_change_ids
-- Which of some request ids a consent change has.
select event_id from consent_changes where event_id = any(%(ids)s::uuid[]);

-- name: insert_requests
-- Insert requests; one that is there already is left alone and not returned.
insert into requests (request_id, right_, subject_id, requested_at, received_at, state, tasks,
                      finished_at, digest, source_partition, source_offset, asked_by, appended_at, late,
                      due_at, due_by, due_provisional, identity_verified_at, jurisdiction)
select * from unnest(%(request_ids)s::uuid[], %(rights)s::text[], %(subject_ids)s::text[],
                     %(requested_ats)s::timestamptz[], %(received_ats)s::timestamptz[], %(states)s::text[],
                     %(tasks)s::int[], %(finished_ats)s::timestamptz[], %(digests)s::bytea[],
                     %(partitions)s::int[], %(offsets)s::bigint[], %(asked_bys)s::text[], %(appended_ats)s::timestamptz[],
                     %(lates)s::bool[], %(due_ats)s::timestamptz[], %(due_bys)s::text[], %(due_provisionals)s::bool[],
                     %(identity_verified_ats)s::timestamptz[], %(jurisdictions)s::text[])
on conflict do nothing
returning request_id;

-- name: lock_due
-- What an extension goes by; nobody else extends it, verifies it or ends it meanwhile.
select r.right_ as right, r.requested_at, r.due_at, r.finished_at, r.jurisdiction, r.extended_at,
       r.identity_verified_at
from requests r where r.request_id = %(id)s for update;

-- name: write_extension
-- The last day after an extension.
update requests set due_at = %(due_at)s, due_by = %(due_by)s, due_provisional = %(due_provisional)s,
                    extended_at = %(now)s
where request_id = %(id)s;

-- name: write_due
-- By when some requests are to be answered, worked out anew. One that is finished or extended by now keeps what it had.
update requests r set due_at = n.due_at, due_by = n.due_by, due_provisional = n.due_provisional,
                      identity_verified_at = n.identity_verified_at
from unnest(%(ids)s::uuid[], %(due_ats)s::timestamptz[], %(due_bys)s::text[], %(due_provisionals)s::bool[],
            %(identity_verified_ats)s::timestamptz[])
     as n (request_id, due_at, due_by, due_provisional, identity_verified_at)
where r.request_id = n.request_id and r.finished_at is null and r.extended_at is null
  and (r.due_at, r.due_by, r.due_provisional, r.identity_verified_at)
      is distinct from (n.due_at, n.due_by, n.due_provisional, n.identity_verified_at);

-- name: insert_awaiting
-- Note requests that wait for a verification.
insert into awaiting (request_id) select unnest(%(ids)s::uuid[]) on conflict do nothing;

-- name: requests_with_events
-- Some requests as they were read.
select source_id, event from events where source_id = any(%(ids)s::uuid[]);
