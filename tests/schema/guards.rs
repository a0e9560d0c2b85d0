//! What an UPDATE may change: the producer's columns while a job waits, and none of the
//! dispatcher's columns.

use super::{CHAT, chat, in_both};

/// A job in backoff, one that is sending, one that failed, an uncertain one and a fresh one, with
/// ids in this order.
const JOBS: &str = "
    INSERT INTO outbox (channel, payload, ordering_key, idempotency_key)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5)
    SELECT 'chat', '{\"caseId\":1,\"message\":\"hi\"}', '', 'key-' || i FROM n;
    UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = 1, claimed_by = 1, budget_from = updated_at WHERE id < 5;
    UPDATE outbox SET status = 'pending', wait = 'backoff', moves = moves + 1, claimed_by = NULL, error = 'down', error_code = 'http_503',
        next_attempt_at = updated_at + 60000 WHERE id = 1;
    UPDATE outbox SET status = 'failed', failure = 'rejected', moves = moves + 1, claimed_by = NULL, error = 'no', finished_at = updated_at
        WHERE id = 3;
    UPDATE outbox SET status = 'uncertain', moves = moves + 1, claimed_by = NULL, error = 'lost' WHERE id = 4";

/// Every column in which a change would show.
const ROWS: &str = "SELECT id, status, attempts, next_attempt_at, message_id, receipt, failure, error_code, error,
    finished_at, lane, due_at, wait, holds, claimed_by, unspent, uncertain_attempts, budget_from FROM outbox";

#[test]
fn a_column_of_the_dispatchers_cannot_be_changed_in_any_state() {
    in_both(|sql| {
        sql(JOBS).unwrap();
        let before = sql(ROWS).unwrap();
        let own = "outbox: lane, due_at, wait, holds, claimed_by, unspent, uncertain_attempts, budget_from, moves, case_id, contact_id, recipient, verify_... and follow...";
        for (change, sentence) in [
            ("next_attempt_at = datetime('now', '+1 hour')", "outbox.next_attempt_at: "),
            ("next_attempt_at = 1.5", "outbox.next_attempt_at: "),
            ("attempts = attempts + 0.5", "outbox.attempts: "),
            ("attempts = 'three'", "outbox.attempts: "),
            ("attempts = -1", "outbox.attempts: "),
            ("message_id = '77'", "outbox.message_id: "),
            ("receipt = '{}'", "outbox.receipt: "),
            ("failure = 'invalid'", "outbox.failure: "),
            ("error_code = 'x'", "outbox.error_code: "),
            ("error = 'x'", "outbox.error: "),
            ("finished_at = 'yesterday'", "outbox.finished_at: "),
            ("finished_at = '2090-01-01'", "outbox.finished_at: "),
            ("finished_at = 1700000000", "outbox.finished_at: "),
            ("lane = 'key:other'", own),
            ("due_at = '2026-11-25'", own),
            ("wait = 'whenever'", own),
            ("holds = 2", own),
            ("claimed_by = 7", own),
            ("unspent = 'some'", own),
            ("uncertain_attempts = x'00'", own),
            ("budget_from = '2026-11-25'", own),
            ("verify_at = 1764000000000", own),
            ("verify_round = verify_round + 1", own),
            ("verify_seen = '[]'", own),
            ("follow_at = 1764000000000", own),
            ("followed_at = 1764000000000", own),
            ("delivery = 'seen'", "outbox.delivery: "),
            ("delivery_at = 1764000000000", "outbox.delivery_at: "),
            ("case_id = 5", own),
            ("contact_id = 5", own),
            ("recipient = '1'", own),
            // By one or two it grows with each of the dispatcher's own changes.
            ("moves = moves + 3", own),
        ] {
            for id in 1..=5 {
                let update = format!("UPDATE outbox SET {change} WHERE id = {id}");
                let refused = sql(&update).expect_err(&update);
                assert!(refused.contains(sentence), "{update}: {refused}");
                let ignored = format!("UPDATE OR IGNORE outbox SET {change} WHERE id = {id}");
                sql(&ignored).expect_err(&ignored);
            }
        }
        assert_eq!(sql(ROWS).unwrap(), before);
        for waits_for_ever in ["next_attempt_at = NULL", "status = 'pending', attempts = 0"] {
            sql(&format!("UPDATE outbox SET {waits_for_ever} WHERE id = 1")).unwrap_err();
        }
        for forgets in
            ["status = 'pending', attempts = 0", "status = 'pending', unspent = 0, attempts = 0"]
        {
            for id in [3, 4] {
                let refused =
                    sql(&format!("UPDATE outbox SET {forgets} WHERE id = {id}")).unwrap_err();
                assert!(refused.contains("outbox.attempts: "), "{refused}");
            }
        }
        assert_eq!(sql(ROWS).unwrap(), before);
    });
}

