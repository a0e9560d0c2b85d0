//! The state machine, and what an UPDATE or a DELETE may change: the same as on SQLite.

use super::both::Both;
use super::refusals::{insert, payloads};

const CLAIM: &str = "UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = attempts + 1, claimed_by = 1, \
     budget_from = ms(1700000000000)";
const STATES: [&str; 8] =
    ["pending", "scheduled", "backoff", "sending", "sent", "failed", "cancelled", "uncertain"];

/// All that a row shows of its state, and that both engines keep alike.
const STATE: &str = "SELECT status || ' ' || attempts || ' ' || unspent || ' ' || uncertain_attempts || ' ' || coalesce(message_id, '-') || ' ' ||
    coalesce(failure, '-') || ' ' || coalesce(error_code, '-') || ' ' || coalesce(error, '-') || ' ' || coalesce(idempotency_key, '-') || ' ' ||
    CASE WHEN receipt IS NULL THEN '-' ELSE 'receipt' END || ' ' || CASE WHEN wait IS NULL THEN '-' WHEN wait = 'scheduled' THEN wait ELSE 'queued' END || ' ' ||
    CASE WHEN claimed_by IS NULL THEN '-' ELSE 'claimed' END || ' ' || CASE WHEN finished_at IS NULL THEN '-' ELSE 'finished' END || ' ' ||
    CASE WHEN next_attempt_at IS NULL THEN '-' ELSE 'next' END || ' ' || CASE WHEN budget_from IS NULL THEN '-' ELSE 'begun' END || ' ' ||
    coalesce(millis(send_at), 0) FROM outbox";

/// An outbox with one job, in this state.
fn with_job(both: &mut Both, state: &str) {
    both.agree(&job(state));
}

/// What makes it, in one script.
fn job(state: &str) -> String {
    let clear = "UPDATE outbox SET moves = moves + 1, status = 'failed', claimed_by = NULL, wait = NULL WHERE status = 'sending';
                 DELETE FROM outbox";
    let columns = if state == "scheduled" { ", send_at" } else { "" };
    let values = if state == "scheduled" { ", ms(4000000000000)" } else { "" };
    let chat = insert("chat", &payloads()[0].1)
        .replace("payload)", &format!("payload, idempotency_key{columns})"))
        .replace("}')", &format!("}}', 'k'{values})"));
    let leave = |to: &str, more: &str| {
        format!(
            "{CLAIM}; UPDATE outbox SET status = '{to}', moves = moves + 1, claimed_by = NULL, {more}"
        )
    };
    let moves = match state {
        "pending" | "scheduled" => String::new(),
        "cancelled" => "UPDATE outbox SET status = 'cancelled'".to_owned(),
        "sending" => CLAIM.to_owned(),
        "backoff" => leave(
            "pending",
            "wait = 'backoff', next_attempt_at = ms(4000000000000), error_code = 'http_503', error = 'later'",
        ),
        "sent" => leave(
            "sent",
            "holds = NULL, message_id = '8', receipt = '{\"id\":8}', finished_at = ms(1700000000000)",
        ),
        "failed" => leave(
            "failed",
            "holds = NULL, failure = 'rejected', error_code = 'no', error = 'no!', finished_at = ms(1700000000000)",
        ),
        "uncertain" => leave(
            "uncertain",
            "holds = NULL, uncertain_attempts = 1, error_code = 'timeout', error = 'lost'",
        ),
        _ => panic!("{state}"),
    };
    format!("{clear}; {chat}; {moves}")
}

/// Puts the statement to both, with the job in each state, and compares answers and rows.
fn in_each_state(both: &mut Both, update: &str) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    for state in STATES {
        let before = both.agree(&format!("{}; {STATE}", job(state)));
        let answers = both.answers(update);
        assert_eq!(answers[1], answers[0], "{state}: {update}");
        let after = both.answers(STATE);
        assert_eq!(after[1], after[0], "{state}: {update}");
        if answers[0].is_err() {
            assert_eq!(after[0].as_ref(), Ok(&before), "{state}: {update}");
            refused += 1;
        } else {
            taken += 1;
        }
    }
    (taken, refused)
}

