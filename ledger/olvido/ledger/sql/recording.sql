-- name: tasks_known
-- Which of some (source_id, sink, generation, task_id) there are, by their places among them.
select asked.place
from tasks t
join unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(task_ids)s::uuid[])
     with ordinality as asked (source_id, sink, generation, task_id, place)
  on t.source_id = asked.source_id and t.sink = asked.sink
 and t.generation = asked.generation and t.task_id = asked.task_id;

-- name: tasks_answered
-- Of some receipts the places of those whose task there is, and whether it holds another final answer.
select r.place,
       r.outcome not in ${not_final} and t.outcome not in ${not_final}
       and (t.outcome, t.counts, t.detail, t.applied_at, t.verified_at)
           is distinct from (r.outcome, r.counts::jsonb, r.detail, r.applied_at, r.verified_at)
from tasks t
join unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(task_ids)s::uuid[],
            %(outcomes)s::text[], %(counts)s::text[], %(details)s::text[], %(applied_ats)s::timestamptz[],
            %(verified_ats)s::timestamptz[]) with ordinality
     as r (source_id, sink, generation, task_id, outcome, counts, detail, applied_at, verified_at, place)
  on t.source_id = r.source_id and t.sink = r.sink and t.generation = r.generation and t.task_id = r.task_id;

-- name: settle_tasks
-- Write receipts into their tasks: any over none, and a final one over one that is not. The first final one stands.
-- The places of those that were written.
update tasks t
set outcome = r.outcome, counts = r.counts::jsonb, detail = r.detail,
    applied_at = r.applied_at, verified_at = r.verified_at, answered_at = %(now)s, parked = null,
    due_at = case when r.outcome in ${not_final} then r.applied_at + %(ask_again_after)s else t.due_at end
from unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(task_ids)s::uuid[],
            %(outcomes)s::text[], %(counts)s::text[], %(details)s::text[], %(applied_ats)s::timestamptz[],
            %(verified_ats)s::timestamptz[]) with ordinality
     as r (source_id, sink, generation, task_id, outcome, counts, detail, applied_at, verified_at, place)
where t.source_id = r.source_id and t.sink = r.sink and t.generation = r.generation and t.task_id = r.task_id
  and (t.outcome is null or t.outcome in ${not_final} and r.outcome not in ${not_final})
returning r.place;

-- name: outcomes_of
-- What the sinks of some requests have answered, by the requests' places; those that asked no sink are left out.
select place, generations
from (select r.place, ${generations} as generations
      from unnest(%(ids)s::uuid[]) with ordinality as r (request_id, place)) asked
where generations is not null;
