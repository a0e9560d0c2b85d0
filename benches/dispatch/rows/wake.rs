//! `wake`: how soon after another process's commit a message is on its way.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::report::{Line, percentile};
use crate::target::{Answer, Seen, Target};
use crate::{raw, writers};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::time::Duration;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let commits = bench.plan.commits;
    let (mut raw, mut daemon) = ([vec![], vec![]], [vec![], vec![]]);
    bench.rounds("wake", || {
        push(&mut raw, &raw::arrival_micros(commits)?);
        let mut target = Target::recording(Answer::Chat)?;
        let outbox = Outbox::new(&bench.binary)?;
        let running = outbox.run(&target)?;
        let committed = writers::commits(&outbox.database(), commits)?;
        target.wait_for(commits, Duration::from_secs(10))?;
        push(&mut daemon, &latencies(&committed, &target.report()?)?);
        running.stop(SOON)?;
        Ok(())
    })?;
    let [raw_p50, raw_p99] = raw;
    let [p50, p99] = daemon;
    Ok(vec![
        Line::new("wake", "raw reqwest: from the call to the arrival, p50", "ms", raw_p50),
        Line::new("wake", "the same, p99", "ms", raw_p99),
        Line::new("wake", "from the commit's return to the arrival, p50", "ms", p50)
            .at_most(0.8, 0.5),
        Line::new("wake", "the same, p99", "ms", p99).at_most(2.0, 1.0),
    ])
}

fn push(into: &mut [Vec<f64>; 2], micros: &[f64]) {
    for (into, percent) in into.iter_mut().zip([50, 99]) {
        into.push(percentile(micros, percent) / 1000.0);
    }
}

/// Microseconds from when each case was `sent` to its arrival. Below zero where it arrived
/// before the sender had the time to look at the clock.
pub fn latencies(sent: &[(i64, u64)], seen: &Seen) -> Result<Vec<f64>> {
    let arrivals: HashMap<i64, u64> = seen.arrivals.iter().copied().collect();
    sent.iter()
        .map(|(case, sent)| {
            let arrived = arrivals.get(case).with_context(|| format!("case {case} never came"))?;
            Ok((*arrived as f64 - *sent as f64) / 1000.0)
        })
        .collect()
}
