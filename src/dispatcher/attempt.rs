//! One attempt, from the claimed row to its outcome. It always ends, and always with an outcome.

use crate::acquire::{Endpoint, Lease, WriteGate, local_shortage};
use crate::queue::job::Channel;
use crate::queue::outcome::{AttemptResult, Fault, Outcome};
use crate::queue::payload;
use crate::queue::when::now;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use tokio::sync::watch;
use tokio::time::Instant;

/// How far a shutdown has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    No,
    /// What has not been written yet is withdrawn; requests in flight continue.
    Drain,
    /// The deadline has passed: requests in flight are given up.
    Abort,
}

/// Sends a job with this payload through `endpoint`. A stop, or the end of the
/// lease, withdraws it while no byte has left.
pub async fn attempt(
    channel: Channel,
    payload: Vec<u8>,
    endpoint: &Endpoint,
    lease: &Lease,
    stop: watch::Receiver<Stop>,
) -> AttemptResult {
    let (started_at, begun) = (now(), Instant::now());
    let ended = |outcome| AttemptResult {
        outcome,
        http_status: None,
        started_at,
        duration: begun.elapsed(),
    };
    // No byte of a request has left, so a stop ends it at once.
    let filled = tokio::select! {
        biased;
        filled = endpoint.fill(payload) => filled,
        () = stopping(stop.clone()) => Err(Outcome::Withdrawn),
    };
    let payload = match filled {
        Ok(payload) => payload,
        Err(outcome) => return ended(outcome),
    };
    let parsed = payload::parse_bytes(channel, &payload);
    // The part that was read is all that is needed.
    drop(payload);
    let payload = match parsed {
        Ok(payload) => payload,
        Err(e) => return ended(Outcome::Invalid { fault: e.into() }),
    };
    let gate = WriteGate::under(lease);
    let request = AssertUnwindSafe(endpoint.send(&payload, &gate, started_at)).catch_unwind();
    tokio::select! {
        biased;
        answer = request => answer.unwrap_or_else(|panic| {
            if let Some(outcome) = local_shortage::outcome_of_panic(&*panic).filter(|_| gate.shut()) {
                return ended(outcome);
            }
            let message = "the program failed while the request was in flight; this is a bug";
            ended(Outcome::Unknown { fault: Fault::new("internal", message) })
        }),
        outcome = stopped(stop, &gate) => ended(outcome),
    }
}

/// Resolves once the shutdown begins.
async fn stopping(mut stop: watch::Receiver<Stop>) {
    while *stop.borrow_and_update() == Stop::No {
        if stop.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Resolves once the shutdown ends this attempt.
async fn stopped(mut stop: watch::Receiver<Stop>, gate: &WriteGate) -> Outcome {
    loop {
        let reached = *stop.borrow_and_update();
        if reached != Stop::No && gate.shut() {
            return Outcome::Withdrawn;
        }
        if reached == Stop::Abort {
            let message = "the dispatcher was stopped before Acquire had answered";
            return Outcome::Unknown { fault: Fault::new("interrupted", message) };
        }
        if stop.changed().await.is_err() {
            // The dispatcher is gone; recovery decides about the row.
            std::future::pending::<()>().await;
        }
    }
}
