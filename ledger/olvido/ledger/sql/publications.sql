-- name: begin_publication
-- Note of which requests and consents a process is about to publish the states.
insert into publications (request_ids, handles, purposes)
values (%(request_ids)s::uuid[], %(handles)s::text[], %(purposes)s::text[])
returning publication_id;

-- name: requests_as_published
-- Which of some requests are as they were published, with no task answered.
select r.request_id
from requests r
join unnest(%(ids)s::uuid[], %(states)s::text[], %(tasks)s::int[]) as published (request_id, state, tasks)
  on r.request_id = published.request_id
where r.state = published.state and r.tasks = published.tasks and r.answered = 0;

-- name: requests_snapshot
-- Where some requests stand, and what their sinks have said, the oldest generation first.
select r.request_id, r.right_, r.subject_id, r.requested_at, r.state, r.tasks, r.answered,
       coalesce((select jsonb_object_agg(t.sink, t.outcomes)
                 from (select sink, array_agg(outcome order by generation) as outcomes
                       from tasks where source_id = r.request_id group by sink) t), '{}')
from requests r
where r.request_id = any(%(ids)s::uuid[]);

-- name: unended_publications
-- Publications that were begun long ago, the oldest first.
select publication_id, request_ids, handles, purposes
from publications
where begun_at <= now() - %(older_than)s
order by publication_id limit %(limit)s;

-- name: end_publications
-- Publications that are over: what was published is current, or another process publishes what is.
delete from publications where publication_id = any(%(ids)s::bigint[]);
