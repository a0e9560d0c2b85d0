-- An outbox as the build of commit 4de4b94 made it: its schema, and the record of its migrations.
CREATE TABLE outbox_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO outbox_migrations VALUES(1,'outbox','2026-11-22 08:00:00',1,X'6fafdc139bceeec4d79536b9467453afe13bcfc0bcfcbb0164a25940724035414029ad55750bae83d507a5913675fce3',1000000);
CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What a producer writes.
    channel         TEXT    NOT NULL,
    payload         TEXT    NOT NULL,
    account         TEXT    NOT NULL DEFAULT 'default',
    idempotency_key TEXT    UNIQUE,
    ordering_key    TEXT,
    priority        INTEGER NOT NULL DEFAULT 0,
    send_at         INTEGER,
    expires_at      INTEGER,
    max_attempts    INTEGER,
    source          TEXT,
    created_at      INTEGER NOT NULL
                    DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)),
    -- What the dispatcher writes.
    status          TEXT    NOT NULL DEFAULT 'pending',
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER,
    message_id      TEXT,
    receipt         TEXT,
    failure         TEXT,
    error_code      TEXT,
    error           TEXT,
    updated_at      INTEGER,
    finished_at     INTEGER,
    -- Helper columns, the implementer's: kept by the triggers below and by the dispatcher.
    lane               TEXT,     -- the effective ordering key; NULL: no order
    due_at             INTEGER,  -- send_at, or when it was inserted; with id, the order in its lane
    wait               TEXT,     -- why it is pending: ready, scheduled, backoff, parked
    holds              INTEGER,  -- 1 while it holds its lane: from ready until it leaves the queue
    claimed_by         INTEGER,  -- the dispatcher's epoch, exactly while sending
    unspent            INTEGER NOT NULL DEFAULT 0,  -- attempts that do not count against the budget
    uncertain_attempts INTEGER NOT NULL DEFAULT 0,  -- attempts of this budget with an unknown outcome
    budget_from        INTEGER   -- when the first attempt of this budget began
);
CREATE TABLE outbox_attempts (
    job_id      INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,  -- accepted, rejected, retry, uncertain
    http_status INTEGER,
    error_code  TEXT,
    error       TEXT,
    PRIMARY KEY (job_id, attempt)
) WITHOUT ROWID;
CREATE TABLE outbox_dispatcher (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    epoch      INTEGER NOT NULL,
    pid        INTEGER,
    started_at INTEGER
);
INSERT INTO outbox_dispatcher VALUES(1,0,NULL,NULL);
CREATE TABLE outbox_holds (
    account  TEXT NOT NULL,
    channel  TEXT NOT NULL,
    kind     TEXT NOT NULL,  -- refused, retry_after
    reason   TEXT NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER,        -- when it is tried again
    PRIMARY KEY (account, channel, kind)
) WITHOUT ROWID;
CREATE TABLE outbox_taken_keys (idempotency_key TEXT PRIMARY KEY) WITHOUT ROWID;
DELETE FROM sqlite_sequence;
CREATE INDEX outbox_ready ON outbox (account, channel, priority DESC, due_at) WHERE wait = 'ready';
CREATE INDEX outbox_scheduled ON outbox (due_at) WHERE wait = 'scheduled';
CREATE INDEX outbox_backoff ON outbox (next_attempt_at) WHERE wait = 'backoff';
CREATE INDEX outbox_expiry ON outbox (expires_at) WHERE status = 'pending' AND expires_at IS NOT NULL;
CREATE UNIQUE INDEX outbox_holder ON outbox (lane) WHERE holds = 1;
CREATE INDEX outbox_parked ON outbox (lane, due_at) WHERE wait = 'parked';
CREATE INDEX outbox_lane_scheduled ON outbox (lane, due_at) WHERE wait = 'scheduled' AND lane IS NOT NULL;
CREATE INDEX outbox_claimed ON outbox (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX outbox_finished ON outbox (status, channel, finished_at) WHERE finished_at IS NOT NULL;
CREATE VIEW outbox_clock AS
SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) AS now;
CREATE VIEW outbox_lanes AS
SELECT id,
       CASE
           WHEN ordering_key = '' THEN NULL
           WHEN ordering_key IS NOT NULL THEN 'key:' || ordering_key
           ELSE 'case:' || channel || '/'
                || json_extract(payload, CASE channel WHEN 'sms' THEN '$.threadId' ELSE '$.caseId' END)
                || '/' || account
       END AS lane
