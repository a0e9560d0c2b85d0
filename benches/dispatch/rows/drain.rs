//! `drain` and `cpu`: everything from an empty process to an empty queue, beside raw reqwest.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::process::Ended;
use crate::raw::{self, Reading};
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::{Result, ensure};

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let jobs = bench.plan.jobs;
    let full = Outbox::new(&bench.binary)?;
    full.database().insert_chats(jobs, jobs, 1)?;
    let mut target = Target::start(Answer::Chat)?;
    let (mut raw, mut daemon) = (Vec::new(), Vec::new());
    bench.rounds("drain", |_| {
        raw.push(raw::measure(&target, jobs, bench.plan.in_flight, Reading::Id)?);
        let outbox = full.copy()?;
        target.reset()?;
        daemon.push(outbox.start(&target, true)?.wait(SOON)?);
        let count = target.count()?.count;
        ensure!(count == jobs, "{count} requests for {jobs} jobs");
        Ok(())
    })?;

    let rate = |ended: &Ended| jobs as f64 / ended.seconds;
    let cpu = |ended: &Ended| ended.cpu_seconds * 1000.0 / (jobs as f64 / 1000.0);
    let each = |figure: &dyn Fn(&Ended) -> f64, of: &[Ended]| of.iter().map(figure).collect();
    // Each round against its own neighbour: the machine's speed drifts.
    let ratio = |figure: &dyn Fn(&Ended) -> f64| {
        daemon.iter().zip(&raw).map(|(daemon, raw)| figure(daemon) / figure(raw)).collect()
    };
    let beside = format!("raw reqwest, {} at once", bench.plan.in_flight);
    Ok(vec![
        Line::new("drain", beside.clone(), "requests/s", each(&rate, &raw)),
        Line::new("drain", "the daemon, from spawn to exit", "jobs/s", each(&rate, &daemon)),
        Line::new("drain", "share of raw", "ratio", ratio(&rate)).at_least(0.45, 0.60),
        Line::new("cpu", beside, "ms/1000 requests", each(&cpu, &raw)),
        Line::new("cpu", "the daemon", "ms/1000 jobs", each(&cpu, &daemon)),
        Line::new("cpu", "multiple of raw", "ratio", ratio(&cpu)).at_most(2.0, 1.4),
    ])
}
