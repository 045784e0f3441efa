-- name: consents_known
-- The latest decisions about some (handle, purpose).
select c.handle, c.purpose, c.decision, c.occurred_at, c.event_id, c.policy_version
from consents c
join unnest(%(handles)s::text[], %(purposes)s::text[]) as asked (handle, purpose)
  on c.handle = asked.handle and c.purpose = asked.purpose;

-- name: upsert_consents
-- Keep the later decision, by instant, then withdrawn before granted, then event_id.
insert into consents (handle, purpose, decision, rank, occurred_at, event_id, policy_version)
select * from unnest(%(handles)s::text[], %(purposes)s::text[], %(decisions)s::text[], %(ranks)s::int[],
                     %(occurred_ats)s::timestamptz[], %(event_ids)s::uuid[], %(policy_versions)s::text[])
on conflict (handle, purpose) do update
set decision = excluded.decision, rank = excluded.rank, occurred_at = excluded.occurred_at,
    event_id = excluded.event_id, policy_version = excluded.policy_version
where (excluded.occurred_at, excluded.rank, excluded.event_id)
    > (consents.occurred_at, consents.rank, consents.event_id);