FROM outbox;
CREATE VIEW delivery_status AS
SELECT id, channel, account, source, idempotency_key, status, attempts, message_id,
       failure, error_code, error,
       strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', send_at / 1000.0, 'unixepoch') AS send_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', next_attempt_at / 1000.0, 'unixepoch') AS next_attempt_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', finished_at / 1000.0, 'unixepoch') AS finished_at
FROM outbox;
CREATE VIEW outbox_check AS
SELECT channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
       max_attempts, source, created_at
FROM outbox WHERE 0;
CREATE TRIGGER outbox_check_row INSTEAD OF INSERT ON outbox_check
BEGIN
    SELECT CASE
        WHEN NEW.channel IS NULL OR NEW.channel NOT IN ('chat', 'mail', 'sms')
            THEN RAISE(ABORT, 'outbox.channel: must be chat, mail or sms')
        WHEN typeof(NEW.account) <> 'text' OR NEW.account = ''
            THEN RAISE(ABORT, 'outbox.account: must be the name of a configured account, or left out for default')
        WHEN typeof(NEW.idempotency_key) NOT IN ('text', 'null') OR NEW.idempotency_key = ''
            THEN RAISE(ABORT, 'outbox.idempotency_key: must be text that is not empty, or NULL')
        WHEN typeof(NEW.ordering_key) NOT IN ('text', 'null')
            THEN RAISE(ABORT, 'outbox.ordering_key: must be text (empty for no order), or NULL for the conversation')
        WHEN typeof(NEW.priority) <> 'integer' OR NEW.priority NOT BETWEEN 0 AND 9
            THEN RAISE(ABORT, 'outbox.priority: must be a whole number from 0 to 9')
        WHEN typeof(NEW.max_attempts) NOT IN ('integer', 'null') OR NEW.max_attempts < 1
            THEN RAISE(ABORT, 'outbox.max_attempts: must be a whole number of at least 1, or NULL for the configured one')
        WHEN typeof(NEW.source) NOT IN ('text', 'null')
            THEN RAISE(ABORT, 'outbox.source: must be text, or NULL')
        WHEN typeof(NEW.payload) <> 'text'
            THEN RAISE(ABORT, 'outbox.payload: must be one JSON object, as text')
        WHEN NOT json_valid(NEW.payload)
            THEN RAISE(ABORT, 'outbox.payload: is not valid JSON')
        WHEN json_type(NEW.payload) <> 'object'
            THEN RAISE(ABORT, 'outbox.payload: must be one JSON object')
    END;

    -- Times: whole milliseconds of this century or later, or text that the date functions read.
    -- A time of day alone would be read as a day in the year 2000.
    SELECT CASE
        WHEN typeof(NEW.send_at) = 'null' THEN NULL
        WHEN typeof(NEW.send_at) = 'integer' AND NEW.send_at BETWEEN 946684800000 AND 253402300799999 THEN NULL
        WHEN typeof(NEW.send_at) = 'text' AND julianday(NEW.send_at) IS NOT NULL
             AND ltrim(NEW.send_at) NOT GLOB '[0-9][0-9]:*' THEN NULL
        WHEN typeof(NEW.send_at) = 'integer'
            THEN RAISE(ABORT, 'outbox.send_at: a number must be Unix milliseconds, UTC (not seconds, not microseconds)')
        ELSE RAISE(ABORT, 'outbox.send_at: must be Unix milliseconds as a whole number, or time text that SQLite reads, like 2026-11-22T09:00:00+02:00')
    END;
    SELECT CASE
        WHEN typeof(NEW.expires_at) = 'null' THEN NULL
        WHEN typeof(NEW.expires_at) = 'integer' AND NEW.expires_at BETWEEN 946684800000 AND 253402300799999 THEN NULL
        WHEN typeof(NEW.expires_at) = 'text' AND julianday(NEW.expires_at) IS NOT NULL
             AND ltrim(NEW.expires_at) NOT GLOB '[0-9][0-9]:*' THEN NULL
        WHEN typeof(NEW.expires_at) = 'integer'
            THEN RAISE(ABORT, 'outbox.expires_at: a number must be Unix milliseconds, UTC (not seconds, not microseconds)')
        ELSE RAISE(ABORT, 'outbox.expires_at: must be Unix milliseconds as a whole number, or time text that SQLite reads, like 2026-11-22T09:00:00+02:00')
    END;
    SELECT CASE
        WHEN typeof(NEW.created_at) = 'integer' AND NEW.created_at BETWEEN 946684800000 AND 253402300799999 THEN NULL
        WHEN typeof(NEW.created_at) = 'text' AND julianday(NEW.created_at) IS NOT NULL
             AND ltrim(NEW.created_at) NOT GLOB '[0-9][0-9]:*' THEN NULL
        WHEN typeof(NEW.created_at) = 'integer'
            THEN RAISE(ABORT, 'outbox.created_at: a number must be Unix milliseconds, UTC (not seconds, not microseconds)')
        ELSE RAISE(ABORT, 'outbox.created_at: leave it out, or write Unix milliseconds or time text that SQLite reads')
    END;
