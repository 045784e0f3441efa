-- name: verifications_known
-- The standing verifications of some requests, one for each subject that somebody vouched for.
select request_id, event_id, subject_id, method, verified_at, source_partition, source_offset
from verifications
where request_id = any(%(ids)s::uuid[]);

-- name: insert_verifications
-- Insert verifications; the first of a request and subject stands.
insert into verifications (request_id, event_id, subject_id, method, verified_at,
                           source_partition, source_offset)
select * from unnest(%(request_ids)s::uuid[], %(event_ids)s::uuid[], %(subject_ids)s::text[],
                     %(methods)s::text[], %(verified_ats)s::timestamptz[], %(partitions)s::int[],
                     %(offsets)s::bigint[])
on conflict do nothing;

-- name: awaiting_verified
-- Requests that still wait although their verification is here: both came in the same moment.
select v.request_id, v.event_id, v.subject_id, v.method, v.verified_at, v.source_partition, v.source_offset
from awaiting a join requests r using (request_id)
join verifications v on v.request_id = r.request_id and v.subject_id = r.subject_id
where a.request_id > %(after)s::uuid
order by a.request_id
limit %(limit)s;

-- name: delete_awaiting
-- Requests that no longer wait.
delete from awaiting where request_id = any(%(ids)s::uuid[]);
