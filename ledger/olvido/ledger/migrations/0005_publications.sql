-- What is being published to the compacted topics: a table named as the code names it.
-- A newer process refuses to start before this is applied.

alter table tellings rename to publications;
alter table publications rename column telling_id to publication_id;
