//! `memory`: resident memory, idle and at the peak of a drain with a deep backlog, in MiB; it hardly
//! depends on the machine.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::process::Process;
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::fs;
use std::time::Duration;

const SETTLED: Duration = Duration::from_secs(1);

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let waiting = bench.plan.waiting;
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let deep = bench.backlog("memory")?;
    let idle = bench.alone("memory, idle", &bench.binaries, |binary| {
        let outbox = Outbox::new(binary)?;
        let daemon = outbox.run(&target.borrow())?;
        std::thread::sleep(SETTLED);
        let resident = mebibytes(&daemon, "VmRSS:")?;
        daemon.stop(SOON)?;
        Ok(resident)
    })?;
    let peak = bench.alone("memory, draining", &deep, |deep| {
        deep.keep_ready(waiting)?;
        let mut target = target.borrow_mut();
        target.reset()?;
        let daemon = deep.start(&target, false)?;
        target.wait_for(1, SOON)?;
        std::thread::sleep(Duration::from_secs(bench.plan.busy_seconds));
        let peak = mebibytes(&daemon, "VmHWM:")?;
        daemon.stop(SOON)?;
        Ok(peak)
    })?;
    bench.keep_backlog(deep);
    let draining = format!("resident at the peak, draining {waiting} pending jobs");
    Ok(vec![
        Line::absolute("memory", "resident, idle", "MiB", idle).at_most(20.0, 12.0),
        Line::absolute("memory", draining, "MiB", peak).at_most(40.0, 20.0),
    ])
}

pub(super) fn mebibytes(process: &Process, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .context("no such line in /proc/PID/status")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().context("kibibytes")?;
    Ok(kibibytes / 1024.0)
}
