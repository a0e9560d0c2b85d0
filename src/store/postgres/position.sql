-- Where a ready job is in the order of the claim, counted up to twice $2; $3: a minute ago. What has arrived and
-- will be parked is not claimed before it.
WITH me AS (
    SELECT o.* FROM outbox o WHERE o.id = $1 AND (o.wait = 'ready' OR o.wait = 'arrived' AND o.lane IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM outbox h WHERE h.holds = o.lane)
        AND NOT EXISTS (SELECT 1 FROM outbox w WHERE w.lane = o.lane AND w.wait IN ('arrived', 'parked')
                        AND (w.due_at, w.id) < (o.due_at, o.id)))),
before AS (
    (SELECT w.id, w.wait, w.lane, w.due_at FROM outbox w, me
     WHERE w.wait IN ('ready', 'arrived') AND w.account = me.account AND w.channel = me.channel
       AND w.priority > me.priority LIMIT $2)
    UNION ALL
    (SELECT w.id, w.wait, w.lane, w.due_at FROM outbox w, me
     WHERE w.wait IN ('ready', 'arrived') AND w.account = me.account AND w.channel = me.channel
       AND w.priority = me.priority AND (w.due_at, w.id) < (me.due_at, me.id) LIMIT $2))
SELECT
    (SELECT count(*) FROM before b WHERE b.wait = 'ready'
        OR NOT EXISTS (SELECT 1 FROM outbox h WHERE h.holds = b.lane)
           AND NOT EXISTS (SELECT 1 FROM outbox w WHERE w.lane = b.lane AND w.wait IN ('arrived', 'parked')
                           AND (w.due_at, w.id) < (b.due_at, b.id))),
    (SELECT count(*) FROM outbox c WHERE c.claimed_by BETWEEN 0 AND 9000000000000000 AND c.status = 'sending' AND c.account = me.account AND c.channel = me.channel),
    (SELECT count(*) FROM outbox f WHERE f.status IN ('sent', 'failed') AND f.channel = me.channel
        AND f.finished_at >= timestamptz 'epoch' + $3 * interval '1 ms' AND f.finished_at IS NOT NULL)
FROM me
