//! Work between cycles, each kind as often as it needs: stray rows, the length of the log, and in small
//! batches retention, scrubbing and the size of the file.

use super::SqliteError;
use super::erase::Erased;
use super::sqlite_tenure::SqliteTenure;
use crate::queue::job::Millis;
use crate::queue::report::Notice;
use crate::queue::when::now;
use crate::store::tenure::{Plan, Upkept};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

/// Every producer's commit may leave a stray row, but they are searched for at most this often.
const STRAYS_EVERY: Duration = Duration::from_secs(1);
/// How often jobs without a route are searched for: a seek for each account and channel.
const ROUTES_EVERY: Duration = Duration::from_secs(10);
/// How often set-aside jobs are tried again.
const TRY_EVERY: Duration = Duration::from_secs(60);
/// How often the length of the log is checked, and how soon again while it stays long.
const LOG_EVERY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));
/// How often the history's minutes become hours.
const FOLD_EVERY: Duration = Duration::from_secs(600);
/// How often there is a batch of each kind.
const BATCHES_EVERY: Duration = Duration::from_secs(60);
/// The same if texts must be removed sooner than that.
const SCRUB_EVERY: Duration = Duration::from_secs(5);
/// The pause after a batch that left some rows over, so that producers can write.
const NEXT_BATCH: Duration = Duration::from_millis(200);
/// Scrubbing stays this far behind, in case the clock is set back a little.
const SCRUB_BEHIND: Duration = Duration::from_secs(5);

/// When each kind of work is due next.
pub(super) struct Timers {
    strays: Instant,
    /// Another connection has committed since the last search for stray rows.
    strays_stale: bool,
    routes: Instant,
    try_again: Instant,
    log: Instant,
    batches: Instant,
    fold: Instant,
    /// The schema's version when its rules were last compared, and whether they were all there.
    pub schema: Option<(i64, bool)>,
    /// The plan of the last batches.
    plan: Option<Plan>,
}

impl Timers {
    pub fn new() -> Timers {
        let now = Instant::now();
        Timers {
            strays: now,
            strays_stale: true,
            routes: now,
            try_again: now,
            log: now + LOG_EVERY.0,
            batches: now,
            fold: now,
            schema: None,
            plan: None,
        }
    }

    pub fn others_committed(&mut self) {
        self.strays_stale = true;
    }

    pub fn batch_soon(&mut self) {
        self.batches = Instant::now();
    }

    pub fn routes_soon(&mut self) {
        self.routes = Instant::now();
    }

    pub fn strays_again(&mut self, at_once: bool) {
        self.strays_stale = true;
        if at_once {
            self.strays = Instant::now();
        }
    }

    /// Whether set-aside jobs are due; then stray rows are searched for as well.
    pub fn is_time_to_try(&mut self, at: Instant) -> bool {
        let due = self.try_again <= at;
        if due {
            self.try_again = at + TRY_EVERY;
            self.strays_stale = true;
        }
        due
    }

    pub fn is_time_for_routes(&mut self, at: Instant) -> bool {
        let due = self.routes <= at;
        if due {
            self.routes = at + ROUTES_EVERY;
        }
        due
    }

    pub fn is_time_for_strays(&mut self, at: Instant) -> bool {
        let due = self.strays_stale && self.strays <= at;
        if due {
            self.strays_stale = false;
            self.strays = at + STRAYS_EVERY;
        }
        due
    }

    fn next(&self) -> Instant {
        let strays = self.strays_stale.then_some(self.strays);
        let others = [self.routes, self.try_again, self.log, self.batches];
        others.into_iter().chain(strays).fold(self.batches, Instant::min)
    }
}

