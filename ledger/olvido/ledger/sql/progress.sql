-- name: add_progress
-- Note which records of each partition were handled.
insert into progress (topic, partition_, handled)
select topic, partition_, range_agg(int8range(low, high))
from unnest(%(topics)s::text[], %(partitions)s::int[], %(lows)s::bigint[], %(highs)s::bigint[])
     as new (topic, partition_, low, high)
group by topic, partition_
order by topic, partition_
on conflict (topic, partition_) do update set handled = progress.handled + excluded.handled;

-- name: holes
-- Records below the committed offset that nobody has handled, as [low, high) ranges.
select asked.topic, asked.partition_, lower(hole) as low, upper(hole) as high
from unnest(%(topics)s::text[], %(partitions)s::int[], %(lows)s::bigint[], %(highs)s::bigint[])
     as asked (topic, partition_, low, high)
left join progress p on p.topic = asked.topic and p.partition_ = asked.partition_
cross join lateral unnest(int8multirange(int8range(asked.low, asked.high))
                          - coalesce(p.handled, '{}'::int8multirange)) as hole
order by 1, 2, 3;

-- name: count_reread
-- Count records that the audit read again.
update progress set reread = reread + %(count)s where topic = %(topic)s and partition_ = %(partition)s;

-- name: topics_made_anew
-- Of some topics those that have another id than they had, held until the end of the transaction.
select known.topic
from handled_topics known
join unnest(%(topics)s::text[], %(topic_ids)s::text[]) as asked (topic, topic_id) on asked.topic = known.topic
where known.topic_id <> asked.topic_id
order by known.topic
for update of known;

-- name: forget_progress
-- Forget which records of some topics were handled.
delete from progress where topic = any(%(topics)s);

-- name: note_topics
-- Note the ids of topics.
insert into handled_topics (topic, topic_id)
select topic, topic_id from unnest(%(topics)s::text[], %(topic_ids)s::text[]) as asked (topic, topic_id)
order by topic
on conflict (topic) do update set topic_id = excluded.topic_id;
