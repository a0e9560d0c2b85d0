-- The outbox: one row per message, written by any program, delivered by acquire-outbox.
--
-- After the first release this file is never edited: every change is a new migration that only adds.
-- tests/schema checks the file's checksum, which identifies the version of an outbox.
--
-- Everything that a producer's statements run here works in SQLite 3.26 or later with JSON1, in any
-- database encoding. Every object is named outbox... or delivery_status, because an outbox may live next
-- to an application's own tables. Checks are triggers that RAISE(ABORT), not constraints: INSERT OR IGNORE
-- (how a producer makes its insert idempotent) silently skips a row that fails a constraint.
--
-- Every trigger costs time for every row: SQLite builds a table for each IN of three or more values, and
-- even a trigger whose WHEN is false runs a program. docs/performance.md has the figures.

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
    delivery        TEXT,     -- what became of it afterwards: delivered, seen, bounced, failed; NULL: not known
    delivery_at     INTEGER,  -- when, by Acquire's clock; where Acquire does not say, when it was asked
    -- Internal columns, maintained by the triggers below and by the dispatcher.
    lane               TEXT,     -- the effective ordering key; NULL: no order
    due_at             INTEGER,  -- send_at, or the time of the INSERT; with id, the order in its lane
    wait               TEXT,     -- why it is pending: ready, scheduled, backoff, parked; uncertain: verifying
    holds              INTEGER,  -- 1 while it is the head of its lane: from ready until it leaves the queue
    claimed_by         INTEGER,  -- the dispatcher's epoch; set only while sending
    unspent            INTEGER NOT NULL DEFAULT 0,  -- attempts that do not count against the budget
    uncertain_attempts INTEGER NOT NULL DEFAULT 0,  -- attempts of this budget with an unknown outcome
    budget_from        INTEGER,  -- when the first attempt of this budget began
    verify_at          INTEGER,  -- when it is looked for at Acquire next; set only while verifying
    verify_round       INTEGER NOT NULL DEFAULT 0,  -- how often it has been looked for since its last attempt
    verify_from        INTEGER,  -- when the first attempt of unknown outcome since the last retry began
    verify_until       INTEGER,  -- when the last of them was given up
    verify_seen        TEXT,     -- what was found at Acquire: a JSON array, without message text
    follow_at          INTEGER,  -- when Acquire is asked what became of it; set only while sent and to be asked
    followed_at        INTEGER,  -- when that was last answered
    -- From the payload, by outbox_lanes: what people look for. An email's other addresses are in outbox_recipients.
    case_id            INTEGER,
    contact_id         INTEGER,
    recipient          TEXT,     -- a number's digits, or an email's first address; until the payload is scrubbed
    -- Every UPDATE of the columns above by the triggers or the dispatcher adds one or two, so that
    -- outbox_update_check can tell it from anybody else's.
    moves              INTEGER NOT NULL DEFAULT 0
);

-- Jobs that can be claimed, in claim order: no scan and no sort, however many others wait. expires_at is
-- included so that a claim skips expired jobs without reading their rows.
CREATE INDEX outbox_ready ON outbox (account, channel, priority DESC, due_at, id, expires_at) WHERE wait = 'ready';
-- Jobs that fall due at a time: first attempts, and next ones. The account and the channel, here and below, are
-- for counts.
CREATE INDEX outbox_scheduled ON outbox (due_at) WHERE wait = 'scheduled';
CREATE INDEX outbox_backoff ON outbox (next_attempt_at, account, channel) WHERE wait = 'backoff';
CREATE INDEX outbox_expiry ON outbox (expires_at) WHERE status = 'pending' AND expires_at IS NOT NULL;
-- At most one head per lane, enforced by the database; and the next jobs of the lane.
CREATE UNIQUE INDEX outbox_holder ON outbox (lane) WHERE holds = 1;
CREATE INDEX outbox_parked ON outbox (lane, due_at, id, account, channel) WHERE wait = 'parked';
CREATE INDEX outbox_lane_scheduled ON outbox (lane, due_at) WHERE wait = 'scheduled' AND lane IS NOT NULL;
-- Jobs that a dead dispatcher left claimed.
CREATE INDEX outbox_claimed ON outbox (claimed_by) WHERE claimed_by IS NOT NULL;
-- Rows that are not in the queue because they were written while the triggers were missing or disabled.
CREATE INDEX outbox_untouched ON outbox (id) WHERE status = 'pending'
    AND (wait IS NULL OR (wait <> 'ready' AND wait <> 'scheduled' AND wait <> 'backoff' AND wait <> 'parked'));
-- For counts and retention; an uncertain job is not finished.
CREATE INDEX outbox_uncertain ON outbox (channel) WHERE status = 'uncertain';
CREATE INDEX outbox_finished ON outbox (status, channel, finished_at) WHERE finished_at IS NOT NULL;
-- Jobs that are looked for at Acquire, and which job a message that was found there belongs to.
CREATE INDEX outbox_verifying ON outbox (verify_at) WHERE wait = 'verifying';
CREATE INDEX outbox_message ON outbox (message_id) WHERE message_id IS NOT NULL;
-- Jobs that may have a message at Acquire whose id is not known.
CREATE INDEX outbox_doubtful ON outbox (account, channel) WHERE verify_from IS NOT NULL AND message_id IS NULL;
CREATE INDEX outbox_nameless ON outbox (account, channel) WHERE status = 'sent' AND message_id IS NULL;
-- What people look for. A payload without its case (`fill_missing`) leaves it to the answer.
CREATE INDEX outbox_case ON outbox (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX outbox_answered_case ON outbox (CASE WHEN json_valid(receipt) THEN CAST(json_extract(receipt, '$.caseId') AS TEXT) END)
    WHERE case_id IS NULL AND receipt IS NOT NULL;
CREATE INDEX outbox_contact ON outbox (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX outbox_recipient ON outbox (recipient) WHERE recipient IS NOT NULL;
CREATE INDEX outbox_source ON outbox (source) WHERE source IS NOT NULL;

-- The addresses of emails that have several, without the one in outbox.recipient; until the payload is scrubbed.
CREATE TABLE outbox_recipients (
    job_id  INTEGER NOT NULL,
    address TEXT    NOT NULL,
    PRIMARY KEY (job_id, address)
) WITHOUT ROWID;
CREATE INDEX outbox_recipients_address ON outbox_recipients (address);

-- Messages whose delivery is asked about, and what became of those that were.
CREATE INDEX outbox_following ON outbox (follow_at) WHERE follow_at IS NOT NULL;
CREATE INDEX outbox_delivery ON outbox (delivery, channel) WHERE delivery IS NOT NULL;

-- One row per request. It is kept when its job is retried, and deleted with its job.
CREATE TABLE outbox_attempts (
    job_id      INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,  -- accepted, rejected, retry, uncertain, verified
    http_status INTEGER,
    error_code  TEXT,
    error       TEXT,
    PRIMARY KEY (job_id, attempt)
) WITHOUT ROWID;

-- What people and programs have done to a job, as far as the dispatcher has not: who retried or cancelled it. The
-- triggers write it, and the commands and pages add who they are. The newest 100 of each job, deleted with it.
CREATE TABLE outbox_acts (
    id      INTEGER PRIMARY KEY,
    job_id  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    deed    TEXT    NOT NULL,  -- retry, try_now, cancel, fail, resolve_sent, resolve_failed, verify, change, insert
    origin  TEXT    NOT NULL DEFAULT 'sql',  -- command, page, sql
    name    TEXT,              -- who it was, as the command or the page knows it; of SQL nobody knows
    detail  TEXT,              -- the columns that were changed
    payload TEXT               -- the one before a correction on a page or by a command, until the payload is scrubbed
);
CREATE INDEX outbox_acts_job ON outbox_acts (job_id);

-- The dispatcher of this file. Each start begins a new epoch, and every claim carries it.
CREATE TABLE outbox_dispatcher (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    epoch      INTEGER NOT NULL,
    pid        INTEGER,
    started_at INTEGER,
    sandbox    INTEGER NOT NULL DEFAULT 0  -- 1: for the sandbox; nothing in this file reaches Acquire
);
INSERT INTO outbox_dispatcher (one, epoch) VALUES (1, 0);

-- Blocks, which keep a route shut without a person: a refused account, a Retry-After, an open breaker, a
-- shortage on this machine. An empty account means every account, an empty channel every channel.
CREATE TABLE outbox_holds (
    account  TEXT NOT NULL,
    channel  TEXT NOT NULL,
    kind     TEXT NOT NULL,  -- refused, retry_after, breaker, shortage
    reason   TEXT NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER,        -- when it is tried again
    PRIMARY KEY (account, channel, kind)
) WITHOUT ROWID;

-- What people have paused: none of it is claimed, and requests in flight are finished. An empty account
-- means every account, an empty channel every channel. Plain SQL may insert and delete rows here.
CREATE TABLE outbox_pauses (
    account TEXT    NOT NULL DEFAULT '',
    channel TEXT    NOT NULL DEFAULT '',
    reason  TEXT    NOT NULL DEFAULT '',
    since   INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)),
    until   INTEGER,         -- when the dispatcher ends it; NULL: a person does. Time text becomes milliseconds
    PRIMARY KEY (account, channel)
) WITHOUT ROWID;

