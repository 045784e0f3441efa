-- The shop's visitors and what they did (DuckDB). No foreign key from events to visitors: DuckDB refuses to
-- delete a parent in the transaction that deletes its children, and analytics stores rarely have them.

create table visitors (
    visitor_id       bigint primary key,
    customer_id      varchar,
    device_id        varchar,
    cookie_id        varchar,
    tracking_allowed boolean     not null default true,
    first_seen_at    timestamptz not null
);

create table events (
    event_id    bigint primary key,
    visitor_id  bigint      not null,
    name        varchar     not null,
    page        varchar     not null,
    happened_at timestamptz not null
);
