-- The jobs above $1 up to $2. A row that is set aside while sending is uncertain where it arrives: its outcome
-- could not be recorded, and a person resolves it.
SELECT o.id, o.channel, o.payload::text AS payload, o.account, o.idempotency_key, o.ordering_key,
    o.priority::bigint AS priority,
    floor(extract(epoch FROM o.send_at) * 1000)::bigint AS send_at,
    floor(extract(epoch FROM o.expires_at) * 1000)::bigint AS expires_at,
    o.max_attempts::bigint AS max_attempts, o.source,
    floor(extract(epoch FROM o.created_at) * 1000)::bigint AS created_at,
    CASE o.status WHEN 'sending' THEN 'uncertain' ELSE o.status END AS status, o.attempts::bigint AS attempts,
    floor(extract(epoch FROM o.next_attempt_at) * 1000)::bigint AS next_attempt_at,
    o.message_id, o.receipt::text AS receipt, o.failure, o.error_code, o.error,
    floor(extract(epoch FROM o.updated_at) * 1000)::bigint AS updated_at,
    floor(extract(epoch FROM o.finished_at) * 1000)::bigint AS finished_at,
    floor(extract(epoch FROM o.due_at) * 1000)::bigint AS due_at,
    o.unspent::bigint AS unspent, o.uncertain_attempts::bigint AS uncertain_attempts,
    floor(extract(epoch FROM o.budget_from) * 1000)::bigint AS budget_from,
    floor(extract(epoch FROM o.verify_at) * 1000)::bigint AS verify_at,
    floor(extract(epoch FROM o.verify_from) * 1000)::bigint AS verify_from,
    floor(extract(epoch FROM o.verify_until) * 1000)::bigint AS verify_until, o.verify_seen::text AS verify_seen,
    o.delivery, floor(extract(epoch FROM o.delivery_at) * 1000)::bigint AS delivery_at,
    floor(extract(epoch FROM o.follow_at) * 1000)::bigint AS follow_at,
    floor(extract(epoch FROM o.followed_at) * 1000)::bigint AS followed_at
FROM outbox o WHERE o.id > $1 AND o.id <= $2 ORDER BY o.id
