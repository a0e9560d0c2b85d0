//! `drain` and `cpu`: everything from an empty process to an empty queue. The floor is raw reqwest:
//! the same number of requests from a separate process, with as many at once.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::process::Ended;
use crate::raw::{self, Reading};
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::{Result, ensure};
use std::cell::RefCell;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let jobs = bench.plan.jobs;
    let full = bench.each(|binary| {
        let full = Outbox::new(binary)?;
        full.database().insert_chats(jobs, jobs, 1)?;
        Ok(full)
    })?;
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let pairs = bench.over_shared(
        "drain",
        &full,
        || raw::measure(&target.borrow(), jobs, bench.plan.in_flight, Reading::Id),
        |full| drain(&full.copy()?, &mut target.borrow_mut(), jobs),
    )?;
    let floor = format!("raw reqwest, {} at once", bench.plan.in_flight);
    let rate = |ended: &Ended| jobs as f64 / ended.seconds;
    let cpu = |ended: &Ended| ended.cpu_seconds / jobs as f64 * 1000.0;
    Ok(vec![
        Line::over("drain", "jobs from spawn to exit", "jobs/s", &floor, &pairs, rate)
            .at_least(0.6, 0.65),
        Line::over("cpu", "CPU of the daemon", "CPU s/1000 jobs", &floor, &pairs, cpu)
            .at_most(1.4, 1.3),
    ])
}

fn drain(outbox: &Outbox, target: &mut Target, jobs: u64) -> Result<Ended> {
    target.reset()?;
    let ended = outbox.start(target, true)?.wait(SOON)?;
    let count = target.count()?.count;
    ensure!(count == jobs, "{count} requests for {jobs} jobs");
    Ok(ended)
}
