-- The login {name} may work with the ledger and cannot change what acts are recorded: it owns no table.
-- The ledger's owner runs this after each `olvido ledger migrate`; a repeat changes nothing more.
do $$ begin
    -- An owner who may not make logins is given one by whoever may.
    if not exists (select from pg_roles where rolname = {text}) then create role {role} login; end if;
end $$;
grant usage on schema public to {role};
grant select, insert, update, delete on all tables in schema public to {role};
revoke update, delete on acts from {role};
revoke insert, update, delete on migrations from {role};
