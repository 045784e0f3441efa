-- Events are kept under their schema's fingerprint, as Avro's single-object encoding has it, and no more under
-- the id that a registry gave. The processors rewrite those that were kept before; until then they are in this index.
create index events_framed on events (source_id) where substring(event from 1 for 1) = '\x00'::bytea;
