-- When the last look at the task `t` was, and what it has come to: the newest that verifies it, and that found it again.
left join lateral (
    select max(l.looked_at) filter (where n.result is null) as verified_at,
           max(l.looked_at) filter (where n.result = 'found_again') as found_again_at
    from looks l
    left join looks_not_verified n on n.look_id = l.look_id and n.source_id = t.source_id and n.sink = t.sink
                                  and n.generation = t.generation
    where t.action = 'ERASE' and l.applied @> t.applied_at and l.sink = t.sink
) looked on true