-- What became of jobs in each minute; in each hour and day where that is long ago. `retried` are attempts that
-- are followed by another. late_0 to late_15 are those of `sent` that were sent up to 5, 10, 25, 50, 100, 250, 500
-- milliseconds, 1, 2.5, 5, 10, 30 seconds, 1, 10, 60 minutes and more after they were due.
CREATE TABLE outbox_history (
    begins_at INTEGER NOT NULL,
    account   TEXT    NOT NULL,
    channel   TEXT    NOT NULL,
    sent      INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    uncertain INTEGER NOT NULL DEFAULT 0,
    retried   INTEGER NOT NULL DEFAULT 0,
    late_0    INTEGER NOT NULL DEFAULT 0,
    late_1    INTEGER NOT NULL DEFAULT 0,
    late_2    INTEGER NOT NULL DEFAULT 0,
    late_3    INTEGER NOT NULL DEFAULT 0,
    late_4    INTEGER NOT NULL DEFAULT 0,
    late_5    INTEGER NOT NULL DEFAULT 0,
    late_6    INTEGER NOT NULL DEFAULT 0,
    late_7    INTEGER NOT NULL DEFAULT 0,
    late_8    INTEGER NOT NULL DEFAULT 0,
    late_9    INTEGER NOT NULL DEFAULT 0,
    late_10   INTEGER NOT NULL DEFAULT 0,
    late_11   INTEGER NOT NULL DEFAULT 0,
    late_12   INTEGER NOT NULL DEFAULT 0,
    late_13   INTEGER NOT NULL DEFAULT 0,
    late_14   INTEGER NOT NULL DEFAULT 0,
    late_15   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (begins_at, account, channel)
) WITHOUT ROWID;

-- Jobs that the dispatcher leaves alone until somebody deals with them, because their row cannot be read
-- or their outcome cannot be written to it. `record` is that outcome, as JSON.
CREATE TABLE outbox_set_aside (
    job_id INTEGER PRIMARY KEY,
    since  INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    record TEXT
);

-- How far scrubbing has got in each channel: messages sent up to this point are done.
CREATE TABLE outbox_scrubbing (
    channel     TEXT PRIMARY KEY,
    finished_at INTEGER NOT NULL,
    id          INTEGER NOT NULL
) WITHOUT ROWID;

-- The channels whose payloads may leave out the ids of their case (`fill_missing`). `init` and each start of
-- the daemon write it, by the configuration.
CREATE TABLE outbox_fill_missing (channel TEXT PRIMARY KEY) WITHOUT ROWID;

-- What cannot be read back at Acquire: messages of an account and channel, to verify them (`verify`) or to see what
-- became of them (`follow_up`).
CREATE TABLE outbox_unreadable (
    account    TEXT NOT NULL,
    channel    TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    error_code TEXT NOT NULL,
    error      TEXT NOT NULL,
    since      INTEGER NOT NULL,
    PRIMARY KEY (account, channel, purpose)
) WITHOUT ROWID;

-- The key that the last INSERT found taken: see outbox_insert_taken.
CREATE TABLE outbox_taken_keys (idempotency_key TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE VIEW outbox_clock AS
SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) AS now;

-- Notes an act.
CREATE VIEW outbox_act AS SELECT job_id, deed, detail FROM outbox_acts WHERE 0;

CREATE TRIGGER outbox_act_noted INSTEAD OF INSERT ON outbox_act
BEGIN
    INSERT INTO outbox_acts (job_id, at, deed, detail) VALUES (NEW.job_id, (SELECT now FROM outbox_clock), NEW.deed, NEW.detail);
    DELETE FROM outbox_acts WHERE job_id = NEW.job_id
        AND id <= (SELECT a.id FROM outbox_acts AS a WHERE a.job_id = NEW.job_id ORDER BY a.id DESC LIMIT 1 OFFSET 100);
END;

-- The effective ordering key of each row, and what it is looked for by. An ordering_key of NULL means the
-- conversation, '' means none.
CREATE VIEW outbox_lanes AS
SELECT id,
       CASE
           WHEN ordering_key = '' THEN NULL
           WHEN ordering_key IS NOT NULL THEN 'key:' || ordering_key
           -- Without the case, the contact; such jobs are in no order with those that name the case.
           ELSE ifnull('case:' || channel || '/'
                    || json_extract(payload, CASE channel WHEN 'sms' THEN '$.threadId' ELSE '$.caseId' END)
                    || '/' || account,
                'contact:' || channel || '/' || json_extract(payload, '$.contactId') || '/' || account)
       END AS lane,
       json_extract(payload, CASE channel WHEN 'sms' THEN '$.threadId' ELSE '$.caseId' END) AS case_id,
       json_extract(payload, '$.contactId') AS contact_id,
       CASE channel
           WHEN 'sms' THEN substr(replace(replace(replace(replace(replace(replace(replace(json_extract(payload, '$.To'),
               '+', ''), ' ', ''), '-', ''), '(', ''), ')', ''), '.', ''), '/', ''), 1, 320)
           -- The address of `Anne <anne@example.com>`.
           WHEN 'mail' THEN substr(lower(rtrim(substr(ifnull(json_extract(payload, '$.to[0]'), json_extract(payload, '$.to')),
               instr(ifnull(json_extract(payload, '$.to[0]'), json_extract(payload, '$.to')), '<') + 1), '> ')), 1, 320)
       END AS recipient
FROM outbox;

-- All addresses of emails.
CREATE VIEW outbox_addresses AS
SELECT id AS job_id, substr(lower(rtrim(substr(value, instr(value, '<') + 1), '> ')), 1, 320) AS address
FROM (SELECT o.id, a.value FROM outbox AS o, json_each(o.payload, '$.to') AS a WHERE o.channel = 'mail'
      UNION ALL SELECT o.id, a.value FROM outbox AS o, json_each(o.payload, '$.cc') AS a WHERE o.channel = 'mail'
      UNION ALL SELECT o.id, a.value FROM outbox AS o, json_each(o.payload, '$.bcc') AS a WHERE o.channel = 'mail')
WHERE value IS NOT NULL;

-- Time text in a form that SQLite reads: offsets such as +0200 and +02 get their missing colon or minutes.
-- NULL stays NULL, and a number stays a number.
CREATE VIEW outbox_time_texts AS
SELECT id,
       CASE WHEN send_at GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(send_at, 1, length(send_at) - 2) || ':' || substr(send_at, -2)
            WHEN send_at GLOB '*:*[-+][0-9][0-9]' THEN send_at || ':00' ELSE send_at END AS send_at,
       CASE WHEN expires_at GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(expires_at, 1, length(expires_at) - 2) || ':' || substr(expires_at, -2)
            WHEN expires_at GLOB '*:*[-+][0-9][0-9]' THEN expires_at || ':00' ELSE expires_at END AS expires_at,
       CASE WHEN created_at GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(created_at, 1, length(created_at) - 2) || ':' || substr(created_at, -2)
            WHEN created_at GLOB '*:*[-+][0-9][0-9]' THEN created_at || ':00' ELSE created_at END AS created_at
FROM outbox;

