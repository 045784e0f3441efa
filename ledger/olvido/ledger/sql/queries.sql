-- name: requests_known
-- What is known of some request ids: digest, coordinates, where they stand and what their sinks have said.
select r.request_id, r.digest, r.source_partition, r.source_offset, r.subject_id, r.state,
       coalesce((select jsonb_object_agg(t.sink, t.outcomes)
                 from (select sink, array_agg(outcome order by generation) as outcomes
                       from tasks where source_id = r.request_id group by sink) t), '{}')
from requests r
where r.request_id = any(%(ids)s::uuid[]);

-- name: verifications_known
-- The standing verifications of some requests, one for each subject that somebody vouched for.
select request_id, event_id, subject_id, method, verified_at, source_partition, source_offset
from verifications
where request_id = any(%(ids)s::uuid[]);

-- name: insert_requests
-- Insert requests; one that is there already is left alone and not returned.
insert into requests (request_id, right_, subject_id, requested_at, received_at, state, tasks,
                      finished_at, digest, source_partition, source_offset)
select * from unnest(%(request_ids)s::uuid[], %(rights)s::text[], %(subject_ids)s::text[],
                     %(requested_ats)s::timestamptz[], %(received_ats)s::timestamptz[], %(states)s::text[],
                     %(tasks)s::int[], %(finished_ats)s::timestamptz[], %(digests)s::bytea[],
                     %(partitions)s::int[], %(offsets)s::bigint[])
on conflict do nothing
returning request_id;

-- name: insert_consent_changes
-- Insert consent changes; one that is there already is left alone and not returned.
insert into consent_changes (event_id, purpose, decision, subject_id, occurred_at, received_at, digest,
                             source_partition, source_offset)
select * from unnest(%(event_ids)s::uuid[], %(purposes)s::text[], %(decisions)s::text[],
                     %(subject_ids)s::text[], %(occurred_ats)s::timestamptz[], %(received_ats)s::timestamptz[],
                     %(digests)s::bytea[], %(partitions)s::int[], %(offsets)s::bigint[])
on conflict do nothing
returning event_id;

-- name: insert_verifications
-- Insert verifications; the first of a request and subject stands.
insert into verifications (request_id, event_id, subject_id, method, verified_at,
                           source_partition, source_offset)
select * from unnest(%(request_ids)s::uuid[], %(event_ids)s::uuid[], %(subject_ids)s::text[],
                     %(methods)s::text[], %(verified_ats)s::timestamptz[], %(partitions)s::int[],
                     %(offsets)s::bigint[])
on conflict do nothing;

-- name: insert_events
-- Keep events as they were read.
insert into events (source_id, topic, event)
select source_id, %(topic)s, event from unnest(%(source_ids)s::uuid[], %(events)s::bytea[]) as new (source_id, event)
on conflict do nothing;

-- name: insert_tasks
-- Note tasks as owed; one that is there already is left alone.
insert into tasks (source_id, sink, generation, task_id, action, sent_at, due_at)
select source_id, sink, generation, task_id, action, %(now)s, %(due_at)s
from unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(task_ids)s::uuid[],
            %(actions)s::text[]) as new (source_id, sink, generation, task_id, action)
on conflict do nothing;

-- name: insert_awaiting
-- Note requests that wait for a verification.
insert into awaiting (request_id) select unnest(%(ids)s::uuid[]) on conflict do nothing;

-- name: delete_awaiting
-- Requests that wait no more.
delete from awaiting where request_id = any(%(ids)s::uuid[]);

-- name: start_requests
-- Requests whose verification has come: their tasks are planned now.
update requests r
set state = new.state, tasks = new.tasks, finished_at = new.finished_at
from unnest(%(ids)s::uuid[], %(states)s::text[], %(tasks)s::int[], %(finished_ats)s::timestamptz[])
     as new (request_id, state, tasks, finished_at)
where r.request_id = new.request_id and r.state = 'identity_pending';

