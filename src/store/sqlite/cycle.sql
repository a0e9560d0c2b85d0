-- The dispatcher's procedures, in the temporary schema of its connection: a view with an INSTEAD OF
-- trigger is SQLite's equivalent of a procedure. One INSERT into outbox_cycle is a whole cycle. As a
-- single statement it is also a transaction, and one message to the connection's thread instead of twenty.

-- record.rs creates the tables outbox_cycle_sent (jobs that were sent without an error: most of them, by
-- the shortest way) and outbox_cycle_ended (the jobs of all other ended attempts), with the views
-- outbox_cycle_sent_json and outbox_cycle_ended_json that fill them.

-- Ended jobs that no longer belonged to this claim.
CREATE TEMP TABLE outbox_cycle_lost (id);
-- Has a row if an outcome of this cycle changed no row: it is lost, or was recorded before.
CREATE TEMP TABLE outbox_cycle_short (one);
CREATE TEMP TABLE outbox_cycle_claimed (id INTEGER PRIMARY KEY);
-- Jobs that are not to be claimed now.
CREATE TEMP TABLE outbox_cycle_passed_over (id INTEGER PRIMARY KEY);
-- How much room each route has, as the dispatcher last gave it, and in which round it was last served
-- when there was not enough room for all.
CREATE TEMP TABLE outbox_cycle_rooms (
    account, channel, room, served DEFAULT 0, PRIMARY KEY (account, channel)) WITHOUT ROWID;
-- The routes that have jobs ready and room for them in this cycle.
CREATE TEMP TABLE outbox_cycle_routes (account, channel, room, served);
-- Their jobs, ranked within each route, when there is not enough room for all.
CREATE TEMP TABLE outbox_cycle_weighed (id, account, channel, served, rank, bytes);
-- One seek in the index for each account that has jobs ready, however many are configured.
CREATE TEMP VIEW outbox_cycle_accounts AS
WITH RECURSIVE a (name) AS (
    -- NULL, possible in a table that lost its NOT NULL, would sort first and hide all others.
    SELECT (SELECT account FROM outbox WHERE wait = 'ready' AND account >= '' ORDER BY account LIMIT 1)
    UNION ALL
    SELECT (SELECT account FROM outbox WHERE wait = 'ready' AND account > a.name ORDER BY account LIMIT 1)
    FROM a WHERE a.name IS NOT NULL)
SELECT name FROM a WHERE name IS NOT NULL;
-- The data_version as of the claim: which commits of other connections it has seen.
CREATE TEMP TABLE outbox_cycle_seen (data_version);
INSERT INTO outbox_cycle_seen VALUES (0);
-- Jobs that had expired when due jobs were last moved.
CREATE TEMP TABLE outbox_cycle_expired (id INTEGER PRIMARY KEY, channel, account);

CREATE TEMP VIEW outbox_cycle AS
SELECT '' AS sent, '' AS ended, '' AS claims, 0 AS due, 0 AS now, 0 AS epoch, '' AS tallies WHERE 0;
CREATE TEMP VIEW outbox_cycle_send AS SELECT '' AS sent, 0 AS epoch WHERE 0;
CREATE TEMP VIEW outbox_cycle_record AS SELECT '' AS ended WHERE 0;
CREATE TEMP VIEW outbox_cycle_due AS SELECT 0 AS now WHERE 0;
CREATE TEMP VIEW outbox_cycle_claim AS
SELECT '' AS account, '' AS channel, 0 AS room, 0 AS served, 0 AS now WHERE 0;
CREATE TEMP VIEW outbox_cycle_cut AS SELECT '' AS claims, 0 AS now WHERE 0;
CREATE TEMP VIEW outbox_cycle_weigh AS
SELECT '' AS account, '' AS channel, 0 AS room, 0 AS served, 0 AS now WHERE 0;

