-- For those who run it: pauses that outlive every process, and messages whose text is removed once
-- they have been delivered.

-- What a person has paused: nothing of it is claimed, what is on the wire goes on. An empty account
-- is every account, an empty channel every channel. Plain SQL is a full client of it, too.
CREATE TABLE outbox_pauses (
    account TEXT    NOT NULL DEFAULT '',
    channel TEXT    NOT NULL DEFAULT '',
    reason  TEXT    NOT NULL DEFAULT '',
    since   INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)),
    PRIMARY KEY (account, channel)
) WITHOUT ROWID;

CREATE TRIGGER outbox_pauses_check BEFORE INSERT ON outbox_pauses
BEGIN
    SELECT CASE
        WHEN NEW.channel NOT IN ('', 'chat', 'mail', 'sms')
            THEN RAISE(ABORT, 'outbox_pauses.channel: must be chat, mail or sms, or empty for every channel')
        WHEN typeof(NEW.account) <> 'text'
            THEN RAISE(ABORT, 'outbox_pauses.account: must be the name of an account, or empty for every account')
        WHEN typeof(NEW.reason) <> 'text' THEN RAISE(ABORT, 'outbox_pauses.reason: must be text')
        WHEN typeof(NEW.since) <> 'integer'
            THEN RAISE(ABORT, 'outbox_pauses.since: must be Unix milliseconds; leave it out for now')
    END;
END;

CREATE TRIGGER outbox_pauses_fixed BEFORE UPDATE OF account, channel ON outbox_pauses
BEGIN
    SELECT RAISE(ABORT, 'outbox_pauses: what is paused cannot be changed; delete the row and insert another');
END;

-- What is left of a payload once the message's words and addresses are taken out of it: the ids.
CREATE VIEW outbox_scrubbed AS
SELECT id, channel, CASE WHEN json_valid(payload) THEN json_patch('{"scrubbed":true}', json_object(
        'caseId', json_extract(payload, '$.caseId'), 'contactId', json_extract(payload, '$.contactId'),
        'threadId', json_extract(payload, '$.threadId'), 'timelineId', json_extract(payload, '$.timelineId')))
    ELSE '{"scrubbed":true}' END AS payload
FROM outbox;

-- How far scrubbing has got: of a channel, what was sent until then is done.
CREATE TABLE outbox_scrubbing (
    channel     TEXT PRIMARY KEY,
    finished_at INTEGER NOT NULL,
    id          INTEGER NOT NULL
) WITHOUT ROWID;

-- As before, but that a sent message may be scrubbed.
DROP TRIGGER outbox_change_check;

CREATE TRIGGER outbox_change_check
BEFORE UPDATE OF id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                 max_attempts, source, created_at ON outbox
WHEN OLD.status <> 'sent'
BEGIN
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id THEN RAISE(ABORT, 'outbox.id: cannot be changed')
        WHEN NEW.idempotency_key IS NOT OLD.idempotency_key
            THEN RAISE(ABORT, 'outbox.idempotency_key: cannot be changed')
        WHEN OLD.status = 'sending'
            THEN RAISE(ABORT, 'outbox: a job that is sending cannot be changed; wait until its attempt has ended')
    END;
    INSERT INTO outbox_check
    VALUES (NEW.channel, NEW.payload, NEW.account, NEW.idempotency_key, NEW.ordering_key, NEW.priority,
            NEW.send_at, NEW.expires_at, NEW.max_attempts, NEW.source, NEW.created_at);
END;

CREATE TRIGGER outbox_scrub_check
BEFORE UPDATE OF id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                 max_attempts, source, created_at ON outbox
WHEN OLD.status = 'sent'
BEGIN
    SELECT CASE
        WHEN NEW.id IS NOT OLD.id THEN RAISE(ABORT, 'outbox.id: cannot be changed')
        WHEN NEW.idempotency_key IS NOT OLD.idempotency_key
            THEN RAISE(ABORT, 'outbox.idempotency_key: cannot be changed')
        WHEN NEW.channel IS OLD.channel AND NEW.account IS OLD.account AND NEW.ordering_key IS OLD.ordering_key
             AND NEW.priority IS OLD.priority AND NEW.send_at IS OLD.send_at AND NEW.expires_at IS OLD.expires_at
             AND NEW.max_attempts IS OLD.max_attempts AND NEW.source IS OLD.source AND NEW.created_at IS OLD.created_at
             AND NEW.payload IS (SELECT s.payload FROM outbox_scrubbed s WHERE s.id = OLD.id) THEN NULL
        ELSE RAISE(ABORT, 'outbox: a sent message cannot be changed; its payload can only become that of outbox_scrubbed')
    END;
END;
