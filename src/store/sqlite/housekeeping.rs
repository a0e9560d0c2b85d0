//! What is done between cycles, each as often as it needs: stray rows, the log's length, and in small
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

/// Every producer's commit may leave a stray row, but they are not looked for more often than this.
const STRAYS_EVERY: Duration = Duration::from_secs(1);
/// How often jobs without a route are looked for: a seek for each account and channel.
const ROUTES_EVERY: Duration = Duration::from_secs(10);
/// How often what is set aside is tried again.
const TRY_EVERY: Duration = Duration::from_secs(60);
/// How often the length of the log is looked at, and how soon again while it stays long.
const LOG_EVERY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));
/// How often there is a batch of each kind, how often where texts are to be removed sooner than
/// that, and how soon after a batch that left some over: producers write in between.
const BATCHES_EVERY: Duration = Duration::from_secs(60);
const SCRUB_EVERY: Duration = Duration::from_secs(5);
const NEXT_BATCH: Duration = Duration::from_millis(200);
/// Scrubbing stays this far behind, so that a clock that is set back a little is not before it.
const SCRUB_BEHIND: Duration = Duration::from_secs(5);

/// When what is due next.
pub(super) struct Timers {
    strays: Instant,
    /// Another connection has committed since the last search for stray rows.
    strays_stale: bool,
    routes: Instant,
    try_again: Instant,
    log: Instant,
    batches: Instant,
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

    /// Stray rows are looked for afterwards, too.
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
    /// Of the batches only those after which the tenure must end: what else fails is tried again,
    /// and messages go out meanwhile.
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
        // Another configuration is followed at once.
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
        ];
        for step in steps {
            match step {
                Ok(true) => pause = NEXT_BATCH,
                Ok(false) => {}
                Err(e) if e.is_final() => return Err(e),
                Err(e) => {
                    let sentence = "upkeep failed and is tried again; messages go out";
                    let notice = Notice::new(Level::WARN, sentence).reason(e.to_string());
                    self.report.notice(notice);
                }
            }
        }
        self.timers.batches = Instant::now() + pause;
        Ok(())
    }

    /// A batch of each state; true: there are more.
    async fn prune(&mut self, plan: &Plan) -> Result<bool, SqliteError> {
        let mut more = false;
        for (status, age) in &plan.retention {
            let pruned = self.store.prune(*status, before(now(), *age)).await?;
            self.tell_erased(format!("finished jobs pruned that were {status}"), pruned);
            more |= pruned.more;
        }
        Ok(more)
    }

    /// A batch of each channel; true: there are more.
    async fn scrub(&mut self, plan: &Plan) -> Result<bool, SqliteError> {
        let mut more = false;
        for (channel, age) in &plan.scrub {
            let until = plan.recorded_until.min(before(now(), (*age).max(SCRUB_BEHIND)));
            let scrubbed = self.store.scrub(*channel, until).await?;
            self.tell_erased(
                format!("the texts of sent messages removed, channel {channel}"),
                scrubbed,
            );
            more |= scrubbed.more;
        }
        Ok(more)
    }

    fn tell_erased(&mut self, sentence: String, erased: Erased) {
        if erased.rows > 0 {
            let rows = usize::try_from(erased.rows).unwrap_or(usize::MAX);
            self.report.notice(Notice::new(Level::DEBUG, sentence).rows(rows));
        }
    }

    /// True: there is more to give back.
    async fn shrink(&mut self) -> Result<bool, SqliteError> {
        let shrunk = self.store.shrink().await?;
        if shrunk.pages > 0 {
            let sentence = format!("{} free pages given back to the file system", shrunk.pages);
            self.report.notice(Notice::new(Level::DEBUG, sentence));
        }
        Ok(shrunk.more)
    }

    async fn forget_statistics(&mut self) -> Result<bool, SqliteError> {
        if self.store.forget_statistics().await? {
            let sentence = "another program has run ANALYZE: the outbox's part of it is deleted";
            self.report.notice(Notice::new(Level::DEBUG, sentence));
        }
        Ok(false)
    }
}

fn before(now: Millis, age: Duration) -> Millis {
    now.saturating_sub(Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX))
}
