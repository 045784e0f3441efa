-- What a replay selects, and what of it nobody can read any more.

-- Everything that was read from upstream, requests and consent changes alike.
create view sources as
select request_id as source_id, 'olvido.requests.v1' as topic, source_partition as partition_,
       source_offset as offset_, right_, null::text as purpose, subject_id, state, received_at
from requests
union all
select event_id, 'olvido.consents.v1', source_partition, source_offset, null, purpose, subject_id, null, received_at
from consent_changes;

-- The sources that a plan selects; a list that is empty does not narrow. Below the oldest offset that the
-- topic keeps the broker cannot tell times: there the ledger's own count, and on_topic is false.
create function sources_of(plan jsonb)
returns table (source_id uuid, topic text, partition_ int, offset_ bigint, on_topic bool)
language sql stable parallel safe as $$
    select s.source_id, s.topic, s.partition_, s.offset_, s.offset_ >= w.kept
    from sources s
    join jsonb_to_recordset(plan -> 'windows') as w (topic text, partition int, low bigint, high bigint, kept bigint)
      on s.topic = w.topic and s.partition_ = w.partition and s.offset_ >= w.low and s.offset_ < w.high
    where (s.offset_ >= w.kept
           or (s.received_at >= coalesce((plan #>> '{selection,since}')::timestamptz, '-infinity')
               and s.received_at < coalesce((plan #>> '{selection,until}')::timestamptz, 'infinity')))
      and (plan #> '{selection,rights}' = '[]' or plan #> '{selection,rights}' ? s.right_)
      and (plan #> '{selection,purposes}' = '[]' or plan #> '{selection,purposes}' ? s.purpose)
      and (plan #> '{selection,states}' = '[]' or plan #> '{selection,states}' ? s.state)
      and (plan #> '{selection,ids}' = '[]' or s.source_id = any (
              array(select jsonb_array_elements_text(plan #> '{selection,ids}')::uuid)))
      and (plan #>> '{selection,subject}' is null or s.subject_id = plan #>> '{selection,subject}')
$$;

-- The tasks that a plan selects of any source: of each sink the newest generation, which is the one that counts.
create function tasks_of(plan jsonb) returns setof tasks
language sql stable parallel safe as $$
    select t.*
    from tasks t
    where plan -> 'issued' ? t.sink
      and (plan #> '{selection,outcomes}' = '[]' or plan #> '{selection,outcomes}' ? coalesce(t.outcome, 'none'))
      and not exists (select from tasks later where later.source_id = t.source_id and later.sink = t.sink
                      and later.generation > t.generation and later.generation > 0)
$$;

-- With it the question whether there is a later generation costs nothing where there is only one.
create index tasks_done_again on tasks (source_id, sink) where generation > 0;

-- What a replay could not issue: neither ledger nor topic holds the event, or its box opens no more.
create table forgotten (
    operation_id uuid not null references operations,
    source_id    uuid not null,
    sink         text not null,
    why          text not null,
    primary key (operation_id, source_id, sink)
);
