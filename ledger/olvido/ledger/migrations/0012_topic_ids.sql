-- Which topic it is whose records were handled: one that is made anew has another id, and its offsets begin anew.
create table handled_topics (
    topic    text primary key,
    topic_id text not null
);
