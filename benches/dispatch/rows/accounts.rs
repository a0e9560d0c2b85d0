//! `accounts`: the cost of configured accounts that have nothing to send.

use super::idle::cpu_ns;
use super::memory::mebibytes;
use super::{Bench, ratios};
use crate::daemon::{Outbox, SOON};
use crate::report::Line;
use crate::target::{Answer, Target};
use crate::writers;
use anyhow::Result;
use std::time::{Duration, Instant};

const MANY: u32 = 400;

/// How long to wait until the work after the start is done.
const SETTLED: Duration = Duration::from_secs(1);

struct Figures {
    /// The daemon's CPU time for a single message.
    cpu_millis: f64,
    start_seconds: f64,
    mebibytes: f64,
}

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let pairs = bench.pairs("accounts", || lone(bench, 1), || lone(bench, MANY))?;
    let [one, many, multiple] = ratios(&pairs, |figures| figures.cpu_millis);
    let [_, start, _] = ratios(&pairs, |figures| figures.start_seconds);
    let [_, memory, _] = ratios(&pairs, |figures| figures.mebibytes);
    let of = |what: &str| format!("{what}, {MANY} accounts");
    Ok(vec![
        Line::new("accounts", "CPU of a lone message, 1 account", "ms", one),
        Line::new("accounts", of("the same"), "ms", many),
        Line::new("accounts", "multiple", "ratio", multiple).at_most(1.5, 1.1),
        Line::new("accounts", of("from spawn to ready"), "s", start).at_most(3.0, 1.0),
        Line::new("accounts", of("resident, idle"), "MiB", memory).at_most(100.0, 40.0),
    ])
}

fn lone(bench: &Bench, accounts: u32) -> Result<Figures> {
    let commits = bench.plan.commits;
    let mut target = Target::recording(Answer::Chat)?;
    let outbox = Outbox::new(&bench.binary)?;
    let clock = Instant::now();
    let daemon = outbox.run_with_accounts(&target, accounts)?;
    let start_seconds = clock.elapsed().as_secs_f64();
    std::thread::sleep(SETTLED);
    let mebibytes = mebibytes(&daemon, "VmRSS:")?;
    let before = cpu_ns(daemon.pid())?;
    writers::commits(&outbox.database(), commits)?;
    target.wait_for(commits, Duration::from_secs(10))?;
    let spent = cpu_ns(daemon.pid())?.saturating_sub(before);
    daemon.stop(SOON)?;
    Ok(Figures { cpu_millis: spent as f64 / 1e6 / commits as f64, start_seconds, mebibytes })
}
