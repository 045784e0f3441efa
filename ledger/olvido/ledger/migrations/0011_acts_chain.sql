-- Each act is linked to the one before it by a digest: one that is changed or taken away breaks the chain.
alter table acts add column number bigint;
alter table acts add column link bytea;

create function acts_link(
    before bytea, number bigint, act_id uuid, at timestamptz, who text, verb text, reason text, details jsonb
) returns bytea language sql stable as $$
    select sha256(coalesce(before, ''::bytea) || convert_to(
        jsonb_build_array(number, act_id, extract(epoch from at), who, verb, reason, details)::text, 'UTF8'))
$$;

alter table acts disable trigger acts_stay;
do $$
declare
    act acts;
    before bytea;
    count bigint := 0;
begin
    for act in select * from acts order by at, act_id loop
        count := count + 1;
        before := acts_link(before, count, act.act_id, act.at, act.who, act.verb, act.reason, act.details);
        update acts set number = count, link = before where act_id = act.act_id;
    end loop;
end $$;
alter table acts enable trigger acts_stay;
alter table acts alter column number set not null;
alter table acts alter column link set not null;
alter table acts add unique (number);

create function acts_chain() returns trigger language plpgsql as $$
declare
    last record;
begin
    -- One at a time, to the end of each transaction: two could be linked to the same act.
    perform pg_advisory_xact_lock(7308620146528415088);
    select number, link into last from acts order by number desc limit 1;
    new.number := coalesce(last.number, 0) + 1;
    new.link := acts_link(
        last.link, new.number, new.act_id, new.at, new.who, new.verb, new.reason, new.details);
    return new;
end $$;

create trigger acts_chain before insert on acts for each row execute function acts_chain();