-- The times of a row in milliseconds, however they were written.
CREATE VIEW outbox_times AS
SELECT id,
       CASE typeof(send_at) WHEN 'text'
           THEN CAST(round((julianday(send_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE send_at END AS send_at,
       CASE typeof(expires_at) WHEN 'text'
           THEN CAST(round((julianday(expires_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE expires_at END AS expires_at,
       CASE typeof(created_at) WHEN 'text'
           THEN CAST(round((julianday(created_at) - 2440587.5) * 86400000.0) AS INTEGER) ELSE created_at END AS created_at
FROM outbox_time_texts;

CREATE VIEW delivery_status AS
SELECT id, channel, account, source, idempotency_key, status, attempts, message_id,
       failure, error_code, error,
       strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', send_at / 1000.0, 'unixepoch') AS send_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', next_attempt_at / 1000.0, 'unixepoch') AS next_attempt_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', finished_at / 1000.0, 'unixepoch') AS finished_at, delivery,
       strftime('%Y-%m-%dT%H:%M:%fZ', delivery_at / 1000.0, 'unixepoch') AS delivery_at,
       ifnull(case_id, CASE WHEN json_valid(receipt) THEN json_extract(receipt, '$.caseId') END) AS case_id, contact_id
FROM outbox;

-- A payload without the message's text and addresses: only the ids remain.
CREATE VIEW outbox_scrubbed AS
SELECT id, channel, CASE WHEN json_valid(payload) THEN json_patch('{"scrubbed":true}', json_object(
        'caseId', json_extract(payload, '$.caseId'), 'contactId', json_extract(payload, '$.contactId'),
        'threadId', json_extract(payload, '$.threadId'), 'timelineId', json_extract(payload, '$.timelineId')))
    ELSE '{"scrubbed":true}' END AS payload
FROM outbox;

-- A view with an INSTEAD OF trigger is SQLite's equivalent of a procedure. This one checks what a
-- producer wrote, in an INSERT or an UPDATE.
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
        WHEN NEW.account GLOB '*[^ -~]*' OR instr(NEW.account, char(0)) > 0
            THEN RAISE(ABORT, 'outbox.account: must be printable ASCII, as the configured names are')
        WHEN typeof(NEW.idempotency_key) NOT IN ('text', 'null') OR NEW.idempotency_key = ''
            THEN RAISE(ABORT, 'outbox.idempotency_key: must be text that is not empty, or NULL')
        WHEN typeof(NEW.ordering_key) NOT IN ('text', 'null')
            THEN RAISE(ABORT, 'outbox.ordering_key: must be text (empty for no order), or NULL for the conversation')
        WHEN typeof(NEW.source) NOT IN ('text', 'null')
            THEN RAISE(ABORT, 'outbox.source: must be text, or NULL')
        -- How a float looks as text: 17.0, 9.00719925474098e+15. 1e5 is accepted: it may be part of a hash.
        WHEN NEW.idempotency_key = 'Inf' OR NEW.idempotency_key = '-Inf'
             OR NEW.idempotency_key GLOB '[-0-9]*[-+.]*' AND json_valid(NEW.idempotency_key) AND json_type(NEW.idempotency_key) = 'real'
            THEN RAISE(ABORT, 'outbox.idempotency_key: looks like a number that was bound as a float and may have lost digits; bind it as text')
        WHEN NEW.ordering_key = 'Inf' OR NEW.ordering_key = '-Inf'
             OR NEW.ordering_key GLOB '[-0-9]*[-+.]*' AND json_valid(NEW.ordering_key) AND json_type(NEW.ordering_key) = 'real'
            THEN RAISE(ABORT, 'outbox.ordering_key: looks like a number that was bound as a float and may have lost digits; bind it as text')
        WHEN NEW.source = 'Inf' OR NEW.source = '-Inf'
             OR NEW.source GLOB '[-0-9]*[-+.]*' AND json_valid(NEW.source) AND json_type(NEW.source) = 'real'
            THEN RAISE(ABORT, 'outbox.source: looks like a number that was bound as a float and may have lost digits; bind it as text')
        WHEN instr(NEW.idempotency_key, char(0)) > 0
            THEN RAISE(ABORT, 'outbox.idempotency_key: must not contain a NUL character')
        WHEN instr(NEW.ordering_key, char(0)) > 0
            THEN RAISE(ABORT, 'outbox.ordering_key: must not contain a NUL character')
        WHEN instr(NEW.source, char(0)) > 0
            THEN RAISE(ABORT, 'outbox.source: must not contain a NUL character')
        WHEN typeof(NEW.priority) <> 'integer' OR NEW.priority NOT BETWEEN 0 AND 9
            THEN RAISE(ABORT, 'outbox.priority: must be a whole number from 0 to 9')
        WHEN typeof(NEW.max_attempts) NOT IN ('integer', 'null') OR NEW.max_attempts < 1
            THEN RAISE(ABORT, 'outbox.max_attempts: must be a whole number of at least 1, or NULL for the configured one')
        WHEN typeof(NEW.payload) <> 'text'
            THEN RAISE(ABORT, 'outbox.payload: must be one JSON object, as text')
        WHEN length(CAST(NEW.payload AS BLOB)) > 67108864
            THEN RAISE(ABORT, 'outbox.payload: must not be larger than 64 MiB')
        -- SQLite's JSON functions stop reading at a NUL.
        WHEN instr(NEW.payload, char(0)) > 0
            THEN RAISE(ABORT, 'outbox.payload: must not contain a NUL character (inside a text write \u0000)')
        WHEN NOT json_valid(NEW.payload)
             AND length(NEW.payload) - length(replace(replace(NEW.payload, '[', ''), '{', '')) > 1000
            THEN RAISE(ABORT, 'outbox.payload: is not valid JSON, or is nested deeper than SQLite reads (1000 levels)')
        WHEN NOT json_valid(NEW.payload)
            THEN RAISE(ABORT, 'outbox.payload: is not valid JSON')
        WHEN json_type(NEW.payload) <> 'object'
            THEN RAISE(ABORT, 'outbox.payload: must be one JSON object')
    END;
    INSERT INTO outbox_check_text SELECT 'payload', NEW.payload
    WHERE NEW.payload GLOB '*[^' || char(1) || '-' || char(127) || ']*'
    UNION ALL SELECT 'idempotency_key', NEW.idempotency_key WHERE NEW.idempotency_key GLOB '*[^ -~]*'
    UNION ALL SELECT 'ordering_key', NEW.ordering_key WHERE NEW.ordering_key GLOB '*[^ -~]*'
    UNION ALL SELECT 'source', NEW.source WHERE NEW.source GLOB '*[^ -~]*';

    -- Times in whole milliseconds from the year 2000 on need no further checks.
    INSERT INTO outbox_check_time SELECT 'send_at', NEW.send_at
    WHERE NEW.send_at IS NOT NULL
      AND (typeof(NEW.send_at) <> 'integer' OR NEW.send_at NOT BETWEEN 946684800000 AND 253402300799999)
    UNION ALL SELECT 'expires_at', NEW.expires_at
    WHERE NEW.expires_at IS NOT NULL
      AND (typeof(NEW.expires_at) <> 'integer' OR NEW.expires_at NOT BETWEEN 946684800000 AND 253402300799999)
    UNION ALL SELECT 'created_at', NEW.created_at
    WHERE typeof(NEW.created_at) <> 'integer' OR NEW.created_at NOT BETWEEN 946684800000 AND 253402300799999;
END;

-- Checks any other time.
CREATE VIEW outbox_check_time AS SELECT '' AS field, send_at AS value FROM outbox WHERE 0;

CREATE TRIGGER outbox_check_time_number INSTEAD OF INSERT ON outbox_check_time
WHEN typeof(NEW.value) = 'integer'
BEGIN
    SELECT CASE NEW.field
        WHEN 'send_at'
            THEN RAISE(ABORT, 'outbox.send_at: a number must be Unix milliseconds, UTC (not seconds, not microseconds)')
        WHEN 'expires_at'
            THEN RAISE(ABORT, 'outbox.expires_at: a number must be Unix milliseconds, UTC (not seconds, not microseconds)')
        ELSE RAISE(ABORT, 'outbox.created_at: a number must be Unix milliseconds, UTC (not seconds, not microseconds)')
    END;
END;

-- From the year 2000 on, as for numbers. SQLite would read a time of day alone as of 1 January 2000.
CREATE TRIGGER outbox_check_time_text INSTEAD OF INSERT ON outbox_check_time
WHEN typeof(NEW.value) <> 'integer'
     AND (typeof(NEW.value) <> 'text' OR ltrim(NEW.value) GLOB '[0-9][0-9]:*' OR instr(NEW.value, char(0)) > 0
          OR julianday(CASE
                 WHEN NEW.value GLOB '*:*[-+][0-9][0-9][0-9][0-9]' THEN substr(NEW.value, 1, length(NEW.value) - 2) || ':' || substr(NEW.value, -2)
                 WHEN NEW.value GLOB '*:*[-+][0-9][0-9]' THEN NEW.value || ':00' ELSE NEW.value END)
             BETWEEN 2451544.5 AND 5373484.5 IS NOT 1)
BEGIN
    SELECT CASE NEW.field
        WHEN 'send_at'
            THEN RAISE(ABORT, 'outbox.send_at: must be Unix milliseconds as a whole number, or time text that SQLite reads, like 2026-11-22T09:00:00+02:00, from the year 2000 on; text without an offset is UTC')
        WHEN 'expires_at'
            THEN RAISE(ABORT, 'outbox.expires_at: must be Unix milliseconds as a whole number, or time text that SQLite reads, like 2026-11-22T09:00:00+02:00, from the year 2000 on; text without an offset is UTC')
        ELSE RAISE(ABORT, 'outbox.created_at: must be Unix milliseconds or time text that SQLite reads; leave it out to use the current time')
    END;
END;

-- SQLite reads 30 February as 2 March, and 24:30 as the next day.
CREATE TRIGGER outbox_check_time_exists INSTEAD OF INSERT ON outbox_check_time
WHEN typeof(NEW.value) = 'text'
     AND (date(substr(ltrim(NEW.value), 1, 10), '+0 days') <> substr(ltrim(NEW.value), 1, 10)
          AND ltrim(NEW.value) GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
          OR NEW.value GLOB '*[ T' || char(9) || '-' || char(13) || ']24:*')
BEGIN
    SELECT CASE NEW.field
        WHEN 'send_at' THEN RAISE(ABORT, 'outbox.send_at: there is no such day or time in the calendar')
        WHEN 'expires_at' THEN RAISE(ABORT, 'outbox.expires_at: there is no such day or time in the calendar')
        ELSE RAISE(ABORT, 'outbox.created_at: there is no such day or time in the calendar')
    END;
END;

-- Checks that text is UTF-8: SQLite itself accepts any bytes as text. GLOB reads a broken sequence as
-- U+FFFD or, if a byte is missing or extra, as some other character. To find the latter, lead bytes are
-- replaced by others, after which broken and complete sequences read differently.
CREATE VIEW outbox_check_text AS SELECT '' AS field, '' AS value FROM outbox WHERE 0;
CREATE VIEW outbox_check_bytes AS SELECT '' AS field, '' AS value FROM outbox WHERE 0;

-- GLOB reads U+FFFD, U+FFFE and U+FFFF all as U+FFFD; they are valid, so they are removed first. A UTF-16
-- database has no such bytes.
CREATE TRIGGER outbox_check_text_once INSTEAD OF INSERT ON outbox_check_text
WHEN length(CAST('a' AS BLOB)) = 1
BEGIN
    INSERT INTO outbox_check_bytes VALUES (NEW.field,
        replace(replace(replace(NEW.value, char(65533), ' '), CAST(x'efbfbe' AS TEXT), ' '), CAST(x'efbfbf' AS TEXT), ' '));
END;

CREATE TRIGGER outbox_check_bytes_whole INSTEAD OF INSERT ON outbox_check_bytes
WHEN NEW.value GLOB '*[' || char(65533) || ']*' OR NEW.value GLOB '*[^' || char(1) || '-' || char(1114111) || ']*'
     -- A continuation byte without a lead byte.
     OR replace(NEW.value, CAST(x'c2' AS TEXT), CAST(x'c1' AS TEXT)) GLOB '*[' || char(128) || '-' || char(191) || ']*'
     -- Sequences with a missing or extra byte: with these lead bytes, complete sequences of three bytes read
     -- as U+1000 to U+1FFF, of four as above U+10FFFF, and of two as before.
     OR replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(NEW.value, CAST(x'e0' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'e1' AS TEXT), CAST(x'c1' AS TEXT))
             , CAST(x'e2' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'e3' AS TEXT), CAST(x'c1' AS TEXT))
             , CAST(x'e4' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'e5' AS TEXT), CAST(x'c1' AS TEXT))
             , CAST(x'e6' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'e7' AS TEXT), CAST(x'c1' AS TEXT))
             , CAST(x'e8' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'e9' AS TEXT), CAST(x'c1' AS TEXT))
             , CAST(x'ea' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'eb' AS TEXT), CAST(x'c1' AS TEXT))
             , CAST(x'ec' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'ed' AS TEXT), CAST(x'c1' AS TEXT))
             , CAST(x'ee' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'ef' AS TEXT), CAST(x'c1' AS TEXT)), CAST(x'f0' AS TEXT), CAST(x'df' AS TEXT)), CAST(x'f1' AS TEXT), CAST(x'df' AS TEXT))
             , CAST(x'f2' AS TEXT), CAST(x'df' AS TEXT)), CAST(x'f3' AS TEXT), CAST(x'df' AS TEXT))
             , CAST(x'f4' AS TEXT), CAST(x'df' AS TEXT))
        GLOB '*[' || char(65533) || char(2048) || '-' || char(4095) || char(8192) || '-' || char(1114111) || ']*'
