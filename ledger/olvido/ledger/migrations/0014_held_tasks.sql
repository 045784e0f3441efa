-- Tasks that are above a limit of their sink: what two people decide about each, and the release that goes with it.
create table held_tasks (
    source_id   uuid not null,
    sink        text not null,
    generation  int  not null,
    task_id     uuid not null,
    limit_      text not null,                  -- the setting, or the table that too much was taken of
    reason      text not null,
    held_at     timestamptz not null,
    proposal    text,                           -- what one of them has decided: release, discard
    proposed_by text,
    proposed_at timestamptz,
    principal   text,                           -- the release, signed by the desk; null until two have decided
    key_id      text,
    signature   bytea,
    primary key (source_id, sink, generation)
);
