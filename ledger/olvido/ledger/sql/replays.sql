-- name: plan_large
-- For a count over a year: rows in memory, no sorting of millions where a few sums are wanted.
set local statement_timeout = '10min';
set local work_mem = '128MB';
set local jit = off;
set local enable_sort = off;
set local enable_mergejoin = off;

-- name: plan_walk
-- For a walk in the order of the ids: by the indexes, however many rows there are.
set local jit = off;
set local enable_sort = off;
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local max_parallel_workers_per_gather = 0;

-- name: ledger_identity
-- Which database this is: not a copy of it on another server, nor another one on this server.
select system_identifier::text || '/' || current_database() from pg_control_system();

-- name: known_ends
-- The offset after the last record of each partition that was ever handled.
select topic, partition_, upper(handled) from progress where not isempty(handled);

-- name: count_sources
-- How many sources of each partition a plan selects, and the first of them.
select topic, partition_, count(*) as records, min(offset_) as first
from sources_of(%(plan)s::jsonb)
group by topic, partition_;

-- name: count_tasks
-- How many tasks of each partition and sink a plan selects, and how many of them nobody has answered for good.
select s.topic, s.partition_, t.sink, count(*) as tasks,
       count(*) filter (where t.outcome is null or t.outcome in ${not_final}) as new
from sources_of(%(plan)s::jsonb) s join tasks_of(%(plan)s::jsonb) t on t.source_id = s.source_id
group by s.topic, s.partition_, t.sink;

-- name: count_forgotten
-- How many of them nobody can issue: the event is in neither place, or its box is sealed to a key that was destroyed.
select s.topic, s.partition_, t.sink, count(*) as forgotten,
       count(*) filter (where t.outcome is null or t.outcome in ${not_final}) as new
from sources_of(%(plan)s::jsonb) s
join tasks_of(%(plan)s::jsonb) t on t.source_id = s.source_id
left join events e on e.source_id = s.source_id
where (e.source_id is null and not s.on_topic)
   or exists (select from unnest(%(sinks)s::text[], %(key_ids)s::bytea[]) as gone (sink, key_id)
              where gone.sink = t.sink and position(gone.key_id in e.event) > 0)
group by s.topic, s.partition_, t.sink;

-- name: unknown_records
-- Records of some ranges that are in no row: never handled, a duplicate, or lost from the ledger.
select asked.topic, asked.partition_, lower(gap) as low, upper(gap) as high
from unnest(%(topics)s::text[], %(partitions)s::int[], %(lows)s::bigint[], %(highs)s::bigint[])
     as asked (topic, partition_, low, high)
left join (
    select topic, partition_, range_agg(int8range(offset_, offset_ + 1)) as offsets
    from (select topic, partition_, offset_ from sources
          union all
          select topic, partition_, offset_ from dead_letters where group_ = %(group)s) rows_
    group by topic, partition_
) known on known.topic = asked.topic and known.partition_ = asked.partition_
cross join lateral unnest(int8multirange(int8range(asked.low, asked.high))
                          - coalesce(known.offsets, '{}'::int8multirange)) as gap
order by 1, 2, 3;

-- name: walk_sources
-- The next sources that a plan selects, in the order of their ids, each with its tasks and the event as it was read.
with batch as (
    select * from sources_of(%(plan)s::jsonb) where source_id > %(after)s order by source_id limit %(limit)s
)
select b.source_id, b.topic, b.partition_, b.offset_, b.on_topic, e.event, t.sinks, t.generations, t.outcomes
from batch b
left join events e on e.source_id = b.source_id
cross join lateral (
    select array_agg(t.sink order by t.sink) as sinks, array_agg(t.generation order by t.sink) as generations,
           array_agg(t.outcome order by t.sink) as outcomes
    from tasks_of(%(plan)s::jsonb) t where t.source_id = b.source_id
) t
order by b.source_id;

-- name: known_sources
-- Which of some ids the ledger knows.
select source_id from sources where source_id = any(%(ids)s::uuid[]);

-- name: save_replay
-- Save a plan; one of that name is left alone, and nothing is returned.
insert into operations (operation_id, name, kind, plan, state, created_at)
values (%(operation_id)s, %(name)s, 'replay', %(plan)s, 'planned', %(now)s)
on conflict do nothing
returning name;

-- name: find_replays
-- Replays, newest first. One that is to be running and has no runner was interrupted, whatever its row says.
select o.operation_id, o.name,
       case when o.state = 'running' and not held.held then 'interrupted' else o.state end as state,
       held.held, o.plan, o.position, o.created_at, o.started_at, o.finished_at
from operations o
cross join lateral (select hashtextextended(o.operation_id::text, 0) as key) k
cross join lateral (
    select exists (
        select from pg_locks l join pg_database d on d.oid = l.database
        where l.locktype = 'advisory' and l.granted and d.datname = current_database() and l.objsubid = 1
          and l.classid = ((k.key >> 32) & 4294967295)::oid and l.objid = (k.key & 4294967295)::oid
    ) as held
) held
where o.kind = 'replay' and (%(name)s::text is null or o.name = %(name)s)
order by o.created_at desc, o.name
limit %(limit)s;

-- name: hold_replay
-- Become its one runner, for as long as this connection lasts; again, if we are.
select pg_try_advisory_lock(hashtextextended(%(operation_id)s::uuid::text, 0));

-- name: let_go_of_replay
-- Another may run it now.
select pg_advisory_unlock_all();

-- name: move_replay
-- Change the state of a replay that is in one of some states.
update operations
set state = %(to)s,
    started_at = case when %(to)s = 'running' then coalesce(started_at, %(now)s) else started_at end,
    finished_at = case when %(to)s in ('done', 'cancelled') then %(now)s else finished_at end
where operation_id = %(operation_id)s and state = any(%(from)s::text[])
returning state;

-- name: note_replay
-- Write how far it is; what it is meant to do now.
update operations set position = %(position)s where operation_id = %(operation_id)s returning state;

-- name: state_of_replay
-- What it is meant to do now.
select state from operations where operation_id = %(operation_id)s;

-- name: insert_forgotten
-- Note what could not be issued.
insert into forgotten (operation_id, source_id, sink, why)
select %(operation_id)s, source_id, sink, why
from unnest(%(source_ids)s::uuid[], %(sinks)s::text[], %(whys)s::text[]) as new (source_id, sink, why)
on conflict do nothing;

-- name: list_forgotten
-- What could not be issued.
select source_id, sink, why from forgotten where operation_id = %(operation_id)s
order by source_id, sink limit %(limit)s;