/// An ORM that saves a whole object writes every column, most of them as they are.
#[test]
fn columns_that_keep_their_values_and_an_orms_updated_at_do_no_harm() {
    in_both(|sql| {
        sql(JOBS).unwrap();
        let (before, claimed_at) =
            (sql(ROWS).unwrap(), "SELECT updated_at FROM outbox WHERE id = 2");
        let claim = sql(claimed_at).unwrap();
        for updated_at in ["'2026-11-25 10:00:00'", "NULL", "1700000000", "0.5", "x'00'"] {
            sql(&format!("UPDATE outbox SET updated_at = {updated_at}")).unwrap();
            let odd = "SELECT count(*) FROM outbox WHERE typeof(updated_at) <> 'integer' OR updated_at < 1700000000000";
            assert_eq!(sql(odd).unwrap(), "0", "{updated_at}");
            assert_eq!(
                sql(claimed_at).unwrap(),
                claim,
                "what is sending keeps the time of its claim"
            );
        }
        sql("UPDATE outbox SET channel = channel, payload = payload, account = account, ordering_key = ordering_key,
             idempotency_key = idempotency_key, priority = priority, send_at = send_at, attempts = attempts,
             next_attempt_at = next_attempt_at, error = error, finished_at = finished_at, wait = wait, holds = holds")
        .unwrap();
        assert_eq!(sql(ROWS).unwrap(), before);
        sql("UPDATE outbox SET status = 'cancelled', updated_at = '2026-11-25 10:00:00' WHERE id = 5").unwrap();
        sql(
            "UPDATE outbox SET status = 'pending', updated_at = '2026-11-25 10:00:00' WHERE id = 3",
        )
        .unwrap();
        assert_eq!(
            sql("SELECT status, typeof(updated_at), attempts, unspent FROM outbox WHERE id IN (3, 5)").unwrap(),
            "pending|integer|1|1\ncancelled|integer|0|0"
        );
    });
}

#[test]
fn what_a_producer_may_change_of_a_waiting_job_it_may_change() {
    in_both(|sql| {
        sql(JOBS).unwrap();
        for change in [
            "payload = '{\"caseId\":2,\"message\":\"corrected\"}'",
            "priority = 5",
            "max_attempts = 3",
            "source = 'shop'",
            "ordering_key = 'k'",
            "idempotency_key = 'other'",
            "send_at = datetime('now', '+1 hour')",
            "expires_at = datetime('now', '+2 hours')",
        ] {
            sql(&format!("UPDATE outbox SET {change} WHERE id = 5"))
                .unwrap_or_else(|e| panic!("{change}: {e}"));
        }
        assert_eq!(
            sql("SELECT priority, max_attempts, source, lane, idempotency_key, wait FROM outbox WHERE id = 5").unwrap(),
            "5|3|shop|key:k|other|scheduled"
        );
        let taken = "outbox.idempotency_key: is taken";
        for update in ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"] {
            let refused =
                sql(&format!("{update} outbox SET idempotency_key = 'key-2' WHERE id = 5"))
                    .unwrap_err();
            assert!(refused.contains(taken), "{refused}");
        }
        let refused = sql("UPDATE outbox SET idempotency_key = 'late' WHERE id = 3").unwrap_err();
        assert!(refused.contains("while the job is pending"), "{refused}");
        assert_eq!(sql("SELECT count(*) FROM outbox").unwrap(), "5");
    });
}

