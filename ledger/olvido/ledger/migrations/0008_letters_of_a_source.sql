-- The story of a request tells of its dead letters: found by the request, not among all of them.
create index dead_letters_of_a_source on dead_letters (source_id) where source_id is not null;
