//! How things stand in the database, as the last scrape but a few has read it.
//!
//! Counting costs what the table is long, so it is done again only when fifty times as much time
//! has passed as it took: no more than a fiftieth of a core, however often somebody scrapes.

use super::Shared;
use super::reader::ReadError;
use crate::queue::overview::Overview;
use crate::queue::when::now;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tracing::warn;

/// So many times as long as it took does a reading serve.
const SERVES: u32 = 50;
/// How long a scrape waits for a reading that is under way, rather than take the last one.
const WAIT: Duration = Duration::from_secs(3);
/// The longest that a reading may take: then there are none, and a metric says so.
pub const READING: Duration = Duration::from_secs(60);

/// One reading.
#[derive(Debug)]
pub struct Levels {
    pub overview: Overview,
    pub read_at: Instant,
}

/// The last reading.
#[derive(Default)]
pub struct Cache(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<Arc<Levels>>,
    /// The last attempt at a reading came to nothing.
    failed: bool,
    next: Option<Instant>,
    reading: bool,
}

impl Cache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a reading is due at `at`; then whoever asked makes it.
    fn begin(&self, at: Instant) -> bool {
        let mut state = self.state();
        let due = !state.reading && state.next.is_none_or(|next| next <= at);
        state.reading |= due;
        due
    }

    /// What was begun with [`Cache::begin`]; it ends when it is dropped.
    fn attempt(&self, begun: Instant) -> Attempt<'_> {
        Attempt { cache: self, begun, read: None }
    }

    fn end(&self, begun: Instant, at: Instant, read: Option<Overview>) {
        let mut state = self.state();
        state.reading = false;
        state.failed = read.is_none();
        state.next = Some(at + SERVES * at.saturating_duration_since(begun));
        if let Some(overview) = read {
            state.last = Some(Arc::new(Levels { overview, read_at: at }));
        }
    }
}

/// A reading under way: a panic in it must not keep the next one from being made.
struct Attempt<'a> {
    cache: &'a Cache,
    begun: Instant,
    read: Option<Overview>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.cache.end(self.begun, Instant::now(), self.read.take());
    }
}

/// The last reading, if there is any, and whether the database could be read when it was tried last.
pub async fn levels(shared: &Arc<Shared>) -> (Option<Arc<Levels>>, bool) {
    if shared.levels.begin(Instant::now()) {
        let own = Arc::clone(shared);
        // A task of its own: it ends whether or not who asked still waits.
        let reading = tokio::spawn(async move { read(&own).await });
        let _ = timeout(WAIT, reading).await;
    }
    let state = shared.levels.state();
    (state.last.clone(), !state.failed)
}

async fn read(shared: &Shared) {
    let mut attempt = shared.levels.attempt(Instant::now());
    let read = overview(shared).await;
    if let Err(error) = &read
        && !shared.levels.state().failed
    {
        warn!(%error, "the metrics cannot be read from the database");
    }
    attempt.read = read.ok();
}

async fn overview(shared: &Shared) -> Result<Overview, ReadError> {
    let mut reading = shared.counter.read().await?;
    let overview = reading.overview(now()).await?;
    reading.done();
    Ok(overview)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_serves_fifty_times_as_long_as_it_took() {
        let cache = Cache::default();
        let begun = Instant::now();
        let after = |ms| begun + Duration::from_millis(ms);
        assert!(cache.begin(begun));
        assert!(!cache.begin(begun), "one at a time");
        cache.end(begun, after(100), None);
        assert!(cache.state().failed);
        assert!(!cache.begin(after(5_099)));
        assert!(cache.begin(after(5_100)));
        assert!(!cache.begin(after(60_000)), "still under way");
    }

    #[test]
    fn a_reading_that_panics_is_made_again() {
        let cache = Cache::default();
        let begun = Instant::now();
        assert!(cache.begin(begun));
        let panics = std::panic::AssertUnwindSafe(|| {
            let _attempt = cache.attempt(begun);
            panic!("in the middle of it");
        });
        assert!(std::panic::catch_unwind(panics).is_err());
        assert!(cache.state().failed);
        assert!(cache.begin(begun + WAIT + READING));
    }
}