-- The epoch fences the claim: a dispatcher that has been superseded claims nothing. From the commit of a
-- pause on, nothing that it covers is claimed.
CREATE TEMP TRIGGER outbox_cycle_run INSTEAD OF INSERT ON outbox_cycle
BEGIN
    DELETE FROM outbox_cycle_sent;
    DELETE FROM outbox_cycle_ended;
    DELETE FROM outbox_cycle_lost;
    DELETE FROM outbox_cycle_short;
    DELETE FROM outbox_cycle_claimed;
    DELETE FROM outbox_cycle_passed_over;
    DELETE FROM outbox_cycle_routes;
    DELETE FROM outbox_cycle_weighed;
    UPDATE outbox_cycle_seen SET data_version = (SELECT data_version FROM pragma_data_version);
    INSERT INTO outbox_cycle_send SELECT NEW.sent, NEW.epoch WHERE NEW.sent <> '';
    INSERT INTO outbox_cycle_record SELECT NEW.ended WHERE NEW.ended <> '';
    -- The history (history.rs): a row per route, or row by row where the caller has not counted. Nothing is counted
    -- where an outcome changed no row: it was recorded, and counted, before.
    INSERT INTO outbox_cycle_tally
    SELECT NEW.tallies WHERE NEW.tallies <> '' AND (SELECT one FROM outbox_cycle_short LIMIT 1) IS NULL;
    INSERT INTO outbox_cycle_single SELECT at, account, channel, outcome, late FROM outbox_cycle_recorded
    WHERE NEW.tallies IS NULL AND (SELECT one FROM outbox_cycle_short LIMIT 1) IS NULL;
    INSERT INTO outbox_cycle_due SELECT NEW.now WHERE NEW.due;
    INSERT INTO outbox_cycle_rooms (account, channel, room)
    SELECT value->>'account', value->>'channel', value->>'room' FROM json_each(NEW.claims, '$.changed') WHERE true
    ON CONFLICT (account, channel) DO UPDATE SET room = excluded.room;
    INSERT INTO outbox_cycle_passed_over SELECT value FROM json_each(NEW.claims, '$.passed_over');
    INSERT INTO outbox_cycle_claim
    SELECT r.account, r.channel, min(r.room, NEW.claims->>'share'), r.served, NEW.now
    FROM outbox_cycle_accounts AS a CROSS JOIN outbox_cycle_rooms AS r ON r.account = a.name
    WHERE NEW.claims->>'places' > 0 AND r.room > 0
      AND (SELECT epoch FROM outbox_dispatcher) = NEW.epoch
      AND NOT EXISTS (SELECT 1 FROM outbox_pauses AS p
                      WHERE (p.account = '' OR p.account = r.account) AND (p.channel = '' OR p.channel = r.channel));
    -- A text's length is in the row's header: no payload is read for it.
    INSERT INTO outbox_cycle_cut
    SELECT NEW.claims, NEW.now
    FROM (SELECT count(*) AS jobs, sum(octet_length(o.payload)) AS bytes, max(octet_length(o.payload)) AS largest
          FROM outbox_cycle_claimed AS c CROSS JOIN outbox AS o NOT INDEXED ON o.id = c.id)
    WHERE jobs > NEW.claims->>'places' OR bytes > NEW.claims->>'small'
       OR (largest > 16384 AND bytes > NEW.claims->>'large');
    UPDATE outbox SET status = 'sending', wait = NULL, moves = moves + 1, attempts = attempts + 1, claimed_by = NEW.epoch,
        next_attempt_at = NULL, updated_at = NEW.now, budget_from = ifnull(budget_from, NEW.now)
    WHERE status = 'pending' AND id IN (SELECT id FROM outbox_cycle_claimed);
END;

