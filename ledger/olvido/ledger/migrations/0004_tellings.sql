-- What is being told to the compacted topics: noted before, and ended when the ledger was looked at after it.
-- One row for each batch that is on its way; what is old was begun by a process that died or stands still.

create table tellings (
    telling_id  bigint generated always as identity primary key,
    begun_at    timestamptz not null default now(),  -- the database's clock: no process judges another by its own
    request_ids uuid[]      not null,
    handles     text[]      not null,                -- with purposes, one by one: the words about consent
    purposes    text[]      not null
);
