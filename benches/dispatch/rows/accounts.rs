//! `accounts`: the cost of configured accounts that have nothing to send. The floor is the same
//! daemon with one account.

use super::Bench;
use super::idle::cpu_ns;
use super::memory::mebibytes;
use crate::daemon::{Outbox, SOON};
use crate::report::Line;
use crate::target::{Answer, Target, now_ns};
use crate::writers;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

const MANY: u32 = 400;
const FLOOR: &str = "1 account";

/// How long to wait until the work after the start is done.
const SETTLED: Duration = Duration::from_secs(1);

struct Figures {
    /// The daemon's CPU time for a single message.
    cpu_millis: f64,
    /// From the spawn to the first request.
    start_millis: f64,
    mebibytes: f64,
}

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let commits = bench.plan.commits;
    let pairs = bench.over_own(
        "accounts",
        &bench.binaries,
        |binary| lone(binary, 1, commits),
        |binary| lone(binary, MANY, commits),
    )?;
    let of = |what: &str| format!("{what}, {MANY} accounts");
    let memory = pairs.iter().map(|rounds| rounds.iter().map(|(_, many)| many.mebibytes).collect());
    Ok(vec![
        Line::over("accounts", of("CPU of a lone message"), "ms", FLOOR, &pairs, |f| f.cpu_millis)
            .at_most(1.5, 1.1),
        Line::over("accounts", of("from spawn to the first request"), "ms", FLOOR, &pairs, |f| {
            f.start_millis
        })
        .at_most(3.0, 1.5),
        Line::absolute("accounts", of("resident, idle"), "MiB", memory.collect())
            .at_most(100.0, 40.0),
    ])
}

fn lone(binary: &Path, accounts: u32, commits: u64) -> Result<Figures> {
    let mut target = Target::recording(Answer::Chat)?;
    let outbox = Outbox::new(binary)?;
    outbox.database().insert_chats(1, 1, 1_000_000)?;
    let spawned = now_ns();
    let daemon = outbox.run_with_accounts(&target, accounts)?;
    let first = target.wait_for(1, SOON)?.first;
    std::thread::sleep(SETTLED);
    let mebibytes = mebibytes(&daemon, "VmRSS:")?;
    let before = cpu_ns(daemon.pid())?;
    writers::commits(&outbox.database(), commits)?;
    target.wait_for(commits + 1, Duration::from_secs(10))?;
    let spent = cpu_ns(daemon.pid())?.saturating_sub(before);
    daemon.stop(SOON)?;
    Ok(Figures {
        cpu_millis: spent as f64 / 1e6 / commits as f64,
        start_millis: first.saturating_sub(spawned) as f64 / 1e6,
        mebibytes,
    })
}
