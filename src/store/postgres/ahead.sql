-- What a parked job waits for: its lane's head, or the job that will be it; and how many there are before it.
SELECT h.id, h.status, {retry} AS retry,
    (SELECT count(*) FROM outbox w WHERE w.lane = me.lane AND w.wait IN ('arrived', 'parked') AND w.id <> h.id
        AND (w.due_at, w.id) < (me.due_at, me.id)) + 1 AS jobs
FROM outbox me
CROSS JOIN LATERAL (
    SELECT f.* FROM (
        (SELECT h.*, 0 AS rank FROM outbox h WHERE h.holds = me.lane LIMIT 1)
        UNION ALL
        (SELECT w.*, 1 AS rank FROM outbox w WHERE w.lane = me.lane AND w.wait IN ('arrived', 'parked')
         ORDER BY w.due_at, w.id LIMIT 1)) AS f
    ORDER BY f.rank LIMIT 1) AS h
WHERE me.id = $1 AND me.lane IS NOT NULL AND me.wait IN ('arrived', 'parked') AND h.id <> me.id
