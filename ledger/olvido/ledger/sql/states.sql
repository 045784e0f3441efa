-- name: lock_requests
-- Take hold of some requests, in one order everywhere, so that two that move them take turns.
select request_id, right_, subject_id, requested_at, state, tasks, answered
from requests
where request_id = any(%(ids)s::uuid[])
order by request_id
for update;

-- name: write_request_states
-- Move requests to the states that events give.
with new (request_id, before, state, tasks, answered, final) as (
    select * from unnest(%(ids)s::uuid[], %(befores)s::text[], %(states)s::text[], %(tasks)s::int[],
                         %(answers)s::int[], %(finals)s::bool[])
)
${move_requests};
