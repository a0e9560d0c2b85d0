-- The nodes, the latest first; without $1 none that has ended. All by the database's clock, which grants the
-- leases.
SELECT n.epoch, n.name, n.version, n.accounts, n.polls,
    floor(extract(epoch FROM n.started_at) * 1000)::bigint AS since,
    floor(extract(epoch FROM n.lease_until) * 1000)::bigint AS lease_until,
    CASE
        WHEN n.settled_at IS NOT NULL THEN 'ended'
        WHEN n.buried_at IS NOT NULL THEN 'dead'
        WHEN n.lease_until > clock_timestamp() THEN 'working'
        ELSE 'overdue'
    END AS standing,
    (SELECT count(*) FROM outbox o WHERE o.claimed_by = n.epoch) AS sending
FROM outbox_nodes n
WHERE $1 OR n.settled_at IS NULL
ORDER BY n.epoch DESC
LIMIT $2