BEGIN
    SELECT CASE NEW.field
        WHEN 'payload' THEN RAISE(ABORT, 'outbox.payload: is not UTF-8 text; encode it as UTF-8, or bind it as a Unicode string')
        WHEN 'idempotency_key' THEN RAISE(ABORT, 'outbox.idempotency_key: is not UTF-8 text; encode it as UTF-8, or bind it as a Unicode string')
        WHEN 'ordering_key' THEN RAISE(ABORT, 'outbox.ordering_key: is not UTF-8 text; encode it as UTF-8, or bind it as a Unicode string')
        WHEN 'reason' THEN RAISE(ABORT, 'outbox_pauses.reason: is not UTF-8 text; encode it as UTF-8, or bind it as a Unicode string')
        ELSE RAISE(ABORT, 'outbox.source: is not UTF-8 text; encode it as UTF-8, or bind it as a Unicode string')
    END;
END;

-- The payload's required fields, per channel; the daemon checks the rest. JSON null counts as absent.
CREATE TRIGGER outbox_check_chat INSTEAD OF INSERT ON outbox_check
WHEN NEW.channel = 'chat' AND typeof(NEW.payload) = 'text' AND json_valid(NEW.payload)
BEGIN
    SELECT CASE
        WHEN json_type(NEW.payload) <> 'object' THEN NULL
        WHEN json_type(NEW.payload, '$.caseId') = 'real'
            THEN RAISE(ABORT, 'outbox.payload.caseId: must be a whole number without a decimal point; a driver has bound it as a float: bind an integer, or write CAST(? AS INTEGER)')
        WHEN json_type(NEW.payload, '$.caseId') = 'integer' AND typeof(json_extract(NEW.payload, '$.caseId')) <> 'integer'
            THEN RAISE(ABORT, 'outbox.payload.caseId: must be a whole number that fits in 64 bits')
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
        WHEN json_type(NEW.payload, '$.contactId') = 'real'
            THEN RAISE(ABORT, 'outbox.payload.contactId: must be a whole number without a decimal point; a driver has bound it as a float: bind an integer, or write CAST(? AS INTEGER)')
        WHEN ifnull(json_type(NEW.payload, '$.contactId'), 'null') NOT IN ('null', 'integer')
             OR typeof(json_extract(NEW.payload, '$.contactId')) = 'real'
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
        WHEN json_type(NEW.payload, '$.caseId') = 'real'
            THEN RAISE(ABORT, 'outbox.payload.caseId: must be a whole number without a decimal point; a driver has bound it as a float: bind an integer, or write CAST(? AS INTEGER)')
        WHEN json_type(NEW.payload, '$.caseId') = 'integer' AND typeof(json_extract(NEW.payload, '$.caseId')) <> 'integer'
            THEN RAISE(ABORT, 'outbox.payload.caseId: must be a whole number that fits in 64 bits')
        WHEN json_type(NEW.payload, '$.caseId') IS NOT 'integer'
             AND NOT (ifnull(json_type(NEW.payload, '$.caseId'), 'null') = 'null'
                      AND EXISTS (SELECT 1 FROM outbox_fill_missing WHERE channel = 'mail'))
            THEN RAISE(ABORT, 'outbox.payload.caseId: required for mail, a whole number')
        WHEN json_type(NEW.payload, '$.contactId') = 'real'
            THEN RAISE(ABORT, 'outbox.payload.contactId: must be a whole number without a decimal point; a driver has bound it as a float: bind an integer, or write CAST(? AS INTEGER)')
        WHEN json_type(NEW.payload, '$.contactId') = 'integer' AND typeof(json_extract(NEW.payload, '$.contactId')) <> 'integer'
            THEN RAISE(ABORT, 'outbox.payload.contactId: must be a whole number that fits in 64 bits')
        WHEN json_type(NEW.payload, '$.contactId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.contactId: required for mail, a whole number')
        WHEN json_type(NEW.payload, '$.from') IS NOT 'text' OR json_extract(NEW.payload, '$.from') = ''
            THEN RAISE(ABORT, 'outbox.payload.from: required for mail, an address as text')
        WHEN ifnull(json_type(NEW.payload, '$.to'), 'null') NOT IN ('text', 'array')
             OR json_extract(NEW.payload, '$.to') IN ('', '[]')
             OR EXISTS (SELECT 1 FROM json_each(NEW.payload, '$.to') WHERE type <> 'text')
            THEN RAISE(ABORT, 'outbox.payload.to: required for mail, an array of addresses or one address as text')
        WHEN ifnull(json_type(NEW.payload, '$.cc'), 'null') NOT IN ('null', 'text', 'array')
             OR json_type(NEW.payload, '$.cc') = 'array'
                AND EXISTS (SELECT 1 FROM json_each(NEW.payload, '$.cc') WHERE type <> 'text')
            THEN RAISE(ABORT, 'outbox.payload.cc: must be an array of addresses or one address as text')
        WHEN ifnull(json_type(NEW.payload, '$.bcc'), 'null') NOT IN ('null', 'text', 'array')
             OR json_type(NEW.payload, '$.bcc') = 'array'
                AND EXISTS (SELECT 1 FROM json_each(NEW.payload, '$.bcc') WHERE type <> 'text')
            THEN RAISE(ABORT, 'outbox.payload.bcc: must be an array of addresses or one address as text')
        WHEN ifnull(json_type(NEW.payload, '$.attachments'), 'null') NOT IN ('null', 'array')
            THEN RAISE(ABORT, 'outbox.payload.attachments: must be an array of objects')
        WHEN json_type(NEW.payload, '$.subject') IS NOT 'text' OR json_extract(NEW.payload, '$.subject') = ''
            THEN RAISE(ABORT, 'outbox.payload.subject: required for mail, text that is not empty')
        WHEN json_extract(NEW.payload, '$.subject') GLOB '*[' || char(10) || '-' || char(13) || char(133) || char(8232) || char(8233) || ']*'
             OR instr(json_extract(NEW.payload, '$.subject'), char(0)) > 0
            THEN RAISE(ABORT, 'outbox.payload.subject: must be one line')
        WHEN ifnull(json_type(NEW.payload, '$.htmlBody'), 'null') NOT IN ('null', 'text')
            THEN RAISE(ABORT, 'outbox.payload.htmlBody: must be text')
        WHEN ifnull(json_type(NEW.payload, '$.textBody'), 'null') NOT IN ('null', 'text')
            THEN RAISE(ABORT, 'outbox.payload.textBody: must be text')
        WHEN ifnull(json_extract(NEW.payload, '$.htmlBody'), '') = ''
             AND ifnull(json_extract(NEW.payload, '$.textBody'), '') = ''
            THEN RAISE(ABORT, 'outbox.payload.htmlBody: htmlBody or textBody is required for mail, text that is not empty')
    END;
    INSERT INTO outbox_check_address SELECT 'from', json_extract(NEW.payload, '$.from')
    UNION ALL SELECT 'to', value FROM json_each(NEW.payload, '$.to')
    UNION ALL SELECT 'cc', value FROM json_each(NEW.payload, '$.cc')
    UNION ALL SELECT 'bcc', value FROM json_each(NEW.payload, '$.bcc');
END;

-- One mailbox per entry. An address with quotes, which allow almost anything, is checked only by the daemon.
CREATE VIEW outbox_check_address AS SELECT '' AS field, '' AS value FROM outbox WHERE 0;

CREATE TRIGGER outbox_check_mailbox INSTEAD OF INSERT ON outbox_check_address
WHEN typeof(NEW.value) <> 'null'
 AND (NEW.value NOT LIKE '%_@_%' OR instr(NEW.value, char(0)) > 0
      OR NEW.value GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(8232) || char(8233) || ']*'
      OR instr(NEW.value, '"') = 0
         AND (CASE WHEN NEW.value LIKE '%<%>' THEN substr(NEW.value, instr(NEW.value, '<') + 1, length(NEW.value) - instr(NEW.value, '<') - 1)
                   ELSE NEW.value END
              -- No separator, white space or invisible character, and one @ with something on both sides.
              GLOB '*[ ,;<>' || char(128) || '-' || char(160) || char(173) || char(847) || char(1564)
                   || char(4447) || '-' || char(4448) || char(5760) || char(6068) || '-' || char(6069) || char(6155) || '-' || char(6159)
                   || char(8192) || '-' || char(8207) || char(8232) || '-' || char(8239) || char(8287) || '-' || char(8303)
                   || char(10240) || char(12288) || char(12644) || char(65024) || '-' || char(65039) || char(65279) || char(65440)
                   || char(65529) || '-' || char(65531) || char(917504) || '-' || char(921599) || ']*'
              OR NEW.value LIKE '%@%@%'
              OR CASE WHEN NEW.value LIKE '%<%>' THEN substr(NEW.value, instr(NEW.value, '<') + 1, length(NEW.value) - instr(NEW.value, '<') - 1)
                      ELSE NEW.value END NOT LIKE '%_@_%'
              OR NEW.value LIKE '%<%>' AND substr(NEW.value, 1, instr(NEW.value, '<') - 1) GLOB '*[,;@]*'))
