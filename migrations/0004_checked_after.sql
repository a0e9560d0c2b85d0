-- The state machine is checked after a move instead of before it: one BEFORE trigger makes SQLite read
-- the whole row once more. The dispatcher's two moves end with the WHEN; all others are checked, with
-- the sentences of before. Where what follows a move (outbox_moved) comes first, a refusal undoes it.
-- A status of NULL is now refused by the column itself.

DROP TRIGGER outbox_status_check;

-- Leaving `sending` takes the claim along (claimed_by goes back to NULL in the same UPDATE), which a
-- person's plain `UPDATE ... SET status` does not.
CREATE TRIGGER outbox_status_check AFTER UPDATE OF status ON outbox
WHEN NEW.status IS NOT OLD.status
     AND (OLD.status <> 'pending' OR NEW.status <> 'sending' OR NEW.claimed_by IS NULL
          OR NEW.attempts <> OLD.attempts + 1)
     AND (OLD.status <> 'sending' OR NEW.claimed_by IS NOT NULL
          OR (NEW.status <> 'sent' AND NEW.status <> 'pending' AND NEW.status <> 'failed' AND NEW.status <> 'uncertain'))
BEGIN
    SELECT CASE
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
END;
