-- When we received the receipt that stands, by our own clock: a restore asks again by it, whatever a target's says.
-- Null for what was answered before.
alter table tasks add column answered_at timestamptz;
