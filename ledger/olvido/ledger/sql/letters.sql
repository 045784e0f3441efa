-- name: upsert_dead_letters
-- Keep dead letters; of one that is there already the refusal of more attempts stands, and is open again.
-- Returns those that are new or changed: a refusal that is recorded again does nothing.
insert into dead_letters (dead_letter_id, group_, topic, partition_, offset_, cause, field, reason, sha256,
                          size, attempts, failed_at, task_id, generation, source_id)
select * from unnest(%(ids)s::uuid[], %(groups)s::text[], %(topics)s::text[], %(partitions)s::int[],
                     %(offsets)s::bigint[], %(causes)s::text[], %(fields)s::text[], %(reasons)s::text[],
                     %(sha256s)s::bytea[], %(sizes)s::bigint[], %(attempts)s::int[],
                     %(failed_ats)s::timestamptz[], %(task_ids)s::uuid[], %(generations)s::int[],
                     %(source_ids)s::uuid[])
on conflict (dead_letter_id) do update
set topic = excluded.topic, partition_ = excluded.partition_, offset_ = excluded.offset_,
    cause = excluded.cause, field = excluded.field, reason = excluded.reason, attempts = excluded.attempts,
    failed_at = excluded.failed_at, task_id = excluded.task_id, generation = excluded.generation,
    source_id = excluded.source_id, state = 'open', decided_at = null
where excluded.attempts > dead_letters.attempts
returning dead_letter_id;

-- name: park_tasks
-- Tasks that a sink made dead letters of are not sent again by themselves.
update tasks t
set parked = d.cause
from unnest(%(source_ids)s::uuid[], %(task_ids)s::uuid[], %(generations)s::int[], %(causes)s::text[])
     as d (source_id, task_id, generation, cause)
where t.source_id = d.source_id and t.task_id = d.task_id and t.generation = d.generation and t.outcome is null;

-- name: list_dead_letters
-- Dead letters, newest first.
select dead_letter_id, state, group_, topic, partition_, offset_, cause, field, reason, sha256, size, attempts,
       failed_at, decided_at, task_id, generation, source_id
from dead_letters
where (%(state)s::text is null or state = %(state)s)
  and (%(cause)s::text is null or cause = %(cause)s)
  and (%(topic)s::text is null or topic = %(topic)s)
  and (%(ids)s::uuid[] is null or dead_letter_id = any(%(ids)s::uuid[]))
order by failed_at desc, dead_letter_id
limit %(limit)s;

-- name: select_open_letters
-- Open dead letters to be worked through, the oldest first, in the order of their topics. Those that were
-- refused too often come last, so that they never stand in front of what can be sent.
select * from (
    select dead_letter_id, state, group_, topic, partition_, offset_, cause, field, reason, sha256, size,
           attempts, failed_at, decided_at, task_id, generation, source_id
    from dead_letters
    where state = 'open'
      and (%(cause)s::text is null or cause = %(cause)s)
      and (%(topic)s::text is null or topic = %(topic)s)
      and (%(ids)s::uuid[] is null or dead_letter_id = any(%(ids)s::uuid[]))
    order by attempts >= %(attempts_max)s, failed_at, dead_letter_id
    limit %(limit)s
) as oldest
order by topic, partition_, offset_;

-- name: redriven_letters
-- Mark dead letters as sent again, but for those that were refused again or decided on in the meantime.
update dead_letters l
set state = 'redriven', decided_at = %(now)s
from unnest(%(ids)s::uuid[], %(attempts)s::int[]) as sent (dead_letter_id, attempts)
where l.dead_letter_id = sent.dead_letter_id and l.attempts = sent.attempts and l.state = 'open'
returning l.dead_letter_id, l.source_id, l.task_id, l.generation;

-- name: unpark_tasks
-- Tasks that go on by themselves: the reconciler looks at them when they are due.
update tasks t
set parked = null, due_at = %(due_at)s
from unnest(%(source_ids)s::uuid[], %(task_ids)s::uuid[], %(generations)s::int[])
     as d (source_id, task_id, generation)
where t.source_id = d.source_id and t.task_id = d.task_id and t.generation = d.generation
  and (t.outcome is null or t.outcome in ${not_final});

-- name: parked_tasks
-- The tasks that wait for a person because of some dead letters.
select distinct t.source_id, t.sink, t.generation, t.task_id, t.action, t.attempts, t.operation_id,
       coalesce(r.subject_id, c.subject_id) as subject_id
from unnest(%(source_ids)s::uuid[], %(task_ids)s::uuid[], %(generations)s::int[])
     as d (source_id, task_id, generation)
join tasks t on t.source_id = d.source_id and t.task_id = d.task_id and t.generation = d.generation
left join requests r on r.request_id = t.source_id
left join consent_changes c on c.event_id = t.source_id
where t.parked is not null and t.outcome is null;

-- name: discard_letters
-- Mark dead letters as discarded, but for those that were refused again or decided on in the meantime.
update dead_letters l
set state = 'discarded', decided_at = %(now)s
from unnest(%(ids)s::uuid[], %(attempts)s::int[]) as seen (dead_letter_id, attempts)
where l.dead_letter_id = seen.dead_letter_id and l.attempts = seen.attempts and l.state = 'open'
returning l.dead_letter_id;

-- name: count_letters
-- How many dead letters there are of each cause, topic or group, in each state, and since when.
select case %(by)s when 'topic' then topic when 'group' then group_ else cause end as what, state,
       count(*) as letters, max(attempts) as attempts_max,
       min(failed_at) as oldest_failed_at, max(failed_at) as newest_failed_at
from dead_letters
where (%(state)s::text is null or state = %(state)s)
  and (%(cause)s::text is null or cause = %(cause)s)
  and (%(topic)s::text is null or topic = %(topic)s)
group by 1, 2
order by letters desc, 1, 2;
