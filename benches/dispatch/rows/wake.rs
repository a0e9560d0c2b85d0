//! `wake`: how soon after another process's commit a message is on its way.
//!
//! The daemon has to commit its claim and to send the request. So the floor is one synced INSERT
//! and half a raw round trip, at the same pace: disks and cores are slower after a pause than in a
//! hot loop.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::report::{Line, percentile};
use crate::target::{Answer, Seen, Target};
use crate::{raw, writers};
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let commits = bench.plan.commits;
    let parts: RefCell<[Vec<f64>; 2]> = RefCell::default();
    let floor = || {
        let (mut floor, mut inserts, mut arrivals) = (vec![], vec![], vec![]);
        for (insert, arrival) in raw::paced_micros(commits)? {
            floor.push(insert + arrival);
            inserts.push(insert);
            arrivals.push(arrival);
        }
        let mut parts = parts.borrow_mut();
        for (part, micros) in parts.iter_mut().zip([inserts, arrivals]) {
            part.push(percentile(&micros, 50) / 1000.0);
        }
        Ok(floor)
    };
    let pairs =
        bench.over_shared("wake", &bench.binaries, floor, |binary| lone(binary, commits))?;
    let [inserts, arrivals] = parts.into_inner();
    let line = |what: &str, percent| {
        let millis = move |micros: &Vec<f64>| percentile(micros, percent) / 1000.0;
        let floor = "synced INSERT and half a round trip, same pace";
        Line::over("wake", what, "ms", floor, &pairs, millis).at_most(1.3, 1.1)
    };
    Ok(vec![
        line("from the commit's return to the arrival, p50", 50),
        line("the same, p99", 99),
        Line::absolute("wake", "one synced INSERT, same pace, p50", "ms", vec![inserts]),
        Line::absolute(
            "wake",
            "raw reqwest, from the call to the arrival, p50",
            "ms",
            vec![arrivals],
        ),
    ])
}

fn lone(binary: &Path, commits: u64) -> Result<Vec<f64>> {
    let mut target = Target::recording(Answer::Chat)?;
    let outbox = Outbox::new(binary)?;
    let running = outbox.run(&target)?;
    let committed = writers::commits(&outbox.database(), commits)?;
    target.wait_for(commits, Duration::from_secs(10))?;
    let micros = latencies(&committed, &target.report()?)?;
    running.stop(SOON)?;
    Ok(micros)
}

/// Microseconds from when each case was `sent` to its arrival; negative if it arrived before the sender
/// could read the clock.
pub fn latencies(sent: &[(i64, u64)], seen: &Seen) -> Result<Vec<f64>> {
    let arrivals: HashMap<i64, u64> = seen.arrivals.iter().copied().collect();
    sent.iter()
        .map(|(case, sent)| {
            let arrived =
                arrivals.get(case).with_context(|| format!("case {case} never arrived"))?;
            Ok((*arrived as f64 - *sent as f64) / 1000.0)
        })
        .collect()
}
