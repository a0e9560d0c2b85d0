//! One file per measurement; each gives one or more lines of the table.

pub mod accounts;
pub mod depth;
pub mod drain;
pub mod idle;
pub mod key;
pub mod memory;
pub mod on_postgres;
pub mod sms;
pub mod sqlite;
pub mod start;
pub mod wake;
pub mod writers;

use crate::daemon::Outbox;
use crate::deep::Depth;
use crate::plan::Plan;
use crate::postgres::cluster::Cluster;
use crate::report::Line;
use anyhow::Result;
use clap::ValueEnum as _;
use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a measurement needs to know, and the deep tables that two of them use.
pub struct Bench {
    /// The builds of the daemon: the measured one, and the one that it is compared with.
    pub binaries: Vec<PathBuf>,
    pub plan: Plan,
    history: RefCell<Vec<Outbox>>,
    backlog: RefCell<Vec<Outbox>>,
    /// Started when it is first needed.
    cluster: OnceCell<Cluster>,
}

/// Something that is measured once in each round.
pub type Station<'a, T> = Box<dyn FnMut() -> Result<T> + 'a>;

/// The pairs of floor and value of each binary, by round.
pub type Pairs<T> = Vec<Vec<(T, T)>>;

impl Bench {
    pub fn new(binaries: Vec<PathBuf>, plan: Plan) -> Bench {
        let (history, backlog) = Default::default();
        Bench { binaries, plan, history, backlog, cluster: OnceCell::new() }
    }

    /// The PostgreSQL that all rows share.
    pub fn cluster(&self) -> Result<&Cluster> {
        if let Some(cluster) = self.cluster.get() {
            return Ok(cluster);
        }
        let started = Cluster::start()?;
        Ok(self.cluster.get_or_init(|| started))
    }

    /// Prepares the measurement of each binary.
    pub fn each<S>(&self, setup: impl Fn(&Path) -> Result<S>) -> Result<Vec<S>> {
        self.binaries.iter().map(|binary| setup(binary)).collect()
    }

    /// Measures every station once per round. Which one goes first changes from round to round, so that a
    /// machine that gets slower or faster favours none. Returns the rounds of each station.
    pub fn alternately<T>(
        &self,
        row: &str,
        mut stations: Vec<Station<'_, T>>,
    ) -> Result<Vec<Vec<T>>> {
        let (rounds, count) = (self.plan.rounds, stations.len());
        let mut measured: Vec<Vec<T>> = stations.iter().map(|_| Vec::new()).collect();
        for number in 0..rounds {
            eprintln!("{row}: round {} of {rounds}", number + 1);
            for offset in 0..count {
                let station = (number + offset) % count;
                measured[station].push(stations[station]()?);
            }
        }
        Ok(measured)
    }