-- name: requests_with_events
-- Some requests as they were read.
select source_id, event from events where source_id = any(%(ids)s::uuid[]);

-- name: awaiting_verified
-- Requests that still wait although their verification is here: both came in the same moment.
select v.event_id, v.request_id, v.subject_id, v.method, v.verified_at, v.source_partition, v.source_offset
from awaiting a join requests r using (request_id)
join verifications v on v.request_id = r.request_id and v.subject_id = r.subject_id
limit %(limit)s;

-- name: consent_changes_known
-- What is known of some event ids.
select event_id, digest, source_partition, source_offset
from consent_changes
where event_id = any(%(ids)s::uuid[]);

-- name: consents_known
-- The latest words about some (handle, purpose).
select c.handle, c.purpose, c.decision, c.occurred_at, c.event_id, c.policy_version
from consents c
join unnest(%(handles)s::text[], %(purposes)s::text[]) as asked (handle, purpose)
  on c.handle = asked.handle and c.purpose = asked.purpose;

-- name: upsert_consents
-- Keep the later word, by instant, then withdrawn before granted, then event_id.
insert into consents (handle, purpose, decision, rank, occurred_at, event_id, policy_version)
select * from unnest(%(handles)s::text[], %(purposes)s::text[], %(decisions)s::text[], %(ranks)s::int[],
                     %(occurred_ats)s::timestamptz[], %(event_ids)s::uuid[], %(policy_versions)s::text[])
on conflict (handle, purpose) do update
set decision = excluded.decision, rank = excluded.rank, occurred_at = excluded.occurred_at,
    event_id = excluded.event_id, policy_version = excluded.policy_version
where (excluded.occurred_at, excluded.rank, excluded.event_id)
    > (consents.occurred_at, consents.rank, consents.event_id);

-- name: lock_requests
-- Take hold of some requests, in one order everywhere, so that two readers of their receipts take turns.
select request_id, right_, subject_id, requested_at
from requests
where request_id = any(%(ids)s::uuid[])
order by request_id
for update;

-- name: settle_tasks
-- Write receipts into their tasks: a final one over none, and of two final ones the one applied first.
update tasks t
set outcome = r.outcome, counts = r.counts::jsonb, detail = r.detail,
    applied_at = r.applied_at, verified_at = r.verified_at, parked = null,
    due_at = case when r.outcome = 'deferred' then r.applied_at + %(ask_again_after)s else t.due_at end
from unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(task_ids)s::uuid[],
            %(outcomes)s::text[], %(counts)s::text[], %(details)s::text[], %(applied_ats)s::timestamptz[],
            %(verified_ats)s::timestamptz[])
     as r (source_id, sink, generation, task_id, outcome, counts, detail, applied_at, verified_at)
where t.source_id = r.source_id and t.sink = r.sink and t.generation = r.generation and t.task_id = r.task_id
  and (t.outcome is null
       or (t.outcome = 'deferred', t.applied_at, t.outcome collate "C", t.detail collate "C")
        > (r.outcome = 'deferred', r.applied_at, r.outcome collate "C", r.detail collate "C"))
returning t.source_id, t.sink, t.action, t.outcome, t.applied_at;

-- name: tasks_known
-- Which of some (source_id, sink, generation, task_id) there are.
select t.source_id, t.sink, t.generation, t.task_id
from tasks t
join unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(generations)s::int[], %(task_ids)s::uuid[])
     as asked (source_id, sink, generation, task_id)
  on t.source_id = asked.source_id and t.sink = asked.sink
 and t.generation = asked.generation and t.task_id = asked.task_id;

-- name: outcomes_of
-- The outcome of each task of some requests, the oldest generation first.
select source_id, sink, outcome
from tasks
where source_id = any(%(ids)s::uuid[])
order by source_id, sink, generation;

-- name: update_request_states
-- Write the states that the receipts give.
update requests r
set state = new.state, answered = new.answered,
    finished_at = case when new.final then coalesce(r.finished_at, %(now)s) end