END
;
CREATE TRIGGER outbox_check_chat INSTEAD OF INSERT ON outbox_check
WHEN NEW.channel = 'chat' AND typeof(NEW.payload) = 'text' AND json_valid(NEW.payload)
BEGIN
    SELECT CASE
        WHEN json_type(NEW.payload) <> 'object' THEN NULL
        WHEN json_type(NEW.payload, '$.caseId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.caseId: required for chat, a whole number')
        WHEN json_type(NEW.payload, '$.message') IS NOT 'text' OR json_extract(NEW.payload, '$.message') = ''
            THEN RAISE(ABORT, 'outbox.payload.message: required for chat, text that is not empty')
        WHEN ifnull(json_type(NEW.payload, '$.type'), 'null') <> 'null'
             AND json_extract(NEW.payload, '$.type') NOT IN ('message', 'note', 'event')
            THEN RAISE(ABORT, 'outbox.payload.type: must be message, note or event')
        WHEN ifnull(json_type(NEW.payload, '$.userType'), 'null') <> 'null'
             AND json_extract(NEW.payload, '$.userType') NOT IN ('user', 'contact')
            THEN RAISE(ABORT, 'outbox.payload.userType: must be user or contact')
        WHEN ifnull(json_type(NEW.payload, '$.contactId'), 'null') NOT IN ('null', 'integer')
            THEN RAISE(ABORT, 'outbox.payload.contactId: must be a whole number')
        WHEN json_extract(NEW.payload, '$.userType') = 'contact'
             AND json_type(NEW.payload, '$.contactId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.contactId: required when userType is contact, a whole number')
    END;
END;
CREATE TRIGGER outbox_check_mail INSTEAD OF INSERT ON outbox_check
WHEN NEW.channel = 'mail' AND typeof(NEW.payload) = 'text' AND json_valid(NEW.payload)
BEGIN
    SELECT CASE
        WHEN json_type(NEW.payload) <> 'object' THEN NULL
        WHEN json_type(NEW.payload, '$.caseId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.caseId: required for mail, a whole number')
        WHEN json_type(NEW.payload, '$.contactId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.contactId: required for mail, a whole number')
        WHEN json_type(NEW.payload, '$.from') IS NOT 'text' OR json_extract(NEW.payload, '$.from') = ''
            THEN RAISE(ABORT, 'outbox.payload.from: required for mail, an address as text')
        WHEN ifnull(json_type(NEW.payload, '$.to'), 'null') NOT IN ('text', 'array')
             OR json_extract(NEW.payload, '$.to') IN ('', '[]')
             OR EXISTS (SELECT 1 FROM json_each(NEW.payload, '$.to') WHERE type <> 'text')
            THEN RAISE(ABORT, 'outbox.payload.to: required for mail, an array of addresses or one address as text')
        WHEN ifnull(json_type(NEW.payload, '$.cc'), 'null') NOT IN ('null', 'text', 'array')
            THEN RAISE(ABORT, 'outbox.payload.cc: must be an array of addresses or one address as text')
        WHEN ifnull(json_type(NEW.payload, '$.bcc'), 'null') NOT IN ('null', 'text', 'array')
            THEN RAISE(ABORT, 'outbox.payload.bcc: must be an array of addresses or one address as text')
        WHEN ifnull(json_type(NEW.payload, '$.attachments'), 'null') NOT IN ('null', 'array')
            THEN RAISE(ABORT, 'outbox.payload.attachments: must be an array of objects')
        WHEN json_type(NEW.payload, '$.subject') IS NOT 'text' OR json_extract(NEW.payload, '$.subject') = ''
            THEN RAISE(ABORT, 'outbox.payload.subject: required for mail, text that is not empty')
        WHEN ifnull(json_type(NEW.payload, '$.htmlBody'), 'null') NOT IN ('null', 'text')
            THEN RAISE(ABORT, 'outbox.payload.htmlBody: must be text')
        WHEN ifnull(json_type(NEW.payload, '$.textBody'), 'null') NOT IN ('null', 'text')
            THEN RAISE(ABORT, 'outbox.payload.textBody: must be text')
        WHEN ifnull(json_extract(NEW.payload, '$.htmlBody'), '') = ''
             AND ifnull(json_extract(NEW.payload, '$.textBody'), '') = ''
            THEN RAISE(ABORT, 'outbox.payload.htmlBody: htmlBody or textBody is required for mail, text that is not empty')
    END;
