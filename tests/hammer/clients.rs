//! Producers and operators: each a task with its own connection, and plain SQL.

use super::journal::{Fate, Journal};
use super::place::Place;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// What all clients share.
pub struct Clients {
    pub journal: Arc<Journal>,
    pub place: Arc<Place>,
    /// Nobody begins anything new.
    pub stop: AtomicBool,
    /// How many jobs wait, as somebody has counted; producers pause while it is many.
    pub backlog: AtomicI64,
}

/// More than this wait: enough.
const ENOUGH: i64 = 300;
/// A server that is being restarted, or fails over, does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One producer, which also changes its mind.
pub struct Producer {
    number: usize,
    shared: Arc<Clients>,
    dice: fastrand::Rng,
    conn: Option<PgConnection>,
    made: u64,
    /// The names and ids of its latest jobs.
    latest: VecDeque<(String, i64)>,
}

/// What a statement came to.
enum Done {
    /// So many rows.
    Rows(u64),
    /// The outbox's rules have refused it.
    Refused,
    /// The connection was lost: nobody knows.
    Unknown,
}

impl Producer {
    pub fn new(number: usize, shared: Arc<Clients>, seed: u64) -> Producer {
        let dice = fastrand::Rng::with_seed(seed.wrapping_add(number as u64 * 7919));
        Producer { number, shared, dice, conn: None, made: 0, latest: VecDeque::new() }
    }

