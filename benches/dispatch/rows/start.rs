//! `start`: from the spawn to the first request, with everything in the table. The floor is a bare
//! program that opens the same file, reads a job, commits once and sends one request.

use super::Bench;
use crate::daemon::{Outbox, SOON};
use crate::raw;
use crate::report::Line;
use crate::target::{Answer, Target, now_ns};
use anyhow::Result;
use std::cell::RefCell;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let (waiting, finished) = (bench.plan.waiting, bench.plan.finished);
    let deep = bench.history("start")?;
    for deep in &deep {
        bench.build("start", || deep.keep_ready(waiting))?;
    }
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let pairs = bench.over_own(
        "start",
        &deep,
        |deep| {
            let mut target = target.borrow_mut();
            target.reset()?;
            let spawned = now_ns();
            raw::first_request(&target, &deep.database())?;
            Ok(target.count()?.first.saturating_sub(spawned) as f64 / 1e6)
        },
        |deep| first_request(deep, &mut target.borrow_mut()),
    )?;
    let what = format!("to the first request: {waiting} pending, {finished} finished");
    Ok(vec![
        Line::over("start", what, "ms", "a bare program", &pairs, |millis| *millis)
            .at_most(4.0, 2.0),
    ])
}

/// Milliseconds.
fn first_request(deep: &Outbox, target: &mut Target) -> Result<f64> {
    target.reset()?;
    let spawned = now_ns();
    let daemon = deep.start(target, false)?;
    let first = target.wait_for(1, SOON)?.first;
    daemon.stop(SOON)?;
    Ok(first.saturating_sub(spawned) as f64 / 1e6)
}
