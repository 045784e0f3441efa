-- What the sinks of the request `r` have answered, by sink, the oldest generation first; null if none was asked.
(select jsonb_object_agg(t.sink, t.outcomes)
        from (select sink, array_agg(outcome order by generation) as outcomes
              from tasks where source_id = r.request_id group by sink) t)::text
