-- By when a request is to be answered, and whose law says so; null while every clock waits for the proof of identity.
-- It is worked out when the request is saved and when it is verified, and stands: a law that is edited moves no promise.
alter table requests add column due_at timestamptz, add column due_by text,
    add column due_provisional bool not null default false,
    add column jurisdiction text,      -- of those that olvido.toml declares; null: what holds for all
    add column extended_at timestamptz, -- when an extension was recorded
    add column identity_verified_at timestamptz;  -- when it was proved who asks: some clocks begin then
update requests set due_at = requested_at + interval '30 days', due_by = 'promise' where finished_at is null;
update requests r set identity_verified_at = v.verified_at from verifications v
where v.request_id = r.request_id and v.subject_id = r.subject_id and r.finished_at is null;
create index requests_due on requests (due_at) where finished_at is null;
