-- name: insert_act
-- Record an act; the same one again changes nothing.
insert into acts (act_id, at, who, verb, reason, details)
values (%(act_id)s, %(at)s, %(who)s, %(verb)s, %(reason)s, %(details)s)
on conflict do nothing;

-- name: list_acts
-- Acts, newest first.
select act_id, at, who, verb, reason, details
from acts
where (%(verb)s::text is null or verb = %(verb)s)
  and (%(who)s::text is null or who = %(who)s)
  and (%(since)s::timestamptz is null or at >= %(since)s)
order by at desc, act_id desc
limit %(limit)s;
