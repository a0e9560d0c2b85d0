-- One job, without its payload. $2: names of fields, all where NULL; $3: characters of a name; $4: of the receipt.
-- What has arrived, and no node has looked at yet, waits as if it had been placed.
SELECT {delivery},
    octet_length(o.payload::text) AS payload_bytes,
    (SELECT '[' || coalesce(string_agg(to_json(name)::text, ','), '') || ']'
     FROM (SELECT left(key, $3) AS name FROM jsonb_object_keys(CASE jsonb_typeof(o.payload) WHEN 'object' THEN o.payload ELSE '{}' END) AS key
           LIMIT $2) AS names) AS payload_fields,
    left(o.receipt::text, $4) AS receipt, octet_length(o.receipt::text) AS receipt_bytes, o.priority, o.ordering_key,
    o.max_attempts, {expires} AS expires, {due} AS due, {retry} AS retry, {updated} AS updated,
    {next_look} AS next_look, o.verify_round AS looks, o.verify_seen::text AS seen,
    {next_follow_up} AS next_follow_up, {followed} AS followed,
    CASE WHEN o.wait <> 'arrived' THEN o.wait WHEN o.wait = 'arrived' AND o.lane IS NOT NULL THEN
        CASE WHEN EXISTS (SELECT 1 FROM outbox h WHERE h.holds = o.lane)
               OR EXISTS (SELECT 1 FROM outbox w WHERE w.lane = o.lane AND w.wait IN ('arrived', 'parked')
                          AND (w.due_at, w.id) < (o.due_at, o.id))
        THEN 'parked' ELSE 'ready' END END AS wait
FROM outbox AS o WHERE o.id = $1