-- `wait` and `next_attempt_at` are not written: the claim has cleared them, and each write would update
-- indexes.
CREATE TEMP TRIGGER outbox_cycle_send_sent INSTEAD OF INSERT ON outbox_cycle_send
BEGIN
    INSERT INTO outbox_cycle_sent_json SELECT NEW.sent;
    INSERT OR IGNORE INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, http_status)
    SELECT id, attempts, started_at, duration_ms, 'accepted', http_status FROM outbox_cycle_sent;
    -- `claimed_by IS`, not `=`: each row is found by its id, whatever ANALYZE says about outbox_claimed.
    UPDATE outbox SET
        status = 'sent', moves = moves + 2, holds = NULL, claimed_by = NULL, message_id = j.message_id, receipt = j.receipt,
        failure = NULL, error_code = NULL, error = NULL, finished_at = j.finished_at, updated_at = j.finished_at
    FROM outbox_cycle_sent AS j
    WHERE outbox.id = j.id AND outbox.status = 'sending' AND outbox.claimed_by IS NEW.epoch
      AND outbox.attempts = j.attempts;
    INSERT INTO outbox_cycle_short SELECT 1 WHERE (SELECT changes() < count(*) FROM outbox_cycle_sent);
    INSERT INTO outbox_cycle_lost
    SELECT j.id FROM outbox_cycle_sent AS j LEFT JOIN outbox AS o ON o.id = j.id
    WHERE (SELECT one FROM outbox_cycle_short LIMIT 1)
      AND (o.status, o.updated_at, o.claimed_by) IS NOT ('sent', j.finished_at, NULL);
    -- Moves up the first job that waits behind each of them, by one statement for all lanes. Because `moves`
    -- grew by two, the trigger outbox_moved did nothing: a statement per row would open every index each time.
    -- The first condition is evaluated once: if no lane has a job waiting, no row is read here.
    UPDATE outbox SET holds = 1, moves = moves + 1,
        wait = CASE WHEN next_attempt_at IS NOT NULL AND next_attempt_at > (SELECT now FROM outbox_clock)
            THEN 'backoff' ELSE 'ready' END
    WHERE id IN (
        SELECT (SELECT w.id FROM outbox AS w WHERE w.lane = o.lane AND w.wait = 'parked' ORDER BY w.due_at, w.id LIMIT 1)
        FROM outbox_cycle_sent AS j CROSS JOIN outbox AS o NOT INDEXED ON o.id = j.id
        WHERE (SELECT 1 FROM outbox AS w WHERE w.lane > '' AND w.wait = 'parked' LIMIT 1)
          AND (SELECT 1 FROM outbox AS w WHERE w.lane = o.lane AND w.wait = 'parked' LIMIT 1)
          AND NOT EXISTS (SELECT 1 FROM outbox AS w WHERE w.lane = o.lane AND w.wait = 'scheduled')
          AND NOT EXISTS (SELECT 1 FROM outbox AS h WHERE h.lane = o.lane AND h.holds = 1));
    -- A lane with a scheduled job needs the clock. Not by EXISTS: SQLite 3.51 makes a join of it, and
    -- builds an index of the whole table for that.
    INSERT INTO outbox_elect (lane)
    SELECT o.lane FROM outbox_cycle_sent AS j CROSS JOIN outbox AS o NOT INDEXED ON o.id = j.id
    WHERE (SELECT 1 FROM outbox AS w WHERE w.lane > '' AND w.wait = 'scheduled' LIMIT 1)
      AND (SELECT 1 FROM outbox AS w WHERE w.lane = o.lane AND w.wait = 'scheduled' LIMIT 1);
END;