    pub async fn work(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            let busy = self.shared.backlog.load(Ordering::SeqCst) > ENOUGH;
            match self.dice.u32(0..100) {
                0..60 if !busy => self.insert().await,
                0..60 => {}
                60..70 => self.edit().await,
                70..78 => self.cancel().await,
                78..88 => self.retry().await,
                88..94 => self.delete().await,
                94..97 => self.lock().await,
                _ => self.pause().await,
            }
            sleep(Duration::from_micros(self.dice.u64(0..80_000))).await;
        }
        if let Some(conn) = self.conn {
            let _ = timeout(Duration::from_secs(1), conn.close()).await;
        }
    }

    /// One to five jobs in a transaction; some of those are rolled back.
    async fn insert(&mut self) {
        let count = if self.dice.u32(0..3) == 0 { self.dice.u32(2..6) } else { 1 };
        let transaction = count > 1;
        let mut names = Vec::new();
        if transaction && !matches!(self.execute("BEGIN").await, Done::Rows(_)) {
            return;
        }
        let mut whole = true;
        for _ in 0..count {
            let (name, key, sql) = self.job();
            self.shared.journal.begin(&name, self.number, &key);
            names.push((name, 0));
            match self.insert_one(&sql).await {
                Some(id) => names.last_mut().expect("just pushed").1 = id,
                None => {
                    whole = false;
                    break;
                }
            }
        }
        let rolled_back = transaction && whole && self.dice.u32(0..12) == 0;
        let fate = match (transaction, whole) {
            (false, true) => Fate::Committed(Instant::now()),
            (false, false) => Fate::Unknown,
            // Without its COMMIT it is nothing.
            (true, false) => Fate::Never,
            (true, true) if rolled_back => {
                self.execute("ROLLBACK").await;
                Fate::Never
            }
            (true, true) => match self.execute("COMMIT").await {
                Done::Rows(_) => Fate::Committed(Instant::now()),
                Done::Refused => Fate::Never,
                Done::Unknown => Fate::Unknown,
            },
        };
        for (name, id) in names {
            self.shared.journal.note(&name, format!("insert as {id}: {fate:?}"), |message| {
                message.id = id;
                message.fate = fate;
            });
            if matches!(fate, Fate::Committed(_)) {
                self.shared.journal.count("jobs", 1);
                self.latest.push_back((name, id));
            }
        }
        while self.latest.len() > 60 {
            self.latest.pop_front();
        }
    }

    /// The name of a new job, its lane, and its INSERT.
    fn job(&mut self) -> (String, String, String) {
        self.made += 1;
        let name = format!("p{}-{}", self.number, self.made);
        let case = self.dice.u32(1..20);
        let (key, ordering_key) = match self.dice.u32(0..10) {
            0..2 => (String::new(), "''".to_owned()),
            // Everybody's.
            2..4 => shared(format!("hot {}", self.dice.u32(0..3))),
            // This producer's own.
            4..7 => shared(format!("own {} {}", self.number, self.dice.u32(0..2))),
            7..9 => shared(format!("many {}", self.dice.u32(0..500))),
            _ => (format!("case {case}"), "NULL".to_owned()),
        };
        // Two channels would be two conversations.
        let (channel, payload) = match self.dice.bool() || ordering_key == "NULL" {
            true => ("chat", format!(r#"{{"caseId": {case}, "message": "{name} hello"}}"#)),
            false => (
                "sms",
                format!(
                    r#"{{"From": "+12513188609", "To": "+919666929552", "Body": "{name} hello", "contactId": 751069, "threadId": {case}, "timelineId": 2108}}"#
                ),
            ),
        };
        let send_at = match key.is_empty() && self.dice.u32(0..3) == 0 {
            true => format!("clock_timestamp() + interval '{} ms'", self.dice.u32(0..700)),
            false => "NULL".to_owned(),
        };
        let expires_at = match self.dice.u32(0..40) {
            0 => format!("clock_timestamp() + interval '{} ms'", self.dice.u32(50..3_000)),
            _ => "NULL".to_owned(),
        };
        let priority = self.dice.u32(0..10);
        let sql = format!(
            "INSERT INTO outbox (channel, payload, idempotency_key, ordering_key, priority, send_at, expires_at)
             VALUES ('{channel}', '{payload}', '{name}', {ordering_key}, {priority}, {send_at}, {expires_at}) RETURNING id"
        );
        (name, key, sql)
    }

    fn one_of_the_latest(&mut self) -> Option<(String, i64)> {
        let at = (!self.latest.is_empty()).then(|| self.dice.usize(0..self.latest.len()))?;
        self.latest.get(at).cloned()
    }

    /// Another text, another priority, or another place.
    async fn edit(&mut self) {
        let Some((name, id)) = self.one_of_the_latest() else { return };
        let (what, moves) = match self.dice.u32(0..4) {
            0 => (
                "payload = jsonb_set(payload, ARRAY[CASE channel WHEN 'sms' THEN 'Body' ELSE 'message' END], to_jsonb(idempotency_key || ' again'))",
                false,
            ),
            1 => ("priority = (priority + 1) % 10", false),
            2 => ("ordering_key = 'hot ' || id % 3", true),
            _ => ("send_at = clock_timestamp() + interval '200 ms'", true),
        };
        if moves {
            // Before: it may be sent from its new place at once.
            self.shared.journal.note(&name, "is given another place", |m| m.loose = true);
        }
        let sql = format!(
            "UPDATE outbox SET {what} WHERE id = {id} AND idempotency_key = '{name}' AND status = 'pending'"
        );
        if matches!(self.execute(&sql).await, Done::Rows(1)) {
            self.shared.journal.note(&name, format!("edited: {what}"), |_| {});
            self.shared.journal.count("edits", 1);
        }
    }

    async fn cancel(&mut self) {
        let Some((name, id)) = self.one_of_the_latest() else { return };
        let sql = format!(
            "UPDATE outbox SET status = 'cancelled' WHERE id = {id} AND idempotency_key = '{name}' AND status = 'pending'"
        );
        match self.execute(&sql).await {
            Done::Rows(1) => {
                self.shared.journal.note(&name, "cancelled", |m| m.is_cancelled = true);
                self.shared.journal.count("cancels", 1);
            }
            Done::Unknown => {
                self.shared.journal.note(&name, "perhaps cancelled", |m| m.is_cancelled = true);
            }
            _ => {}
        }
    }

    /// As an operator: sends a finished or an uncertain one again.
    async fn retry(&mut self) {
        let Some((name, id)) = self.one_of_the_latest() else { return };
        self.shared.journal.note(&name, "may be retried", |m| {
            m.retries += 1;
            m.loose = true;
        });
        let sql = format!(
            "UPDATE outbox SET status = 'pending' WHERE id = {id} AND idempotency_key = '{name}' AND status IN ('failed', 'cancelled', 'uncertain')"
        );
        match self.execute(&sql).await {
            Done::Rows(1) => {
                self.shared.journal.note(&name, "retried", |_| {});
                self.shared.journal.count("retries", 1);
            }
            Done::Unknown => {}
            _ => self.shared.journal.note(&name, "was not retried", |m| m.retries -= 1),
        }
    }

    async fn delete(&mut self) {
        let Some((name, id)) = self.one_of_the_latest() else { return };
        self.shared.journal.note(&name, "may be deleted", |m| m.may_be_deleted = true);
        let sql = format!(
            "DELETE FROM outbox WHERE id = {id} AND idempotency_key = '{name}' AND status <> 'sending'"
        );
        match self.execute(&sql).await {
            Done::Rows(1) => {
                self.shared.journal.note(&name, "deleted", |_| {});
                self.shared.journal.count("deletes", 1);
                self.latest.retain(|(other, _)| *other != name);
            }
            Done::Unknown => {
                let unknown = "deleted or not: the answer is lost";
                self.shared.journal.note(&name, unknown, |m| m.is_deletion_unknown = true);
            }
            _ => self.shared.journal.note(&name, "was not deleted", |m| {
                m.may_be_deleted = m.is_deletion_unknown;
            }),
        }
    }

    /// As somebody who looks at a row in a transaction, and takes a while.
    async fn lock(&mut self) {
        let Some((name, id)) = self.one_of_the_latest() else { return };
        if matches!(self.execute("BEGIN").await, Done::Rows(_)) {
            let sql = format!(
                "SELECT * FROM outbox WHERE id = {id} AND idempotency_key = '{name}' FOR UPDATE"
            );
            self.execute(&sql).await;
            sleep(Duration::from_millis(self.dice.u64(0..300))).await;
            self.execute("ROLLBACK").await;
            self.shared.journal.count("locks", 1);
        }
    }

    /// A channel, for a moment.
    async fn pause(&mut self) {
        let channel = if self.dice.bool() { "chat" } else { "sms" };
        let sql = format!(
            "INSERT INTO outbox_pauses (channel, reason) VALUES ('{channel}', 'hammer') ON CONFLICT DO NOTHING"
        );
        if matches!(self.execute(&sql).await, Done::Rows(1)) {
            self.shared.journal.count("pauses", 1);
        }
        sleep(Duration::from_millis(self.dice.u64(0..400))).await;
        self.execute(&format!(
            "DELETE FROM outbox_pauses WHERE channel = '{channel}' AND reason = 'hammer'"
        ))
        .await;
    }

    /// `None`: refused or lost; then the session has been given up.
    async fn insert_one(&mut self, sql: &str) -> Option<i64> {
        let conn = self.conn().await?;
        let statement = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false);
        match timeout(PATIENCE, statement.fetch_one(conn)).await {
            Ok(Ok(id)) => Some(id),
            Ok(Err(e)) => {
                self.judge(&e, sql);
                self.conn = None;
                None
            }
            Err(_) => {
                self.conn = None;
                None
            }
        }
    }

    async fn execute(&mut self, sql: &str) -> Done {
        let Some(conn) = self.conn().await else { return Done::Unknown };
        let statement = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = timeout(PATIENCE, statement.execute(conn)).await;
        match done {
            Ok(Ok(done)) => Done::Rows(done.rows_affected()),
            Ok(Err(e)) if self.judge(&e, sql) => Done::Refused,
            _ => {
                self.conn = None;
                Done::Unknown
            }
        }
    }

    async fn conn(&mut self) -> Option<&mut PgConnection> {
        if self.conn.is_none() {
            match self.shared.place.connect().await {
                Ok(conn) => self.conn = Some(conn),
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
        self.conn.as_mut()
    }

    /// True for a refusal by the outbox's rules. What no producer may meet is noted: a deadlock, for one.
    fn judge(&self, e: &sqlx::Error, sql: &str) -> bool {
        let Some(answer) = e.as_database_error() else { return false };
        let code = answer.code().unwrap_or_default();
        let by_rule = code == "23514" && answer.message().starts_with("outbox");
        // The server ends, starts, or is a standby still; the session is in a transaction that has failed; or the outbox
        // is just being replaced.
        let passes =
            code.starts_with("57P") || matches!(&*code, "25006" | "25P02" | "3D000" | "57014");
        if !by_rule && !passes {
            self.shared
                .journal
                .wrong(format!("a producer's error: {code} {} in: {sql}", answer.message()));
        }
        by_rule
    }
}

fn shared(key: String) -> (String, String) {
    let quoted = format!("'{key}'");
    (key, quoted)
}
