-- The regional store in China: one server with an SQLite file, as many small shops have it. Orders are accounts of
-- trade: they stay for ten years, and the account they hang on stays with them, but for whom it was.
--
-- People keep several e-mail addresses and several places to deliver to, wish for things, and write to each other.

create table accounts (
    id          integer primary key,
    customer_id text unique,
    phone       text,
    name        text not null,
    created_at  text not null          -- UTC, ISO 8601
);
create index accounts_phone on accounts (phone);

create table emails (
    address    text    not null collate nocase primary key,
    account_id integer not null references accounts (id) on delete cascade,
    is_main    integer not null
);
create index emails_account on emails (account_id);

create table addresses (
    id         integer primary key,
    account_id integer not null references accounts (id) on delete cascade,
    label      text    not null,
    line       text    not null,
    city       text    not null,
    postcode   text    not null
);
create index addresses_account on addresses (account_id);

create table products (
    id    integer primary key,
    title text not null
);

create table wishes (
    account_id integer not null references accounts (id) on delete cascade,
    product_id integer not null references products (id),
    primary key (account_id, product_id)
) without rowid;

create table messages (
    id           integer primary key,
    sender_id    integer not null references accounts (id),
    recipient_id integer references accounts (id),
    body         text    not null,
    sent_at      text    not null
);
create index messages_sender on messages (sender_id);
create index messages_recipient on messages (recipient_id);

create table orders (
    id          integer primary key,
    account_id  integer not null references accounts (id),
    number      text    not null unique,
    total_cents integer not null,
    currency    text    not null,
    placed_at   text    not null
);
create index orders_account on orders (account_id);

create table sessions (
    id         integer primary key,
    account_id integer not null references accounts (id) on delete cascade,
    browser    text    not null,
    began_at   text    not null
);
create index sessions_account on sessions (account_id);
