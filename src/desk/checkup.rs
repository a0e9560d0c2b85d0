//! Reads what the verdict depends on.

use super::assessment::{Assessment, Dispatching, Failures, USUAL_HOURS, Vitals, assess};
use crate::config::Database;
use crate::metrics::{DaemonState, Metrics};
use crate::queue::filter::Filter;
use crate::queue::job::{Millis, Status};
use crate::queue::outcome_counts::HOUR_MS;
use crate::queue::overview::Overview;
use crate::store::{Store, StoreError};
use std::time::Instant;

/// How many pauses, and how many blocks, are read.
const READ: u32 = 200;

/// What this process knows of the dispatchers.
pub async fn dispatching(metrics: &Metrics, database: &Database) -> Dispatching {
    match (metrics.state(), metrics.stuck_for(Instant::now())) {
        (DaemonState::Trouble, _) => Dispatching::Trouble,
        (_, Some(age)) => Dispatching::Stuck(age.as_secs()),
        (DaemonState::Dispatching, None) => Dispatching::Running,
        (DaemonState::Starting, None) => Dispatching::Starting,
        (DaemonState::Stopping, None) => Dispatching::Stopping,
        (DaemonState::Standby, None) => match Store::dispatcher_is_running(database).await {
            Ok(false) => Dispatching::Nobody,
            _ => Dispatching::Elsewhere,
        },
    }
}

/// Failures of the last hour, and what is usual.
pub async fn failures(store: &mut Store, now: Millis) -> Result<Failures, StoreError> {
    let last = store.history(now - HOUR_MS, HOUR_MS).await?;
    let before = store.history(now - (USUAL_HOURS + 1) * HOUR_MS, HOUR_MS).await?;
    Ok(Failures::of(&last, &before, now))
}

/// The verdict, without counting finished jobs.
pub async fn check_up(
    store: &mut Store,
    dispatching: Dispatching,
    now: Millis,
) -> Result<Assessment, StoreError> {
    let pulse = store.pulse(now, READ).await?;
    let backlogs = store.backlogs(now).await?;
    let uncertain = store.count(&Filter::of_states(&[Status::Uncertain])).await?;
    Ok(assess(&Vitals {
        now,
        dispatching,
        sandbox: store.is_sandbox(),
        pauses: &pulse.pauses,
        blocks: &pulse.blocks,
        backlogs: Some(&backlogs),
        uncertain: uncertain.saturating_sub(pulse.verifying),
        set_aside: pulse.set_aside.count,
        untouched: pulse.untouched,
        flaws: store.flaws().await?.len(),
        last_sent: &pulse.last_sent,
        failures: failures(store, now).await?,
    }))
}

/// The verdict on what was read already.
pub fn of_overview(
    overview: &Overview,
    failures: Failures,
    dispatching: Dispatching,
    sandbox: bool,
    now: Millis,
) -> Assessment {
    let uncertain = overview.counts.iter().filter(|c| c.status == Status::Uncertain.as_str());
    let uncertain: i64 = uncertain.map(|count| count.count).sum();
    assess(&Vitals {
        now,
        dispatching,
        sandbox,
        pauses: &overview.pauses,
        blocks: &overview.blocks,
        backlogs: Some(&overview.backlogs),
        uncertain: uncertain.saturating_sub(overview.verifying).max(0).unsigned_abs(),
        set_aside: overview.set_aside.count,
        untouched: overview.untouched.count,
        flaws: overview.flaws.len(),
        last_sent: &overview.last_sent,
        failures,
    })
}