    /// Measures each of `sides`, which has no floor; the rounds of each.
    pub fn alone<S, T>(
        &self,
        row: &str,
        sides: &[S],
        measure: impl Fn(&S) -> Result<T>,
    ) -> Result<Vec<Vec<T>>> {
        let stations = sides.iter().map(|side| -> Station<'_, T> { Box::new(|| measure(side)) });
        self.alternately(row, stations.collect())
    }

    /// Measures a floor that all sides share, and each of `sides`.
    pub fn over_shared<S, T: Clone>(
        &self,
        row: &str,
        sides: &[S],
        floor: impl FnMut() -> Result<T>,
        measure: impl Fn(&S) -> Result<T>,
    ) -> Result<Pairs<T>> {
        let mut stations: Vec<Station<'_, T>> = vec![Box::new(floor)];
        for side in sides {
            stations.push(Box::new(|| measure(side)));
        }
        let mut rounds = self.alternately(row, stations)?.into_iter();
        let floor = rounds.next().unwrap_or_default();
        Ok(rounds.map(|values| floor.iter().cloned().zip(values).collect()).collect())
    }

    /// Measures each of `sides`, each with its own floor.
    pub fn over_own<S, T>(
        &self,
        row: &str,
        sides: &[S],
        floor: impl Fn(&S) -> Result<T>,
        measure: impl Fn(&S) -> Result<T>,
    ) -> Result<Pairs<T>> {
        let mut stations: Vec<Station<'_, T>> = Vec::new();
        for side in sides {
            stations.push(Box::new(|| floor(side)));
            stations.push(Box::new(|| measure(side)));
        }
        let mut rounds = self.alternately(row, stations)?.into_iter();
        let mut pairs = Vec::new();
        while let (Some(floor), Some(values)) = (rounds.next(), rounds.next()) {
            pairs.push(floor.into_iter().zip(values).collect());
        }
        Ok(pairs)
    }

    /// Makes a deep table and prints how long it took.
    pub fn build<T>(&self, row: &str, build: impl FnOnce() -> Result<T>) -> Result<T> {
        eprint!("{row}: filling the table");
        let clock = Instant::now();
        let done = build();
        eprintln!(", {:.1} s", clock.elapsed().as_secs_f64());
        done
    }

    /// Finished jobs, for each binary; give them back by [`Bench::keep_history`].
    pub fn history(&self, row: &str) -> Result<Vec<Outbox>> {
        self.deep(&self.history, row, Depth::Finished, self.plan.finished)
    }

    /// For `start`, which comes after `finished` and leaves pending jobs in it.
    pub fn keep_history(&self, outboxes: Vec<Outbox>) {
        self.history.replace(outboxes);
    }

    /// Jobs that are ready, for each binary; give them back by [`Bench::keep_backlog`].
    pub fn backlog(&self, row: &str) -> Result<Vec<Outbox>> {
        self.deep(&self.backlog, row, Depth::Ready, self.plan.waiting)
    }

    pub fn keep_backlog(&self, outboxes: Vec<Outbox>) {
        self.backlog.replace(outboxes);
    }

    fn deep(
        &self,
        kept: &RefCell<Vec<Outbox>>,
        row: &str,
        depth: Depth,
        rows: u64,
    ) -> Result<Vec<Outbox>> {
        let kept = kept.take();
        if !kept.is_empty() {
            return Ok(kept);
        }
        self.each(|binary| {
            let outbox = Outbox::new(binary)?;
            self.build(row, || outbox.deepen(depth, rows))?;
            Ok(outbox)
        })
    }
}

/// The rows of the table, in the order in which they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Row {
    /// What the disk can do, for information
    Sqlite,
    /// Jobs per second of the whole daemon, as a share of raw reqwest's requests
    Drain,
    /// CPU time per job, as a multiple of raw reqwest's per request
    Cpu,
    /// From a commit's return to the request's arrival, over a synced INSERT and half a raw round trip
    Wake,
    /// CPU of the idle daemon
    Idle,
    /// What 400 configured accounts cost: the CPU of a single message, the start, memory
    Accounts,
    /// Resident memory, idle and draining a deep backlog
    Memory,
    /// Inserts of 8 writers while the daemon drains flat out
    Writers,
    /// Inserts of jobs of one key with a long backlog
    Key,
    /// Jobs per second with many scheduled jobs
    Scheduled,
    /// Jobs per second with many jobs behind a stuck conversation
    Stuck,
    /// Jobs per second with many finished jobs in the table
    Finished,
    /// Jobs per second in conversations of 10 messages, as a share of those with all different ones
    Conversations,
    /// From the spawn to the first request with a full table, over that of a bare program
    Start,
    /// Reading the ids of an SMS answer
    Sms,
    /// All rows on PostgreSQL
    Postgres,
    /// Jobs per second of a node, as a share of graphile-worker's and of pg-boss's
    PostgresRates,
    /// Jobs per second of two nodes, as a multiple of one's, where Acquire is the limit
    PostgresNodes,
    /// Inserts per second of 16 clients, as a share of those into a plain table
    PostgresInserts,
    /// From a commit's return to the request's arrival, over a synced transaction and a raw request
    PostgresWake,
    /// CPU of an idle node and its PostgreSQL
    PostgresIdle,
    /// Resident memory of a node, idle and with a deep backlog
    PostgresMemory,
    /// Jobs per second with scheduled, stuck and finished jobs in the table
    PostgresDeep,
    /// Jobs per second while another session keeps a snapshot open
    PostgresSnapshot,
    /// How long after a kill a node's jobs are decided
    PostgresTakeover,
}

impl Row {
    /// In the order in which they are measured.
    pub fn chosen(named: &[Row]) -> Vec<Row> {
        let all = || Row::value_variants().iter().copied();
        let mut rows: Vec<Row> = match named {
            [] => all().filter(|row| *row < Row::Postgres).collect(),
            named => named.to_vec(),
        };
        if rows.contains(&Row::Postgres) {
            rows.extend(all().filter(|row| *row > Row::Postgres));
        }
        rows.retain(|row| *row != Row::Postgres);
        rows.sort();
        rows
    }

    /// Rows that are measured together have the same function.
    pub fn measurement(self) -> fn(&Bench) -> Result<Vec<Line>> {
        match self {
            Row::Sqlite => sqlite::measure,
            Row::Drain | Row::Cpu => drain::measure,
            Row::Wake => wake::measure,
            Row::Idle => idle::measure,
            Row::Accounts => accounts::measure,
            Row::Memory => memory::measure,
            Row::Writers => writers::measure,
            Row::Key => key::measure,
            Row::Scheduled => depth::scheduled,
            Row::Stuck => depth::stuck,
            Row::Finished => depth::finished,
            Row::Conversations => depth::conversations,
            Row::Start => start::measure,
            Row::Sms => sms::measure,
            Row::Postgres | Row::PostgresRates => on_postgres::rates::measure,
            Row::PostgresNodes => on_postgres::rates::nodes,
            Row::PostgresInserts => on_postgres::inserts::measure,
            Row::PostgresWake => on_postgres::waking::measure,
            Row::PostgresIdle => on_postgres::resting::idle,
            Row::PostgresMemory => on_postgres::resting::memory,
            Row::PostgresDeep => on_postgres::depths::deep,
            Row::PostgresSnapshot => on_postgres::depths::snapshot,
            Row::PostgresTakeover => on_postgres::takeover::measure,
        }
    }
}
