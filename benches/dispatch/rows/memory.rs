//! `memory`: resident, idle and at the peak of a drain with a deep backlog behind it.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::process::Process;
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

const SETTLED: Duration = Duration::from_secs(1);

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let mut target = Target::start(Answer::Chat)?;
    let deep = bench.backlog("memory")?;
    let (mut idle, mut peak) = (Vec::new(), Vec::new());
    bench.rounds("memory", || {
        let outbox = Outbox::new(&bench.binary)?;
        let daemon = outbox.run(&target)?;
        std::thread::sleep(SETTLED);
        idle.push(mebibytes(&daemon, "VmRSS:")?);
        daemon.stop(SOON)?;

        deep.database().keep_ready(bench.plan.waiting)?;
        target.reset()?;
        let daemon = deep.start(&target, false)?;
        target.wait_for(1, SOON)?;
        std::thread::sleep(Duration::from_secs(bench.plan.busy_seconds));
        peak.push(mebibytes(&daemon, "VmHWM:")?);
        daemon.stop(SOON)?;
        Ok(())
    })?;
    bench.keep_backlog(deep);
    let draining = format!("resident at the peak, draining {} pending jobs", bench.plan.waiting);
    Ok(vec![
        Line::new("memory", "resident, idle", "MiB", idle).at_most(20.0, 12.0),
        Line::new("memory", draining, "MiB", peak).at_most(40.0, 20.0),
    ])
}

pub(super) fn mebibytes(process: &Process, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such figure")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().context("kibibytes")?;
    Ok(kibibytes / 1024.0)
}
