//! `writers`: how long producers wait for their commits while the daemon drains flat out. The floor
//! is what the same writers wait at the same speed on the same table, without the daemon.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::report::{Line, percentile};
use crate::target::{Answer, Target};
use crate::writers;
use anyhow::{Result, ensure};
use std::cell::RefCell;

const FLOOR: &str = "without the daemon";

/// One round: the microseconds of each insert, and the daemon's jobs per second meanwhile.
struct Round {
    micros: Vec<f64>,
    jobs: f64,
}

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let (seconds, waiting) = (bench.plan.busy_seconds, bench.plan.waiting);
    let deep = bench.backlog("writers")?;
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let pairs = bench.over_own(
        "writers",
        &deep,
        |deep| {
            deep.keep_ready(waiting)?;
            Ok(Round { micros: writers::flat_out(&deep.database(), seconds)?, jobs: f64::NAN })
        },
        |deep| {
            deep.keep_ready(waiting)?;
            with_the_daemon(deep, &mut target.borrow_mut(), seconds)
        },
    )?;
    bench.keep_backlog(deep);
    let line = |what: &str, unit, figure: &dyn Fn(&Round) -> f64| {
        Line::over("writers", format!("8 writers, {what}"), unit, FLOOR, &pairs, figure)
    };
    let jobs = pairs.iter().map(|rounds| rounds.iter().map(|(_, round)| round.jobs).collect());
    Ok(vec![
        line("p99 of a commit", "ms", &|round| percentile(&round.micros, 99) / 1000.0)
            .at_most(3.0, 1.5),
        line("p50", "ms", &|round| percentile(&round.micros, 50) / 1000.0),
        line("longest", "ms", &|round| percentile(&round.micros, 100) / 1000.0),
        line("together", "inserts/s", &|round| round.micros.len() as f64 / seconds as f64),
        Line::absolute("writers", "the daemon meanwhile", "jobs/s", jobs.collect()),
    ])
}

fn with_the_daemon(deep: &Outbox, target: &mut Target, seconds: u64) -> Result<Round> {
    target.reset()?;
    let daemon = deep.start(target, false)?;
    target.wait_for(1, SOON)?;
    target.reset()?;
    let micros = writers::flat_out(&deep.database(), seconds)?;
    let jobs = target.count()?.per_second();
    ensure!(deep.database().pending()? > 0, "the backlog ran dry: the daemon was idle");
    daemon.stop(SOON)?;
    Ok(Round { micros, jobs })
}
