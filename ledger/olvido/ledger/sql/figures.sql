-- name: find_requests
-- Requests, the one that was received last first, and by when each is to be answered. Of a person: those of a
-- subject, and those whose stored event names one of their handles. No index has that; it reads what it skips.
-- `verified` counts the sinks whose later look found nothing of the newest task. It is worked out for what is listed alone.
select r.request_id, r.right_, r.subject_id, r.state, r.tasks, r.answered, r.requested_at, r.received_at,
       r.appended_at, r.late, r.finished_at, r.due_at, r.due_by, r.due_provisional, r.jurisdiction, r.extended_at,
       r.identity_verified_at,
       r.finished_at is null and coalesce(r.due_at <= %(now)s, false) as overdue,
       (select count(*)
        from (select distinct on (sink) * from tasks where source_id = r.request_id order by sink, generation desc) t
        ${looked_at}
        where t.outcome in ${verifiable} and looked.verified_at is not null) as verified
from requests r
where (%(state)s::text is null or r.state = %(state)s)
  and (%(right)s::text is null or r.right_ = %(right)s)
  and (%(since)s::timestamptz is null or r.requested_at >= %(since)s)
  and (%(due_before)s::timestamptz is null or (r.finished_at is null and r.due_at <= %(due_before)s))
  and (%(open_since)s::timestamptz is null or (r.finished_at is null and r.requested_at < %(open_since)s))
  and (%(subjects)s::text[] is null or r.subject_id = any(%(subjects)s)
       or exists (select from events e where e.source_id = r.request_id and exists (
                      select from unnest(%(marks)s::bytea[]) mark where position(mark in e.event) > 0)))
  and ((%(sink)s::text is null and %(outcome)s::text is null)
       or exists (select from tasks t where t.source_id = r.request_id
                  and (%(sink)s::text is null or t.sink = %(sink)s)
                  and (%(outcome)s::text is null or coalesce(t.outcome, 'none') = %(outcome)s)))
order by r.received_at desc, r.request_id
limit %(limit)s;

-- name: consents_of
-- What stands about each purpose for some handles.
select c.handle, c.purpose, c.decision, c.occurred_at, c.event_id, c.policy_version, coalesce(g.late, false) as late
from consents c
left join consent_changes g on g.event_id = c.event_id
where c.handle = any(%(handles)s::text[])
order by c.handle, c.purpose;

-- name: operation_names
-- The names of replays, restores and backfills, newest first.
select name from operations order by operation_id desc limit %(limit)s;

-- name: owed_by_sink
-- For each sink that owes a receipt: how many, and when the first of those was asked for.
select t.sink, count(*) as owed, min(coalesce(r.received_at, c.received_at, t.sent_at)) as oldest_at
from tasks t
left join requests r on r.request_id = t.source_id
left join consent_changes c on c.event_id = t.source_id
where (t.outcome is null or t.outcome in ${not_final}) and t.parked is null
group by t.sink order by t.sink;

-- name: dead_letters_by_cause
-- Dead letters that nobody has decided about.
select cause, count(*) as letters, min(failed_at) as oldest_at
from dead_letters where state = 'open'
group by cause order by letters desc, cause;

-- name: times_to_apply
-- For each sink, of the newest requests: how long from the request's arrival here to the work being done.
select t.sink, count(*) as receipts,
       percentile_cont(array[0.5, 0.95, 0.99]) within group (
           order by extract(epoch from t.applied_at - r.received_at)) as seconds
from (select request_id, received_at from requests order by received_at desc, request_id limit %(limit)s) r
join tasks t on t.source_id = r.request_id
where t.outcome is not null and t.outcome not in ${not_final} and t.generation = 0
group by t.sink order by t.sink;

-- name: newest_answers
-- What a sink has answered to the newest requests, of what a restore would ask again: its target must remember it.
select t.task_id, t.generation, greatest(t.answered_at, t.applied_at) as answered_at
from (select request_id from requests order by received_at desc, request_id limit %(limit)s) r
join tasks t on t.source_id = r.request_id
where t.sink = %(sink)s and t.action = any(%(actions)s::text[])
  and t.outcome is not null and t.outcome not in ${no_effect}
  and not exists (select from tasks n where n.source_id = t.source_id and n.sink = t.sink
                  and n.generation > t.generation);

-- name: story_of_tasks
-- The tasks of a request as they came about, with the restore, backfill or replay that asked for them.
select t.sink, t.action, t.generation, t.task_id, t.outcome, t.counts, t.attempts, t.parked, t.sent_at, t.due_at,
       t.applied_at, t.verified_at as read_back_at, looked.found_again_at,
       case when t.outcome in ${verifiable} then looked.verified_at end as verified_at,
       o.kind as operation, o.name as operation_name, o.created_at as operation_at
from tasks t left join operations o using (operation_id)
${looked_at}
where t.source_id = %(id)s
order by t.sink, t.generation;

-- name: story_of_looks
-- What sinks found of a request when they looked again; null for nothing.
select t.sink, t.generation, l.after_s, l.looked_at, n.result
from tasks t
join looks l on l.applied @> t.applied_at and l.sink = t.sink
left join looks_not_verified n on n.look_id = l.look_id and n.source_id = t.source_id and n.sink = t.sink
                              and n.generation = t.generation
where t.source_id = %(id)s and t.action = 'ERASE' and (n.result is not null or t.outcome in ${verifiable})
order by l.looked_at;

-- name: story_of_verification
-- When it was verified that it is really this person. A verification about another subject is not the request's.
select v.method, v.verified_at
from verifications v join requests r using (request_id, subject_id)
where r.request_id = %(id)s;

-- name: story_of_dead_letters
-- What became a dead letter of a request's tasks.
select d.cause, d.failed_at, d.state, d.decided_at, d.attempts, t.sink
from dead_letters d
join tasks t on t.source_id = d.source_id and t.task_id = d.task_id and t.generation = d.generation
where d.source_id = %(id)s
order by d.failed_at;

-- name: acts_by_verb
-- How often each kind of act was done, and when last.
select verb, count(*) as acts, max(at) as newest_at from acts group by verb order by verb;

-- name: due
-- Of the open requests: how many are overdue, how many are due soon, and the next last day that is not over.
select count(*) filter (where due_at <= %(now)s) as requests_overdue,
       count(*) filter (where due_at > %(now)s and due_at <= %(soon)s) as requests_due_soon,
       min(due_at) filter (where due_at > %(now)s) as next_due_at
from requests where finished_at is null and due_at is not null;

-- name: show_request
-- One request.
select request_id, right_, subject_id, state, tasks, answered, requested_at, appended_at, late, received_at,
       finished_at, due_at, due_by, due_provisional, jurisdiction, extended_at,
       identity_verified_at
from requests where request_id = %(id)s;

-- name: show_tasks
-- The tasks of one request or consent change, with their receipts.
-- When a task was verified follows from the looks that speak of the instant at which it was done.
select t.sink, t.action, t.generation, t.task_id, t.outcome, t.counts, t.detail, t.attempts, t.parked, t.sent_at,
       t.due_at, t.applied_at, t.verified_at as read_back_at, looked.found_again_at,
       case when t.outcome in ${verifiable} then looked.verified_at end as verified_at
from tasks t
${looked_at}
where t.source_id = %(id)s
order by t.sink, t.generation;

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

-- name: parked_by_sink
-- For each sink that has any: tasks that wait for a person to decide. By an index that holds only such tasks.
select sink, count(*) as tasks from tasks where parked is not null group by sink;
