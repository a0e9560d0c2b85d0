//! Finds rows that would otherwise wait forever: those with an invalid time, account or channel, and
//! those that are not in the queue because they were written without the triggers. Index seeks only.

use super::lenient::Lenient;
use super::reading;
use super::reading::{LAST_TIME, Unreadable};
use super::row_by_row::IGNORED;
use super::set_aside::Tryable;
use super::sqlite_tenure::SqliteTenure;
use super::{RepairScope, SqliteError, SqliteStore, listed};
use crate::queue::overview::Untouched;
use crate::queue::report::Notice;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::sync::LazyLock;
use tokio::time::Instant;
use tracing::Level;

/// How many rows of a kind one search returns at most; the next search returns more.
const STRAYS: i64 = 100;

/// What happened to rows that were written without the triggers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct TakenIn {
    /// Rows that are now in the queue.
    pub queued: Vec<i64>,
    /// Rows that broke a rule and have failed with its sentence.
    pub failed: Vec<(i64, String)>,
    /// Rows that could be neither queued nor failed, and are set aside.
    pub set_aside: Vec<(i64, String)>,
}

/// Waiting for a time that never comes: NULL, text (which sorts after every number), or after the year 9999.
static LOST_IN_TIME: LazyLock<String> = LazyLock::new(|| {
    let part = |wait: &str, column: &str, odd: &str| {
        format!(
            "SELECT * FROM (SELECT id, channel, '{column}' AS odd, {column} FROM outbox
                 WHERE wait = '{wait}' AND {column} {odd}
                     AND id NOT IN (SELECT job_id FROM outbox_set_aside) LIMIT ?1)"
        )
    };
    let after = format!("> {LAST_TIME}");
    [
        part("backoff", "next_attempt_at", "IS NULL"),
        part("backoff", "next_attempt_at", &after),
        part("scheduled", "due_at", "IS NULL"),
        part("scheduled", "due_at", &after),
    ]
    .join(" UNION ALL ")
});

/// Not in the queue, or with an unknown `wait`; the condition of the index `outbox_untouched`.
macro_rules! without_a_place {
    () => {
        "status = 'pending' AND (wait IS NULL OR (wait <> 'ready' AND wait <> 'scheduled' AND wait <> 'backoff' AND wait <> 'parked'))"
    };
}

const UNTOUCHED: &str = concat!(
    "SELECT id FROM outbox WHERE ",
    without_a_place!(),
    " AND id NOT IN (SELECT job_id FROM outbox_set_aside) LIMIT ?1"
);

/// Whether any row is lost in time or untouched.
static ANY_STRAY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE {}
                AND id NOT IN (SELECT job_id FROM outbox_set_aside))
            OR EXISTS ({})",
        without_a_place!(),
        LOST_IN_TIME.replace("?1", "1")
    )
});

/// One job of each account and channel that has jobs ready: one seek each.
pub(super) const ROUTES: &str = "\
WITH RECURSIVE route (id) AS (
    SELECT (SELECT id FROM outbox WHERE wait = 'ready' ORDER BY account, channel LIMIT 1)
    UNION ALL
    SELECT coalesce(
        (SELECT n.id FROM outbox AS n WHERE n.wait = 'ready' AND n.account = o.account AND n.channel > o.channel
         ORDER BY n.channel LIMIT 1),
        (SELECT n.id FROM outbox AS n WHERE n.wait = 'ready' AND n.account > o.account
         ORDER BY n.account, n.channel LIMIT 1))
    FROM route CROSS JOIN outbox AS o NOT INDEXED ON o.id = route.id)
SELECT o.id, o.account, o.channel FROM route CROSS JOIN outbox AS o NOT INDEXED ON o.id = route.id LIMIT 10000";

/// All jobs of the route of such a job.
const OF_ROUTE: &str = "\
SELECT o.id, o.account, o.channel FROM outbox AS e NOT INDEXED CROSS JOIN outbox AS o
    ON o.wait = 'ready' AND o.account = e.account AND o.channel = e.channel
WHERE e.id = ?1 AND o.id NOT IN (SELECT job_id FROM outbox_set_aside) LIMIT ?2";

/// Rows that the last cycle chose but could not claim: they are still ready.
const UNCLAIMED: &str = "\
SELECT o.id, o.status = 'pending' FROM temp.outbox_cycle_claimed AS c CROSS JOIN outbox AS o NOT INDEXED ON o.id = c.id
WHERE o.wait = 'ready' AND o.id NOT IN (SELECT job_id FROM outbox_set_aside)";

