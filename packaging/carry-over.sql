-- Carries the jobs of an outbox that was made before the first release into a new, empty one, with
-- their ids, states, history and pauses. docs/operating.md ("An outbox made by an earlier build") has
-- the steps before and after. With the sqlite3 program, 3.30 or later:
--
--   sqlite3 :memory: "ATTACH 'old.db' AS old" "ATTACH 'outbox.db' AS new" ".read carry-over.sql"
--
-- One transaction: after an error nothing has been carried over. `old` is only read.

.bail on
BEGIN IMMEDIATE;

-- The name of a failed constraint is the error message. An outbox from before there was a sandbox has no
-- column `sandbox`; the name then refers to the outer one.
CREATE TEMP TABLE carry_over (
    jobs_in_new    INTEGER CONSTRAINT the_new_outbox_must_be_empty CHECK (jobs_in_new = 0),
    old_is_sandbox INTEGER,
    new_is_sandbox INTEGER,
    CONSTRAINT both_or_neither_must_be_for_the_sandbox CHECK (old_is_sandbox = new_is_sandbox)
);
INSERT INTO carry_over
SELECT (SELECT count(*) FROM new.outbox),
       ifnull((SELECT sandbox FROM old.outbox_dispatcher LIMIT 1), 0) <> 0,
       ifnull((SELECT d.sandbox FROM new.outbox_dispatcher AS d LIMIT 1), 0) <> 0
FROM (SELECT 0 AS sandbox);

-- Rows are copied as they are, which the triggers would refuse. A request that was in flight may have
-- arrived: its job is uncertain, and a person resolves it.
.dbconfig enable_trigger off

INSERT INTO new.outbox (
    id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at, max_attempts,
    source, created_at, status, attempts, next_attempt_at, message_id, receipt, failure, error_code, error,
    updated_at, finished_at, due_at, unspent, uncertain_attempts, budget_from)
SELECT
    id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at, max_attempts,
    source, created_at, CASE status WHEN 'sending' THEN 'uncertain' ELSE status END, attempts,
    next_attempt_at, message_id, receipt, failure,
    CASE status WHEN 'sending' THEN 'interrupted' ELSE error_code END,
    CASE status WHEN 'sending' THEN 'the request may have been in flight when the outbox was carried over' ELSE error END,
    updated_at,
    CASE WHEN status IN ('sent', 'failed', 'cancelled') THEN coalesce(finished_at, updated_at, created_at) END,
    due_at, unspent, uncertain_attempts, budget_from
FROM old.outbox;

INSERT INTO new.outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, http_status, error_code, error)
SELECT job_id, attempt, started_at, duration_ms, outcome, http_status, error_code, error FROM old.outbox_attempts;

INSERT OR IGNORE INTO new.outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, error_code, error)
SELECT id, attempts, coalesce(updated_at, created_at), 0, 'uncertain', 'interrupted',
       'the request may have been in flight when the outbox was carried over'
FROM old.outbox WHERE status = 'sending';

-- The first builds had no pauses. Without a schema name, the table is the first one found: that of `old`,
-- or else the new one; then nothing is copied.
INSERT OR IGNORE INTO new.outbox_pauses (account, channel, reason, since)
SELECT account, channel, reason, since FROM outbox_pauses;

-- No id is assigned twice, not even that of a deleted job.
DELETE FROM new.sqlite_sequence WHERE name = 'outbox';
INSERT INTO new.sqlite_sequence (name, seq)
SELECT 'outbox', max(seq) FROM (
    SELECT seq FROM old.sqlite_sequence WHERE name = 'outbox'
    UNION ALL SELECT ifnull(max(id), 0) FROM new.outbox);

-- What people look for is taken from the payload.
UPDATE new.outbox SET (case_id, contact_id, recipient) =
    (SELECT l.case_id, l.contact_id, l.recipient FROM new.outbox_lanes AS l WHERE l.id = outbox.id)
WHERE typeof(payload) = 'text' AND json_valid(payload);
INSERT INTO new.outbox_recipients (job_id, address)
SELECT DISTINCT a.job_id, a.address
FROM (SELECT id, recipient FROM new.outbox WHERE channel = 'mail' AND recipient IS NOT NULL) AS o
CROSS JOIN new.outbox_addresses AS a ON a.job_id = o.id WHERE a.address <> o.recipient;

-- Pending jobs get their place in the queue by the new rules, in the order that they had. A job whose
-- payload is not JSON gets none: `run` finds it and fails it.
.dbconfig enable_trigger on
INSERT INTO new.outbox_enqueue (id)
SELECT id FROM new.outbox WHERE status = 'pending' AND typeof(payload) = 'text' AND json_valid(payload)
ORDER BY due_at IS NULL, due_at, id;

COMMIT;
SELECT count(*) || ' jobs carried over' FROM new.outbox;
SELECT '  ' || count(*) || ' ' || status FROM new.outbox GROUP BY status ORDER BY status;
