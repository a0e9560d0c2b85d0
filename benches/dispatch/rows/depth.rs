//! `scheduled`, `stuck`, `finished` and `conversations`: whether other rows in the table, or the
//! required order, slow down the jobs that can be sent. The floor is the same daemon with the
//! same number of jobs in an empty table, all of different conversations.

use super::{Bench, Pairs};
use crate::daemon::{Outbox, SOON};
use crate::deep::Depth;
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::{Result, ensure};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Duration;

/// Enough for a daemon that has become ten times slower.
const LIMIT: Duration = Duration::from_secs(120);

pub fn scheduled(bench: &Bench) -> Result<Vec<Line>> {
    let rows = bench.plan.waiting;
    let deep = deep(bench, "scheduled", Depth::Scheduled, rows)?;
    over_empty(bench, "scheduled", &format!("with {rows} scheduled jobs"), deep)
        .map(|(line, _)| line)
}

pub fn stuck(bench: &Bench) -> Result<Vec<Line>> {
    let rows = bench.plan.stuck;
    let deep = deep(bench, "stuck", Depth::Parked, rows)?;
    over_empty(bench, "stuck", &format!("with {rows} jobs behind a stuck one"), deep)
        .map(|(line, _)| line)
}

pub fn finished(bench: &Bench) -> Result<Vec<Line>> {
    let deep = bench.history("finished")?;
    let what = format!("with {} finished jobs", bench.plan.finished);
    let (lines, deep) = over_empty(bench, "finished", &what, deep)?;
    bench.keep_history(deep);
    Ok(lines)
}

pub fn conversations(bench: &Bench) -> Result<Vec<Line>> {
    let conversations = bench.plan.conversations;
    let jobs = conversations * 10;
    let sides = bench
        .each(|binary| Ok((chats(binary, jobs, jobs)?, chats(binary, jobs, conversations)?)))?;
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let pairs = bench.over_own(
        "conversations",
        &sides,
        |(different, _)| drain(&mut target.borrow_mut(), &different.copy()?, jobs),
        |(_, ordered)| drain(&mut target.borrow_mut(), &ordered.copy()?, jobs),
    )?;
    let what = format!("{conversations} conversations of 10 messages each");
    Ok(lines("conversations", &what, "all different", &pairs, (0.9, 0.95)))
}

fn deep(bench: &Bench, row: &str, depth: Depth, rows: u64) -> Result<Vec<Outbox>> {
    bench.each(|binary| {
        let deep = Outbox::new(binary)?;
        bench.build(row, || deep.deepen(depth, rows))?;
        Ok(deep)
    })
}

fn chats(binary: &Path, jobs: u64, conversations: u64) -> Result<Outbox> {
    let outbox = Outbox::new(binary)?;
    outbox.database().insert_chats(jobs, conversations, 1)?;
    Ok(outbox)
}

/// The same number of new jobs in an empty table and in the deep one, alternately.
fn over_empty(
    bench: &Bench,
    row: &'static str,
    what: &str,
    deep: Vec<Outbox>,
) -> Result<(Vec<Line>, Vec<Outbox>)> {
    let jobs = bench.plan.jobs;
    let empty = bench.each(|binary| chats(binary, jobs, jobs))?;
    let sides: Vec<_> =
        empty.into_iter().zip(deep).map(|(empty, deep)| (empty, deep, Cell::new(1))).collect();
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let pairs = bench.over_own(
        row,
        &sides,
        |(empty, ..)| drain(&mut target.borrow_mut(), &empty.copy()?, jobs),
        |(_, deep, first_case)| {
            deep.database().insert_chats(jobs, jobs, first_case.get())?;
            deep.sync()?;
            first_case.set(first_case.get() + jobs);
            drain(&mut target.borrow_mut(), deep, jobs)
        },
    )?;
    let lines = lines(row, what, "in an empty table", &pairs, (0.8, 0.95));
    let deep = sides.into_iter().map(|(_, deep, _)| deep).collect();
    Ok((lines, deep))
}

/// One drain of new jobs.
struct Drain {
    /// Jobs per second from the first arrival to the last: the daemon does not exit while
    /// jobs are scheduled, and its start is measured in another row.
    per_second: f64,
    /// CPU time per job in microseconds, including the daemon's start and end.
    cpu_micros: f64,
}

fn drain(target: &mut Target, outbox: &Outbox, jobs: u64) -> Result<Drain> {
    target.reset()?;
    let daemon = outbox.start(target, false)?;
    target.wait_for(jobs, LIMIT)?;
    let ended = daemon.stop(SOON)?;
    let seen = target.count()?;
    ensure!(seen.count == jobs, "{} requests for {jobs} jobs", seen.count);
    Ok(Drain { per_second: seen.per_second(), cpu_micros: ended.cpu_seconds * 1e6 / jobs as f64 })
}

/// The line with the limit, and the CPU time for machines that are too busy for a rate.
fn lines(
    row: &'static str,
    what: &str,
    floor: &str,
    pairs: &Pairs<Drain>,
    least: (f64, f64),
) -> Vec<Line> {
    let (limit, aim) = least;
    vec![
        Line::over(row, what, "jobs/s", floor, pairs, |drain| drain.per_second)
            .at_least(limit, aim),
        Line::over(row, "CPU of a job", "us", floor, pairs, |drain| drain.cpu_micros),
    ]
}
