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

-- The restore or backfill that asked for a task; null for the work of the day.
alter table tasks add column operation_id uuid;
create index tasks_of_operations on tasks (operation_id)
    where operation_id is not null and (outcome is null or outcome in ('deferred', 'failed'));

-- Open until a person decides: redriven (sent again, and not come back since) or discarded.
alter table dead_letters add column state text not null default 'open';
alter table dead_letters add column decided_at timestamptz;
-- The request or consent change of the task that the record was, so that its task is found.
alter table dead_letters add column source_id uuid;
create index dead_letters_open on dead_letters (cause) where state = 'open';
