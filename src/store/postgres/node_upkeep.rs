//! Upkeep: retention, scrubbing, rows that no trigger has seen, rows that are set aside, and nodes that
//! ended long ago. Each in small steps; several nodes may do it at once.

use super::ended_json::later;
use super::postgres_tenure::PostgresTenure;
use crate::queue::report::Notice;
use crate::store::StoreError;
use crate::store::tenure::{Plan, Upkept};
use serde_json::{Value, json};
use sqlx::Row;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

/// How often there is a batch, and how soon another follows while there are more.
const BATCHES_EVERY: Duration = Duration::from_secs(60);
const SCRUB_EVERY: Duration = Duration::from_secs(1);
const NEXT_BATCH: Duration = Duration::from_millis(50);
/// How often set-aside rows are tried, and rows are looked for that no trigger has seen.
const TRY_EVERY: Duration = Duration::from_secs(60);
const STRAYS_EVERY: Duration = Duration::from_secs(5);
/// How often the history's minutes become hours.
const FOLD_EVERY: Duration = Duration::from_secs(600);

const PRUNE: &str = "\
WITH x AS MATERIALIZED (
    SELECT id FROM outbox WHERE status = $1 AND channel IN ('chat', 'mail', 'sms') AND finished_at < clock_timestamp() - $2 * interval '1 ms'
    LIMIT 500 FOR UPDATE SKIP LOCKED)
DELETE FROM outbox AS o USING x WHERE o.id = x.id AND o.status = $1";
/// Sent messages in the order in which they ended, from where the last batch stopped.
const SCRUB: &str = "\
WITH mark AS (SELECT s.finished_at, s.id FROM outbox_scrubbing s WHERE s.channel = $1),
x AS MATERIALIZED (
    SELECT o.id, o.finished_at FROM outbox o
    WHERE o.status = 'sent' AND o.channel = $1 AND o.finished_at IS NOT NULL AND o.finished_at <= clock_timestamp() - $2 * interval '1 ms'
        AND (o.finished_at, o.id) > (coalesce((SELECT finished_at FROM mark), '-infinity'), coalesce((SELECT id FROM mark), 0))
    ORDER BY o.finished_at, o.id LIMIT 500),
u AS (
    UPDATE outbox AS o SET payload = outbox_scrubbed_payload(o.payload), recipient = NULL, moves = o.moves + 1
    FROM x WHERE o.id = x.id AND o.status = 'sent' AND o.payload <> outbox_scrubbed_payload(o.payload) RETURNING o.id),
a AS (UPDATE outbox_acts AS a SET payload = NULL FROM u WHERE a.job_id = u.id AND a.payload IS NOT NULL),
m AS (
    INSERT INTO outbox_scrubbing (channel, finished_at, id)
    SELECT $1, x.finished_at, x.id FROM x ORDER BY x.finished_at DESC, x.id DESC LIMIT 1
    ON CONFLICT (channel) DO UPDATE SET finished_at = excluded.finished_at, id = excluded.id)
SELECT (SELECT count(*) FROM u), (SELECT count(*) FROM x)";
/// Marks later than this were set by a longer retention before, or by a clock that was wrong.
const REWIND: &str = "\
UPDATE outbox_scrubbing SET finished_at = clock_timestamp() - $2 * interval '1 ms' - interval '10 minutes', id = 0
WHERE channel = $1 AND finished_at > clock_timestamp() - $2 * interval '1 ms'";
const TAKE_IN: &str = "SELECT id, sentence FROM outbox_take_in(500)";
const FORGET_NODES: &str = "\
WITH gone AS (DELETE FROM outbox_nodes WHERE settled_at < clock_timestamp() - interval '7 days' RETURNING epoch),
answers AS (DELETE FROM outbox_answers a WHERE NOT EXISTS (SELECT 1 FROM outbox_nodes n WHERE n.epoch = a.epoch AND n.settled_at IS NULL))
DELETE FROM outbox_holds h WHERE h.since < clock_timestamp() - interval '1 day'
    AND NOT EXISTS (SELECT 1 FROM outbox_nodes n WHERE n.epoch = h.epoch AND n.buried_at IS NULL)";
const TRYABLE: &str = "\
SELECT a.job_id, a.record FROM outbox_set_aside a JOIN outbox o ON o.id = a.job_id
WHERE (a.record IS NOT NULL AND o.status = 'sending') OR (a.record IS NULL AND o.status = 'pending')
ORDER BY a.job_id LIMIT 500";
/// Rows that have ended in another way since.
const OVER: &str = "\
DELETE FROM outbox_set_aside a WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id = a.job_id
    AND (a.record IS NULL AND o.status NOT IN ('sent', 'cancelled', 'failed') OR o.status = 'sending'))";
