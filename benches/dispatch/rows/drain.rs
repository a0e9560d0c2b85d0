//! `drain` and `cpu`: everything from an empty process to an empty queue, beside raw reqwest.

use super::{Bench, ratios};
use crate::daemon::{Outbox, SOON};
use crate::process::Ended;
use crate::raw::{self, Reading};
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::{Result, ensure};
use std::cell::RefCell;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let jobs = bench.plan.jobs;
    let full = Outbox::new(&bench.binary)?;
    full.database().insert_chats(jobs, jobs, 1)?;
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let pairs = bench.pairs(
        "drain",
        || raw::measure(&target.borrow(), jobs, bench.plan.in_flight, Reading::Id),
        || drain(&full.copy()?, &mut target.borrow_mut(), jobs),
    )?;
    let [raw, daemon, share] = ratios(&pairs, |ended| jobs as f64 / ended.seconds);
    let [raw_cpu, daemon_cpu, multiple] =
        ratios(&pairs, |ended| ended.cpu_seconds / jobs as f64 * 1000.0);
    let beside = format!("raw reqwest, {} at once", bench.plan.in_flight);
    Ok(vec![
        Line::new("drain", beside.clone(), "requests/s", raw),
        Line::new("drain", "the daemon, from spawn to exit", "jobs/s", daemon),
        Line::new("drain", "share of raw", "ratio", share).at_least(0.45, 0.60),
        Line::new("cpu", beside, "CPU s/1000 requests", raw_cpu),
        Line::new("cpu", "the daemon", "CPU s/1000 jobs", daemon_cpu),
        Line::new("cpu", "multiple of raw", "ratio", multiple).at_most(2.0, 1.4),
    ])
}

fn drain(outbox: &Outbox, target: &mut Target, jobs: u64) -> Result<Ended> {
    target.reset()?;
    let ended = outbox.start(target, true)?.wait(SOON)?;
    let count = target.count()?.count;
    ensure!(count == jobs, "{count} requests for {jobs} jobs");
    Ok(ended)
}