END;
CREATE TRIGGER outbox_check_sms INSTEAD OF INSERT ON outbox_check
WHEN NEW.channel = 'sms' AND typeof(NEW.payload) = 'text' AND json_valid(NEW.payload)
BEGIN
    SELECT CASE
        WHEN json_type(NEW.payload) <> 'object' THEN NULL
        WHEN json_type(NEW.payload, '$.From') IS NOT 'text' OR json_extract(NEW.payload, '$.From') = ''
            THEN RAISE(ABORT, 'outbox.payload.From: required for sms, a phone number as text, like +12513188609')
        WHEN json_type(NEW.payload, '$.To') IS NOT 'text' OR json_extract(NEW.payload, '$.To') = ''
            THEN RAISE(ABORT, 'outbox.payload.To: required for sms, a phone number as text, like +12513188609')
        WHEN json_type(NEW.payload, '$.Body') IS NOT 'text' OR json_extract(NEW.payload, '$.Body') = ''
            THEN RAISE(ABORT, 'outbox.payload.Body: required for sms, text that is not empty')
        WHEN json_type(NEW.payload, '$.contactId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.contactId: required for sms, a whole number')
        WHEN json_type(NEW.payload, '$.threadId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.threadId: required for sms, a whole number (the case)')
        WHEN json_type(NEW.payload, '$.timelineId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.timelineId: required for sms, a whole number')
        WHEN ifnull(json_type(NEW.payload, '$.userType'), 'null') <> 'null'
             AND json_extract(NEW.payload, '$.userType') NOT IN ('user', 'contact')
            THEN RAISE(ABORT, 'outbox.payload.userType: must be user or contact')
    END;
END;
CREATE VIEW outbox_elect AS SELECT lane FROM outbox WHERE 0;
CREATE TRIGGER outbox_elect_holder INSTEAD OF INSERT ON outbox_elect
WHEN NEW.lane IS NOT NULL
BEGIN
    -- A holder that is not on the wire yields to an earlier one that is due.
    UPDATE outbox SET wait = 'parked', holds = NULL
    WHERE lane = NEW.lane AND holds = 1 AND status = 'pending'
      AND EXISTS (
          SELECT 1 FROM (
              SELECT * FROM (SELECT w.due_at, w.id FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'parked'
                             ORDER BY w.due_at, w.id LIMIT 1)
              UNION ALL
              SELECT * FROM (SELECT w.due_at, w.id FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'scheduled'
                             AND w.due_at <= (SELECT now FROM outbox_clock) ORDER BY w.due_at, w.id LIMIT 1)
          ) AS first WHERE (first.due_at, first.id) < (outbox.due_at, outbox.id));
    UPDATE outbox
    SET holds = 1,
        wait = CASE WHEN next_attempt_at > (SELECT now FROM outbox_clock) THEN 'backoff' ELSE 'ready' END
    WHERE id = (
        SELECT first.id FROM (
            SELECT * FROM (SELECT w.due_at, w.id FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'parked'
                           ORDER BY w.due_at, w.id LIMIT 1)
            UNION ALL
            SELECT * FROM (SELECT w.due_at, w.id FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'scheduled'
                           AND w.due_at <= (SELECT now FROM outbox_clock) ORDER BY w.due_at, w.id LIMIT 1)
        ) AS first
        WHERE NOT EXISTS (SELECT 1 FROM outbox h WHERE h.lane = NEW.lane AND h.holds = 1)
        ORDER BY first.due_at, first.id LIMIT 1);
