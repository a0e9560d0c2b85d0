-- The jobs of each channel, state and reason to wait, and since when one of them has been due ($1: now). Each state from
-- its index. What has arrived and no node has looked at yet is counted as it will be placed: the first of a lane
-- without a head is ready, the others are parked.
WITH lanes AS (
    SELECT lane, channel, count(*) AS count, min(due_at) AS due FROM outbox
    WHERE wait IN ('ready', 'arrived') AND wait = 'arrived' AND lane IS NOT NULL GROUP BY lane, channel),
arrived AS (
    SELECT l.channel, l.count, l.due,
        row_number() OVER (PARTITION BY l.lane ORDER BY l.due, l.channel) = 1
            AND NOT EXISTS (SELECT 1 FROM outbox h WHERE h.holds = l.lane) AS first
    FROM lanes l),
part (channel, status, wait, count, due) AS (
    SELECT channel, status, '', count(*), NULL::timestamptz FROM outbox WHERE finished_at IS NOT NULL GROUP BY status, channel
    UNION ALL SELECT channel, 'pending', 'ready', count(*), min(due_at) FILTER (WHERE due_at <= {now}) FROM outbox
        WHERE wait IN ('ready', 'arrived') AND wait = 'ready' GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'ready', count(*), min(due) FILTER (WHERE due <= {now}) FROM arrived
        WHERE first GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'parked', sum(count - first::integer)::bigint, min(due) FILTER (WHERE due <= {now})
        FROM arrived WHERE count > first::integer GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'scheduled', count(*), min(due_at) FILTER (WHERE due_at <= {now}) FROM outbox
        WHERE wait = 'scheduled' GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'backoff', count(*), min(next_attempt_at) FILTER (WHERE next_attempt_at <= {now}) FROM outbox
        WHERE wait = 'backoff' GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'parked', count(*), min(due_at) FILTER (WHERE due_at <= {now}) FROM outbox
        WHERE lane IS NOT NULL AND wait IN ('arrived', 'parked') AND wait = 'parked' GROUP BY channel
    UNION ALL SELECT channel, 'pending', '', count(*), NULL FROM outbox
        WHERE status = 'pending' AND (wait IS NULL OR wait = 'arrived' AND lane IS NULL) GROUP BY channel
    UNION ALL SELECT channel, 'sending', '', count(*), NULL FROM outbox WHERE claimed_by IS NOT NULL GROUP BY channel
    UNION ALL SELECT channel, 'uncertain', '', count(*), NULL FROM outbox WHERE status = 'uncertain' GROUP BY channel)
SELECT channel, status, wait, sum(count)::bigint AS count, {due} AS due
FROM part GROUP BY channel, status, wait ORDER BY channel, status, wait
