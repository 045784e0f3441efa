-- How the state of a request is written, wherever that is: from `new`, each from where it was seen.
-- What is so already is not written.
update requests r
    set state = new.state, tasks = new.tasks, answered = new.answered,
        finished_at = case when new.final then coalesce(r.finished_at, %(now)s) end
    from new
    where r.request_id = new.request_id and r.state = new.before
      and (r.state, r.tasks, r.answered) is distinct from (new.state, new.tasks, new.answered)