impl SqliteTenure {
    /// See [`Tenure::upkeep`](crate::store::Tenure::upkeep).
    ///
    /// # Errors
    /// From a batch, only an error that ends the tenure. A batch that fails otherwise is tried again
    /// later, and messages still go out.
    pub async fn upkeep(&mut self, plan: &Plan) -> Result<Upkept, SqliteError> {
        self.look_for_strays().await?;
        if let Some(note) = &mut self.note {
            note.write_if_due();
        }
        let at = Instant::now();
        if self.timers.log <= at {
            let still_long = self.store.shorten_log().await?;
            self.timers.log = at + if still_long { LOG_EVERY.1 } else { LOG_EVERY.0 };
        }
        // A new configuration applies at once.
        let known = self.timers.plan.as_ref();
        let is_new = known
            .is_none_or(|known| (&known.retention, &known.scrub) != (&plan.retention, &plan.scrub));
        if is_new || self.timers.batches <= at {
            self.timers.plan = Some(plan.clone());
            self.batches(plan).await?;
        }
        let report = std::mem::take(&mut self.report);
        Ok(Upkept { next: self.timers.next(), report })
    }

    async fn batches(&mut self, plan: &Plan) -> Result<(), SqliteError> {
        let soon = plan.scrub.iter().any(|(_, age)| *age < BATCHES_EVERY);
        let mut pause = if soon { SCRUB_EVERY } else { BATCHES_EVERY };
        let steps = [
            self.prune(plan).await,
            self.scrub(plan).await,
            self.store.forget_taken_keys().await,
            self.shrink().await,
            self.forget_statistics().await,
            self.fold_history().await,
        ];
        for step in steps {
            match step {
                Ok(true) => pause = NEXT_BATCH,
                Ok(false) => {}
                Err(e) if e.is_final() => return Err(e),
                Err(e) => {
                    let sentence =
                        "upkeep failed and will be tried again later; messages still go out";
                    let notice = Notice::new(Level::WARN, sentence).reason(e.to_string());
                    self.report.notice(notice);
                }
            }
        }
        self.timers.batches = Instant::now() + pause;
        Ok(())
    }

    /// Deletes a batch of each state. True if there are more.
    async fn prune(&mut self, plan: &Plan) -> Result<bool, SqliteError> {
        let mut more = false;
        for (status, age) in &plan.retention {
            let pruned = self.store.prune(*status, before(now(), *age)).await?;
            self.report_erased(format!("finished jobs ({status}) were deleted"), pruned);
            more |= pruned.more;
        }
        Ok(more)
    }

    /// Scrubs a batch of each channel. True if there are more.
    async fn scrub(&mut self, plan: &Plan) -> Result<bool, SqliteError> {
        let mut more = false;
        for (channel, age) in &plan.scrub {
            let until = plan.recorded_until.min(before(now(), (*age).max(SCRUB_BEHIND)));
            let scrubbed = self.store.scrub(*channel, until).await?;
            self.report_erased(
                format!("the texts of sent messages were removed, channel {channel}"),
                scrubbed,
            );
            more |= scrubbed.more;
        }
        Ok(more)
    }

    fn report_erased(&mut self, sentence: String, erased: Erased) {
        if erased.rows > 0 {
            let rows = usize::try_from(erased.rows).unwrap_or(usize::MAX);
            self.report.notice(Notice::new(Level::DEBUG, sentence).rows(rows));
        }
    }

    /// Returns free pages to the file system. True if there are more.
    async fn shrink(&mut self) -> Result<bool, SqliteError> {
        let shrunk = self.store.shrink().await?;
        if shrunk.pages > 0 {
            let sentence = format!("{} free pages were returned to the file system", shrunk.pages);
            self.report.notice(Notice::new(Level::DEBUG, sentence));
        }
        Ok(shrunk.more)
    }

    async fn fold_history(&mut self) -> Result<bool, SqliteError> {
        if self.timers.fold <= Instant::now() {
            self.timers.fold = Instant::now() + FOLD_EVERY;
            self.store.fold_history(now()).await?;
        }
        Ok(false)
    }

    async fn forget_statistics(&mut self) -> Result<bool, SqliteError> {
        if self.store.forget_statistics().await? {
            let sentence = "another program has run ANALYZE: the statistics of the outbox's tables were deleted";
            self.report.notice(Notice::new(Level::DEBUG, sentence));
        }
        Ok(false)
    }
}

fn before(now: Millis, age: Duration) -> Millis {
    now.saturating_sub(Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX))
}