/// Removes a row that ended without the triggers from the queue.
const LEAVE: &str = "\
UPDATE outbox SET wait = NULL, holds = NULL, claimed_by = NULL, moves = moves + 1 WHERE id = ?1 AND status <> 'pending'";
const ELECT: &str = "INSERT INTO outbox_elect (lane) SELECT lane FROM outbox WHERE id = ?1";

const CHECK: &str = "\
INSERT INTO outbox_check
SELECT channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at, max_attempts, source,
    created_at FROM outbox WHERE id = ?1";

const TIMES: &str = "\
UPDATE outbox SET (send_at, expires_at, created_at) =
    (SELECT t.send_at, t.expires_at, t.created_at FROM outbox_times AS t WHERE t.id = ?1)
WHERE id = ?1 AND (typeof(send_at) = 'text' OR typeof(expires_at) = 'text' OR typeof(created_at) = 'text')";

/// Resets the dispatcher's columns as in a new row or, if the row had attempts, as a retry does.
const FRESH: &str = "\
UPDATE outbox SET moves = moves + 1, holds = NULL, claimed_by = NULL, due_at = NULL, next_attempt_at = NULL,
    budget_from = NULL, uncertain_attempts = 0, message_id = NULL, receipt = NULL, failure = NULL, error_code = NULL,
    error = NULL, finished_at = NULL, verify_at = NULL, verify_round = 0, verify_from = NULL, verify_until = NULL,
    verify_seen = NULL, delivery = NULL, delivery_at = NULL, follow_at = NULL, followed_at = NULL,
    attempts = ifnull((SELECT max(a.attempt) FROM outbox_attempts AS a WHERE a.job_id = outbox.id), 0),
    unspent = ifnull((SELECT max(a.attempt) FROM outbox_attempts AS a WHERE a.job_id = outbox.id), 0)
WHERE id = ?1";

const ENQUEUE: &str = "INSERT INTO outbox_enqueue (id) VALUES (?1)";

const REFUSE: &str = "\
UPDATE outbox SET status = 'failed', failure = 'invalid', error_code = 'invalid_row', error = ?2, moves = moves + 1
WHERE id = ?1 AND status = 'pending'";

const LEAVE_ALONE: &str = "\
INSERT OR REPLACE INTO outbox_set_aside (job_id, since, reason) SELECT ?1, now, ?2 FROM outbox_clock";

