//! One file per measurement; each gives one or more lines of the table.

pub mod accounts;
pub mod depth;
pub mod drain;
pub mod idle;
pub mod key;
pub mod memory;
pub mod sms;
pub mod sqlite;
pub mod start;
pub mod wake;
pub mod writers;

use crate::daemon::Outbox;
use crate::deep::Depth;
use crate::plan::Plan;
use crate::report::Line;
use anyhow::Result;
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Instant;

/// What a measurement needs to know, and the deep tables that two of them use.
pub struct Bench {
    pub binary: PathBuf,
    pub plan: Plan,
    history: RefCell<Option<Outbox>>,
    backlog: RefCell<Option<Outbox>>,
}

impl Bench {
    pub fn new(binary: PathBuf, plan: Plan) -> Bench {
        Bench { binary, plan, history: RefCell::default(), backlog: RefCell::default() }
    }

    /// Measures once per round and says on standard error how it goes.
    pub fn rounds(&self, row: &str, mut round: impl FnMut() -> Result<()>) -> Result<()> {
        let rounds = self.plan.rounds;
        for number in 1..=rounds {
            eprintln!("{row}: round {number} of {rounds}");
            round()?;
        }
        Ok(())
    }

    /// Each round measures both, in turns: which one goes first changes, so that a machine that
    /// gets slower or faster favours neither.
    pub fn pairs<A, B>(
        &self,
        row: &str,
        mut one: impl FnMut() -> Result<A>,
        mut other: impl FnMut() -> Result<B>,
    ) -> Result<Vec<(A, B)>> {
        let mut pairs = Vec::new();
        self.rounds(row, || {
            pairs.push(if pairs.len() % 2 == 0 {
                let one = one()?;
                (one, other()?)
            } else {
                let other = other()?;
                (one()?, other)
            });
            Ok(())
        })?;
        Ok(pairs)
    }

    /// Makes a deep table and says how long it took.
    pub fn build(&self, row: &str, build: impl FnOnce() -> Result<()>) -> Result<()> {
        eprint!("{row}: filling the table");
        let clock = Instant::now();
        let done = build();
        eprintln!(", {:.1} s", clock.elapsed().as_secs_f64());
        done
    }

    /// Finished jobs; give them back by [`Bench::keep_history`].
    pub fn history(&self, row: &str) -> Result<Outbox> {
        self.deep(&self.history, row, Depth::Finished, self.plan.finished)
    }

    /// For `start`, which comes after `finished` and leaves pending jobs in it.
    pub fn keep_history(&self, outbox: Outbox) {
        self.history.replace(Some(outbox));
    }

    /// Jobs that are ready; give them back by [`Bench::keep_backlog`].
    pub fn backlog(&self, row: &str) -> Result<Outbox> {
        self.deep(&self.backlog, row, Depth::Ready, self.plan.waiting)
    }

    pub fn keep_backlog(&self, outbox: Outbox) {
        self.backlog.replace(Some(outbox));
    }

    fn deep(
        &self,
        kept: &RefCell<Option<Outbox>>,
        row: &str,
        depth: Depth,
        rows: u64,
    ) -> Result<Outbox> {
        if let Some(outbox) = kept.take() {
            return Ok(outbox);
        }
        let outbox = Outbox::new(&self.binary)?;
        self.build(row, || outbox.database().deepen(depth, rows))?;
        Ok(outbox)
    }
}

/// The rows of the table, in the order in which they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Row {
    /// Limits of the disk, for context
    Sqlite,
    /// Jobs per second of the whole daemon, as a share of raw reqwest's requests
    Drain,
    /// CPU time per job, as a multiple of raw reqwest's per request
    Cpu,
    /// From a commit's return to the request's arrival
    Wake,
    /// CPU of the idle daemon
    Idle,
    /// What 400 configured accounts cost: the CPU of a lone message, the start, memory
    Accounts,
    /// Resident memory, idle and draining a deep backlog
    Memory,
    /// Inserts of 8 writers while the daemon drains flat out
    Writers,
    /// Inserts of jobs of one key with a long backlog
    Key,
    /// Jobs per second with many jobs scheduled for later
    Scheduled,
    /// Jobs per second with many jobs behind a stuck conversation
    Stuck,
    /// Jobs per second with many finished jobs in the table
    Finished,
    /// Jobs per second in conversations of 10 messages
    Conversations,
    /// From the spawn to the first request, with a full table
    Start,
    /// An SMS answer read for its ids
    Sms,
}

/// A figure of every round, and the same figure's share of its neighbour's in the round.
pub fn ratios<T>(pairs: &[(T, T)], figure: impl Fn(&T) -> f64) -> [Vec<f64>; 3] {
    let base = pairs.iter().map(|(base, _)| figure(base)).collect();
    let other = pairs.iter().map(|(_, other)| figure(other)).collect();
    let ratio = pairs.iter().map(|(base, other)| figure(other) / figure(base)).collect();
    [base, other, ratio]
}

impl Row {
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
        }
    }
}
