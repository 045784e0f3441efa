-- name: lock_requests
-- Take hold of some requests, in one order everywhere, so that two that move them take turns.
select request_id, right_, subject_id, requested_at, state, tasks, answered
from requests
where request_id = any(%(ids)s::uuid[])
order by request_id
for update;

-- name: write_request_states
-- Move requests to the states that events give, each from where it was seen. What is so already is not written.
update requests r
set state = new.state, tasks = new.tasks, answered = new.answered,
    finished_at = case when new.final then coalesce(r.finished_at, %(now)s) end
from unnest(%(ids)s::uuid[], %(befores)s::text[], %(states)s::text[], %(tasks)s::int[], %(answered)s::int[],
            %(finals)s::bool[]) as new (request_id, before, state, tasks, answered, final)
where r.request_id = new.request_id and r.state = new.before
  and (r.state, r.tasks, r.answered) is distinct from (new.state, new.tasks, new.answered);
