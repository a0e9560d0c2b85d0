//! `key`: what a producer pays for a job of a key that has a long backlog. The floor is the same
//! number of jobs, each with a different key.

use super::Bench;
use crate::daemon::Outbox;
use crate::report::Line;
use anyhow::Result;
use std::path::PathBuf;
use std::time::Instant;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let jobs = bench.plan.jobs;
    let insert = |binary: &PathBuf, conversations| {
        let outbox = Outbox::new(binary)?;
        let clock = Instant::now();
        outbox.database().insert_chats(jobs, conversations, 1)?;
        anyhow::Ok(clock.elapsed().as_secs_f64() / jobs as f64 * 1e6)
    };
    let pairs = bench.over_own(
        "key",
        &bench.binaries,
        |binary| insert(binary, jobs),
        |binary| insert(binary, 1),
    )?;
    let what = format!("{jobs} inserts in one transaction, all of one key");
    let line = Line::over("key", what, "us/row", "each its own key", &pairs, |micros| *micros);
    Ok(vec![line.at_most(2.0, 1.3)])
}
