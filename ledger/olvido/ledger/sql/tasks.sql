-- name: insert_tasks
-- Note tasks as owed; one that is there already is left alone.
insert into tasks (source_id, sink, generation, task_id, action, sent_at, due_at)
select source_id, sink, generation, task_id, action, %(now)s, %(due_at)s
from unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(task_ids)s::uuid[],
            %(actions)s::text[]) as new (source_id, sink, generation, task_id, action)
on conflict do nothing;

-- name: owed
-- Take tasks that are due for another try; another reconciler's are passed over.
with due as (
    select source_id, sink, generation from tasks
    where (outcome is null or outcome in ${not_final}) and parked is null and attempts > 0 and due_at <= %(now)s
    order by due_at limit %(limit)s
    for update skip locked
)
select t.source_id, t.sink, t.generation, t.task_id, t.action, t.attempts, t.operation_id, e.event,
       coalesce(r.subject_id, c.subject_id) as subject_id, h.principal, h.key_id, h.signature
from due join tasks t using (source_id, sink, generation) left join events e using (source_id)
left join held_tasks h using (source_id, sink, generation)
left join requests r on r.request_id = source_id left join consent_changes c on c.event_id = source_id;

-- name: unsent
-- Take tasks of an operation that were never sent; another reconciler's are passed over.
with due as (
    select source_id, sink, generation from tasks
    where operation_id = %(operation_id)s and attempts = 0 and outcome is null and parked is null
    limit %(limit)s
    for update skip locked
)
select t.source_id, t.sink, t.generation, t.task_id, t.action, t.attempts, t.operation_id, e.event,
       coalesce(r.subject_id, c.subject_id) as subject_id
from due join tasks t using (source_id, sink, generation) left join events e using (source_id)
left join requests r on r.request_id = source_id left join consent_changes c on c.event_id = source_id;

-- name: postpone
-- Tasks that were sent again: when next.
update tasks t
set sent_at = case when new.attempts > t.attempts then %(now)s else t.sent_at end,
    attempts = new.attempts, due_at = new.due_at
from unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(attempts)s::int[],
            %(due_ats)s::timestamptz[]) as new (source_id, sink, generation, attempts, due_at)
where t.source_id = new.source_id and t.sink = new.sink and t.generation = new.generation;
