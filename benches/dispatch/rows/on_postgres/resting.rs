//! `postgres-idle` and `postgres-memory`: what a node costs that has nothing to do, and how much memory it has
//! then and with a deep backlog.

use crate::daemon::SOON;
use crate::postgres::node::ServerOutbox;
use crate::report::Line;
use crate::rows::idle::cpu_ns;
use crate::rows::memory::mebibytes;
use crate::rows::{Bench, Station};
use crate::target::{Answer, Target};
use anyhow::Result;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// How long to wait until the work after the start is done.
const SETTLED: Duration = Duration::from_secs(3);

pub fn idle(bench: &Bench) -> Result<Vec<Line>> {
    let (cluster, seconds) = (bench.cluster()?, bench.plan.idle_seconds.max(10));
    let target = Target::start(Answer::Chat)?;
    let percent = |outbox: Option<&ServerOutbox>| -> Result<f64> {
        cluster.checkpoint()?;
        let node = outbox.map(|outbox| outbox.run(&target)).transpose()?;
        std::thread::sleep(SETTLED);
        let spent = || -> Result<u64> {
            Ok(cluster.cpu_ns()? + node.as_ref().map_or(Ok(0), |node| cpu_ns(node.pid()))?)
        };
        let (clock, before) = (Instant::now(), spent()?);
        std::thread::sleep(Duration::from_secs(seconds));
        let share = spent()?.saturating_sub(before) as f64 / clock.elapsed().as_nanos() as f64;
        node.map(|node| node.stop(SOON)).transpose()?;
        Ok(share * 100.0)
    };
    let outboxes = bench.each(|binary| ServerOutbox::new(cluster, binary))?;
    let mut stations: Vec<Station<'_, f64>> = vec![Box::new(|| percent(None))];
    for outbox in &outboxes {
        stations.push(Box::new(|| percent(Some(outbox))));
    }
    let mut rounds = bench.alternately("postgres-idle", stations)?;
    let nodes = rounds.split_off(1);
    let what = format!("PostgreSQL and a node, CPU over {seconds} s");
    Ok(vec![
        Line::absolute("postgres-idle", what, "% of a core", nodes).at_most(0.5, 0.1),
        Line::absolute("postgres-idle", "PostgreSQL alone", "% of a core", rounds),
    ])
}

pub fn memory(bench: &Bench) -> Result<Vec<Line>> {
    let (cluster, waiting) = (bench.cluster()?, bench.plan.waiting);
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let empty = bench.each(|binary| ServerOutbox::new(cluster, binary))?;
    let idle = bench.alone("postgres-memory, idle", &empty, |outbox| {
        let node = outbox.run(&target.borrow())?;
        std::thread::sleep(SETTLED);
        let resident = mebibytes(&node, "VmRSS:")?;
        node.stop(SOON)?;
        Ok(resident)
    })?;
    for outbox in &empty {
        bench.build("postgres-memory", || outbox.insert_chats(waiting, 1))?;
    }
    let peak = bench.alone("postgres-memory, draining", &empty, |outbox| {
        let mut target = target.borrow_mut();
        target.reset()?;
        let node = outbox.start(&target)?;
        target.wait_for(1, SOON)?;
        std::thread::sleep(Duration::from_secs(bench.plan.busy_seconds));
        let peak = mebibytes(&node, "VmHWM:")?;
        node.stop(SOON)?;
        Ok(peak)
    })?;
    let draining = format!("a node at the peak, draining {waiting} pending jobs");
    Ok(vec![
        Line::absolute("postgres-memory", "a node, idle", "MiB", idle).at_most(20.0, 12.0),
        Line::absolute("postgres-memory", draining, "MiB", peak).at_most(40.0, 25.0),
    ])
}
