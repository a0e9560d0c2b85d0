//! What `run --until-empty` has done so far, on a terminal, and at its end.

use crate::cli::{flush_log, output};
use crate::config::Database;
use crate::log;
use crate::metrics::{Metrics, Totals};
use crate::queue::filter::Filter;
use crate::queue::job::Status;
use crate::store::Store;
use console::is_dumb;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const EVERY: Duration = Duration::from_millis(500);
/// How long the jobs that are left may be counted.
const COUNTING: Duration = Duration::from_millis(200);

/// Awaits `work` and shows on a terminal how far it is.
pub async fn shown_while<T>(
    metrics: &Metrics,
    database: &Database,
    work: impl Future<Output = T>,
) -> T {
    if !stderr().is_terminal() || is_dumb() {
        return work.await;
    }
    let showing = async {
        let mut store = None;
        loop {
            sleep(EVERY).await;
            if store.is_none() {
                store = Store::open_to_read(database).await.ok();
            }
            let left = match &mut store {
                Some(store) => left(store).await,
                None => None,
            };
            let left = left.map(|left| format!(", {left} left")).unwrap_or_default();
            log::progress(format!("{}{left}", counts(&metrics.totals())));
        }
    };
    tokio::pin!(work);
    let done = tokio::select! {
        done = &mut work => done,
        () = showing => unreachable!("it shows until the work is done"),
    };
    log::progress("");
    done
}

async fn left(store: &mut Store) -> Option<u64> {
    store.limit(COUNTING);
    store.count(&Filter::of_states(&[Status::Pending, Status::Sending])).await.ok()
}

/// `30 sent, 0 failed, 2 uncertain in 33 s`
pub fn summary(totals: &Totals, took: Duration) -> String {
    let took = match took.as_secs() {
        0..10 => format!("{:.1} s", took.as_secs_f64()),
        10..120 => format!("{} s", took.as_secs()),
        seconds => output::span(i64::try_from(seconds).unwrap_or(i64::MAX / 1000) * 1000),
    };
    format!("{} in {took}", counts(totals))
}

fn counts(totals: &Totals) -> String {
    let Totals { sent, failed, uncertain } = totals;
    format!("{sent} sent, {failed} failed, {uncertain} uncertain")
}

/// Prints the summary without waiting for a reader.
pub fn print_summary(metrics: &Metrics, begun: Instant) -> anyhow::Result<()> {
    // On a terminal both are seen, and the summary is the last line.
    flush_log();
    output::spool()?;
    output::line(summary(&metrics.totals(), begun.elapsed()))?;
    output::flush();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_the_unit_that_fits() {
        let totals = Totals { sent: 30, failed: 0, uncertain: 2 };
        let said = |seconds| summary(&totals, Duration::from_secs_f64(seconds));
        assert_eq!(said(33.4), "30 sent, 0 failed, 2 uncertain in 33 s");
        assert_eq!(said(0.54), "30 sent, 0 failed, 2 uncertain in 0.5 s");
        assert!(said(3725.0).ends_with("in 1h 2m"), "{}", said(3725.0));
    }
}
