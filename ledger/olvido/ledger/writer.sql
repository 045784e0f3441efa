-- The login {name} may work with the ledger and cannot change what acts are recorded: it owns no table.
-- The ledger's owner runs this after each `olvido ledger migrate`; a repeat changes nothing more.
do $$ begin create role {role} login; exception when duplicate_object then null; end $$;
grant usage on schema public to {role};
grant select, insert, update, delete on all tables in schema public to {role};
revoke update, delete on acts from {role};
revoke insert, update, delete on migrations from {role};
