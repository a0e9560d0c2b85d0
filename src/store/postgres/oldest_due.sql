-- Since when the oldest job that can be claimed has been due: of each account, channel and priority the first index
-- entry, however many jobs there are; and of what waits for a time, the first.
WITH RECURSIVE route (account, channel, priority, due) AS (
    (SELECT o.account, o.channel, o.priority, o.due_at FROM outbox o WHERE o.wait IN ('ready', 'arrived')
     ORDER BY o.account, o.channel, o.priority DESC, o.due_at LIMIT 1)
    UNION ALL
    SELECT n.* FROM route r CROSS JOIN LATERAL (
        SELECT f.* FROM (
            (SELECT o.account, o.channel, o.priority, o.due_at FROM outbox o WHERE o.wait IN ('ready', 'arrived')
                AND o.account = r.account AND o.channel = r.channel AND o.priority < r.priority
             ORDER BY o.account, o.channel, o.priority DESC, o.due_at LIMIT 1)
            UNION ALL
            (SELECT o.account, o.channel, o.priority, o.due_at FROM outbox o WHERE o.wait IN ('ready', 'arrived')
                AND o.account = r.account AND o.channel > r.channel
             ORDER BY o.account, o.channel, o.priority DESC, o.due_at LIMIT 1)
            UNION ALL
            (SELECT o.account, o.channel, o.priority, o.due_at FROM outbox o WHERE o.wait IN ('ready', 'arrived')
                AND o.account > r.account
             ORDER BY o.account, o.channel, o.priority DESC, o.due_at LIMIT 1)) AS f
        LIMIT 1) AS n)
SELECT least(
    (SELECT min(r.due) FROM route r),
    (SELECT o.due_at FROM outbox o WHERE o.wait = 'scheduled' ORDER BY o.due_at LIMIT 1),
    (SELECT o.next_attempt_at FROM outbox o WHERE o.wait = 'backoff' ORDER BY o.next_attempt_at LIMIT 1))