/// What it wrote back was read before the claim: the request is under way, and nothing may undo
/// that.
#[test]
fn an_orm_that_saves_a_row_as_it_was_before_its_claim_moves_nothing() {
    in_both(|sql| {
        sql(JOBS).unwrap();
        let before = sql(ROWS).unwrap();
        for stale in [
            "status = 'pending', attempts = 0, claimed_by = NULL, wait = 'ready', budget_from = NULL, updated_at = updated_at - 1",
            "status = 'pending', wait = 'backoff', claimed_by = NULL, next_attempt_at = updated_at",
            "status = 'failed', failure = 'rejected', claimed_by = NULL, holds = NULL, finished_at = updated_at",
            "status = 'sent', claimed_by = NULL",
            "status = 'uncertain', claimed_by = NULL, holds = NULL",
        ] {
            let refused = sql(&format!("UPDATE outbox SET {stale} WHERE id = 2")).expect_err(stale);
            assert!(
                refused.contains("a job that is sending can only be moved on"),
                "{stale}: {refused}"
            );
        }
        let claim = "UPDATE outbox SET status = 'sending', attempts = 1, claimed_by = 1, wait = NULL WHERE id = 5";
        let refused = sql(claim).unwrap_err();
        assert!(refused.contains("a pending job can only be cancelled"), "{refused}");
        assert_eq!(sql(ROWS).unwrap(), before);
    });
}

#[test]
fn who_resolves_an_uncertain_job_may_note_its_id_and_who_has_finished_one_its_age() {
    in_both(|sql| {
        sql(JOBS).unwrap();
        for odd in [
            "status = 'failed', failure = 'bogus'",
            "status = 'sent', message_id = x'ff'",
            "status = 'sent', error = x'00'",
        ] {
            sql(&format!("UPDATE outbox SET {odd} WHERE id = 4")).expect_err(odd);
        }
        sql("UPDATE outbox SET status = 'sent', message_id = '77' WHERE id = 4").unwrap();
        assert_eq!(sql("SELECT message_id FROM outbox WHERE id = 4").unwrap(), "77");
        sql("UPDATE outbox SET finished_at = finished_at - 86400000 WHERE id = 3").unwrap();
        sql("UPDATE outbox SET finished_at = datetime('now', '-40 days') WHERE id = 3").unwrap();
        // The text has no milliseconds, and a second may have passed since the row was updated.
        let days = "SELECT typeof(finished_at), (updated_at - finished_at + 60000) / 86400000 FROM outbox WHERE id = 3";
        assert_eq!(sql(days).unwrap(), "integer|40");
        sql("UPDATE outbox SET status = 'pending', failure = NULL, error = NULL, finished_at = NULL WHERE id = 3").unwrap();
    });
}

