-- name: begin_publication
-- Note of which requests and consents a process is about to publish the states.
insert into publications (request_ids, handles, purposes)
values (%(request_ids)s::uuid[], %(handles)s::text[], %(purposes)s::text[])
returning publication_id;

-- name: requests_to_compare
-- Of some requests that were published, by their place among them: where those stand that may have changed since.
-- While no task is answered, a request's own row shows whether it has; then its tasks are not looked at.
select published.place, r.state, r.tasks,
       case when r.answered = 0 then '{}' else ${generations} end
from unnest(%(ids)s::uuid[], %(states)s::text[], %(tasks)s::int[], %(answers)s::int[]) with ordinality
     as published (request_id, state, tasks, answered, place)
join requests r on r.request_id = published.request_id
where r.answered > 0 or (r.state, r.tasks, r.answered) is distinct from
                        (published.state, published.tasks, published.answered);

-- name: requests_snapshot
-- Where some requests stand, and what their sinks have answered, the oldest generation first.
select r.request_id, r.right_, r.subject_id, r.requested_at, r.state, r.tasks, r.answered,
       coalesce(${generations}, '{}')
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
