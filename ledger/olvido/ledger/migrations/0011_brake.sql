-- Who asked, as far as is known: erasures are counted by it.
alter table requests add column asked_by text not null default '';

-- How many erasures began to be asked of sinks, by minute and who asked. What is older than an hour is deleted.
create table erasures_started (
    minute   timestamptz not null,              -- of the database's clock: no process's may be behind it
    asked_by text        not null,
    erasures int         not null,
    primary key (minute, asked_by)
);

-- Requests that no sink is asked for yet: they have no tasks.
create table held (
    request_id  uuid primary key,
    held_for    text        not null,           -- which limit, or the grace period
    held_at     timestamptz not null,
    start_at    timestamptz,                    -- null until two people have decided
    proposal    text,                           -- what one of them has decided: release, discard
    proposed_by text,
    proposed_at timestamptz
);
create index held_start on held (start_at, request_id) where start_at is not null;
