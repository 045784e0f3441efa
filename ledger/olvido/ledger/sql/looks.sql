-- name: insert_looks
-- Note what sinks have found. A look that is there already is left alone.
insert into looks (look_id, sink, after_s, applied, looked_at, looked, forgotten, decisions, reapplied)
select look_id, sink, after_s,
       case when of_erasures then tstzrange(applied_from, applied_to, '[]') else 'empty' end,
       looked_at, looked, forgotten, decisions, reapplied
from unnest(%(look_ids)s::uuid[], %(sinks)s::text[], %(after_ss)s::bigint[], %(applied_froms)s::timestamptz[],
            %(applied_tos)s::timestamptz[], %(looked_ats)s::timestamptz[], %(lookeds)s::bigint[],
            %(forgottens)s::bigint[], %(decisionss)s::bigint[], %(reapplieds)s::bigint[],
            %(of_erasuress)s::boolean[])
     as new (look_id, sink, after_s, applied_from, applied_to, looked_at, looked, forgotten, decisions, reapplied,
             of_erasures)
on conflict do nothing;

-- name: newest_looks
-- For each sink that has looked again for people it erased, when it did so last.
select sink, max(looked_at) as looked_at from looks where decisions = 0 group by sink;

-- name: reapplied_by_sink
-- For each sink that has, how many decisions it applied again.
select sink, sum(reapplied)::bigint as reapplied from looks where reapplied > 0 group by sink;

-- name: insert_not_verified
-- Note which tasks a look does not verify.
insert into looks_not_verified (source_id, sink, generation, look_id, result)
select * from unnest(%(request_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(look_ids)s::uuid[],
                     %(results)s::text[])
on conflict do nothing;

-- name: issue_found_again
-- Ask sinks again for what they found again: the next generation, unless there is one by now. It is work of the
-- day and due at once. A generation without a receipt is asked again too: the sink speaks of what it has done.
insert into tasks (source_id, sink, generation, task_id, action, sent_at, due_at, attempts)
select t.source_id, t.sink, t.generation + 1, t.task_id, t.action, %(now)s, %(now)s, 1
from tasks t
join unnest(%(request_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(task_ids)s::uuid[])
     as found (source_id, sink, generation, task_id)
  on t.source_id = found.source_id and t.sink = found.sink
 and t.generation = found.generation and t.task_id = found.task_id
where not exists (select from tasks n where n.source_id = t.source_id and n.sink = t.sink
                  and n.generation > t.generation)
on conflict do nothing
returning source_id;
