-- A look at decisions, and to how many of them something had come that they were applied to again. It speaks of no
-- erasure: its range is empty.
alter table looks add column decisions bigint not null default 0, add column reapplied bigint not null default 0;
