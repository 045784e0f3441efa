-- The marketing service's own file (SQLite).

create table if not exists contacts (
    id         integer primary key,
    email      text    not null,           -- as typed
    email_key  text    not null,           -- as compared
    name       text    not null,
    list       text    not null,
    allowed    integer not null default 1,
    created_at text    not null            -- UTC, to the microsecond: compares as text
);
create index if not exists contacts_email_key on contacts (email_key);

-- The last word about one purpose for one pseudonym. It stays when the contact is erased: it names nobody.
create table if not exists consents (
    handle      text    not null,
    purpose     text    not null,
    decision    text    not null,
    occurred_at text    not null,
    rank        integer not null,
    event_id    text    not null,
    primary key (handle, purpose)
);

create table if not exists answered (
    idempotency_key text primary key,
    receipt         text not null
);