/// For the test of their plans.
pub(super) fn statements() -> [(&'static str, String); 5] {
    [
        ("lost_in_time", LOST_IN_TIME.clone()),
        ("untouched", UNTOUCHED.to_owned()),
        ("any_stray", ANY_STRAY.clone()),
        ("routes", ROUTES.to_owned()),
        ("of_route", OF_ROUTE.to_owned()),
    ]
}

impl SqliteStore {
    /// Whether any row waits for an invalid time, or has no place in the queue.
    async fn is_any_stray(&mut self) -> Result<bool, SqliteError> {
        let query = sqlx::query(AssertSqlSafe(ANY_STRAY.as_str()));
        Ok(query.fetch_one(&mut self.conn).await?.whole(0) == Some(1))
    }

    /// Rows that wait for a time that never comes.
    async fn lost_in_time(&mut self) -> Result<Vec<Unreadable>, SqliteError> {
        let query = sqlx::query(AssertSqlSafe(LOST_IN_TIME.as_str())).bind(STRAYS);
        let rows = query.fetch_all(&mut self.conn).await?;
        // Each part names its own column, and the first part's name applies to all.
        let odd = |row: &SqliteRow| reading::odd_time(row, &row.text_or_empty("odd"), 3);
        Ok(rows.iter().map(odd).collect())
    }

    /// Ready rows with an account or channel that no route can have.
    async fn without_a_route(&mut self) -> Result<Vec<Unreadable>, SqliteError> {
        let mut found = Vec::new();
        let routes = sqlx::query(ROUTES).fetch_all(&mut self.conn).await?;
        for route in routes.iter().filter(|row| reading::odd_route(row).is_some()) {
            let id = route.whole(0).unwrap_or_default();
            let rows =
                sqlx::query(OF_ROUTE).bind(id).bind(STRAYS).fetch_all(&mut self.conn).await?;
            found.extend(rows.iter().filter_map(reading::odd_route));
        }
        Ok(found)
    }

    /// Handles rows that the last cycle chose but could not claim. Those that ended without the triggers
    /// leave the queue, and their number is returned; so are the others, whose claim a trigger ignores.
    async fn unclaimed(&mut self) -> Result<(usize, Vec<i64>), SqliteError> {
        let (mut left, mut ignored) = (0, Vec::new());
        for row in sqlx::query(UNCLAIMED).fetch_all(&mut self.conn).await? {
            let id = row.whole(0).unwrap_or_default();
            if row.whole(1) == Some(1) {
                ignored.push(id);
                continue;
            }
            let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
            for statement in [LEAVE, ELECT] {
                sqlx::query(statement).bind(id).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            left += 1;
        }
        Ok((left, ignored))
    }

    /// Queues up to `STRAYS` rows that were written without the triggers, as an INSERT would have done:
    /// checked, and with times in milliseconds. One transaction.
    async fn take_in(&mut self) -> Result<TakenIn, SqliteError> {
        let rows = sqlx::query(UNTOUCHED).bind(STRAYS).fetch_all(&mut self.conn).await?;
        let mut taken = TakenIn::default();
        if rows.is_empty() {
            return Ok(taken);
        }
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        for row in &rows {
            take_in_one(&mut tx, row.whole(0).unwrap_or_default(), &mut taken).await?;
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Rows that were written without the triggers, counted up to [`Untouched::COUNTED`].
    pub async fn untouched(&mut self) -> Result<Untouched, SqliteError> {
        let count = sqlx::query(AssertSqlSafe(format!("SELECT count(*) FROM ({UNTOUCHED})")));
        let row = count.bind(Untouched::COUNTED).fetch_one(&mut self.conn).await?;
        let first = sqlx::query(UNTOUCHED).bind(Untouched::NAMED).fetch_all(&mut self.conn).await?;
        Ok(Untouched {
            count: row.whole(0).unwrap_or_default().unsigned_abs(),
            first: first.iter().filter_map(|row| row.whole(0)).collect(),
        })
    }
}

async fn take_in_one(
    conn: &mut SqliteConnection,
    id: i64,
    taken: &mut TakenIn,
) -> Result<(), SqliteError> {
    let mut refused = None;
    for step in [CHECK, TIMES, FRESH, ENQUEUE] {
        let done = sqlx::query(step).bind(id).execute(&mut *conn).await.map_err(SqliteError::from);
        match done {
            Ok(_) => {}
            Err(e) if e.is_of_a_row() => {
                // Only one of our rules proves that the row is wrong.
                let by_rule = step == CHECK && e.trigger_sentence().is_some();
                refused = Some((e.refusal().unwrap_or_else(|| e.to_string()), by_rule));
                break;
            }
            Err(e) => return Err(e),
        }
    }
    let Some((sentence, by_rule)) = refused else {
        taken.queued.push(id);
        return Ok(());
    };
    let refuse = if by_rule { REFUSE } else { LEAVE_ALONE };
    let failed = sqlx::query(refuse).bind(id).bind(&sentence).execute(&mut *conn).await;
    match failed.map_err(SqliteError::from) {
        Ok(_) if by_rule => taken.failed.push((id, sentence)),
        Ok(_) => taken.set_aside.push((id, sentence)),
        Err(e) if e.is_of_a_row() => {
            sqlx::query(LEAVE_ALONE).bind(id).bind(&sentence).execute(&mut *conn).await?;
            taken.set_aside.push((id, sentence));
        }
        Err(e) => return Err(e),
    }
    Ok(())
}

impl SqliteTenure {
    /// Looks for stray rows if another connection has written since, and retries set-aside jobs. If the
    /// database refuses a repair, messages still go out.
    pub(super) async fn look_for_strays(&mut self) -> Result<(), SqliteError> {
        match self.follow_rows().await {
            Err(e) if e.is_of_a_row() => {
                let sentence = "the database refuses to repair inconsistent rows; messages still go out, and the repair will be tried again";
                self.report.notice(Notice::new(Level::WARN, sentence).reason(e.to_string()));
                Ok(())
            }
            done => done,
        }
    }

    async fn follow_rows(&mut self) -> Result<(), SqliteError> {
        let at = Instant::now();
        if self.timers.is_time_to_try(at) {
            self.try_set_aside_jobs().await?;
        }
        if self.timers.is_time_for_routes(at) {
            let odd = self.store.without_a_route().await?;
            self.fail_unreadable(&odd, false).await?;
            self.free_places().await?;
        }
        // The triggers check the rows, so they must exist.
        if self.timers.is_time_for_strays(at)
            && self.follow_schema().await?
            && self.store.is_any_stray().await?
        {
            let odd = self.store.lost_in_time().await?;
            self.fail_unreadable(&odd, false).await?;
            let may_have_more = self.take_in().await?;
            // There may be more than one search returns.
            self.timers.strays_again(may_have_more);
        }
        Ok(())
    }

    /// Rows that are chosen but cannot be claimed would take the places of others in every cycle.
    async fn free_places(&mut self) -> Result<(), SqliteError> {
        let (left, ignored) = self.store.unclaimed().await?;
        for id in &ignored {
            self.store.set_aside(*id, IGNORED).await?;
            let sentence = "a trigger ignores the claim of this row: it is set aside";
            self.report.notice(Notice::new(Level::ERROR, sentence).job(*id).reason(IGNORED));
        }
        if left > 0 {
            let sentence = "rows that ended without the triggers have been removed from the queue";
            self.report.notice(Notice::new(Level::WARN, sentence).rows(left));
        }
        if left + ignored.len() > 0 {
            self.report.may_be_ready = true;
            self.timers.routes_soon();
        }
        Ok(())
    }

    /// Whether the triggers, views and indexes are as they should be. If somebody has changed the schema,
    /// restores what was removed, if that is safe.
    async fn follow_schema(&mut self) -> Result<bool, SqliteError> {
        let cookie = self.store.schema_cookie().await?;
        if let Some((known, has_rules)) = self.timers.schema
            && known == cookie
        {
            return Ok(has_rules);
        }
        let mut has_rules = true;
        match self.store.repair(RepairScope::Rules).await {
            Ok(flaws) if flaws.is_empty() => {}
            Ok(flaws) => {
                let sentence =
                    "triggers, views or indexes of the outbox were changed and have been restored";
                let notice = Notice::new(Level::WARN, sentence);
                self.report.notice(notice.reason(listed(&flaws)));
            }
            Err(e @ SqliteError::Flawed { .. }) => {
                let notice = Notice::new(Level::ERROR, "the schema was changed");
                self.report.notice(notice.reason(e.to_string()));
                has_rules = false;
            }
            Err(e) => return Err(e),
        }
        // The version from before the repair: a change since then is checked next time.
        self.timers.schema = Some((cookie, has_rules));
        Ok(has_rules)
    }

    /// Queues rows that were written while the triggers were missing or disabled. True if there may be more.
    async fn take_in(&mut self) -> Result<bool, SqliteError> {
        let taken = self.store.take_in().await?;
        let rows = taken.queued.len() + taken.failed.len() + taken.set_aside.len();
        if rows == 0 {
            return Ok(false);
        }
        let first = taken.queued.iter().chain(taken.failed.iter().map(|(id, _)| id)).min();
        let sentence = "rows were written while the triggers of the table outbox were missing or \
            disabled; they have now been checked and queued; this job is the first of them";
        let notice = Notice { job: first.copied(), ..Notice::new(Level::WARN, sentence) };
        self.report.notice(notice.rows(rows));
        for (id, sentence) in &taken.failed {
            let notice = Notice::new(Level::WARN, "this row breaks a rule and has failed");
            self.report.notice(notice.job(*id).reason(sentence));
        }
        for (id, sentence) in &taken.set_aside {
            let notice = "this row could be neither queued nor failed and is set aside";
            self.report.notice(Notice::new(Level::ERROR, notice).job(*id).reason(sentence));
        }
        self.report.may_be_ready = true;
        Ok(rows as i64 == STRAYS)
    }

    /// Set-aside jobs whose outcome can now be recorded, or that can now be claimed, are released.
    async fn try_set_aside_jobs(&mut self) -> Result<(), SqliteError> {
        if !self.store.has_set_aside().await? {
            return Ok(());
        }
        for Tryable { id, record } in self.store.tryable().await? {
            let done = match &record {
                Some(record) => self.store.record_kept(id, record, self.epoch).await,
                None => self.store.try_move(id, self.epoch).await.map(|()| true),
            };
            match done {
                Ok(true) => {
                    let notice = Notice::new(Level::INFO, "this row is no longer set aside");
                    self.report.notice(notice.job(id));
                }
                Ok(false) => {}
                Err(e) if e.is_of_a_row() => {}
                Err(e) => return Err(e),
            }
        }
        self.report.may_be_ready = true;
        Ok(())
    }
}