END
;
CREATE VIEW outbox_enqueue AS SELECT id FROM outbox WHERE 0;
CREATE TRIGGER outbox_enqueue_job INSTEAD OF INSERT ON outbox_enqueue
BEGIN
    UPDATE outbox SET lane = (SELECT l.lane FROM outbox_lanes l WHERE l.id = NEW.id), wait = NULL, holds = NULL
    WHERE id = NEW.id;
    -- "Now" never sorts before what its lane already holds, even when the clock was set back.
    UPDATE outbox
    SET due_at = CASE WHEN send_at IS NOT NULL THEN send_at ELSE max(
            ifnull(due_at, (SELECT now FROM outbox_clock)),
            ifnull((SELECT max(w.due_at) FROM outbox w WHERE w.lane = outbox.lane AND w.wait = 'parked'), 0),
            ifnull((SELECT h.due_at FROM outbox h WHERE h.lane = outbox.lane AND h.holds = 1), 0)) END,
        wait = CASE
            WHEN send_at > (SELECT now FROM outbox_clock) THEN 'scheduled'
            WHEN lane IS NULL AND next_attempt_at > (SELECT now FROM outbox_clock) THEN 'backoff'
            WHEN lane IS NULL THEN 'ready'
            ELSE 'parked' END,
        updated_at = (SELECT now FROM outbox_clock)
    WHERE id = NEW.id;
    INSERT INTO outbox_elect (lane) SELECT lane FROM outbox WHERE id = NEW.id AND wait = 'parked';
END
;
CREATE TRIGGER outbox_insert_check BEFORE INSERT ON outbox
BEGIN
    INSERT INTO outbox_check
    VALUES (NEW.channel, NEW.payload, NEW.account, NEW.idempotency_key, NEW.ordering_key, NEW.priority,
            NEW.send_at, NEW.expires_at, NEW.max_attempts, NEW.source, NEW.created_at);
    SELECT CASE
        WHEN NEW.status IS NOT 'pending'
            THEN RAISE(ABORT, 'outbox.status: a new row is pending; leave status out')
        WHEN NEW.attempts IS NOT 0 OR NEW.next_attempt_at IS NOT NULL OR NEW.message_id IS NOT NULL
             OR NEW.receipt IS NOT NULL OR NEW.failure IS NOT NULL OR NEW.error_code IS NOT NULL
             OR NEW.error IS NOT NULL OR NEW.updated_at IS NOT NULL OR NEW.finished_at IS NOT NULL
            THEN RAISE(ABORT, 'outbox: attempts, next_attempt_at, message_id, receipt, failure, error_code, error, updated_at and finished_at are written by the dispatcher; leave them out')
        WHEN NEW.lane IS NOT NULL OR NEW.due_at IS NOT NULL OR NEW.wait IS NOT NULL OR NEW.holds IS NOT NULL
             OR NEW.claimed_by IS NOT NULL OR NEW.unspent IS NOT 0 OR NEW.uncertain_attempts IS NOT 0
             OR NEW.budget_from IS NOT NULL
            THEN RAISE(ABORT, 'outbox: lane, due_at, wait, holds, claimed_by, unspent, uncertain_attempts and budget_from are the dispatcher''s own; leave them out')
        WHEN EXISTS (SELECT 1 FROM outbox WHERE id = NEW.id)
            THEN RAISE(ABORT, 'outbox.id: is taken; leave id out and read last_insert_rowid()')
    END;