#[test]
fn every_move_from_every_state_is_taken_or_refused_as_on_sqlite() {
    let Some(mut both) = Both::fresh() else { return };
    let (mut taken, mut refused) = (0, 0);
    for to in ["pending", "sending", "sent", "failed", "cancelled", "uncertain", "lost", ""] {
        let all = [
            "",
            ", failure = 'expired'",
            ", failure = 'invalid', error_code = 'x', error = 'y'",
            ", failure = 'exhausted'",
            ", failure = 'bogus'",
            ", failure = NULL",
            ", message_id = '9', error = NULL",
            ", attempts = 0",
            ", attempts = attempts + 1, claimed_by = 5",
            ", claimed_by = NULL, holds = NULL, wait = NULL",
            ", next_attempt_at = NULL, message_id = NULL, receipt = NULL, failure = NULL, error_code = NULL, error = NULL, finished_at = NULL",
            ", updated_at = ms(1700000000000)",
            ", finished_at = ms(1600000000000)",
            ", send_at = ms(3900000000000)",
            ", payload = '{\"caseId\": 5, \"message\": \"other\"}'",
            ", payload = '{\"caseId\": 5}'",
            ", idempotency_key = 'other'",
        ];
        let is_state = STATES.contains(&to);
        for more in if is_state { &all[..] } else { &all[..1] } {
            let update = format!("UPDATE outbox SET status = '{to}'{more}");
            let (t, r) = in_each_state(&mut both, &update);
            taken += t;
            refused += r;
        }
    }
    assert!(taken > 100 && refused > 500, "{taken} taken, {refused} refused");
}

#[test]
fn every_column_can_be_changed_in_the_states_in_which_it_can_on_sqlite() {
    let Some(mut both) = Both::fresh() else { return };
    let (mut taken, mut refused) = (0, 0);
    for change in [
        "next_attempt_at = ms(1700000000000)",
        "next_attempt_at = NULL",
        "attempts = attempts + 1",
        "attempts = attempts",
        "message_id = '77'",
        "receipt = '{}'",
        "failure = 'invalid'",
        "error_code = 'x'",
        "error = 'x'",
        "finished_at = NULL",
        "finished_at = ms(1600000000000)",
        "finished_at = ms(4000000000000)",
        "finished_at = ms(1700000000)",
        "updated_at = ms(1600000000000)",
        "updated_at = NULL",
        "lane = '5'",
        "due_at = ms(1700000000000)",
        "due_at = NULL",
        "wait = 'whenever'",
        "wait = NULL",
        "holds = 5",
        "claimed_by = 7",
        "unspent = 7",
        "uncertain_attempts = 7",
        "budget_from = ms(1600000000000)",
        "moves = moves + 3",
        "moves = moves - 1",
        "channel = 'fax'",
        "channel = 'mail'",
        "payload = '{\"caseId\": 2, \"message\": \"other\"}'",
        "payload = '{\"caseId\": 2}'",
        "payload = '{\"scrubbed\":true,\"caseId\":1}'",
        "payload = payload",
        "account = 'other'",
        "account = ''",
        "idempotency_key = 'other'",
        "idempotency_key = NULL",
        "ordering_key = 'other'",
        "ordering_key = ''",
        "priority = 9",
        "priority = 10",
        "send_at = ms(3900000000000)",
        "send_at = ms(1700000000000)",
        "send_at = NULL",
        "expires_at = ms(3900000000000)",
        "max_attempts = 3",
        "max_attempts = 0",
        "source = 'shop'",
        "source = '1.5'",
        "created_at = ms(1700000000000)",
        "channel = channel, account = account, send_at = send_at, attempts = attempts, wait = wait, updated_at = updated_at, error = error",
    ] {
        let (t, r) = in_each_state(&mut both, &format!("UPDATE outbox SET {change}"));
        taken += t;
        refused += r;
    }
    assert!(taken > 120 && refused > 150, "{taken} taken, {refused} refused");
    let (deleted, kept) = in_each_state(&mut both, "DELETE FROM outbox");
    assert_eq!((deleted, kept), (STATES.len() - 1, 1));
}

