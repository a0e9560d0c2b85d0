//! Where a job is put: lane, time and wait, and which lanes are noted for an election. Nodes do the rest.

use crate::support::{PostgresDatabase, now_ms};

const PAYLOAD: &str = r#"'{"caseId": 1, "message": "hi"}'"#;

fn chat(columns: &str, values: &str) -> String {
    format!("INSERT INTO outbox (channel, payload{columns}) VALUES ('chat', {PAYLOAD}{values})")
}

fn fresh() -> Option<PostgresDatabase> {
    Some(PostgresDatabase::fresh()?.with_schema())
}

/// The lanes that are noted, and forgets them.
fn elections(database: &PostgresDatabase) -> Vec<i64> {
    let rows = database.query("DELETE FROM outbox_elections RETURNING lane");
    let mut lanes: Vec<i64> = rows.iter().map(|row| row.int("lane")).collect();
    lanes.sort_unstable();
    lanes
}

fn lane(database: &PostgresDatabase, id: i64) -> i64 {
    database.number(&format!("SELECT lane FROM outbox WHERE id = {id}"))
}

/// As a node that has elected it.
fn make_head(database: &PostgresDatabase, id: i64) {
    database.execute(&format!(
        "UPDATE outbox SET holds = lane, wait = 'ready', moves = moves + 1 WHERE id = {id}"
    ));
}

#[test]
fn the_lane_is_that_of_the_key_the_conversation_or_none() {
    let Some(database) = fresh() else { return };
    let conversation = database.insert(&chat("", ""));
    let key = database.insert(&chat(", ordering_key", ", 'invoice-7'"));
    let none = database.insert(&chat(", ordering_key", ", ''"));
    let sms = database.insert(
        r#"INSERT INTO outbox (channel, payload, account)
           VALUES ('sms', '{"From":"+1","To":"+2","Body":"b","contactId":2,"threadId":3,"timelineId":4}', 'shop')"#,
    );
    for (id, text) in
        [(conversation, "case:chat/1/default"), (key, "key:invoice-7"), (sms, "case:sms/3/shop")]
    {
        let hash = database.number(&format!("SELECT hashtextextended('{text}', 0)"));
        assert_eq!(lane(&database, id), hash, "{text}");
        assert_eq!(
            database.one(&format!("SELECT wait FROM outbox WHERE id = {id}")).text("wait"),
            "arrived"
        );
    }
    let row = database.one(&format!("SELECT lane, wait FROM outbox WHERE id = {none}"));
    assert!(row.is_null("lane"));
    assert_eq!(row.text("wait"), "ready");
    // What the trigger writes out is what every other place computes.
    let others = "SELECT count(*) FROM outbox WHERE lane IS DISTINCT FROM outbox_lane_of(ordering_key, channel, account, payload)";
    assert_eq!(database.number(others), 0);
}

#[test]
fn the_first_place_is_by_the_time_of_the_insert_or_by_send_at() {
    let Some(database) = fresh() else { return };
    let now = now_ms();
    let id = database.insert(&chat("", ""));
    let later = database.insert(&chat(", send_at", ", now() + interval '1 hour'"));
    let past = database.insert(&chat(", send_at", ", now() - interval '1 hour'"));
    let row = |id: i64| database.one(&format!("SELECT * FROM outbox WHERE id = {id}"));
    assert!((row(id).int("due_at") - now).abs() < 60_000);
    assert_eq!(row(later).text("wait"), "scheduled");
    assert_eq!(row(later).int("due_at"), row(later).int("send_at"));
    assert_eq!(row(past).text("wait"), "arrived");
    assert_eq!(row(past).int("due_at"), row(past).int("send_at"));
    assert_eq!(elections(&database), [0_i64; 0]);
}

#[test]
fn who_takes_a_head_away_notes_its_lane() {
    let Some(database) = fresh() else { return };
    for deed in [
        "UPDATE outbox SET status = 'cancelled' WHERE id = $",
        "UPDATE outbox SET status = 'failed', failure = 'expired' WHERE id = $",
        "DELETE FROM outbox WHERE id = $",
        "UPDATE outbox SET ordering_key = 'other' WHERE id = $",
        "UPDATE outbox SET ordering_key = '' WHERE id = $",
        "UPDATE outbox SET send_at = now() + interval '1 hour' WHERE id = $",
        "UPDATE outbox SET account = 'other' WHERE id = $",
        "UPDATE outbox SET payload = payload || '{\"caseId\": 2}' WHERE id = $",
    ] {
        let head = database.insert(&chat("", ""));
        let parked = database.insert(&chat("", ""));
        database.execute(&format!(
            "UPDATE outbox SET wait = 'parked', moves = moves + 1 WHERE id = {parked}"
        ));
        make_head(&database, head);
        let lane = lane(&database, head);
        database.execute(&deed.replace('$', &head.to_string()));
        assert_eq!(elections(&database), [lane], "{deed}");
        // One that is no head leaves nobody without one.
        database.execute(&deed.replace('$', &parked.to_string()));
        assert_eq!(elections(&database), [0_i64; 0], "{deed}");
        assert_eq!(
            database.number("SELECT count(*) FROM outbox WHERE holds IS NOT NULL"),
            0,
            "{deed}"
        );
        database.execute("DELETE FROM outbox");
    }
}