BEGIN
    SELECT CASE NEW.field
        WHEN 'from' THEN RAISE(ABORT, 'outbox.payload.from: must be one email address, like anne@example.com or Anne <anne@example.com>')
        WHEN 'to' THEN RAISE(ABORT, 'outbox.payload.to: each entry must be one email address, like anne@example.com or Anne <anne@example.com>; write several as an array')
        WHEN 'cc' THEN RAISE(ABORT, 'outbox.payload.cc: each entry must be one email address, like anne@example.com or Anne <anne@example.com>; write several as an array')
        ELSE RAISE(ABORT, 'outbox.payload.bcc: each entry must be one email address, like anne@example.com or Anne <anne@example.com>; write several as an array')
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
        WHEN json_type(NEW.payload, '$.contactId') = 'real'
            THEN RAISE(ABORT, 'outbox.payload.contactId: must be a whole number without a decimal point; a driver has bound it as a float: bind an integer, or write CAST(? AS INTEGER)')
        WHEN json_type(NEW.payload, '$.contactId') = 'integer' AND typeof(json_extract(NEW.payload, '$.contactId')) <> 'integer'
            THEN RAISE(ABORT, 'outbox.payload.contactId: must be a whole number that fits in 64 bits')
        WHEN json_type(NEW.payload, '$.contactId') IS NOT 'integer'
            THEN RAISE(ABORT, 'outbox.payload.contactId: required for sms, a whole number')
        WHEN json_type(NEW.payload, '$.threadId') = 'real'
            THEN RAISE(ABORT, 'outbox.payload.threadId: must be a whole number without a decimal point; a driver has bound it as a float: bind an integer, or write CAST(? AS INTEGER)')
        WHEN json_type(NEW.payload, '$.threadId') = 'integer' AND typeof(json_extract(NEW.payload, '$.threadId')) <> 'integer'
            THEN RAISE(ABORT, 'outbox.payload.threadId: must be a whole number that fits in 64 bits')
        WHEN json_type(NEW.payload, '$.threadId') IS NOT 'integer'
             AND NOT (ifnull(json_type(NEW.payload, '$.threadId'), 'null') = 'null'
                      AND EXISTS (SELECT 1 FROM outbox_fill_missing WHERE channel = 'sms'))
            THEN RAISE(ABORT, 'outbox.payload.threadId: required for sms, a whole number (the case)')
        WHEN json_type(NEW.payload, '$.timelineId') = 'real'
            THEN RAISE(ABORT, 'outbox.payload.timelineId: must be a whole number without a decimal point; a driver has bound it as a float: bind an integer, or write CAST(? AS INTEGER)')
        WHEN json_type(NEW.payload, '$.timelineId') = 'integer' AND typeof(json_extract(NEW.payload, '$.timelineId')) <> 'integer'
            THEN RAISE(ABORT, 'outbox.payload.timelineId: must be a whole number that fits in 64 bits')
        WHEN json_type(NEW.payload, '$.timelineId') IS NOT 'integer'
             AND NOT (ifnull(json_type(NEW.payload, '$.timelineId'), 'null') = 'null'
                      AND EXISTS (SELECT 1 FROM outbox_fill_missing WHERE channel = 'sms'))
            THEN RAISE(ABORT, 'outbox.payload.timelineId: required for sms, a whole number')
        WHEN json_type(NEW.payload, '$.id') = 'real'
            THEN RAISE(ABORT, 'outbox.payload.id: must be a whole number without a decimal point; a driver has bound it as a float: bind an integer, or write CAST(? AS INTEGER)')
        WHEN ifnull(json_type(NEW.payload, '$.id'), 'null') NOT IN ('null', 'integer')
             OR typeof(json_extract(NEW.payload, '$.id')) = 'real'
            THEN RAISE(ABORT, 'outbox.payload.id: must be a whole number')
        WHEN ifnull(json_type(NEW.payload, '$.userType'), 'null') <> 'null'
             AND json_extract(NEW.payload, '$.userType') NOT IN ('user', 'contact')
            THEN RAISE(ABORT, 'outbox.payload.userType: must be user or contact')
    END;
END;

-- Keeps the order within a lane: once a job is due, the first one by (due_at, id) is the head, and the
-- others are parked behind it. Each lookup is an index seek, so the cost does not grow with the backlog.
CREATE VIEW outbox_elect AS SELECT lane FROM outbox WHERE 0;

-- Usually the next head is the first parked job. Only if the lane also has a scheduled job that is due and
-- has not been moved yet, the first of both kinds is next: outbox_elect_holder.
CREATE TRIGGER outbox_elect_parked INSTEAD OF INSERT ON outbox_elect
WHEN NEW.lane IS NOT NULL
     -- The clock is read only if the lane has a scheduled job.
     AND NOT (EXISTS (SELECT 1 FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'scheduled')
              AND EXISTS (SELECT 1 FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'scheduled'
                          AND w.due_at <= (SELECT now FROM outbox_clock)))
BEGIN
    -- A head that is not being sent yields to an earlier job that is due.
    UPDATE outbox SET wait = 'parked', holds = NULL, moves = moves + 1
    WHERE lane = NEW.lane AND holds = 1 AND status = 'pending'
      AND EXISTS (
          SELECT 1 FROM (SELECT w.due_at, w.id FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'parked'
                         ORDER BY w.due_at, w.id LIMIT 1) AS first
          WHERE (first.due_at, first.id) < (outbox.due_at, outbox.id));
    UPDATE outbox
    SET holds = 1, moves = moves + 1,
        wait = CASE WHEN next_attempt_at IS NOT NULL AND next_attempt_at > (SELECT now FROM outbox_clock)
            THEN 'backoff' ELSE 'ready' END
    -- Evaluated once, not for each parked job.
    WHERE NOT EXISTS (SELECT 1 FROM outbox h WHERE h.lane = NEW.lane AND h.holds = 1)
      AND id = (SELECT w.id FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'parked'
                ORDER BY w.due_at, w.id LIMIT 1);
END;

CREATE TRIGGER outbox_elect_holder INSTEAD OF INSERT ON outbox_elect
WHEN NEW.lane IS NOT NULL
     AND EXISTS (SELECT 1 FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'scheduled')
     AND EXISTS (SELECT 1 FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'scheduled'
                 AND w.due_at <= (SELECT now FROM outbox_clock))
BEGIN
    -- A head that is not being sent yields to an earlier job that is due.
    UPDATE outbox SET wait = 'parked', holds = NULL, moves = moves + 1
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
    SET holds = 1, moves = moves + 1,
        wait = CASE WHEN next_attempt_at IS NOT NULL AND next_attempt_at > (SELECT now FROM outbox_clock)
            THEN 'backoff' ELSE 'ready' END
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
END;

-- Puts a job into the queue: a new one, one that its producer changed, or one that is retried. It works
-- out the job's lane and time; outbox_place gives the job its place.
CREATE VIEW outbox_enqueue AS SELECT id FROM outbox WHERE 0;
CREATE VIEW outbox_place AS
SELECT id, lane, due_at, send_at, next_attempt_at, due_at AS now, case_id, contact_id, recipient FROM outbox WHERE 0;

CREATE TRIGGER outbox_enqueue_job INSTEAD OF INSERT ON outbox_enqueue
BEGIN
    UPDATE outbox SET wait = NULL, holds = NULL, moves = moves + 1 WHERE id = NEW.id AND wait IS NOT NULL;
    INSERT INTO outbox_place
    SELECT o.id, l.lane, o.due_at, o.send_at, o.next_attempt_at, (SELECT now FROM outbox_clock), l.case_id,
           l.contact_id, l.recipient
    FROM outbox AS o JOIN outbox_lanes AS l ON l.id = o.id WHERE o.id = NEW.id;
END;

-- A job that is due now never sorts before jobs already in its lane, even if the clock was set back. A job
-- that has a place keeps it: correcting its payload does not move it to the end.
CREATE TRIGGER outbox_place_job INSTEAD OF INSERT ON outbox_place
BEGIN
    UPDATE outbox
    SET lane = NEW.lane,
        due_at = CASE WHEN NEW.send_at IS NOT NULL THEN NEW.send_at WHEN NEW.due_at IS NOT NULL THEN NEW.due_at
            WHEN NEW.lane IS NULL THEN NEW.now
            ELSE max(NEW.now,
                ifnull((SELECT w.due_at FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'parked'
                        ORDER BY w.due_at DESC LIMIT 1), 0),
                ifnull((SELECT h.due_at FROM outbox h WHERE h.lane = NEW.lane AND h.holds = 1), 0)) END,
        (wait, holds) = (
            SELECT CASE WHEN NEW.send_at > NEW.now THEN 'scheduled' WHEN NOT place.first THEN 'parked'
                        WHEN NEW.next_attempt_at > NEW.now THEN 'backoff' ELSE 'ready' END,
                   CASE WHEN NEW.send_at > NEW.now THEN NULL WHEN place.first AND NEW.lane IS NOT NULL THEN 1 END
            -- LIMIT makes SQLite compute it once.
            FROM (SELECT NEW.lane IS NULL
                      OR (NOT EXISTS (SELECT 1 FROM outbox h WHERE h.lane = NEW.lane AND h.holds = 1)
                          AND NOT EXISTS (SELECT 1 FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'parked')
                          AND NOT EXISTS (SELECT 1 FROM outbox w WHERE w.lane = NEW.lane AND w.wait = 'scheduled'
                                          AND w.due_at <= NEW.now)) AS first LIMIT 1) AS place),
        updated_at = NEW.now, case_id = NEW.case_id, contact_id = NEW.contact_id, recipient = NEW.recipient,
        moves = moves + 1
    WHERE id = NEW.id;
    INSERT INTO outbox_elect (lane) SELECT NEW.lane FROM outbox WHERE id = NEW.id AND wait = 'parked';
    INSERT INTO outbox_copy SELECT NEW.id, NEW.recipient WHERE NEW.recipient LIKE '%@%';
END;

-- The other addresses of an email.
CREATE VIEW outbox_copy AS SELECT id, recipient FROM outbox WHERE 0;

CREATE TRIGGER outbox_copy_addresses INSTEAD OF INSERT ON outbox_copy
BEGIN
    DELETE FROM outbox_recipients WHERE job_id = NEW.id;
    INSERT INTO outbox_recipients (job_id, address)
    SELECT DISTINCT a.job_id, a.address FROM outbox_addresses AS a WHERE a.job_id = NEW.id AND a.address <> NEW.recipient;
