//! `postgres-deep` and `postgres-snapshot`: whether rows that cannot be claimed, or dead ones that a snapshot
//! keeps, slow down the jobs that can be sent.

use super::{Drained, LIMIT, drain};
use crate::daemon::SOON;
use crate::postgres::cluster::{Cluster, ServerDatabase};
use crate::postgres::node::ServerOutbox;
use crate::report::Line;
use crate::rows::Bench;
use crate::target::{Answer, Target};
use anyhow::{Context, Result, anyhow};
use sqlx::Connection as _;
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub fn deep(bench: &Bench) -> Result<Vec<Line>> {
    let (cluster, jobs) = (bench.cluster()?, bench.plan.jobs);
    let sides = bench.each(|binary| {
        let deep = ServerOutbox::new(cluster, binary)?;
        bench.build("postgres-deep", || deep.deepen(&bench.plan))?;
        Ok((ServerOutbox::new(cluster, binary)?, deep, Cell::new(1)))
    })?;
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let drain_new = |outbox: &ServerOutbox, first| -> Result<Drained> {
        outbox.insert_chats(jobs, first)?;
        cluster.checkpoint()?;
        drain(cluster, outbox, &mut target.borrow_mut(), jobs, 1)
    };
    let pairs = bench.over_own(
        "postgres-deep",
        &sides,
        |(empty, ..)| {
            let copy = empty.copy(cluster)?;
            let drained = drain_new(&copy, 1)?;
            cluster.drop(copy.database)?;
            Ok(drained)
        },
        |(_, deep, first)| drain_new(deep, first.replace(first.get() + jobs)),
    )?;
    let plan = &bench.plan;
    let what = format!(
        "with {} scheduled, {} stuck, {} finished jobs",
        plan.waiting, plan.stuck, plan.finished
    );
    let (row, floor) = ("postgres-deep", "in an empty table");
    let cpu = |drained: &Drained| drained.server_micros;
    Ok(vec![
        Line::over(row, what, "jobs/s", floor, &pairs, |d| d.per_second).at_least(0.8, 0.95),
        Line::over(row, "PostgreSQL's CPU of a job", "us", floor, &pairs, cpu),
    ])
}

pub fn snapshot(bench: &Bench) -> Result<Vec<Line>> {
    let (cluster, seconds) = (bench.cluster()?, bench.plan.snapshot_seconds);
    // One round takes twice that long.
    let rounds = if bench.plan.quick { bench.plan.rounds } else { 1 };
    let mut sides = Vec::new();
    for binary in &bench.binaries {
        let mut pairs = Vec::new();
        for number in 0..rounds {
            eprintln!("postgres-snapshot: round {} of {rounds}", number + 1);
            let without = under_load(cluster, binary, seconds, false)?;
            pairs.push((without, under_load(cluster, binary, seconds, true)?));
        }
        sides.push(pairs);
    }
    let what = format!("with a snapshot open for {seconds} s, in the last third");
    Ok(vec![
        Line::over("postgres-snapshot", what, "jobs/s", "without", &sides, |rate| *rate)
            .at_least(0.7, 0.9),
    ])
}

/// Jobs per second in the last third of the time, while there is always a backlog.
fn under_load(cluster: &Cluster, binary: &Path, seconds: u64, snapshot: bool) -> Result<f64> {
    const BACKLOG: u64 = 20_000;
    let outbox = ServerOutbox::new(cluster, binary)?;
    let mut target = Target::start(Answer::Chat)?;
    let held = snapshot.then(|| HeldSnapshot::of(&outbox.database)).transpose()?;
    let mut inserted = 0;
    let mut feed = |sent: u64| -> Result<()> {
        if inserted < sent + BACKLOG {
            outbox.insert_chats(BACKLOG, inserted + 1)?;
            inserted += BACKLOG;
        }
        Ok(())
    };
    feed(0)?;
    let node = outbox.start(&target)?;
    target.wait_for(1, LIMIT)?;
    let begun = Instant::now();
    let mut last_third = None;
    while begun.elapsed() < Duration::from_secs(seconds) {
        let sent = target.count()?.count;
        feed(sent)?;
        if last_third.is_none() && begun.elapsed() * 3 > Duration::from_secs(seconds) * 2 {
            last_third = Some((Instant::now(), target.count()?.count));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (since, before) = last_third.context("a time that is longer than a few milliseconds")?;
    let rate = (target.count()?.count - before) as f64 / since.elapsed().as_secs_f64();
    held.map(HeldSnapshot::end).transpose()?;
    node.stop(SOON)?;
    cluster.drop(outbox.database)?;
    Ok(rate)
}

/// A session that has read once and leaves its transaction open.
struct HeldSnapshot {
    stop: Sender<()>,
    session: JoinHandle<Result<()>>,
}

impl HeldSnapshot {
    fn of(database: &ServerDatabase) -> Result<HeldSnapshot> {
        let (stop, stopped): (_, Receiver<()>) = channel();
        let (begun, begins) = channel();
        let database = database.clone();
        let session = std::thread::spawn(move || {
            database.with(async |connection| {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                let mut transaction = connection.begin_with(begin).await?;
                let count = sqlx::query("SELECT count(*) FROM outbox");
                count.execute(&mut *transaction).await?;
                begun.send(()).ok();
                stopped.recv().ok();
                Ok(transaction.rollback().await?)
            })
        });
        begins.recv().context("the session with the snapshot")?;
        Ok(HeldSnapshot { stop, session })
    }

    fn end(self) -> Result<()> {
        self.stop.send(()).ok();
        self.session.join().map_err(|_| anyhow!("the session with the snapshot panicked"))?
    }
}
