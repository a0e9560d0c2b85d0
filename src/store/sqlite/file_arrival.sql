-- Jobs as they are carried over: ?1 is a JSON array of them. Their places in the queue come later.
INSERT INTO outbox (id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
    max_attempts, source, created_at, status, attempts, next_attempt_at, message_id, receipt, failure, error_code,
    error, updated_at, finished_at, due_at, unspent, uncertain_attempts, budget_from,
    wait, verify_at, verify_from, verify_until, verify_seen, delivery, delivery_at, follow_at, followed_at)
SELECT r.value ->> '$.id', r.value ->> '$.channel', r.value ->> '$.payload', r.value ->> '$.account',
    r.value ->> '$.idempotency_key', r.value ->> '$.ordering_key', r.value ->> '$.priority', r.value ->> '$.send_at',
    r.value ->> '$.expires_at', r.value ->> '$.max_attempts', r.value ->> '$.source', r.value ->> '$.created_at',
    r.value ->> '$.status', r.value ->> '$.attempts', r.value ->> '$.next_attempt_at', r.value ->> '$.message_id',
    r.value ->> '$.receipt', r.value ->> '$.failure', r.value ->> '$.error_code', r.value ->> '$.error',
    r.value ->> '$.updated_at', r.value ->> '$.finished_at', r.value ->> '$.due_at', r.value ->> '$.unspent',
    r.value ->> '$.uncertain_attempts', r.value ->> '$.budget_from',
    CASE WHEN r.value ->> '$.verify_at' IS NOT NULL THEN 'verifying' END, r.value ->> '$.verify_at',
    r.value ->> '$.verify_from', r.value ->> '$.verify_until', r.value ->> '$.verify_seen',
    r.value ->> '$.delivery', r.value ->> '$.delivery_at', r.value ->> '$.follow_at', r.value ->> '$.followed_at'
FROM json_each(?1) AS r
