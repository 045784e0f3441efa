-- name: create_table
-- The outbox: sealed events that are not yet in Kafka. No identity is in it in clear.
create table if not exists olvido_outbox (
    position   bigint generated always as identity primary key,
    event_id   uuid not null unique,
    topic      text not null,
    key        text not null,
    value      bytea not null,
    headers    text not null,
    written_at timestamptz not null default now()
);

-- name: insert
-- Write one event, in the caller's transaction. The same event again, before it was sent, changes nothing.
insert into olvido_outbox (event_id, topic, key, value, headers)
values (%s, %s, %s, %s, %s)
on conflict (event_id) do nothing;

-- name: take_turn
-- One relay at a time, for the length of a transaction: two would overtake each other within a subject.
select pg_try_advisory_xact_lock(7308620146528415087);

-- name: oldest
-- The events that have waited longest. Transactions that were open side by side may commit in another order than
-- they took positions in; nothing says which of their events was the earlier, and consents carry their own instant.
select position, topic, key, value, headers
from olvido_outbox
where position <> all(%s)
order by position
limit %s;

-- name: delete
-- Forget events that are in Kafka.
delete from olvido_outbox where position = any(%s);
