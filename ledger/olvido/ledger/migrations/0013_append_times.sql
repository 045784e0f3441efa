-- When the broker took the record of a request or consent change; null of those that were saved before this was kept.
-- What they state is judged by it. One that came late is shown.
alter table requests add column appended_at timestamptz, add column late bool not null default false;
alter table consent_changes add column appended_at timestamptz, add column late bool not null default false;