END;
CREATE TRIGGER outbox_insert_taken BEFORE INSERT ON outbox
WHEN NEW.idempotency_key IS NOT NULL
     AND EXISTS (SELECT 1 FROM outbox WHERE idempotency_key = NEW.idempotency_key)
BEGIN
    INSERT OR IGNORE INTO outbox_taken_keys (idempotency_key) VALUES (NEW.idempotency_key);
END;
CREATE TRIGGER outbox_insert_replaced AFTER INSERT ON outbox
WHEN NEW.idempotency_key IS NOT NULL
     AND EXISTS (SELECT 1 FROM outbox_taken_keys WHERE idempotency_key = NEW.idempotency_key)
BEGIN
    SELECT RAISE(ABORT, 'outbox.idempotency_key: is taken; use INSERT OR IGNORE or ON CONFLICT DO NOTHING, not REPLACE');
END;
CREATE TRIGGER outbox_inserted AFTER INSERT ON outbox
BEGIN
    UPDATE outbox
    SET send_at = CASE typeof(send_at) WHEN 'text'
            THEN CAST(round((julianday(send_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE send_at END,
        expires_at = CASE typeof(expires_at) WHEN 'text'
            THEN CAST(round((julianday(expires_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE expires_at END,
        created_at = CASE typeof(created_at) WHEN 'text'
            THEN CAST(round((julianday(created_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE created_at END
    WHERE id = NEW.id
      AND (typeof(send_at) = 'text' OR typeof(expires_at) = 'text' OR typeof(created_at) = 'text');
    INSERT INTO outbox_enqueue (id) VALUES (NEW.id);
END;
CREATE TRIGGER outbox_change_check
BEFORE UPDATE OF id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                 max_attempts, source, created_at ON outbox
BEGIN
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id THEN RAISE(ABORT, 'outbox.id: cannot be changed')
        WHEN NEW.idempotency_key IS NOT OLD.idempotency_key
            THEN RAISE(ABORT, 'outbox.idempotency_key: cannot be changed')
        WHEN OLD.status = 'sending'
            THEN RAISE(ABORT, 'outbox: a job that is sending cannot be changed; wait until its attempt has ended')
        WHEN OLD.status = 'sent'
            THEN RAISE(ABORT, 'outbox: a sent message cannot be changed')
    END;
    INSERT INTO outbox_check
    VALUES (NEW.channel, NEW.payload, NEW.account, NEW.idempotency_key, NEW.ordering_key, NEW.priority,
            NEW.send_at, NEW.expires_at, NEW.max_attempts, NEW.source, NEW.created_at);
END;
CREATE TRIGGER outbox_changed_times AFTER UPDATE OF send_at, expires_at, created_at ON outbox
WHEN typeof(NEW.send_at) = 'text' OR typeof(NEW.expires_at) = 'text' OR typeof(NEW.created_at) = 'text'
BEGIN
    UPDATE outbox
    SET send_at = CASE typeof(send_at) WHEN 'text'
            THEN CAST(round((julianday(send_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE send_at END,
        expires_at = CASE typeof(expires_at) WHEN 'text'
            THEN CAST(round((julianday(expires_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE expires_at END,
        created_at = CASE typeof(created_at) WHEN 'text'
            THEN CAST(round((julianday(created_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE created_at END
    WHERE id = NEW.id;
END;
CREATE TRIGGER outbox_changed AFTER UPDATE OF channel, payload, account, ordering_key, send_at ON outbox
WHEN NEW.status = 'pending' AND OLD.status = 'pending' AND OLD.wait IS NOT NULL
BEGIN
    UPDATE outbox SET due_at = NULL WHERE id = NEW.id AND NEW.send_at IS NULL AND OLD.send_at IS NOT NULL;
    INSERT INTO outbox_enqueue (id) VALUES (NEW.id);
    INSERT INTO outbox_elect (lane) VALUES (OLD.lane);
END;
CREATE TRIGGER outbox_status_check BEFORE UPDATE OF status ON outbox
WHEN NEW.status IS NOT OLD.status
BEGIN
    SELECT CASE
        WHEN OLD.status = 'pending' AND NEW.status = 'sending'
             AND NEW.claimed_by IS NOT NULL AND NEW.attempts = OLD.attempts + 1 THEN NULL
        WHEN OLD.status = 'pending' AND NEW.status = 'cancelled' THEN NULL
        WHEN OLD.status = 'pending' AND NEW.status = 'failed' AND NEW.failure IN ('expired', 'invalid') THEN NULL
        WHEN OLD.status = 'sending' AND NEW.status IN ('pending', 'sent', 'failed', 'uncertain')
             AND NEW.claimed_by IS NULL THEN NULL
        WHEN OLD.status IN ('failed', 'cancelled', 'uncertain') AND NEW.status = 'pending' THEN NULL
        WHEN OLD.status = 'uncertain' AND NEW.status IN ('sent', 'failed') THEN NULL
        WHEN OLD.status = 'pending'
            THEN RAISE(ABORT, 'outbox.status: a pending job can only be cancelled; sending it is the dispatcher''s')
        WHEN OLD.status = 'sending'
            THEN RAISE(ABORT, 'outbox.status: a job that is sending can only be moved on by the dispatcher that claimed it; wait until its attempt has ended')
        WHEN OLD.status = 'sent'
            THEN RAISE(ABORT, 'outbox.status: sent is final')
        WHEN OLD.status = 'uncertain'
            THEN RAISE(ABORT, 'outbox.status: an uncertain job can become sent, failed or (to send it again) pending')
        ELSE RAISE(ABORT, 'outbox.status: a failed or cancelled job can only become pending again')
    END;
END;
CREATE TRIGGER outbox_redriven AFTER UPDATE OF status ON outbox
WHEN NEW.status = 'pending' AND OLD.status IN ('failed', 'cancelled', 'uncertain')
BEGIN
    UPDATE outbox
    SET unspent = attempts, uncertain_attempts = 0, budget_from = NULL, next_attempt_at = NULL, message_id = NULL,
        receipt = NULL, failure = NULL, error_code = NULL, error = NULL, finished_at = NULL
    WHERE id = NEW.id;
    INSERT INTO outbox_enqueue (id) VALUES (NEW.id);
END;
CREATE TRIGGER outbox_withdrawn AFTER UPDATE OF status ON outbox
WHEN OLD.status = 'pending' AND NEW.status IN ('cancelled', 'failed')
BEGIN
    UPDATE outbox
    SET wait = NULL, holds = NULL, next_attempt_at = NULL, updated_at = (SELECT now FROM outbox_clock),
        finished_at = (SELECT now FROM outbox_clock)
    WHERE id = NEW.id;
    INSERT INTO outbox_elect (lane) VALUES (OLD.lane);
END;
CREATE TRIGGER outbox_recorded AFTER UPDATE OF status ON outbox
WHEN OLD.status = 'sending' AND OLD.lane IS NOT NULL
BEGIN
    INSERT INTO outbox_elect (lane) VALUES (OLD.lane);
END;
CREATE TRIGGER outbox_resolved AFTER UPDATE OF status ON outbox
WHEN OLD.status = 'uncertain' AND NEW.status IN ('sent', 'failed')
BEGIN
    UPDATE outbox
    SET failure = CASE NEW.status WHEN 'failed' THEN ifnull(NEW.failure, 'exhausted') END,
        updated_at = (SELECT now FROM outbox_clock), finished_at = (SELECT now FROM outbox_clock)
    WHERE id = NEW.id;
END;
CREATE TRIGGER outbox_due AFTER UPDATE OF wait ON outbox
WHEN OLD.wait = 'scheduled' AND NEW.wait = 'parked'
BEGIN
    INSERT INTO outbox_elect (lane) VALUES (NEW.lane);
END;
CREATE TRIGGER outbox_delete_check BEFORE DELETE ON outbox
WHEN OLD.status = 'sending'
BEGIN
    SELECT RAISE(ABORT, 'outbox: a job that is sending cannot be deleted; wait until its attempt has ended');
END;
CREATE TRIGGER outbox_deleted AFTER DELETE ON outbox
BEGIN
    DELETE FROM outbox_attempts WHERE job_id = OLD.id;
    DELETE FROM outbox_taken_keys WHERE idempotency_key = OLD.idempotency_key;
    INSERT INTO outbox_elect (lane) SELECT OLD.lane WHERE OLD.holds = 1;
END;
