-- name: insert_act
-- Record an act; the same one again changes nothing.
insert into acts (act_id, at, who, verb, reason, details)
values (%(act_id)s, %(at)s, %(who)s, %(verb)s, %(reason)s, %(details)s)
on conflict (act_id) do nothing;

-- name: list_acts
-- Acts, newest first.
select act_id, at, who, verb, reason, details
from acts
where (%(verb)s::text is null or verb = %(verb)s)
  and (%(who)s::text is null or who = %(who)s)
  and (%(since)s::timestamptz is null or at >= %(since)s)
order by at desc, act_id desc
limit %(limit)s;

-- name: last_act
-- The number and the link of the last act.
select number, link from acts order by number desc limit 1;

-- name: broken_act
-- The first act that does not follow from those before it.
select place
from (
    select row_number() over w as place, number, link,
           acts_link(lag(link) over w, number, act_id, at, who, verb, reason, details) as expected
    from acts
    window w as (order by number)
) linked
where number <> place or link <> expected
order by place
limit 1;