/// SQLite then treats the replacement as a deletion and fires its triggers.
#[test]
fn a_taken_key_is_not_replaced_with_recursive_triggers_either() {
    in_both(|sql| {
        let insert = chat("idempotency_key", "'order-1'");
        let replace = insert.replace("OR IGNORE", "OR REPLACE");
        sql(&insert).unwrap();
        // An application's trigger that inserts another message meanwhile does not change that.
        sql("CREATE TRIGGER own AFTER INSERT ON outbox WHEN NEW.idempotency_key = 'order-1'
             BEGIN INSERT INTO outbox (channel, payload, idempotency_key) VALUES ('chat', NEW.payload, 'copy') ON CONFLICT DO NOTHING; END")
        .unwrap();
        for recursive in ["OFF", "ON"] {
            sql(&insert).unwrap();
            let refused =
                sql(&format!("PRAGMA recursive_triggers = {recursive}; {replace}")).unwrap_err();
            assert!(refused.contains("not REPLACE"), "{refused}");
            assert_eq!(sql("SELECT group_concat(id) FROM outbox").unwrap(), "1");
        }
        sql(&format!("PRAGMA recursive_triggers = ON; DELETE FROM outbox; {replace}")).unwrap();
        assert_eq!(sql("SELECT count(*) FROM outbox").unwrap(), "2");
    });
}

#[test]
fn an_id_of_a_producers_own_leaves_room_for_others() {
    in_both(|sql| {
        for id in ["9007199254740991", "1000000000001", "9223372036854775807"] {
            let refused = sql(&chat("id", id)).unwrap_err();
            assert!(refused.contains("outbox.id: must be from 1 to 1000000000000"), "{refused}");
        }
        sql(&chat("id", "1000000000000")).unwrap();
        sql(&format!("INSERT INTO outbox (channel, payload) VALUES ('chat', {CHAT})")).unwrap();
        assert_eq!(sql("SELECT max(id) FROM outbox").unwrap(), "1000000000001");
    });
}

/// The form that docs/producers.md recommends: it works whatever the outer statement is.
#[test]
fn an_applications_own_trigger_inserts_once_under_every_kind_of_statement() {
    in_both(|sql| {
        sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT);
             CREATE TRIGGER order_shipped AFTER UPDATE OF state ON orders WHEN NEW.state = 'shipped'
             BEGIN
                 INSERT INTO outbox (channel, payload, idempotency_key)
                 VALUES ('chat', json_object('caseId', NEW.id, 'message', 'Shipped.'), 'order-' || NEW.id || '-shipped')
                 ON CONFLICT DO NOTHING;
             END;
             CREATE TRIGGER order_imported AFTER INSERT ON orders WHEN NEW.state = 'shipped'
             BEGIN
                 INSERT INTO outbox (channel, payload, idempotency_key)
                 VALUES ('chat', json_object('caseId', NEW.id, 'message', 'Shipped.'), 'order-' || NEW.id || '-shipped')
                 ON CONFLICT DO NOTHING;
             END;
             INSERT INTO orders VALUES (1, 'new')")
        .unwrap();
        for statement in [
            "UPDATE orders SET state = 'shipped'",
            "INSERT INTO orders VALUES (1, 'shipped') ON CONFLICT (id) DO UPDATE SET state = excluded.state",
            "UPDATE OR REPLACE orders SET state = 'shipped'",
            "UPDATE OR IGNORE orders SET state = 'shipped'",
            "INSERT OR REPLACE INTO orders VALUES (1, 'shipped')",
            "PRAGMA recursive_triggers = ON; INSERT OR REPLACE INTO orders VALUES (1, 'shipped')",
        ] {
            sql(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
            assert_eq!(sql("SELECT count(*) FROM outbox").unwrap(), "1", "{statement}");
        }
    });
}

#[test]
fn a_pause_is_checked_however_it_is_written() {
    in_both(|sql| {
        sql("INSERT INTO outbox_pauses (channel, reason) VALUES ('sms', 'Überlast')").unwrap();
        for (odd, field) in [
            ("INSERT OR REPLACE INTO outbox_pauses (channel) VALUES (NULL)", "channel"),
            ("INSERT OR REPLACE INTO outbox_pauses (channel) VALUES ('fax')", "channel"),
            ("INSERT INTO outbox_pauses (account) VALUES ('a' || char(0))", "account"),
            ("INSERT INTO outbox_pauses (reason) VALUES (CAST(x'4dfc6c' AS TEXT))", "reason"),
            ("INSERT INTO outbox_pauses (since) VALUES (5)", "since"),
            ("UPDATE outbox_pauses SET since = 'soon'", "since"),
            ("UPDATE outbox_pauses SET reason = x'ff'", "reason"),
        ] {
            let refused = sql(odd).expect_err(odd);
            assert!(refused.contains(&format!("outbox_pauses.{field}: ")), "{odd}: {refused}");
        }
        assert_eq!(sql("SELECT channel, reason FROM outbox_pauses").unwrap(), "sms|Überlast");
    });
}
