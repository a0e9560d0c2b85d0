//! `idle`: what the daemon costs while there is nothing to do. The floor is zero, so the figure is a
//! percentage of a core.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait until the work after the start is done.
const SETTLED: Duration = Duration::from_secs(1);

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let (target, seconds) = (Target::start(Answer::Chat)?, bench.plan.idle_seconds);
    let shares = bench
        .alone("idle", &bench.binaries, |binary| percent_of_a_core(binary, &target, seconds))?;
    let what = format!("the daemon's CPU over {seconds} s");
    Ok(vec![Line::absolute("idle", what, "% of a core", shares).at_most(0.1, 0.02)])
}

fn percent_of_a_core(binary: &Path, target: &Target, seconds: u64) -> Result<f64> {
    let outbox = Outbox::new(binary)?;
    let daemon = outbox.run(target)?;
    std::thread::sleep(SETTLED);
    let (clock, before) = (Instant::now(), cpu_ns(daemon.pid())?);
    std::thread::sleep(Duration::from_secs(seconds));
    let spent = cpu_ns(daemon.pid())?.saturating_sub(before);
    let share = spent as f64 / clock.elapsed().as_nanos() as f64 * 100.0;
    daemon.stop(SOON)?;
    Ok(share)
}

/// The CPU time of all living threads, in nanoseconds: the ticks of /proc/PID/stat are too coarse.
pub fn cpu_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may have ended since.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let on_core = text.split(' ').next().context("schedstat")?;
        sum += on_core.parse::<u64>().context("schedstat")?;
    }
    Ok(sum)
}
