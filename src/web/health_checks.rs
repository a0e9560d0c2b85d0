//! `/healthz`: whether the program should be restarted. `/readyz`: whether it dispatches.
//!
//! Anybody may ask, so the answers are fixed sentences, without paths or the text of errors.

use super::Shared;
use super::reader::{PageReader, ReadError};
use crate::config::Database;
use crate::metrics::{DaemonState, Metrics};
use crate::store::Store;
use axum::Json;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tracing::debug;

/// How long the result of the write probe is reused: frequent requests take no lock.
const FRESH: Duration = Duration::from_secs(1);
/// How long another program may hold the write lock before the database counts as not writable.
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
    /// The sandbox answers instead of Acquire.
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
    reasons.extend(shared.write_probe.failure(Instant::now()).await);
    reasons.extend(Store::storage(shared.counter.database()).shortage);
    if shared.metrics.holds_restored() {
        let sentence = "a backup was restored: waiting jobs may have been sent already, so a person \
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

fn stuck(metrics: &Metrics, now: Instant) -> Option<String> {
    let age = metrics.stuck_for(now)?;
    Some(format!("the dispatch loop has not run for {} s", age.as_secs()))
}

fn not_dispatching(state: DaemonState) -> Option<String> {
    let sentence = match state {
        DaemonState::Dispatching => return None,
        DaemonState::Starting => "it is starting",
        DaemonState::Standby => "it is a standby: another dispatcher has the lock",
        DaemonState::Trouble => "the database cannot be used at the moment; results wait in memory",
        DaemonState::Stopping => "it is stopping",
    };
    Some(sentence.to_owned())
}

/// Whether the database can be written to. It has its own connection, so that slow pages do not
/// delay it.
pub struct WriteProbe {
    reader: PageReader,
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl WriteProbe {
    pub fn of(database: &Database) -> WriteProbe {
        WriteProbe { reader: PageReader::of(database), last: Mutex::new(None) }
    }

    /// Why the database cannot be written to.
    async fn failure(&self, at: Instant) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((asked, answer)) = &*last
            && at.saturating_duration_since(*asked) < FRESH
        {
            return answer.clone();
        }
        let answer = self.try_write().await.err().map(|e| sentence(&e));
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn try_write(&self) -> Result<(), ReadError> {
        let mut store = self.reader.read().await?;
        store.probe_write(LOCK_WAIT).await?;
        store.done();
        Ok(())
    }

    pub async fn close(&self) {
        self.reader.close().await;
    }
}

fn sentence(e: &ReadError) -> String {
    debug!(error = %e, "the write probe failed");
    let sentence = match e {
        ReadError::Busy | ReadError::TooLong => "the database does not answer in time",
        ReadError::Store(e) if e.is_busy() => {
            "another program has been holding the database's write lock"
        }
        ReadError::Store(_) => "the database cannot be opened or written; the log says why",
    };
    sentence.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_should_dispatch_and_does_not_turn_is_stuck() {
        let begun = Instant::now();
        let metrics = Metrics::new(begun, 0);
        let after = |seconds| stuck(&metrics, begun + Duration::from_secs(seconds));
        metrics.enter(DaemonState::Dispatching);
        assert_eq!(after(3600), None, "before its first iteration");
        metrics.turned(begun + Duration::from_secs(5));
        assert_eq!(after(65), None);
        assert_eq!(after(66).as_deref(), Some("the dispatch loop has not run for 61 s"));
        metrics.enter(DaemonState::Trouble);
        assert!(after(66).is_some());
        for state in [DaemonState::Starting, DaemonState::Standby, DaemonState::Stopping] {
            metrics.enter(state);
            assert_eq!(after(3600), None, "{state:?}");
        }
    }

    #[test]
    fn only_a_dispatching_daemon_is_ready() {
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
