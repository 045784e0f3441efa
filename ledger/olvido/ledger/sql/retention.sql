-- name: keep_events
-- Shared by those that begin an operation, until they are committed: nothing is forgotten meanwhile.
select pg_advisory_xact_lock_shared(hashtext('olvido.retention'));

-- name: try_to_forget
-- Whether nobody begins an operation now, and no other process forgets. It is not waited for.
select pg_try_advisory_xact_lock(hashtext('olvido.retention'));

-- name: events_are_needed
-- Whether an operation is open that may still read any event. What a restore needs, its tasks show.
select exists (select from operations where finished_at is null and kind in ('backfill', 'replay'));

-- name: forget_events
-- Of the next events, delete those that came in before an instant and that nothing needs any more.
-- A request counts from the day on which it was finished; a consent change, as long as it stands, is needed.
with seen as materialized (
    select source_id from events where source_id > %(after)s order by source_id limit %(limit)s
), gone as (
    delete from events e
    using seen s
    where e.source_id = s.source_id
      and (exists (select from requests r where r.request_id = s.source_id and r.finished_at < %(before)s)
           or exists (select from consent_changes g where g.event_id = s.source_id and g.received_at < %(before)s
                      and not exists (select from consents c where c.event_id = g.event_id)))
      and not exists (select from tasks t where t.source_id = s.source_id
                      and (t.outcome is null or t.outcome in ${not_final}))
    returning e.source_id
)
select (select count(*) from gone), (select count(*) from seen),
       (select source_id from seen order by source_id desc limit 1);

-- name: forget_dead_letters
-- Delete dead letters that a person decided about before an instant.
delete from dead_letters
where dead_letter_id in (
    select dead_letter_id from dead_letters
    where failed_at < %(before)s and state <> 'open' and decided_at < %(before)s
    order by failed_at limit %(limit)s
    for update skip locked
);