const RELEASE: &str = "DELETE FROM outbox_set_aside WHERE job_id = $1";
/// Kept outcomes, with their distances as of now.
const RECORD_KEPT: &str = "\
SELECT kind, job FROM outbox_cycle($1, $2, $3 * interval '1 ms', $4 * interval '1 ms', $5::text::jsonb, '[]', 0, 0, 0, false, false, false, '0', NULL)";

/// The transaction that has ended a job commits later: scrubbing stays behind by the longest that one takes.
const SCRUB_BEHIND: Duration = Duration::from_secs(10);

/// What is done in batches.
enum Kind {
    Prune,
    Scrub,
    ForgetNodes,
    FoldHistory,
}

/// When each kind of work is due next.
pub(super) struct NodeTimers {
    batches: Instant,
    strays: Instant,
    set_aside: Instant,
    fold: Instant,
    /// The plan of the last batches.
    plan: Option<Plan>,
}

impl NodeTimers {
    pub(super) fn new() -> NodeTimers {
        let now = Instant::now();
        NodeTimers { batches: now, strays: now, set_aside: now, fold: now, plan: None }
    }

    fn next(&self) -> Instant {
        self.batches.min(self.strays).min(self.set_aside)
    }

    /// A new configuration applies at once.
    fn is_time_for_batches(&mut self, plan: &Plan) -> bool {
        let same = self.plan.as_ref().is_some_and(|known| {
            (&known.retention, &known.scrub) == (&plan.retention, &plan.scrub)
        });
        self.plan = Some(plan.clone());
        !same || self.batches <= Instant::now()
    }
}

fn is_due(at: &mut Instant, every: Duration) -> bool {
    let now = Instant::now();
    let due = *at <= now;
    if due {
        *at = now + every;
    }
    due
}

impl PostgresTenure {
    /// See [`Tenure::upkeep`](crate::store::Tenure::upkeep).
    ///
    /// # Errors
    /// From a batch, only one that ends the session. A batch that fails otherwise is tried again later, and
    /// messages still go out.
    pub async fn upkeep(&mut self, plan: &Plan) -> Result<Upkept, StoreError> {
        if is_due(&mut self.timers.strays, STRAYS_EVERY) {
            self.take_in().await?;
        }
        if is_due(&mut self.timers.set_aside, TRY_EVERY) && self.has_set_aside {
            self.try_set_aside().await?;
        }
        if self.timers.is_time_for_batches(plan) {
            let soon = plan.scrub.iter().any(|(_, age)| *age < BATCHES_EVERY);
            let mut pause = if soon { SCRUB_EVERY } else { BATCHES_EVERY };
            if self.batches(plan).await? {
                pause = NEXT_BATCH;
            }
            self.timers.batches = Instant::now() + pause;
        }
        let report = std::mem::take(&mut self.report);
        Ok(Upkept { next: self.timers.next(), report })
    }

