-- What sinks found when they searched again for people they had erased: a row for each look, which speaks of
-- all that its sink erased between two instants. When a task was verified follows from these rows.
create table looks (
    look_id    uuid primary key,
    sink       text        not null,
    after_s    bigint      not null,            -- which of the sink's looks; 0 where a person asked for it
    applied    tstzrange   not null,            -- applied_at of the tasks that were looked at, both ends included
    looked_at  timestamptz not null,
    looked     bigint      not null,
    forgotten  bigint      not null
);
create index looks_applied on looks using gist (applied);
create index looks_of_a_sink on looks (sink, looked_at);

-- The tasks that a look does not verify, though their applied_at is within what it looked at.
create table looks_not_verified (
    source_id  uuid        not null,
    sink       text        not null,
    generation int         not null,
    look_id    uuid        not null references looks,
    result     text        not null,
    primary key (source_id, sink, generation, look_id)
);