CREATE TEMP TRIGGER outbox_cycle_record_ended INSTEAD OF INSERT ON outbox_cycle_record
BEGIN
    INSERT INTO outbox_cycle_ended_json SELECT NEW.ended;
    INSERT OR IGNORE INTO outbox_attempts
        (job_id, attempt, started_at, duration_ms, outcome, http_status, error_code, error)
    SELECT id, fence_attempts, started_at, duration_ms, outcome, http_status, error_code, error
    FROM outbox_cycle_ended WHERE outcome IS NOT NULL;
    UPDATE outbox SET
        status = j.status, moves = moves + 1, wait = j.wait,
        holds = CASE WHEN j.status = 'pending' OR j.wait = 'verifying' THEN holds END,
        claimed_by = NULL, attempts = j.attempts, next_attempt_at = j.next_attempt_at, unspent = j.unspent,
        uncertain_attempts = j.uncertain_attempts, budget_from = j.budget_from,
        message_id = j.message_id, receipt = j.receipt, failure = j.failure,
        error_code = CASE j.status WHEN 'pending' THEN ifnull(j.error_code, outbox.error_code) ELSE j.error_code END,
        error = CASE j.status WHEN 'pending' THEN ifnull(j.error, outbox.error) ELSE j.error END,
        finished_at = j.finished_at, updated_at = j.updated_at, verify_at = j.verify_at, follow_at = j.follow_at, verify_round = 0,
        verify_from = CASE j.outcome WHEN 'uncertain' THEN ifnull(verify_from, j.started_at) ELSE verify_from END,
        verify_until = CASE j.outcome WHEN 'uncertain' THEN j.updated_at ELSE verify_until END
    FROM outbox_cycle_ended AS j
    WHERE outbox.id = j.id AND outbox.status = 'sending' AND outbox.claimed_by IS j.fence_claim
      AND outbox.attempts = j.fence_attempts;
    INSERT INTO outbox_cycle_short SELECT 1 WHERE (SELECT changes() < count(*) FROM outbox_cycle_ended);
    INSERT INTO outbox_cycle_lost
    SELECT j.id FROM outbox_cycle_ended AS j LEFT JOIN outbox AS o ON o.id = j.id
    WHERE (SELECT one FROM outbox_cycle_short LIMIT 1)
      AND (o.status, o.updated_at, o.claimed_by) IS NOT (j.status, j.updated_at, NULL);
END;

-- Ends the pauses that have an end, and moves jobs that have fallen due, at most 500 of a kind so that no producer waits long. A scheduled job
-- with a lane takes its place there (trigger outbox_due), which may make a later row of the same UPDATE
-- the head of its lane: it stays the head.
CREATE TEMP TRIGGER outbox_cycle_due_now INSTEAD OF INSERT ON outbox_cycle_due
BEGIN
    DELETE FROM outbox_pauses WHERE until IS NOT NULL AND until <= NEW.now AND typeof(until) = 'integer';
    DELETE FROM outbox_cycle_expired;
    INSERT INTO outbox_cycle_expired
    SELECT id, channel, account FROM outbox WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at < NEW.now
        AND id NOT IN (SELECT job_id FROM outbox_set_aside)
    ORDER BY expires_at LIMIT 500;
    UPDATE outbox SET status = 'failed', moves = moves + 1, failure = 'expired', error_code = 'expired',
        error = CASE WHEN uncertain_attempts > 0
            THEN 'expires_at passed; an earlier attempt, whose outcome is unknown, may have arrived'
            ELSE 'expires_at passed before the message was sent' END
    WHERE id IN (SELECT id FROM outbox_cycle_expired);
    INSERT INTO outbox_cycle_single SELECT NEW.now, account, channel, 'failed', 0 FROM outbox_cycle_expired
    WHERE typeof(account) = 'text' AND channel IN ('chat', 'mail', 'sms');
    UPDATE outbox SET wait = 'ready', moves = moves + 1
    WHERE id IN (SELECT id FROM outbox WHERE wait = 'backoff' AND next_attempt_at <= NEW.now
                     AND id NOT IN (SELECT job_id FROM outbox_set_aside)
                 ORDER BY next_attempt_at LIMIT 500);
    UPDATE outbox
    SET wait = CASE WHEN wait <> 'scheduled' THEN wait WHEN lane IS NOT NULL THEN 'parked'
            WHEN next_attempt_at > NEW.now THEN 'backoff' ELSE 'ready' END,
        due_at = due_at, moves = moves + 1
    WHERE id IN (SELECT id FROM outbox WHERE wait = 'scheduled' AND due_at <= NEW.now
                     AND id NOT IN (SELECT job_id FROM outbox_set_aside)
                 ORDER BY due_at LIMIT 500);
