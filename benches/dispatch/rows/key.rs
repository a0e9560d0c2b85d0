//! `key`: what a producer pays for a job of a key that has a long backlog.

use super::{Bench, ratios};
use crate::daemon::Outbox;
use crate::report::Line;
use anyhow::Result;
use std::time::Instant;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let jobs = bench.plan.jobs;
    let insert = |conversations| {
        let outbox = Outbox::new(&bench.binary)?;
        let clock = Instant::now();
        outbox.database().insert_chats(jobs, conversations, 1)?;
        anyhow::Ok(clock.elapsed().as_secs_f64() / jobs as f64 * 1e6)
    };
    let micros = bench.pairs("key", || insert(jobs), || insert(1))?;
    let [different, one_key, ratio] = ratios(&micros, |micros| *micros);
    let what = |keys: &str| format!("{jobs} inserts in one transaction, {keys}");
    Ok(vec![
        Line::new("key", what("every job its own key"), "us/row", different),
        Line::new("key", what("all of one key"), "us/row", one_key),
        Line::new("key", "multiple for one key", "ratio", ratio).at_most(2.0, 1.3),
    ])
}
