-- Jobs as they are carried over: $1 is a JSON array of them. Their places in the queue come later.
INSERT INTO outbox (id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
    max_attempts, source, created_at, status, attempts, next_attempt_at, message_id, receipt, failure, error_code,
    error, updated_at, finished_at, due_at, unspent, uncertain_attempts, budget_from, wait, verify_at, verify_from,
    verify_until, verify_seen, delivery, delivery_at, follow_at, followed_at, case_id, contact_id, recipient)
OVERRIDING SYSTEM VALUE
SELECT r.id, r.channel, r.payload::jsonb, r.account, r.idempotency_key, r.ordering_key, r.priority,
    timestamptz 'epoch' + r.send_at * interval '1 ms', timestamptz 'epoch' + r.expires_at * interval '1 ms',
    r.max_attempts, r.source, timestamptz 'epoch' + r.created_at * interval '1 ms', r.status, r.attempts,
    timestamptz 'epoch' + r.next_attempt_at * interval '1 ms', r.message_id, r.receipt::jsonb, r.failure, r.error_code,
    r.error, timestamptz 'epoch' + r.updated_at * interval '1 ms', timestamptz 'epoch' + r.finished_at * interval '1 ms',
    timestamptz 'epoch' + coalesce(r.due_at, r.send_at, r.created_at) * interval '1 ms', r.unspent,
    r.uncertain_attempts, timestamptz 'epoch' + r.budget_from * interval '1 ms',
    CASE WHEN r.verify_at IS NOT NULL THEN 'verifying' END, timestamptz 'epoch' + r.verify_at * interval '1 ms',
    timestamptz 'epoch' + r.verify_from * interval '1 ms', timestamptz 'epoch' + r.verify_until * interval '1 ms',
    r.verify_seen::jsonb, r.delivery, timestamptz 'epoch' + r.delivery_at * interval '1 ms',
    timestamptz 'epoch' + r.follow_at * interval '1 ms', timestamptz 'epoch' + r.followed_at * interval '1 ms', f.case_id,
    f.contact_id, f.recipient
FROM json_to_recordset($1::json) AS r (id bigint, channel text, payload text, account text, idempotency_key text,
    ordering_key text, priority smallint, send_at bigint, expires_at bigint, max_attempts integer, source text,
    created_at bigint, status text, attempts integer, next_attempt_at bigint, message_id text, receipt text,
    failure text, error_code text, error text, updated_at bigint, finished_at bigint, due_at bigint, unspent integer,
    uncertain_attempts integer, budget_from bigint, verify_at bigint, verify_from bigint, verify_until bigint,
    verify_seen text, delivery text, delivery_at bigint, follow_at bigint, followed_at bigint),
    outbox_looked_for(r.channel, r.payload::jsonb) AS f
