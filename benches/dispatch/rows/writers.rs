//! `writers`: how long producers wait for their commits while the daemon drains flat out.

use super::{Bench, ratios};
use crate::daemon::SOON;
use crate::report::{Line, percentile};
use crate::target::{Answer, Target};
use crate::writers;
use anyhow::{Result, ensure};

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let seconds = bench.plan.busy_seconds;
    let deep = bench.backlog("writers")?;
    let mut target = Target::start(Answer::Chat)?;
    let mut jobs = Vec::new();
    let pairs = bench.pairs(
        "writers",
        || {
            deep.database().keep_ready(bench.plan.waiting)?;
            writers::flat_out(&deep.database(), seconds)
        },
        || {
            deep.database().keep_ready(bench.plan.waiting)?;
            target.reset()?;
            let daemon = deep.start(&target, false)?;
            target.wait_for(1, SOON)?;
            target.reset()?;
            let inserts = writers::flat_out(&deep.database(), seconds)?;
            jobs.push(target.count()?.per_second());
            ensure!(deep.database().ready()? > 0, "the backlog ran dry: the daemon could rest");
            daemon.stop(SOON)?;
            Ok(inserts)
        },
    )?;
    bench.keep_backlog(deep);
    let [.., ratio] = ratios(&pairs, |micros| percentile(micros, 99));
    let (alone, beside): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let mut lines = latencies("8 writers alone", &alone, seconds);
    lines.extend(latencies("8 writers beside the daemon", &beside, seconds));
    lines.push(Line::new("writers", "the daemon meanwhile", "jobs/s", jobs));
    lines.push(Line::new("writers", "multiple of the p99", "ratio", ratio).at_most(3.0, 1.5));
    Ok(lines)
}

/// `rounds`: the microseconds of each insert.
fn latencies(who: &str, rounds: &[Vec<f64>], seconds: u64) -> Vec<Line> {
    let line = |what: &str, unit, figure: &dyn Fn(&Vec<f64>) -> f64| {
        Line::new("writers", format!("{who}, {what}"), unit, rounds.iter().map(figure).collect())
    };
    vec![
        line("p50", "ms", &|micros| percentile(micros, 50) / 1000.0),
        line("p99", "ms", &|micros| percentile(micros, 99) / 1000.0),
        line("longest", "ms", &|micros| percentile(micros, 100) / 1000.0),
        line("together", "inserts/s", &|micros| micros.len() as f64 / seconds as f64),
    ]
}