END;

-- Chooses as many jobs as one route has room for, without those that are set aside. Jobs are checked for
-- that only if any are.
CREATE TEMP TRIGGER outbox_cycle_claim_route INSTEAD OF INSERT ON outbox_cycle_claim
BEGIN
    INSERT INTO outbox_cycle_claimed
    SELECT id FROM outbox WHERE wait = 'ready' AND account = NEW.account AND channel = NEW.channel
        AND (expires_at IS NULL OR expires_at >= NEW.now)
        AND (NOT EXISTS (SELECT 1 FROM outbox_set_aside) OR id NOT IN (SELECT job_id FROM outbox_set_aside))
        AND (NOT EXISTS (SELECT 1 FROM outbox_cycle_passed_over) OR id NOT IN (SELECT id FROM outbox_cycle_passed_over))
    ORDER BY priority DESC, due_at, id LIMIT NEW.room;
    INSERT INTO outbox_cycle_routes VALUES (NEW.account, NEW.channel, NEW.room, NEW.served);
END;

CREATE TEMP TRIGGER outbox_cycle_weigh_route INSTEAD OF INSERT ON outbox_cycle_weigh
BEGIN
    INSERT INTO outbox_cycle_weighed
    SELECT id, NEW.account, NEW.channel, NEW.served,
           row_number() OVER (ORDER BY priority DESC, due_at, id), octet_length(payload)
    FROM outbox WHERE wait = 'ready' AND account = NEW.account AND channel = NEW.channel
        AND (expires_at IS NULL OR expires_at >= NEW.now)
        AND (NOT EXISTS (SELECT 1 FROM outbox_set_aside) OR id NOT IN (SELECT job_id FROM outbox_set_aside))
        AND (NOT EXISTS (SELECT 1 FROM outbox_cycle_passed_over) OR id NOT IN (SELECT id FROM outbox_cycle_passed_over))
    ORDER BY priority DESC, due_at, id LIMIT NEW.room;
END;

-- For when there are more jobs than places, or more bytes than fit into memory. The first job of every
-- route goes before the second of any, and the route that was served longest ago goes first. Within a
-- route the order is kept. A large job that does not fit is not overtaken by a later large job, which would
-- take the bytes that it needs. Small jobs have bytes that large ones cannot take.
CREATE TEMP TRIGGER outbox_cycle_cut_claim INSTEAD OF INSERT ON outbox_cycle_cut
BEGIN
    INSERT INTO outbox_cycle_weigh SELECT account, channel, room, served, NEW.now FROM outbox_cycle_routes;
    DELETE FROM outbox_cycle_claimed;
    INSERT INTO outbox_cycle_claimed
    SELECT id FROM (
        SELECT id, row_number() OVER (ORDER BY rank, served, account, channel) AS place FROM (
            SELECT *, max(too_much) OVER (PARTITION BY account, channel ORDER BY rank) AS stopped FROM (
                SELECT *, CASE WHEN bytes > 16384
                        THEN sum(bytes) FILTER (WHERE bytes > 16384) OVER so_far > NEW.claims->>'large'
                            AND NOT (NEW.claims->>'alone' AND count(*) FILTER (WHERE bytes > 16384) OVER so_far = 1)
                        ELSE sum(bytes) FILTER (WHERE bytes <= 16384) OVER so_far > NEW.claims->>'small' END AS too_much
                FROM outbox_cycle_weighed
                WINDOW so_far AS (ORDER BY rank, served, account, channel ROWS UNBOUNDED PRECEDING)))
        WHERE NOT stopped)
    WHERE place <= NEW.claims->>'places';
    UPDATE outbox_cycle_rooms SET served = 1 + (SELECT max(served) FROM outbox_cycle_rooms)
    WHERE (account, channel) IN (SELECT w.account, w.channel FROM outbox_cycle_weighed AS w
                                 JOIN outbox_cycle_claimed AS c ON c.id = w.id);
END;
