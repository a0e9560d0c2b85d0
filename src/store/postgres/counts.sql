-- The jobs of each channel, state and reason to wait, and since when one of them has been due ({now}). Each state from
-- its index. What has arrived and no node has looked at yet is counted as it will be placed: the first of a lane
-- without a head is ready, the others are parked.
WITH claimable AS (
    SELECT channel, CASE wait WHEN 'arrived' THEN lane END AS lane, count(*) AS count, min(due_at) AS due FROM outbox
    WHERE wait IN ('ready', 'arrived') AND (wait = 'ready' OR lane IS NOT NULL)
    GROUP BY channel, CASE wait WHEN 'arrived' THEN lane END),
placed AS (
    SELECT c.channel, c.count, c.due, CASE WHEN c.lane IS NULL THEN c.count
        WHEN row_number() OVER (PARTITION BY c.lane ORDER BY c.due, c.channel) = 1
             AND NOT EXISTS (SELECT 1 FROM outbox h WHERE h.holds = c.lane) THEN 1 ELSE 0 END AS ready
    FROM claimable c),
part (channel, status, wait, count, due) AS (
    SELECT channel, status, '', count(*), NULL::timestamptz FROM outbox WHERE finished_at IS NOT NULL GROUP BY status, channel
    UNION ALL SELECT channel, 'pending', 'ready', sum(ready), min(due) FILTER (WHERE due <= {now}) FROM placed
        WHERE ready > 0 GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'parked', sum(count - ready), min(due) FILTER (WHERE due <= {now}) FROM placed
        WHERE count > ready GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'scheduled', count(*), min(due_at) FILTER (WHERE due_at <= {now}) FROM outbox
        WHERE wait = 'scheduled' GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'backoff', count(*), min(next_attempt_at) FILTER (WHERE next_attempt_at <= {now}) FROM outbox
        WHERE wait = 'backoff' GROUP BY channel
    UNION ALL SELECT channel, 'pending', 'parked', count(*), min(due_at) FILTER (WHERE due_at <= {now}) FROM outbox
        WHERE lane IS NOT NULL AND wait IN ('arrived', 'parked') AND wait = 'parked' GROUP BY channel
    UNION ALL SELECT channel, 'pending', '', count(*), NULL FROM outbox
        WHERE status = 'pending' AND (wait IS NULL OR wait = 'arrived' AND lane IS NULL) GROUP BY channel
    UNION ALL SELECT channel, 'sending', '', count(*), NULL FROM outbox
        WHERE claimed_by IS NOT NULL AND status = 'sending' GROUP BY channel
    UNION ALL SELECT channel, 'uncertain', '', count(*), NULL FROM outbox WHERE status = 'uncertain' GROUP BY channel)
SELECT channel, status, wait, sum(count)::bigint AS count, {due} AS due
FROM part GROUP BY channel, status, wait ORDER BY channel, status, wait
