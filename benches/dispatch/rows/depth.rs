//! `scheduled`, `stuck`, `finished` and `conversations`: whether what lies in the table, or the
//! order that is asked for, slows down the jobs that can go.

use super::{Bench, ratios};
use crate::daemon::{Outbox, SOON};
use crate::deep::Depth;
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::{Result, ensure};
use std::cell::RefCell;
use std::time::Duration;

/// Enough for a daemon that has become ten times slower.
const LIMIT: Duration = Duration::from_secs(120);

pub fn scheduled(bench: &Bench) -> Result<Vec<Line>> {
    let deep = Outbox::new(&bench.binary)?;
    bench.build("scheduled", || deep.database().deepen(Depth::Scheduled, bench.plan.waiting))?;
    let what = format!("with {} jobs for later", bench.plan.waiting);
    against_empty(bench, "scheduled", &what, &deep)
}

pub fn stuck(bench: &Bench) -> Result<Vec<Line>> {
    let deep = Outbox::new(&bench.binary)?;
    bench.build("stuck", || {
        deep.database().stick()?;
        deep.database().deepen(Depth::Parked, bench.plan.stuck)
    })?;
    let what = format!("with {} jobs behind a stuck one", bench.plan.stuck);
    against_empty(bench, "stuck", &what, &deep)
}

pub fn finished(bench: &Bench) -> Result<Vec<Line>> {
    let deep = bench.history("finished")?;
    let what = format!("with {} finished jobs", bench.plan.finished);
    let lines = against_empty(bench, "finished", &what, &deep)?;
    bench.keep_history(deep);
    Ok(lines)
}

pub fn conversations(bench: &Bench) -> Result<Vec<Line>> {
    let conversations = bench.plan.conversations;
    let jobs = conversations * 10;
    let [different, ordered] = [jobs, conversations].map(|conversations| {
        let outbox = Outbox::new(&bench.binary)?;
        outbox.database().insert_chats(jobs, conversations, 1)?;
        anyhow::Ok(outbox)
    });
    let (different, ordered) = (different?, ordered?);
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let rates = bench.pairs(
        "conversations",
        || rate(&mut target.borrow_mut(), &different.copy()?, jobs),
        || rate(&mut target.borrow_mut(), &ordered.copy()?, jobs),
    )?;
    let what = format!("{conversations} conversations of 10 messages each");
    Ok(lines("conversations", "every job its own conversation", &what, &rates))
}

/// The same number of fresh jobs in an empty table and in the deep one, in turns.
fn against_empty(bench: &Bench, row: &'static str, what: &str, deep: &Outbox) -> Result<Vec<Line>> {
    let jobs = bench.plan.jobs;
    let full = Outbox::new(&bench.binary)?;
    full.database().insert_chats(jobs, jobs, 1)?;
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let mut first_case = 1;
    let rates = bench.pairs(
        row,
        || rate(&mut target.borrow_mut(), &full.copy()?, jobs),
        || {
            deep.database().insert_chats(jobs, jobs, first_case)?;
            deep.sync()?;
            first_case += jobs;
            rate(&mut target.borrow_mut(), deep, jobs)
        },
    )?;
    Ok(lines(row, "in an empty table", what, &rates))
}

/// Jobs per second from the first arrival to the last: the daemon does not end by itself while
/// jobs wait for later, and its start is another row.
fn rate(target: &mut Target, outbox: &Outbox, jobs: u64) -> Result<f64> {
    target.reset()?;
    let daemon = outbox.start(target, false)?;
    target.wait_for(jobs, LIMIT)?;
    daemon.stop(SOON)?;
    let seen = target.count()?;
    ensure!(seen.count == jobs, "{} requests for {jobs} jobs", seen.count);
    Ok(seen.per_second())
}

fn lines(row: &'static str, base: &str, what: &str, rates: &[(f64, f64)]) -> Vec<Line> {
    let [empty, deep, ratio] = ratios(rates, |rate| *rate);
    vec![
        Line::new(row, base, "jobs/s", empty),
        Line::new(row, what, "jobs/s", deep),
        Line::new(row, "ratio of the two", "ratio", ratio).at_least(0.8, 0.95),
    ]
}
