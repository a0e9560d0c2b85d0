//! `start`: from the spawn to the first request, with everything in the table.

use super::Bench;
use crate::daemon::SOON;
use crate::report::Line;
use crate::target::{Answer, Target, now_ns};
use anyhow::Result;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let (waiting, finished) = (bench.plan.waiting, bench.plan.finished);
    let deep = bench.history("start")?;
    bench.build("start", || deep.database().keep_ready(waiting))?;
    let mut target = Target::start(Answer::Chat)?;
    let mut seconds = Vec::new();
    bench.rounds("start", || {
        target.reset()?;
        let spawned = now_ns();
        let daemon = deep.start(&target, false)?;
        let first = target.wait_for(1, SOON)?.first;
        seconds.push(first.saturating_sub(spawned) as f64 / 1e9);
        daemon.stop(SOON)?;
        Ok(())
    })?;
    let what = format!("to the first request: {waiting} pending, {finished} finished");
    Ok(vec![Line::new("start", what, "s", seconds).at_most(1.0, 0.2)])
}
