//! Producers that know nothing but SQL: Python, the `sqlite3` command line, plain statements.

use crate::support::{Gate, Job, Outbox, Reply, SOON, Server, eventually};
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Runs another program with this input; `None`, and a message, if it is not installed.
fn run_on(program: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let piped = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match piped {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: {program} is not installed, so this was not tested");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

const PYTHON: &str = r#"
import json, sqlite3, sys, time
path = sys.argv[1]
db = sqlite3.connect(path, timeout=5)
db.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)")
db.commit()

# 200 transactions while the daemon works: never SQLITE_BUSY.
for n in range(200):
    with db:
        order = db.execute("INSERT INTO orders DEFAULT VALUES").lastrowid
        db.execute("INSERT INTO outbox (channel, payload, idempotency_key, source) VALUES (?,?,?,?)",
                   ("chat", json.dumps({"caseId": n % 50 + 1, "message": f"Grüße {order}"}),
                    f"order-{order}", "python"))

# The same keys again are not new messages.
with db:
    for n in range(200):
        db.execute("INSERT OR IGNORE INTO outbox (channel, payload, idempotency_key) VALUES (?,?,?)",
                   ("chat", '{"caseId":1,"message":"again"}', f"order-{n + 1}"))

try:
    with db:
        db.execute("INSERT INTO orders DEFAULT VALUES")
        db.execute("INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\":1}')")
except sqlite3.IntegrityError as error:
    print("refused:", error)

end = time.monotonic() + 20
while time.monotonic() < end:
    count, = db.execute("SELECT count(*) FROM delivery_status WHERE status='sent'").fetchone()
    if count == 200: break
    time.sleep(0.01)
print("sent:", count)
print("orders:", *db.execute("SELECT count(*) FROM orders").fetchone())
print("row:", *db.execute("SELECT message_id IS NOT NULL, failure, source FROM delivery_status "
                          "WHERE idempotency_key='order-7'").fetchone())
"#;

#[test]
fn a_python_program_sends_by_inserting() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let path = outbox.database().path().to_str().unwrap();
    let Some(output) = run_on("python3", &["-", path], PYTHON) else { return };
    let said = text(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert!(lines[0].starts_with("refused: ") && lines[0].contains("message"), "{said}");
    assert_eq!(lines[1..], ["sent: 200", "orders: 200", "row: 1 None python"]);
    assert_eq!(server.count(), 200);
    assert_eq!(server.requests_for("Grüße 7").len(), 1);
}

#[test]
fn the_sqlite3_command_line_sends_cancels_and_queries() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let path = outbox.database().path().to_str().unwrap();
    let insert = r#"
        INSERT INTO outbox (channel, payload) VALUES ('chat', json_object('caseId', 9, 'message', 'hi'));
        SELECT last_insert_rowid();
        INSERT INTO outbox (channel, payload, send_at)
          VALUES ('chat', json_object('caseId', 9, 'message', 'withdrawn'), datetime('now', '+1 day'));
        UPDATE outbox SET status = 'cancelled' WHERE id = last_insert_rowid();
    "#;
    let Some(output) = run_on("sqlite3", &["-batch", "-cmd", ".timeout 5000", path], insert) else {
        return;
    };
    assert_eq!(text(&output).trim(), "1");
    outbox.run_until_empty();
    let ask = "SELECT status, message_id, failure FROM delivery_status ORDER BY id;";
    let output = run_on("sqlite3", &["-batch", path], ask).expect("it was there a moment ago");
    assert_eq!(text(&output), "sent|8289|\ncancelled||\n");
    assert_eq!(server.words(), ["hi"]);

    let wrong = "INSERT INTO outbox (channel, payload) VALUES ('fax', '{}');";
    let output = run_on("sqlite3", &["-batch", path], wrong).expect("it was there a moment ago");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("channel"), "{output:?}");
}

#[test]
fn an_invalid_insert_is_refused_with_the_name_of_the_field() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let without = |mut job: Job, field: &str| {
        job = job.field(field, serde_json::Value::Null);
        job.sql()
    };
    let hi = || Job::chat(1, "hi");
    let wrong = [
        (Job::new("fax", serde_json::json!({})).sql(), "channel"),
        ("INSERT INTO outbox (channel, payload) VALUES ('chat', 'hello')".into(), "payload"),
        ("INSERT INTO outbox (channel, payload) VALUES ('chat', '[1]')".into(), "payload"),
        (without(hi(), "caseId"), "caseId"),
        (without(hi(), "message"), "message"),
        (hi().field("caseId", "nine".into()).sql(), "caseId"),
        (without(Job::mail(1, "s"), "contactId"), "contactId"),
        (without(Job::mail(1, "s"), "from"), "from"),
        (without(Job::mail(1, "s"), "to"), "to"),
        (without(Job::mail(1, "s"), "subject"), "subject"),
        (without(Job::mail(1, "s"), "htmlBody"), "htmlBody"),
        (without(Job::sms(1, "s"), "From"), "From"),
        (without(Job::sms(1, "s"), "Body"), "Body"),
        (without(Job::sms(1, "s"), "threadId"), "threadId"),
        (without(Job::sms(1, "s"), "timelineId"), "timelineId"),
        (hi().column("priority", "10").sql(), "priority"),
        (hi().column("priority", "-1").sql(), "priority"),
        (hi().column("send_at", "'next tuesday'").sql(), "send_at"),
        (hi().column("send_at", "1763800000").sql(), "send_at"),
        (hi().column("expires_at", "'soon'").sql(), "expires_at"),
        (hi().column("expires_at", "1763800000").sql(), "expires_at"),
        (hi().column("status", "'sent'").sql(), "pending"),
    ];
    for (sql, field) in wrong {
        let error = outbox.database().try_insert(&sql).expect_err(&sql);
        assert!(error.contains(field), "no {field} in {error:?} for {sql}");
    }
    assert_eq!(outbox.database().number("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn an_idempotency_key_makes_one_message() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let once = Job::chat(1, "hi").column("idempotency_key", "'order 1'").sql();
    outbox.execute(&once);
    assert!(outbox.database().try_insert(&once).is_err());
    outbox.execute(&once.replace("INSERT", "INSERT OR IGNORE"));
    outbox.execute(&format!("{once} ON CONFLICT DO NOTHING"));
    outbox.execute(&format!("{once} ON CONFLICT (idempotency_key) DO NOTHING"));
    outbox.run_until_empty();
    outbox.execute(&format!("{once} ON CONFLICT DO NOTHING"));
    outbox.run_until_empty();
    assert_eq!(server.words(), ["hi"]);
}

#[test]
fn a_retry_in_sql_has_a_new_budget_of_attempts() {
    let server = Server::answering(|_| Reply::status(500));
    let outbox = Outbox::setup(&server).retry_also("max_attempts = 2").ready();
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["failure"], "exhausted");
    let retry = format!("UPDATE outbox SET status = 'pending' WHERE id = {id}");
    outbox.execute(&retry);
    let row = outbox.row(id);
    assert!(row.is_null("failure") && row.is_null("finished_at"), "{row:?}");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("failure"), row.int("attempts")), ("exhausted", 4));
    assert_eq!(outbox.history(id).len(), 4);
    assert_eq!(server.count(), 4);

    server.answer_with(Reply::accepted);
    outbox.execute(&retry);
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("sent", 5));
    assert!(row.is_null("failure"));
}

