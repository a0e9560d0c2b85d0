//! An outbox with a job of every kind.

use super::{Job, Outbox, Reply, Server};
use serde_json::json;

/// Jobs of every kind, ended and waiting, and what became of them.
pub struct Shop {
    pub outbox: Outbox,
    pub sent: i64,
    pub refused: i64,
    pub exhausted: i64,
    pub cancelled: i64,
    pub later: i64,
}

pub fn shop(server: &Server) -> Shop {
    server.answer_with(|request| match request.words().as_str() {
        "refused" => Reply::json(400, json!({"error": "ERROR_INVALID_INPUT", "message": "no"})),
        "down" => Reply::status(503),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::new(server);
    let sent = outbox.add(Job::chat(1, "sent").column("source", "'shop'"));
    let refused = outbox.add(Job::mail(2, "refused").column("source", "'crm'"));
    let exhausted = outbox.add(Job::sms(3, "down").column("max_attempts", "2"));
    let cancelled = outbox.add(Job::chat(4, "cancelled").column("idempotency_key", "'k4'"));
    outbox.execute(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {cancelled}"));
    outbox.run_until_empty();
    let tomorrow = Job::chat(5, "later").tomorrow();
    let later = outbox.add(tomorrow);
    Shop { outbox, sent, refused, exhausted, cancelled, later }
}