END;

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
             OR NEW.delivery IS NOT NULL OR NEW.delivery_at IS NOT NULL
            THEN RAISE(ABORT, 'outbox: attempts, next_attempt_at, message_id, receipt, failure, error_code, error, updated_at, finished_at, delivery and delivery_at are written by the dispatcher; leave them out')
        WHEN NEW.lane IS NOT NULL OR NEW.due_at IS NOT NULL OR NEW.wait IS NOT NULL OR NEW.holds IS NOT NULL
             OR NEW.claimed_by IS NOT NULL OR NEW.unspent IS NOT 0 OR NEW.uncertain_attempts IS NOT 0
             OR NEW.budget_from IS NOT NULL OR NEW.moves IS NOT 0 OR NEW.verify_at IS NOT NULL
             OR NEW.verify_round IS NOT 0 OR NEW.verify_from IS NOT NULL OR NEW.verify_until IS NOT NULL
             OR NEW.verify_seen IS NOT NULL OR NEW.follow_at IS NOT NULL OR NEW.followed_at IS NOT NULL
             OR NEW.case_id IS NOT NULL OR NEW.contact_id IS NOT NULL OR NEW.recipient IS NOT NULL
            THEN RAISE(ABORT, 'outbox: lane, due_at, wait, holds, claimed_by, unspent, uncertain_attempts, budget_from, moves, case_id, contact_id, recipient, verify_... and follow... are the dispatcher''s own; leave them out')
        -- SQLite continues from the highest id ever used: an id near the end of the range would leave no room
        -- for others. If id is left out, NEW.id is -1 here.
        WHEN NEW.id > 1000000000000
            THEN RAISE(ABORT, 'outbox.id: must be from 1 to 1000000000000; leave id out and read last_insert_rowid()')
        WHEN EXISTS (SELECT 1 FROM outbox WHERE id = NEW.id)
            THEN RAISE(ABORT, 'outbox.id: is taken; leave id out and read last_insert_rowid()')
    END;
END;

-- INSERT OR REPLACE would delete the row that has the key, perhaps while its message is being sent, and
-- without recursive_triggers it fires no DELETE trigger. So a taken key is noted before the insert, and if
-- the row is inserted anyway, that is refused afterwards. The note that an ignored INSERT leaves behind has
-- no effect; the dispatcher's upkeep deletes it.
CREATE TRIGGER outbox_insert_taken BEFORE INSERT ON outbox
WHEN NEW.idempotency_key IS NOT NULL
BEGIN
    DELETE FROM outbox_taken_keys WHERE idempotency_key = NEW.idempotency_key;
    INSERT INTO outbox_taken_keys (idempotency_key)
    SELECT NEW.idempotency_key
    WHERE EXISTS (SELECT 1 FROM outbox WHERE idempotency_key = NEW.idempotency_key);
END;

CREATE TRIGGER outbox_insert_replaced AFTER INSERT ON outbox
WHEN NEW.idempotency_key IS NOT NULL
     AND EXISTS (SELECT 1 FROM outbox_taken_keys WHERE idempotency_key = NEW.idempotency_key)
BEGIN
    SELECT RAISE(ABORT, 'outbox.idempotency_key: is taken; use INSERT OR IGNORE or ON CONFLICT DO NOTHING, not REPLACE');
END;

CREATE TRIGGER outbox_inserted AFTER INSERT ON outbox
BEGIN
    -- Before an insert, an id that is left out reads as -1: a row with that id would make every later one
    -- look taken. After the highest possible id, AUTOINCREMENT has none left.
    SELECT RAISE(ABORT, 'outbox.id: must be from 1 to 1000000000000; leave id out and read last_insert_rowid()')
    WHERE NEW.id NOT BETWEEN 1 AND 9007199254740991;
    UPDATE outbox
    SET (send_at, expires_at, created_at) =
        (SELECT t.send_at, t.expires_at, t.created_at FROM outbox_times AS t WHERE t.id = NEW.id)
    WHERE id = NEW.id
      AND (typeof(send_at) = 'text' OR typeof(expires_at) = 'text' OR typeof(created_at) = 'text');
    INSERT INTO outbox_enqueue (id) VALUES (NEW.id);
END;

-- A producer may change what it wrote until the job is being sent, and again before a retry.
CREATE TRIGGER outbox_change_check
BEFORE UPDATE OF id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                 max_attempts, source, created_at ON outbox
WHEN OLD.status <> 'sent'
BEGIN
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id THEN RAISE(ABORT, 'outbox.id: cannot be changed')
        WHEN (OLD.status = 'sending' OR OLD.wait = 'verifying')
             AND NOT (NEW.channel IS OLD.channel AND NEW.account IS OLD.account AND NEW.ordering_key IS OLD.ordering_key
                      AND NEW.priority IS OLD.priority AND NEW.send_at IS OLD.send_at AND NEW.expires_at IS OLD.expires_at
                      AND NEW.max_attempts IS OLD.max_attempts AND NEW.source IS OLD.source
                      AND NEW.created_at IS OLD.created_at AND NEW.payload IS OLD.payload
                      AND NEW.idempotency_key IS OLD.idempotency_key)
            THEN CASE OLD.status WHEN 'sending'
                THEN RAISE(ABORT, 'outbox: a job that is sending cannot be changed; wait until its attempt has ended')
                ELSE RAISE(ABORT, 'outbox: a job that is being verified cannot be changed; wait until that has ended, or resolve it first') END
        WHEN NEW.idempotency_key IS NOT OLD.idempotency_key AND OLD.status <> 'pending'
            THEN RAISE(ABORT, 'outbox.idempotency_key: can only be changed while the job is pending')
        -- UPDATE OR REPLACE would delete the job that has the key.
        WHEN NEW.idempotency_key IS NOT OLD.idempotency_key
             AND EXISTS (SELECT 1 FROM outbox WHERE idempotency_key = NEW.idempotency_key)
            THEN RAISE(ABORT, 'outbox.idempotency_key: is taken')
    END;
    INSERT INTO outbox_check
    VALUES (NEW.channel, NEW.payload, NEW.account, NEW.idempotency_key, NEW.ordering_key, NEW.priority,
            NEW.send_at, NEW.expires_at, NEW.max_attempts, NEW.source, NEW.created_at);
END;

-- A sent message may only be scrubbed.
CREATE TRIGGER outbox_scrub_check
BEFORE UPDATE OF id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                 max_attempts, source, created_at ON outbox
WHEN OLD.status = 'sent'
BEGIN
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id THEN RAISE(ABORT, 'outbox.id: cannot be changed')
        WHEN NEW.idempotency_key IS NOT OLD.idempotency_key
            THEN RAISE(ABORT, 'outbox.idempotency_key: can only be changed while the job is pending')
        WHEN NEW.channel IS OLD.channel AND NEW.account IS OLD.account AND NEW.ordering_key IS OLD.ordering_key
             AND NEW.priority IS OLD.priority AND NEW.send_at IS OLD.send_at AND NEW.expires_at IS OLD.expires_at
             AND NEW.max_attempts IS OLD.max_attempts AND NEW.source IS OLD.source AND NEW.created_at IS OLD.created_at
             AND (NEW.payload IS OLD.payload
                  OR NEW.payload IS (SELECT s.payload FROM outbox_scrubbed s WHERE s.id = OLD.id)) THEN NULL
        ELSE RAISE(ABORT, 'outbox: a sent message cannot be changed; its payload can only become that of outbox_scrubbed')
    END;
END;

-- Scrubbed, or corrected before a retry: outbox_changed is for what is pending.
CREATE TRIGGER outbox_changed_payload AFTER UPDATE OF channel, payload ON outbox
WHEN NEW.status <> 'pending' AND (NEW.payload IS NOT OLD.payload OR NEW.channel IS NOT OLD.channel)
BEGIN
    -- Scrubbed: so are the earlier ones.
    UPDATE outbox_acts SET payload = NULL WHERE job_id = NEW.id AND payload IS NOT NULL AND OLD.status = 'sent';
    DELETE FROM outbox_recipients WHERE job_id = NEW.id;
    UPDATE outbox
    SET (case_id, contact_id, recipient) =
        (SELECT l.case_id, l.contact_id, l.recipient FROM outbox_lanes AS l WHERE l.id = NEW.id), moves = moves + 1
    WHERE id = NEW.id;
    INSERT INTO outbox_copy SELECT id, recipient FROM outbox WHERE id = NEW.id AND recipient LIKE '%@%';
END;

CREATE TRIGGER outbox_changed_times AFTER UPDATE OF send_at, expires_at, created_at ON outbox
WHEN typeof(NEW.send_at) = 'text' OR typeof(NEW.expires_at) = 'text' OR typeof(NEW.created_at) = 'text'
BEGIN
    UPDATE outbox
    SET (send_at, expires_at, created_at) =
        (SELECT t.send_at, t.expires_at, t.created_at FROM outbox_times AS t WHERE t.id = NEW.id)
    WHERE id = NEW.id;
END;

-- Not for the change from text to milliseconds during an INSERT (wait is NULL until the job is enqueued), nor
-- for an ORM that writes the same values again.
CREATE TRIGGER outbox_changed AFTER UPDATE OF channel, payload, account, ordering_key, send_at ON outbox
WHEN NEW.status = 'pending' AND OLD.status = 'pending' AND OLD.wait IS NOT NULL
     AND (NEW.channel IS NOT OLD.channel OR NEW.payload IS NOT OLD.payload OR NEW.account IS NOT OLD.account
          OR NEW.ordering_key IS NOT OLD.ordering_key OR NEW.send_at IS NOT OLD.send_at)
BEGIN
    UPDATE outbox SET due_at = NULL, moves = moves + 1
    WHERE id = NEW.id AND NEW.send_at IS NULL AND OLD.send_at IS NOT NULL;
    INSERT INTO outbox_enqueue (id) VALUES (NEW.id);
    INSERT INTO outbox_elect (lane) VALUES (OLD.lane);
