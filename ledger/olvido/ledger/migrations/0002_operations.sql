-- What operators do: each act recorded for ever, each long piece of work carried on from where it was.

-- Append-only: who changed what, when and why. No identity is in it: ids, counts and filters.
create table acts (
    act_id  uuid primary key,                   -- UUIDv7, made before the act
    at      timestamptz not null,
    who     text        not null,               -- user@host, or what OLVIDO_OPERATOR says
    verb    text        not null,
    reason  text        not null,
    details jsonb       not null
);

create function acts_stay() returns trigger language plpgsql as $$
begin
    raise exception 'acts are append-only: % is refused', tg_op;
end $$;

create trigger acts_stay before update or delete or truncate on acts
    for each statement execute function acts_stay();

-- A replay, a restore or a backfill: what was planned, and how far it is.
create table operations (
    operation_id uuid primary key,              -- UUIDv7
    name         text        not null unique,   -- what people type
    kind         text        not null,          -- replay, restore, backfill
    sink         text,                          -- of a restore or a backfill
    plan         jsonb       not null,
    state        text        not null,          -- planned, running, paused, interrupted, done, cancelled
    position     jsonb       not null default '{}',  -- how far it is: written with the work it counts
    created_at   timestamptz not null,
    started_at   timestamptz,
    finished_at  timestamptz
);
create index operations_open on operations (sink) where finished_at is null;

-- One open restore of a sink from one backup, one open backfill of a sink: a repeat finds it.
create unique index operations_once on operations (kind, sink, coalesce(plan ->> 'backup_taken_at', ''))
    where finished_at is null and kind in ('restore', 'backfill');

-- The restore or backfill that asked for a task; null for the work of the day. Such a task was never
-- sent as long as attempts is 0: the reconciler sends it, apart from the work of the day.
alter table tasks add column operation_id uuid;
create index tasks_of_operations on tasks (operation_id, attempts)
    where operation_id is not null and (outcome is null or outcome in ('deferred', 'failed'));
drop index tasks_owed;
create index tasks_owed on tasks ((attempts > 0), due_at)
    where (outcome is null or outcome = 'deferred') and parked is null;

-- What waits for a person is counted every few seconds.
create index tasks_parked on tasks (sink) where parked is not null;

-- Open until a person decides: redriven (sent again, and not come back since) or discarded.
alter table dead_letters add column state text not null default 'open';
alter table dead_letters add column decided_at timestamptz;
-- The request or consent change of the task that the record was, so that its task is found.
alter table dead_letters add column source_id uuid;
create index dead_letters_open on dead_letters (cause) where state = 'open';

-- A word about somebody else, come before its request, must not keep out the word about the right person.
alter table verifications drop constraint verifications_pkey, add primary key (request_id, subject_id);