    /// A batch of each kind; true if there are more. What the database refuses in one holds up none of the others.
    async fn batches(&mut self, plan: &Plan) -> Result<bool, StoreError> {
        let mut more = false;
        for kind in [Kind::Prune, Kind::Scrub, Kind::ForgetNodes, Kind::FoldHistory] {
            let done = match kind {
                Kind::Prune => self.prune(plan).await,
                Kind::Scrub => self.scrub(plan).await,
                Kind::ForgetNodes => self.forget_nodes().await,
                Kind::FoldHistory if !is_due(&mut self.timers.fold, FOLD_EVERY) => Ok(false),
                Kind::FoldHistory => self.fold_history().await,
            };
            match done {
                Ok(left) => more |= left,
                Err(e) if e.is_final() => return Err(e),
                Err(e) => {
                    let sentence =
                        "upkeep failed and will be tried again later; messages still go out";
                    self.report.notice(Notice::new(Level::WARN, sentence).reason(e.to_string()));
                    // Where there is no connection, there is none for the others.
                    if !e.is_of_a_row() && !e.is_busy() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(more)
    }

    /// True if there are more.
    async fn prune(&mut self, plan: &Plan) -> Result<bool, StoreError> {
        let mut more = false;
        for (status, age) in &plan.retention {
            let query = sqlx::query(PRUNE).bind(status.as_str()).bind(millis(*age));
            let done = self.session.with(async move |conn| query.execute(conn).await).await?;
            self.report_erased(
                format!("finished jobs ({status}) were deleted"),
                done.rows_affected(),
            );
            more |= done.rows_affected() == 500;
        }
        Ok(more)
    }

    /// True if there are more.
    async fn scrub(&mut self, plan: &Plan) -> Result<bool, StoreError> {
        let mut more = false;
        for (channel, age) in &plan.scrub {
            let age = millis((*age).max(SCRUB_BEHIND));
            let (rewind, scrub) = (
                sqlx::query(REWIND).bind(channel.as_str()).bind(age),
                sqlx::query(SCRUB).bind(channel.as_str()).bind(age),
            );
            let row = self.session.with(async move |conn| {
                rewind.execute(&mut *conn).await?;
                scrub.fetch_one(conn).await
            });
            let row = row.await?;
            let count = |at: usize| row.try_get::<i64, _>(at).unwrap_or_default().unsigned_abs();
            let sentence = format!("the texts of sent messages were removed, channel {channel}");
            self.report_erased(sentence, count(0));
            more |= count(1) == 500;
        }
        Ok(more)
    }

    async fn forget_nodes(&mut self) -> Result<bool, StoreError> {
        self.session.with(async |conn| sqlx::query(FORGET_NODES).execute(conn).await).await?;
        Ok(false)
    }

    fn report_erased(&mut self, sentence: String, rows: u64) {
        if rows > 0 {
            let rows = usize::try_from(rows).unwrap_or(usize::MAX);
            self.report.notice(Notice::new(Level::DEBUG, sentence).rows(rows));
        }
    }

    /// Rows that were written while the triggers were disabled get their place.
    async fn take_in(&mut self) -> Result<(), StoreError> {
        let rows =
            self.session.with(async |conn| sqlx::query(TAKE_IN).fetch_all(conn).await).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let sentence = "rows that were inserted while the outbox's triggers were disabled are in the queue now";
        self.report.notice(Notice::new(Level::WARN, sentence).rows(rows.len()));
        for row in &rows {
            let (id, broken): (i64, Option<String>) =
                (row.try_get(0).unwrap_or_default(), row.try_get(1).unwrap_or_default());
            if let Some(broken) = broken {
                let sentence = "this row breaks a rule of the outbox: it has failed; the others are not affected";
                self.report.notice(Notice::new(Level::ERROR, sentence).job(id).reason(broken));
            }
        }
        self.report.may_be_ready = true;
        Ok(())
    }

    /// Tries to record what was kept, and to release rows that can be moved now.
    async fn try_set_aside(&mut self) -> Result<(), StoreError> {
        self.session.with(async |conn| sqlx::query(OVER).execute(conn).await).await?;
        let rows =
            self.session.with(async |conn| sqlx::query(TRYABLE).fetch_all(conn).await).await?;
        for row in rows {
            let id: i64 = row.try_get(0).unwrap_or_default();
            let kept: Option<String> = row.try_get(1).unwrap_or_default();
            let tried = match kept.as_deref().map(from_kept) {
                Some(Some(ended)) => {
                    let tried = self.record_kept(json!([ended]).to_string()).await;
                    if tried.as_ref().is_ok_and(|locked| !locked.is_empty()) {
                        continue;
                    }
                    tried.map(|_| ())
                }
                // Another version's; a person decides.
                Some(None) => continue,
                None => self.would_claim(id).await,
            };
            match tried {
                Ok(()) => {
                    let query = sqlx::query(RELEASE).bind(id);
                    self.session.with(async move |conn| query.execute(conn).await).await?;
                    let sentence = "this row, which was set aside, can be used again";
                    self.report.notice(Notice::new(Level::INFO, sentence).job(id));
                    self.report.may_be_ready = true;
                }
                Err(e) if e.is_of_a_row() || e.is_busy() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Records a JSON array of outcomes that were kept outside the node's memory. Gives the jobs whose rows
    /// somebody has locked; the others are recorded.
    pub(super) async fn record_kept(&mut self, ended: String) -> Result<Vec<i64>, StoreError> {
        let done = self.session.transact(async move |conn, beat| {
            let query = sqlx::query_as(RECORD_KEPT).bind(beat.epoch).bind(beat.cycle);
            let query = query.bind(beat.lease_ms).bind(beat.request_ms).bind(ended);
            query.fetch_all(conn).await
        });
        let rows: Vec<(String, Option<i64>)> = done.await?;
        let locked = |(kind, job): (String, Option<i64>)| job.filter(|_| kind == "b");
        Ok(rows.into_iter().filter_map(locked).collect())
    }
}

/// A kept outcome as `outbox_cycle` reads it now.
fn from_kept(kept: &str) -> Option<Value> {
    let kept: Value = serde_json::from_str(kept).ok()?;
    let since = crate::queue::when::now().saturating_sub(kept["kept_at"].as_i64()?);
    Some(later(serde_json::from_str(kept["ended"].as_str()?).ok()?, since))
}

fn millis(age: Duration) -> i64 {
    super::node_session::millis(age)
}