from unnest(%(ids)s::uuid[], %(states)s::text[], %(answered)s::int[], %(finals)s::bool[])
     as new (request_id, state, answered, final)
where r.request_id = new.request_id
  and (r.state, r.answered) is distinct from (new.state, new.answered);

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
select r.request_id, r.right_, r.subject_id, r.requested_at, r.state,
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

-- name: add_progress
-- Note which records of each partition were handled.
insert into progress (topic, partition_, handled)
select topic, partition_, range_agg(int8range(low, high))
from unnest(%(topics)s::text[], %(partitions)s::int[], %(lows)s::bigint[], %(highs)s::bigint[])
     as new (topic, partition_, low, high)
group by topic, partition_
order by topic, partition_
on conflict (topic, partition_) do update set handled = progress.handled + excluded.handled;

-- name: holes
-- Records below the committed offset that nobody has handled, as [low, high) ranges.
select asked.topic, asked.partition_, lower(hole) as low, upper(hole) as high
from unnest(%(topics)s::text[], %(partitions)s::int[], %(lows)s::bigint[], %(highs)s::bigint[])
     as asked (topic, partition_, low, high)
left join progress p on p.topic = asked.topic and p.partition_ = asked.partition_
cross join lateral unnest(int8multirange(int8range(asked.low, asked.high))
                          - coalesce(p.handled, '{}'::int8multirange)) as hole
order by 1, 2, 3;

-- name: count_reread
-- Count records that the audit read again.
update progress set reread = reread + %(count)s where topic = %(topic)s and partition_ = %(partition)s;

-- name: owed
-- Take tasks that are due for another try; another reconciler's are passed over.
with due as (
    select source_id, sink, generation from tasks
    where (outcome is null or outcome = 'deferred') and parked is null and attempts > 0 and due_at <= %(now)s
    order by due_at limit %(limit)s
    for update skip locked
)
select t.source_id, t.sink, t.generation, t.task_id, t.action, t.attempts, t.operation_id, e.event,
       coalesce(r.subject_id, c.subject_id) as subject_id
from due join tasks t using (source_id, sink, generation) left join events e using (source_id)
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

-- name: list_requests
-- Requests, newest first.
select request_id, right_, subject_id, state, tasks, answered, requested_at, received_at, finished_at
from requests
where (%(state)s::text is null or state = %(state)s) and (%(right)s::text is null or right_ = %(right)s)
order by request_id desc
limit %(limit)s;

-- name: show_request
-- One request.
select request_id, right_, subject_id, state, tasks, answered, requested_at, received_at, finished_at
from requests where request_id = %(id)s;

-- name: show_tasks
-- The tasks of one request or consent change, with their receipts.
select sink, action, generation, task_id, outcome, counts, detail, attempts, parked, sent_at, due_at,
       applied_at, verified_at
from tasks where source_id = %(id)s
order by sink, generation;

-- name: overview
-- The ledger in one row: what is open, owed, late and dead.
select (select count(*) from requests) as requests,
       (select count(*) from requests where finished_at is null) as requests_open,
       (select count(*) from tasks where outcome is null and parked is null) as tasks_owed,
       (select count(*) from tasks where outcome is null and parked is not null) as tasks_parked,
       (select min(sent_at) from tasks where outcome is null and parked is null) as oldest_owed_at,
       (select count(*) from dead_letters where state = 'open') as dead_letters,
       (select coalesce(sum(reread), 0)::bigint from progress) as reread;

-- name: by_sink
-- For each sink: tasks answered, owed, parked, sent again, and the outcomes.
select sink,
       count(*) as tasks,
       count(outcome) as answered,
       count(*) filter (where outcome is null and parked is not null) as parked,
       coalesce(sum(greatest(attempts - 1, 0)), 0)::bigint as resent,
       min(sent_at) filter (where outcome is null and parked is null) as oldest_owed_at
from tasks group by sink order by sink;

-- name: clock
-- The database's clock.
select now();