END;

-- Who changes what was inserted, but not the change from text to milliseconds that follows, nor the dispatcher's.
CREATE TRIGGER outbox_change_noted
AFTER UPDATE OF channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at, max_attempts,
                source, created_at ON outbox
WHEN OLD.status <> 'sent' AND (OLD.wait IS NOT NULL OR OLD.status <> 'pending') AND NEW.moves IS OLD.moves
     AND typeof(OLD.send_at) <> 'text' AND typeof(OLD.expires_at) <> 'text' AND typeof(OLD.created_at) <> 'text'
     AND (NEW.channel IS NOT OLD.channel OR NEW.payload IS NOT OLD.payload OR NEW.account IS NOT OLD.account
          OR NEW.idempotency_key IS NOT OLD.idempotency_key OR NEW.ordering_key IS NOT OLD.ordering_key
          OR NEW.priority IS NOT OLD.priority OR NEW.send_at IS NOT OLD.send_at
          OR NEW.expires_at IS NOT OLD.expires_at OR NEW.max_attempts IS NOT OLD.max_attempts
          OR NEW.source IS NOT OLD.source OR NEW.created_at IS NOT OLD.created_at)
BEGIN
    INSERT INTO outbox_act (job_id, deed, detail) SELECT NEW.id, 'change', substr(
        CASE WHEN NEW.channel IS NOT OLD.channel THEN ', channel' ELSE '' END
        || CASE WHEN NEW.payload IS NOT OLD.payload THEN ', payload' ELSE '' END
        || CASE WHEN NEW.account IS NOT OLD.account THEN ', account' ELSE '' END
        || CASE WHEN NEW.idempotency_key IS NOT OLD.idempotency_key THEN ', idempotency_key' ELSE '' END
        || CASE WHEN NEW.ordering_key IS NOT OLD.ordering_key THEN ', ordering_key' ELSE '' END
        || CASE WHEN NEW.priority IS NOT OLD.priority THEN ', priority' ELSE '' END
        || CASE WHEN NEW.send_at IS NOT OLD.send_at THEN ', send_at' ELSE '' END
        || CASE WHEN NEW.expires_at IS NOT OLD.expires_at THEN ', expires_at' ELSE '' END
        || CASE WHEN NEW.max_attempts IS NOT OLD.max_attempts THEN ', max_attempts' ELSE '' END
        || CASE WHEN NEW.source IS NOT OLD.source THEN ', source' ELSE '' END
        || CASE WHEN NEW.created_at IS NOT OLD.created_at THEN ', created_at' ELSE '' END, 3);
END;

-- The state machine, and the dispatcher's columns. Each change of these by the triggers or the dispatcher
-- increments `moves`; an UPDATE by a person does not, nor does an ORM that writes back an old state of the
-- row. One AFTER trigger, because a BEFORE trigger makes SQLite read the whole row once more. For the
-- dispatcher's own two moves, a claim and the record of an attempt, only the WHEN is evaluated. If
-- outbox_moved fires first, a refusal here undoes what it did.
CREATE TRIGGER outbox_update_check
AFTER UPDATE OF status, attempts, next_attempt_at, message_id, receipt, failure, error_code, error, updated_at,
                finished_at, delivery, delivery_at, lane, due_at, wait, holds, claimed_by, unspent, uncertain_attempts,
                budget_from, verify_at, verify_round, verify_from, verify_until, verify_seen, follow_at, followed_at,
                case_id, contact_id, recipient, moves ON outbox
WHEN (NEW.moves IS NOT OLD.moves + 1 AND NEW.moves IS NOT OLD.moves + 2)
     OR (NEW.status IS NOT OLD.status
         AND (OLD.status <> 'pending' OR NEW.status <> 'sending' OR NEW.claimed_by IS NULL
              OR NEW.attempts <> OLD.attempts + 1)
         AND (OLD.status <> 'sending' OR NEW.claimed_by IS NOT NULL
              OR (NEW.status <> 'sent' AND NEW.status <> 'pending' AND NEW.status <> 'failed' AND NEW.status <> 'uncertain')))
BEGIN
    SELECT CASE
        WHEN NEW.status IS OLD.status THEN NULL
        WHEN OLD.status = 'pending' AND NEW.status = 'cancelled' THEN NULL
        WHEN OLD.status = 'pending' AND NEW.status = 'failed'
             AND (NEW.failure = 'expired' OR NEW.failure = 'invalid') THEN NULL
        WHEN NEW.status = 'pending'
             AND (OLD.status = 'failed' OR OLD.status = 'cancelled' OR OLD.status = 'uncertain') THEN NULL
        WHEN OLD.status = 'uncertain' AND (NEW.status = 'sent' OR NEW.status = 'failed') THEN NULL
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
    -- A retry clears what the last attempt left, whoever makes it.
    INSERT INTO outbox_check_own
    SELECT NEW.status, OLD.status, NEW.attempts IS NOT OLD.attempts,
        NEW.next_attempt_at IS NOT OLD.next_attempt_at AND NOT (again AND NEW.next_attempt_at IS NULL),
        NEW.message_id IS NOT OLD.message_id AND NOT (again AND NEW.message_id IS NULL),
        NEW.receipt IS NOT OLD.receipt AND NOT (again AND NEW.receipt IS NULL),
        NEW.failure IS NOT OLD.failure AND NOT (again AND NEW.failure IS NULL),
        NEW.error_code IS NOT OLD.error_code AND NOT (again AND NEW.error_code IS NULL),
        NEW.error IS NOT OLD.error AND NOT (again AND NEW.error IS NULL),
        NEW.finished_at IS NOT OLD.finished_at AND NOT (again AND NEW.finished_at IS NULL)
            AND NOT (OLD.finished_at IS NOT NULL AND ifnull(CASE typeof(NEW.finished_at)
                WHEN 'integer' THEN NEW.finished_at
                WHEN 'text' THEN CAST(round((julianday(NEW.finished_at) - 2440587.5) * 86400000.0) AS INTEGER) END
                BETWEEN 946684800000 AND (SELECT now FROM outbox_clock), 0)),
        NEW.delivery IS NOT OLD.delivery AND NOT (again AND NEW.delivery IS NULL),
        NEW.delivery_at IS NOT OLD.delivery_at AND NOT (again AND NEW.delivery_at IS NULL),
        NEW.lane IS NOT OLD.lane OR NEW.due_at IS NOT OLD.due_at OR NEW.wait IS NOT OLD.wait
            OR NEW.holds IS NOT OLD.holds OR NEW.claimed_by IS NOT OLD.claimed_by OR NEW.unspent IS NOT OLD.unspent
            OR NEW.uncertain_attempts IS NOT OLD.uncertain_attempts OR NEW.budget_from IS NOT OLD.budget_from
            OR NEW.verify_at IS NOT OLD.verify_at OR NEW.verify_round IS NOT OLD.verify_round
            OR NEW.verify_from IS NOT OLD.verify_from OR NEW.verify_until IS NOT OLD.verify_until
            OR NEW.verify_seen IS NOT OLD.verify_seen OR NEW.follow_at IS NOT OLD.follow_at
            OR NEW.followed_at IS NOT OLD.followed_at OR NEW.case_id IS NOT OLD.case_id
            OR NEW.contact_id IS NOT OLD.contact_id OR NEW.recipient IS NOT OLD.recipient OR NEW.moves IS NOT OLD.moves,
        typeof(NEW.message_id) IN ('text', 'null') AND typeof(NEW.error_code) IN ('text', 'null')
            AND typeof(NEW.error) IN ('text', 'null')
            AND ifnull(NEW.failure IN ('rejected', 'exhausted', 'expired', 'invalid'), 1)
    FROM (SELECT NEW.status = 'pending' AND OLD.status <> 'pending' AS again LIMIT 1)
    WHERE NEW.moves IS NOT OLD.moves + 1 AND NEW.moves IS NOT OLD.moves + 2;
    UPDATE outbox
    SET finished_at = CAST(round((julianday(finished_at) - 2440587.5) * 86400000.0) AS INTEGER), moves = moves + 1
    WHERE id = NEW.id AND typeof(NEW.finished_at) = 'text' AND NEW.moves IS OLD.moves;
    -- An ORM may set updated_at: it becomes the current time. While a job is sending, updated_at stays the
    -- time of its claim.
    UPDATE outbox
    SET updated_at = CASE OLD.status WHEN 'sending' THEN OLD.updated_at ELSE (SELECT now FROM outbox_clock) END,
        moves = moves + 1
    WHERE id = NEW.id AND NEW.updated_at IS NOT OLD.updated_at AND NEW.moves IS OLD.moves;
END;

-- Which of the dispatcher's columns an UPDATE from outside has changed: a flag for each.
CREATE VIEW outbox_check_own AS
SELECT status AS becomes, status AS was, attempts, next_attempt_at, message_id, receipt, failure, error_code, error,
       finished_at, delivery, delivery_at, 0 AS helpers, 0 AS readable
FROM outbox WHERE 0;