#[test]
fn an_orms_updated_at_becomes_the_time_but_for_a_claims() {
    let Some(mut both) = Both::fresh() else { return };
    let updated = "SELECT millis(updated_at) FROM outbox";
    for state in STATES {
        with_job(&mut both, state);
        let before = both.on_postgres(updated).unwrap();
        both.on_postgres("UPDATE outbox SET updated_at = '2001-01-01Z'").unwrap();
        let after = both.on_postgres(updated).unwrap();
        if state == "sending" {
            assert_eq!(after, before);
        } else {
            assert!(after.parse::<i64>().unwrap() > 1_700_000_000_000, "{state}: {after}");
        }
    }
}

#[test]
fn what_hangs_on_a_job_goes_with_it_and_what_is_set_aside_until_somebody_deals_with_it() {
    let Some(mut both) = Both::fresh() else { return };
    for (state, deed, left) in [
        ("failed", "UPDATE outbox SET status = 'pending'", "1 0"),
        ("pending", "UPDATE outbox SET status = 'cancelled'", "1 0"),
        ("pending", "UPDATE outbox SET priority = 1", "1 1"),
        ("uncertain", "UPDATE outbox SET status = 'sent'", "1 0"),
        ("uncertain", "DELETE FROM outbox", "0 0"),
    ] {
        both.agree("DELETE FROM outbox_attempts");
        with_job(&mut both, state);
        both.agree("INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome) SELECT id, 1, ms(1700000000000), 5, 'retry' FROM outbox");
        both.agree("INSERT INTO outbox_set_aside (job_id, since, reason) SELECT id, ms(1700000000000), 'odd' FROM outbox");
        both.agree(deed);
        let counts = "SELECT (SELECT count(*) FROM outbox_attempts) || ' ' || (SELECT count(*) FROM outbox_set_aside)";
        assert_eq!(both.agree(counts), left, "{state}: {deed}");
    }
}

#[test]
fn one_row_that_is_sending_keeps_a_statement_from_deleting_any() {
    let Some(mut both) = Both::fresh() else { return };
    with_job(&mut both, "sending");
    both.agree(&insert("sms", &payloads()[2].1));
    both.refuse("DELETE FROM outbox");
    assert_eq!(both.agree("SELECT count(*) FROM outbox"), "2");
    let refused = both.on_postgres("TRUNCATE outbox").unwrap_err();
    assert_eq!(refused, "outbox: cannot be truncated, because jobs may be sending; use DELETE");
}

#[test]
fn a_pause_is_checked_however_it_is_written() {
    let Some(mut both) = Both::fresh() else { return };
    both.agree("INSERT INTO outbox_pauses (channel, reason) VALUES ('sms', 'Überlast')");
    for odd in [
        "INSERT INTO outbox_pauses (channel) VALUES (NULL)",
        "INSERT INTO outbox_pauses (channel) VALUES ('fax')",
        "INSERT INTO outbox_pauses (account) VALUES ('Zürich')",
        "INSERT INTO outbox_pauses (account, reason) VALUES ('a', NULL)",
        "UPDATE outbox_pauses SET reason = NULL",
        "UPDATE outbox_pauses SET account = 'a'",
        "UPDATE outbox_pauses SET channel = 'chat'",
    ] {
        both.refuse(odd);
    }
    let refused =
        both.on_postgres("INSERT INTO outbox_pauses (since) VALUES ('1970-01-01Z')").unwrap_err();
    assert!(refused.starts_with("outbox_pauses.since: must be a time"), "{refused}");
    both.agree("UPDATE outbox_pauses SET reason = 'other', since = ms(1700000000000)");
    assert_eq!(both.agree("SELECT channel || reason FROM outbox_pauses"), "smsother");
    both.agree("DELETE FROM outbox_pauses");
}

#[test]
fn scrubbing_leaves_the_ids_that_it_leaves_on_sqlite() {
    let Some(mut both) = Both::fresh() else { return };
    for (channel, payload) in payloads() {
        both.agree(&insert(channel, &payload));
        let kept = both.answers("SELECT payload FROM outbox_scrubbed ORDER BY id DESC LIMIT 1");
        let [sqlite, postgres] = kept.map(|kept| serde_json::from_str(&kept.unwrap()).unwrap());
        let (sqlite, postgres): (serde_json::Value, serde_json::Value) = (sqlite, postgres);
        assert_eq!(postgres, sqlite, "{channel}");
        assert_eq!(sqlite["scrubbed"], true);
    }
}
