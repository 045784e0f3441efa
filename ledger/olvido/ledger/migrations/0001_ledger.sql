-- What was asked, what is done, and what is owed. No identity is in here in clear:
-- subject_id and handle are keyed pseudonyms, event holds sealed boxes and no key is kept here.

create table requests (
    request_id       uuid primary key,          -- UUIDv7: new rows go to the end of the index
    right_           text        not null,
    subject_id       text        not null,
    requested_at     timestamptz not null,
    received_at      timestamptz not null,
    state            text        not null,
    tasks            int         not null,
    answered         int         not null default 0,
    finished_at      timestamptz,
    digest           bytea       not null,      -- what makes a repeat the same request
    source_partition int         not null,      -- where it was read first: told apart from a duplicate
    source_offset    bigint      not null
) with (fillfactor = 70);                       -- room for the state to change in place

create table consent_changes (
    event_id         uuid primary key,
    purpose          text        not null,
    decision         text        not null,
    subject_id       text        not null,
    occurred_at      timestamptz not null,
    received_at      timestamptz not null,
    digest           bytea       not null,
    source_partition int         not null,
    source_offset    bigint      not null
);

-- The event as it was read, sealed boxes and all, so that its tasks can be issued again.
create table events (
    source_id uuid primary key,                 -- request_id or event_id
    topic     text  not null,
    event     bytea not null
);
alter table events alter column event set storage external;  -- ciphertext does not compress

create table tasks (
    source_id   uuid        not null,           -- request_id or event_id
    sink        text        not null,
    generation  int         not null,
    task_id     uuid        not null,
    action      text        not null,
    sent_at     timestamptz not null,
    due_at      timestamptz not null,           -- when to send it again if there is no receipt by then
    attempts    int         not null default 1,
    parked      text,                           -- the cause of a dead letter: not sent again by itself
    outcome     text,
    counts      jsonb,
    detail      text,
    applied_at  timestamptz,
    verified_at timestamptz,
    primary key (source_id, sink, generation)
) with (fillfactor = 70);

-- What a sink has deferred is owed as well: it is asked again later.
create index tasks_owed on tasks (due_at)
    where (outcome is null or outcome = 'deferred') and parked is null;

create table verifications (
    request_id       uuid primary key,          -- the first verification of a request stands
    event_id         uuid        not null,
    subject_id       text        not null,
    method           text        not null,
    verified_at      timestamptz not null,
    source_partition int         not null,
    source_offset    bigint      not null
);

-- Requests that wait until somebody says that it is really this person.
create table awaiting (
    request_id uuid primary key
);

-- The latest word about one purpose for one handle.
create table consents (
    handle         text        not null,
    purpose        text        not null,
    decision       text        not null,
    rank           int         not null,        -- of two words in one instant the greater stands: withdrawn
    occurred_at    timestamptz not null,
    event_id       uuid        not null,
    policy_version text        not null,
    primary key (handle, purpose)
) with (fillfactor = 70);

create table dead_letters (
    dead_letter_id uuid primary key,
    group_         text        not null,
    topic          text        not null,
    partition_     int         not null,
    offset_        bigint      not null,
    cause          text        not null,
    field          text        not null,
    reason         text        not null,
    sha256         bytea       not null,
    size           bigint      not null,
    attempts       int         not null,
    failed_at      timestamptz not null,
    task_id        uuid,
    generation     int         not null
);
create index dead_letters_failed_at on dead_letters (failed_at);

-- Offsets are audited, not trusted: which records of a partition were handled, in the same
-- transaction that handled them. A hole below the committed offset is a loss to be mended.
create table progress (
    topic      text           not null,
    partition_ int            not null,
    handled    int8multirange not null,
    reread     bigint         not null default 0,  -- records the audit found unhandled and read again
    primary key (topic, partition_)
) with (fillfactor = 50);