#[test]
fn a_retry_in_sql_has_a_new_budget_of_time() {
    let server = Server::answering(|_| Reply::status(500));
    let outbox = Outbox::setup(&server).retry_also("give_up_after = \"250ms\"").ready();
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["failure"], "exhausted");
    // Of the old budget nothing is left, so there would be one request. If the machine stalls, the first may take all
    // of the new one: another try.
    let has_a_second_request = || {
        let already = server.count();
        outbox.execute(&format!("UPDATE outbox SET status = 'pending' WHERE id = {id}"));
        outbox.run_until_empty();
        assert_eq!(outbox.row(id)["failure"], "exhausted");
        server.count() >= already + 2
    };
    assert!((0..5).any(|_| has_a_second_request()));
}

#[test]
fn a_job_that_is_sending_can_neither_be_cancelled_nor_deleted() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| Reply::accepted(request).behind(&held));
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let id = outbox.chat(1, "hi");
    server.wait_for(1);
    for change in [
        format!("UPDATE outbox SET status = 'cancelled' WHERE id = {id}"),
        format!("UPDATE outbox SET status = 'pending' WHERE id = {id}"),
        format!("DELETE FROM outbox WHERE id = {id}"),
    ] {
        let error = outbox.database().try_query(&change).expect_err(&change);
        assert!(error.contains("sending"), "{change}: {error}");
    }
    gate.open();
    assert_eq!(outbox.settled(id)["status"], "sent");
}

#[test]
fn a_sent_job_stays_sent_and_is_deleted_with_its_history() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    for status in ["pending", "failed", "cancelled", "uncertain", "sending"] {
        let change = format!("UPDATE outbox SET status = '{status}' WHERE id = {id}");
        outbox.database().try_query(&change).expect_err(&change);
    }
    assert_eq!(outbox.history(id).len(), 1);
    outbox.execute(&format!("DELETE FROM outbox WHERE id = {id}"));
    assert_eq!(outbox.history(id), []);
    let next = outbox.chat(1, "next");
    assert!(next > id, "ids are not reused");
}

#[test]
fn a_pending_job_is_cancelled_or_deleted_in_sql() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "withdrawn");
    outbox.execute(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {id}"));
    assert!(outbox.row(id).int("finished_at") > 0);
    let deleted = outbox.chat(1, "deleted");
    outbox.execute(&format!("DELETE FROM outbox WHERE id = {deleted}"));
    outbox.chat(1, "sent");
    outbox.run_until_empty();
    assert_eq!(server.words(), ["sent"]);
    outbox.execute(&format!("UPDATE outbox SET status = 'pending' WHERE id = {id}"));
    outbox.run_until_empty();
    assert_eq!(server.words(), ["sent", "withdrawn"]);
}

#[test]
fn the_view_shows_times_as_iso_text() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let id = outbox.add(Job::chat(1, "hi").column("source", "'shop'"));
    eventually(SOON, "it is sent", || outbox.count("sent") == 1);
    let row = outbox.database().one(&format!("SELECT * FROM delivery_status WHERE id = {id}"));
    let mut columns: Vec<&str> = row.0.keys().map(String::as_str).collect();
    columns.sort_unstable();
    let mut documented = [
        "id",
        "channel",
        "account",
        "source",
        "idempotency_key",
        "status",
        "attempts",
        "message_id",
        "failure",
        "error_code",
        "error",
        "created_at",
        "send_at",
        "next_attempt_at",
        "finished_at",
        "delivery",
        "delivery_at",
        "case_id",
        "contact_id",
    ];
    documented.sort_unstable();
    assert_eq!(columns, documented);
    for time in ["created_at", "finished_at"] {
        let text = row.text(time);
        assert!(text.len() == 24 && text.ends_with('Z') && &text[10..11] == "T", "{text}");
    }
    assert_eq!(row["source"], "shop");
}
