-- In their order; a row whose key is taken is skipped. Gives the new rows' ids.
INSERT INTO outbox (channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                    max_attempts, source)
SELECT r.channel, r.payload::jsonb, r.account, r.idempotency_key, r.ordering_key, r.priority,
       timestamptz 'epoch' + r.send_at * interval '1 ms', timestamptz 'epoch' + r.expires_at * interval '1 ms',
       r.max_attempts, r.source
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[], $8::bigint[],
            $9::integer[], $10::text[])
     WITH ORDINALITY AS r (channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                           max_attempts, source, place)
ORDER BY r.place
ON CONFLICT (idempotency_key) DO NOTHING
RETURNING id
