-- Requests are listed by the time at which they were received: upstream makes their ids, and those need not tell it.
create index requests_received on requests (received_at desc, request_id);
