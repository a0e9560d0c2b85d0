//! `writers`: how long producers wait for their commits while the daemon drains flat out.

use super::Bench;
use crate::daemon::SOON;
use crate::report::{Line, percentile};
use crate::target::{Answer, Target};
use crate::writers;
use anyhow::{Result, ensure};

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let seconds = bench.plan.busy_seconds;
    let deep = bench.backlog("writers")?;
    let mut target = Target::start(Answer::Chat)?;
    let (mut alone, mut beside, mut jobs) = (Latencies::default(), Latencies::default(), vec![]);
    bench.rounds("writers", || {
        deep.database().keep_ready(bench.plan.waiting)?;
        alone.push(&writers::flat_out(&deep.database(), seconds)?, seconds);

        let daemon = deep.start(&target, false)?;
        target.wait_for(1, SOON)?;
        target.reset()?;
        let inserts = writers::flat_out(&deep.database(), seconds)?;
        jobs.push(target.count()?.per_second());
        ensure!(deep.database().ready()? > 0, "the backlog ran dry: the daemon had time to idle");
        daemon.stop(SOON)?;
        target.reset()?;
        beside.push(&inserts, seconds);
        Ok(())
    })?;
    bench.keep_backlog(deep);
    let ratio = beside.p99.iter().zip(&alone.p99).map(|(beside, alone)| beside / alone).collect();
    let mut lines = alone.lines("8 writers alone");
    lines.extend(beside.lines("8 writers beside the daemon"));
    lines.push(Line::new("writers", "the daemon meanwhile", "jobs/s", jobs));
    lines.push(Line::new("writers", "multiple of the p99", "ratio", ratio).at_most(3.0, 1.5));
    Ok(lines)
}

#[derive(Default)]
struct Latencies {
    p50: Vec<f64>,
    p99: Vec<f64>,
    max: Vec<f64>,
    per_second: Vec<f64>,
}

impl Latencies {
    fn push(&mut self, micros: &[f64], seconds: u64) {
        let figures = [(&mut self.p50, 50), (&mut self.p99, 99), (&mut self.max, 100)];
        for (into, percent) in figures {
            into.push(percentile(micros, percent) / 1000.0);
        }
        self.per_second.push(micros.len() as f64 / seconds as f64);
    }

    fn lines(&self, who: &str) -> Vec<Line> {
        let line = |what: &str, unit, of: &Vec<f64>| {
            Line::new("writers", format!("{who}, {what}"), unit, of.clone())
        };
        vec![
            line("p50", "ms", &self.p50),
            line("p99", "ms", &self.p99),
            line("longest", "ms", &self.max),
            line("together", "inserts/s", &self.per_second),
        ]
    }
}