#[test]
fn a_correction_leaves_a_job_in_its_place() {
    let Some(database) = fresh() else { return };
    let head = database.insert(&chat("", ""));
    make_head(&database, head);
    let place = "SELECT lane || ' ' || due_at || ' ' || wait || ' ' || holds AS place FROM outbox";
    let before = database.one(place);
    for change in [
        "payload = payload || '{\"message\": \"corrected\"}'",
        "priority = 4",
        "expires_at = now() + interval '1 day'",
        "source = 'shop', max_attempts = 3, idempotency_key = 'k'",
    ] {
        database.execute(&format!("UPDATE outbox SET {change}"));
        assert_eq!(database.one(place), before, "{change}");
    }
    assert_eq!(elections(&database), [0_i64; 0]);
    assert_eq!(database.one("SELECT payload FROM outbox").json("payload")["message"], "corrected");
}

#[test]
fn a_job_between_two_attempts_that_changes_its_lane_still_waits_for_the_next_one() {
    let Some(database) = fresh() else { return };
    let id = database.insert(&chat("", ""));
    database.execute(
        "UPDATE outbox SET wait = 'backoff', holds = lane, moves = moves + 1, next_attempt_at = now() + interval '1 hour'",
    );
    let old = lane(&database, id);
    database.execute("UPDATE outbox SET ordering_key = 'k'");
    let mut both = [old, lane(&database, id)];
    both.sort_unstable();
    assert_eq!(elections(&database), both);
    let row = database.one("SELECT * FROM outbox");
    assert_eq!((row.text("wait"), row.is_null("holds")), ("parked", true));
    database.execute("UPDATE outbox SET ordering_key = ''");
    assert_eq!(database.one("SELECT wait FROM outbox").text("wait"), "backoff");
}

#[test]
fn a_retried_job_takes_its_old_place_unless_a_time_gave_it() {
    let Some(database) = fresh() else { return };
    let id = database.insert(&chat("", ""));
    let due = database.number("SELECT due_at FROM outbox");
    database.execute("UPDATE outbox SET status = 'cancelled'");
    database.execute("UPDATE outbox SET ordering_key = 'k'");
    database.execute("UPDATE outbox SET status = 'pending'");
    let row = database.one("SELECT * FROM outbox");
    assert_eq!((row.int("due_at"), row.text("wait")), (due, "arrived"));
    assert_eq!(lane(&database, id), database.number("SELECT hashtextextended('key:k', 0)"));
    database.execute("UPDATE outbox SET send_at = now() + interval '30 days'");
    database.execute("UPDATE outbox SET status = 'cancelled'");
    database.execute("UPDATE outbox SET status = 'pending', send_at = NULL");
    let row = database.one("SELECT * FROM outbox");
    assert_eq!(row.text("wait"), "arrived");
    assert!(row.int("due_at") <= row.int("updated_at"), "{row:?}");
}

#[test]
fn a_lane_has_one_head_at_most() {
    let Some(database) = fresh() else { return };
    let ids = [database.insert(&chat("", "")), database.insert(&chat("", ""))];
    make_head(&database, ids[0]);
    let second = format!(
        "UPDATE outbox SET holds = lane, wait = 'ready', moves = moves + 1 WHERE id = {}",
        ids[1]
    );
    assert!(database.try_query(&second).unwrap_err().contains("outbox_holder"));
}

#[test]
fn rows_that_no_trigger_has_seen_are_taken_in_or_fail_with_their_sentence() {
    let Some(database) = fresh() else { return };
    for insert in [
        chat("", ""),
        chat(", send_at", ", now() + interval '1 hour'"),
        chat(", ordering_key, attempts, holds, claimed_by", ", '', 7, 5, 6"),
        chat(", priority", ", 70"),
        "INSERT INTO outbox (channel, payload) VALUES ('chat', '{}')".to_owned(),
    ] {
        database.past_the_rules(&insert);
    }
    database.execute("INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome) VALUES (1, 2, now(), 5, 'retry')");
    let taken = database.query("SELECT * FROM outbox_take_in(100)");
    let sentences: Vec<Option<&str>> = taken.iter().map(|row| row["sentence"].as_str()).collect();
    assert_eq!(
        sentences,
        [
            None,
            None,
            None,
            Some("outbox.priority: must be a whole number from 0 to 9"),
            Some("outbox.payload.caseId: required for chat, a whole number")
        ]
    );
    assert_eq!(database.query("SELECT * FROM outbox_take_in(100)").len(), 0);
    let rows = database.query("SELECT * FROM outbox ORDER BY id");
    let waits: Vec<Option<&str>> = rows.iter().map(|row| row["wait"].as_str()).collect();
    assert_eq!(waits, [Some("arrived"), Some("scheduled"), Some("ready"), None, None]);
    assert!(rows[..4].iter().all(|row| !row.is_null("case_id")), "{rows:?}");
    assert_eq!(
        (rows[0].int("attempts"), rows[0].int("unspent"), rows[2].int("attempts")),
        (2, 2, 0)
    );
    assert!(rows[2].is_null("holds") && rows[2].is_null("claimed_by"));
    for row in &rows[3..] {
        assert_eq!(
            (row.text("status"), row.text("failure"), row.text("error_code")),
            ("failed", "invalid", "invalid_row")
        );
        assert!(!row.is_null("finished_at"));
    }
}
