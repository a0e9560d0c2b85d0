-- The errors that most jobs have, of the latest $1 of each state and channel; the first $2 groups.
WITH found AS MATERIALIZED (
    (SELECT id FROM outbox WHERE status = 'failed' AND channel = 'chat' AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT $1)
    UNION ALL
    (SELECT id FROM outbox WHERE status = 'failed' AND channel = 'mail' AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT $1)
    UNION ALL
    (SELECT id FROM outbox WHERE status = 'failed' AND channel = 'sms' AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT $1)
    UNION ALL (SELECT id FROM outbox WHERE status = 'uncertain' LIMIT $1)
    UNION ALL (SELECT id FROM outbox WHERE wait = 'backoff' LIMIT $1))
SELECT o.status, string_agg(DISTINCT o.channel, ',') AS channels, o.error_code, o.error, count(*) AS count, {last} AS last
FROM found JOIN outbox o ON o.id = found.id
GROUP BY o.status, o.error_code, o.error
ORDER BY count(*) DESC, max(o.updated_at) DESC NULLS LAST LIMIT $2
