-- Whether a consent change still stands is asked before its event is deleted.
create index consents_event on consents (event_id);

-- Processes of the version before find their table under its old name until they are started anew.
create view tellings as
select publication_id as telling_id, begun_at, request_ids, handles, purposes from publications;
