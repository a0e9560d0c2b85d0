//! `/healthz`: whether the program should be started anew. `/readyz`: whether it dispatches.
//!
//! Anybody may ask, so the answers are fixed sentences: no path, no error's own words.

use super::Shared;
use super::reader::{ReadError, Reader};
use crate::metrics::{DaemonState, Metrics};
use crate::store::disk;
use axum::Json;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tracing::debug;

/// A loop that has not turned for so long is stuck: a turn may wait for some locks of the database,
/// some seconds each.
const STUCK: Duration = Duration::from_secs(60);
/// How long the answer to whether a write could be made serves: who asks often takes no lock.
const SERVES: Duration = Duration::from_secs(1);
/// How long another program may hold the write lock before that counts.
const LOCK_WAIT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Alive {
    alive: bool,
    state: DaemonState,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    state: DaemonState,
    /// A stand-in answers instead of Acquire.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sandbox: bool,
    reasons: Vec<String>,
}

pub async fn alive(extract::State(shared): extract::State<Arc<Shared>>) -> Response {
    let reasons: Vec<_> = stuck(&shared.metrics, Instant::now()).into_iter().collect();
    let alive = reasons.is_empty();
    answer(alive, Alive { alive, state: shared.metrics.state(), reasons })
}

pub async fn ready(extract::State(shared): extract::State<Arc<Shared>>) -> Response {
    let mut reasons: Vec<String> = not_dispatching(shared.metrics.state()).into_iter().collect();
    reasons.extend(stuck(&shared.metrics, Instant::now()));
    reasons.extend(shared.health.writable(Instant::now()).await);
    reasons.extend(disk::shortage(shared.counter.path()));
    if shared.metrics.holds_restored() {
        let sentence = "a backup was restored: waiting jobs may have been sent already, and a person \
                        must decide";
        reasons.push(sentence.to_owned());
    }
    let ready = reasons.is_empty();
    let (state, sandbox) = (shared.metrics.state(), shared.sandbox);
    answer(ready, Ready { ready, state, sandbox, reasons })
}

fn answer(well: bool, body: impl Serialize) -> Response {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// A loop that starts, stands by or stops has its own limits, and need not turn.
fn stuck(metrics: &Metrics, now: Instant) -> Option<String> {
    if !matches!(metrics.state(), DaemonState::Dispatching | DaemonState::Trouble) {
        return None;
    }
    let age = metrics.last_turn(now).filter(|age| *age > STUCK)?;
    Some(format!("the dispatch loop has not turned for {} s", age.as_secs()))
}

fn not_dispatching(state: DaemonState) -> Option<String> {
    let sentence = match state {
        DaemonState::Dispatching => return None,
        DaemonState::Starting => "it is starting",
        DaemonState::Standby => "it stands by: another dispatcher has the lock",
        DaemonState::Trouble => "the database cannot be used just now; results wait in memory",
        DaemonState::Stopping => "it is stopping",
    };
    Some(sentence.to_owned())
}

/// Whether a write could be made, by a connection of its own: a page that reads long is not in its way.
pub struct Probe {
    reader: Reader,
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl Probe {
    pub fn of(database: &Path) -> Probe {
        Probe { reader: Reader::of(database), last: Mutex::new(None) }
    }

    /// The sentence that says why not.
    async fn writable(&self, at: Instant) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((asked, answer)) = &*last
            && at.saturating_duration_since(*asked) < SERVES
        {
            return answer.clone();
        }
        let answer = self.try_write().await.err().map(|e| sentence(&e));
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn try_write(&self) -> Result<(), ReadError> {
        let mut store = self.reader.read().await?;
        store.try_write_lock(LOCK_WAIT).await?;
        store.done();
        Ok(())
    }

    pub async fn close(&self) {
        self.reader.close().await;
    }
}

fn sentence(e: &ReadError) -> String {
    debug!(error = %e, "a write could not be made");
    let sentence = match e {
        ReadError::Busy | ReadError::TooLong => "the database does not answer in time",
        ReadError::Store(e) if e.is_busy() => {
            "another program holds the database's write lock for long"
        }
        ReadError::Store(_) => "the database cannot be opened or written; the log says why",
    };
    sentence.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_not_turn_is_stuck_while_it_should_dispatch() {
        let begun = Instant::now();
        let metrics = Metrics::new(begun, 0);
        let after = |seconds| stuck(&metrics, begun + Duration::from_secs(seconds));
        metrics.enter(DaemonState::Dispatching);
        assert_eq!(after(3600), None, "before the first turn");
        metrics.turned(begun + Duration::from_secs(5));
        assert_eq!(after(65), None);
        assert_eq!(after(66).as_deref(), Some("the dispatch loop has not turned for 61 s"));
        metrics.enter(DaemonState::Trouble);
        assert!(after(66).is_some());
        for calm in [DaemonState::Starting, DaemonState::Standby, DaemonState::Stopping] {
            metrics.enter(calm);
            assert_eq!(after(3600), None, "{calm:?}");
        }
    }

    #[test]
    fn only_a_dispatching_one_is_ready() {
        assert_eq!(not_dispatching(DaemonState::Dispatching), None);
        for state in [
            DaemonState::Starting,
            DaemonState::Standby,
            DaemonState::Trouble,
            DaemonState::Stopping,
        ] {
            assert!(not_dispatching(state).is_some(), "{state:?}");
        }
    }
}