CREATE TRIGGER outbox_check_own_columns INSTEAD OF INSERT ON outbox_check_own
BEGIN
    SELECT CASE
        WHEN NEW.attempts
            THEN RAISE(ABORT, 'outbox.attempts: is written by the dispatcher and cannot be changed; to send a finished job again set status = ''pending'' and nothing else')
        WHEN NEW.next_attempt_at
            THEN RAISE(ABORT, 'outbox.next_attempt_at: is written by the dispatcher and cannot be changed; to send the job at another time set send_at')
        WHEN NEW.receipt THEN RAISE(ABORT, 'outbox.receipt: is written by the dispatcher and cannot be changed')
        WHEN NEW.finished_at
            THEN RAISE(ABORT, 'outbox.finished_at: is written by the dispatcher; of a finished job it can be set to an earlier time')
        WHEN NEW.delivery THEN RAISE(ABORT, 'outbox.delivery: is written by the dispatcher and cannot be changed')
        WHEN NEW.delivery_at THEN RAISE(ABORT, 'outbox.delivery_at: is written by the dispatcher and cannot be changed')
        WHEN NEW.helpers
            THEN RAISE(ABORT, 'outbox: lane, due_at, wait, holds, claimed_by, unspent, uncertain_attempts, budget_from, moves, case_id, contact_id, recipient, verify_... and follow... are the dispatcher''s own and cannot be changed')
        -- Whoever resolves an uncertain job may also set its ids and its error; whoever fails a pending one must
        -- say why.
        WHEN NEW.was = 'uncertain' AND (NEW.becomes = 'sent' OR NEW.becomes = 'failed') AND NEW.readable THEN NULL
        WHEN NEW.message_id
            THEN RAISE(ABORT, 'outbox.message_id: is written by the dispatcher and cannot be changed')
        WHEN NEW.was = 'pending' AND NEW.becomes = 'failed' AND NEW.readable THEN NULL
        WHEN NEW.failure THEN RAISE(ABORT, 'outbox.failure: is written by the dispatcher and cannot be changed')
        WHEN NEW.error_code THEN RAISE(ABORT, 'outbox.error_code: is written by the dispatcher and cannot be changed')
        WHEN NEW.error THEN RAISE(ABORT, 'outbox.error: is written by the dispatcher and cannot be changed')
    END;
END;

-- What follows a move. A claim needs nothing; a record needs it only if jobs wait in its lane.
CREATE VIEW outbox_move AS SELECT id, lane, status AS was, status AS becomes, failure, 0 AS by_a_person FROM outbox WHERE 0;

-- If `moves` grows by two, the dispatcher has made the change, and moves up the next jobs itself: its cycle
-- those of all lanes by one statement.
CREATE TRIGGER outbox_moved AFTER UPDATE OF status ON outbox
WHEN NEW.status <> 'sending' AND NEW.status <> OLD.status
     AND ((OLD.status <> 'sending' AND NOT (OLD.status = 'uncertain' AND NEW.moves IS OLD.moves + 2))
          OR (OLD.status = 'sending' AND NEW.moves IS NOT OLD.moves + 2 AND OLD.lane IS NOT NULL
              AND (EXISTS (SELECT 1 FROM outbox w WHERE w.lane = OLD.lane AND w.wait = 'parked')
                   OR EXISTS (SELECT 1 FROM outbox w WHERE w.lane = OLD.lane AND w.wait = 'scheduled'))))
BEGIN
    INSERT INTO outbox_move VALUES (NEW.id, OLD.lane, OLD.status, NEW.status, NEW.failure, NEW.moves IS OLD.moves);
END;

CREATE TRIGGER outbox_move_noted INSTEAD OF INSERT ON outbox_move
WHEN NEW.by_a_person
BEGIN
    INSERT INTO outbox_act (job_id, deed) VALUES (NEW.id, CASE NEW.becomes WHEN 'pending' THEN 'retry'
        WHEN 'cancelled' THEN 'cancel' WHEN 'sent' THEN 'resolve_sent'
        ELSE CASE NEW.was WHEN 'uncertain' THEN 'resolve_failed' ELSE 'fail' END END);
END;

-- The dispatcher has recorded an attempt: its lane is free, or an earlier job goes before its next attempt.
CREATE TRIGGER outbox_recorded INSTEAD OF INSERT ON outbox_move
WHEN NEW.was = 'sending'
BEGIN
    INSERT INTO outbox_elect (lane) VALUES (NEW.lane);
END;

-- Retried by a person.
CREATE TRIGGER outbox_redriven INSTEAD OF INSERT ON outbox_move
WHEN NEW.becomes = 'pending' AND NEW.was <> 'sending'
BEGIN
    UPDATE outbox
    SET unspent = attempts, uncertain_attempts = 0, budget_from = NULL, next_attempt_at = NULL, message_id = NULL,
        -- A send_at that has been removed since gives no place in the lane.
        due_at = CASE WHEN send_at IS NULL AND due_at > (SELECT now FROM outbox_clock) THEN NULL ELSE due_at END,
        receipt = NULL, failure = NULL, error_code = NULL, error = NULL, finished_at = NULL, verify_at = NULL,
        verify_round = 0, verify_from = NULL, verify_until = NULL, verify_seen = NULL, delivery = NULL,
        delivery_at = NULL, follow_at = NULL, followed_at = NULL, moves = moves + 1
    WHERE id = NEW.id;
    DELETE FROM outbox_set_aside WHERE job_id = NEW.id;
    INSERT INTO outbox_enqueue (id) VALUES (NEW.id);
END;

-- Cancelled by anyone, or expired.
CREATE TRIGGER outbox_withdrawn INSTEAD OF INSERT ON outbox_move
WHEN NEW.was = 'pending'
BEGIN
    UPDATE outbox
    SET wait = NULL, holds = NULL, next_attempt_at = NULL, updated_at = (SELECT now FROM outbox_clock),
        finished_at = (SELECT now FROM outbox_clock), moves = moves + 1
    WHERE id = NEW.id;
    DELETE FROM outbox_set_aside WHERE job_id = NEW.id AND NEW.becomes = 'cancelled';
    INSERT INTO outbox_elect (lane) VALUES (NEW.lane);
END;

-- Resolved by a person.
CREATE TRIGGER outbox_resolved INSTEAD OF INSERT ON outbox_move
WHEN NEW.was = 'uncertain' AND NEW.becomes <> 'pending'
BEGIN
    UPDATE outbox
    SET failure = CASE NEW.becomes WHEN 'failed' THEN ifnull(NEW.failure, 'exhausted') END,
        wait = NULL, holds = NULL, verify_at = NULL,
        updated_at = (SELECT now FROM outbox_clock), finished_at = (SELECT now FROM outbox_clock), moves = moves + 1
    WHERE id = NEW.id;
    DELETE FROM outbox_set_aside WHERE job_id = NEW.id;
    -- It has held back the later jobs of its lane only while it was verified.
    INSERT INTO outbox_elect (lane) VALUES (NEW.lane);
END;

-- The dispatcher has found a scheduled job due: it takes its place in its lane. The trigger watches due_at,
-- which only that statement and the triggers write, because every move writes wait.
CREATE TRIGGER outbox_due AFTER UPDATE OF due_at ON outbox
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
    DELETE FROM outbox_acts WHERE job_id = OLD.id;
    DELETE FROM outbox_set_aside WHERE job_id = OLD.id;
    DELETE FROM outbox_recipients WHERE job_id = OLD.id;
    INSERT INTO outbox_elect (lane) SELECT OLD.lane WHERE OLD.holds = 1;
END;

-- As for a job: values that a person writes must be readable by every client.
CREATE VIEW outbox_check_pause AS SELECT account, channel, reason, since, until FROM outbox_pauses WHERE 0;

CREATE TRIGGER outbox_check_pause_row INSTEAD OF INSERT ON outbox_check_pause
BEGIN
    SELECT CASE
        WHEN NEW.channel IS NULL OR NEW.channel NOT IN ('', 'chat', 'mail', 'sms')
            THEN RAISE(ABORT, 'outbox_pauses.channel: must be chat, mail or sms, or empty for every channel')
        WHEN typeof(NEW.account) <> 'text' OR NEW.account GLOB '*[^ -~]*' OR instr(NEW.account, char(0)) > 0
            THEN RAISE(ABORT, 'outbox_pauses.account: must be the name of an account, or empty for every account')
        WHEN typeof(NEW.reason) <> 'text' THEN RAISE(ABORT, 'outbox_pauses.reason: must be text')
        WHEN typeof(NEW.since) <> 'integer' OR NEW.since NOT BETWEEN 946684800000 AND 253402300799999
            THEN RAISE(ABORT, 'outbox_pauses.since: must be Unix milliseconds; leave it out to use the current time')
        WHEN NEW.until IS NOT NULL AND ifnull(CASE typeof(NEW.until) WHEN 'integer' THEN NEW.until
                WHEN 'text' THEN CAST(round((julianday(NEW.until) - 2440587.5) * 86400000.0) AS INTEGER) END
                NOT BETWEEN 946684800000 AND 253402300799999, 1)
            THEN RAISE(ABORT, 'outbox_pauses.until: must be a time, like datetime(''now'', ''+1 hour''), or Unix milliseconds; leave it out for a pause that a person ends')
    END;
    INSERT INTO outbox_check_text SELECT 'reason', NEW.reason WHERE NEW.reason GLOB '*[^ -~]*';
END;

CREATE TRIGGER outbox_pauses_check BEFORE INSERT ON outbox_pauses
BEGIN
    INSERT INTO outbox_check_pause VALUES (NEW.account, NEW.channel, NEW.reason, NEW.since, NEW.until);
END;

CREATE TRIGGER outbox_pauses_changed BEFORE UPDATE OF reason, since, until ON outbox_pauses
BEGIN
    INSERT INTO outbox_check_pause VALUES (NEW.account, NEW.channel, NEW.reason, NEW.since, NEW.until);
END;

CREATE TRIGGER outbox_pauses_end_inserted AFTER INSERT ON outbox_pauses WHEN typeof(NEW.until) = 'text'
BEGIN
    UPDATE outbox_pauses SET until = CAST(round((julianday(until) - 2440587.5) * 86400000.0) AS INTEGER)
    WHERE account = NEW.account AND channel = NEW.channel;
END;

CREATE TRIGGER outbox_pauses_end_changed AFTER UPDATE OF until ON outbox_pauses WHEN typeof(NEW.until) = 'text'
BEGIN
    UPDATE outbox_pauses SET until = CAST(round((julianday(until) - 2440587.5) * 86400000.0) AS INTEGER)
    WHERE account = NEW.account AND channel = NEW.channel;
END;

CREATE TRIGGER outbox_pauses_fixed BEFORE UPDATE OF account, channel ON outbox_pauses
BEGIN
    SELECT RAISE(ABORT, 'outbox_pauses: what is paused cannot be changed; delete the row and insert another');
END;
