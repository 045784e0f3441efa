-- What a PostgreSQL target keeps for later looks, and which of it is due. See looks.py.

-- name: keep_erasures
-- The task with its sealed box, until its last look. No identity is in clear.
INSERT INTO olvido.later_looks (task_id, generation, sink, request_id, subject_id, handles, asked_at,
    region, key_id, wrapped_key, nonce, ciphertext, place, applied_at)
SELECT t.task_id, t.generation, %(sink)s, t.request_id, t.subject_id, t.handles::jsonb, t.asked_at,
    t.region, t.key_id, t.wrapped_key, t.nonce, t.ciphertext, 0, now()
FROM unnest(%(task_ids)s::uuid[], %(generations)s::int[], %(request_ids)s::uuid[], %(subject_ids)s::text[],
            %(handles)s::text[], %(asked_at)s::timestamptz[], %(regions)s::text[], %(key_ids)s::text[],
            %(wrapped_keys)s::bytea[], %(nonces)s::bytea[], %(ciphertexts)s::bytea[])
    AS t (task_id, generation, request_id, subject_id, handles, asked_at, region, key_id, wrapped_key, nonce,
          ciphertext)
ORDER BY t.task_id, t.generation
ON CONFLICT DO NOTHING;

-- name: drop_earlier_generations
-- What was asked for again is looked at by its newest generation.
DELETE FROM olvido.later_looks AS l
USING unnest(%(task_ids)s::uuid[], %(generations)s::int[]) AS t (task_id, generation)
WHERE l.task_id = t.task_id AND l.generation < t.generation;

-- name: alone
-- Of several members of a sink's group one looks at a time.
SELECT pg_try_advisory_xact_lock(hashtext('olvido.later_looks'), hashtext(%(sink)s));

-- name: drop_beyond
-- The setting has fewer looks than it had: what has had as many is kept no longer. Some of them at a time.
DELETE FROM olvido.later_looks
WHERE ctid = ANY(ARRAY(SELECT ctid FROM olvido.later_looks
                       WHERE sink = %(sink)s AND place >= %(places)s LIMIT 1000));

-- name: oldest_due
-- For each look that is due for some erasure, when the oldest of those was done.
-- A transaction of a sink that has begun and not ended may still commit an erasure of the instant it began: nothing
-- from then on is looked at, since the record speaks of all that was done between two instants.
WITH open AS (
    SELECT coalesce(min(xact_start), now()) AS began FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'olvido' AND pid <> pg_backend_pid()
)
SELECT (w.place - 1)::int, l.applied_at
FROM open, unnest(%(waits)s::float8[]) WITH ORDINALITY AS w (wait_s, place)
CROSS JOIN LATERAL (
    SELECT applied_at FROM olvido.later_looks
    WHERE sink = %(sink)s AND place = w.place - 1 AND applied_at <= now() - make_interval(secs => w.wait_s)
      AND applied_at < open.began
    ORDER BY applied_at LIMIT 1
) AS l;

-- name: due
-- Those whose look of one place is due, the oldest first. Of one instant all or none: see oldest_due.
SELECT task_id::text, generation, request_id::text, subject_id, handles::text, asked_at,
    region, key_id, wrapped_key, nonce, ciphertext, applied_at
FROM olvido.later_looks
WHERE sink = %(sink)s AND place = %(place)s AND applied_at <= now() - make_interval(secs => %(wait_s)s)
  AND applied_at < (SELECT coalesce(min(xact_start), now()) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'olvido'
                      AND pid <> pg_backend_pid())
ORDER BY applied_at FETCH FIRST %(limit)s ROWS WITH TIES;

-- name: done_after
-- Those that were done after an instant, whatever looks they had, the oldest first.
SELECT task_id::text, generation, request_id::text, subject_id, handles::text, asked_at,
    region, key_id, wrapped_key, nonce, ciphertext, applied_at
FROM olvido.later_looks
WHERE sink = %(sink)s AND applied_at > %(instant)s
  AND applied_at < (SELECT coalesce(min(xact_start), now()) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'olvido'
                      AND pid <> pg_backend_pid())
ORDER BY applied_at FETCH FIRST %(limit)s ROWS WITH TIES;

-- name: looked
-- They had the look of a place, and wait for the next one.
UPDATE olvido.later_looks AS l SET place = %(place)s + 1
FROM unnest(%(task_ids)s::uuid[], %(generations)s::int[]) AS t (task_id, generation)
WHERE l.task_id = t.task_id AND l.generation = t.generation AND l.place = %(place)s;

-- name: drop_erasures
-- They are looked at no more.
DELETE FROM olvido.later_looks AS l
USING unnest(%(task_ids)s::uuid[], %(generations)s::int[]) AS t (task_id, generation)
WHERE l.task_id = t.task_id AND l.generation = t.generation;
