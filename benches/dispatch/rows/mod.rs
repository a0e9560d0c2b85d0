//! One file per measurement; each gives one or more lines of the table.

pub mod drain;
pub mod wake;

use crate::plan::Plan;
use crate::report::Line;
use anyhow::Result;
use std::path::PathBuf;

/// What a measurement needs to know.
pub struct Bench {
    pub binary: PathBuf,
    pub plan: Plan,
}

impl Bench {
    /// Measures once per round and says on standard error how it goes.
    pub fn rounds(&self, row: &str, mut round: impl FnMut(usize) -> Result<()>) -> Result<()> {
        for number in 0..self.plan.rounds {
            eprintln!("{row}: round {} of {}", number + 1, self.plan.rounds);
            round(number)?;
        }
        Ok(())
    }
}

/// The rows of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Row {
    /// Jobs per second of the whole daemon, as a share of raw reqwest's requests
    Drain,
    /// CPU time per job, as a multiple of raw reqwest's per request
    Cpu,
    /// From a commit's return to the request's arrival
    Wake,
}

impl Row {
    /// Rows that are measured together have the same function.
    pub fn measurement(self) -> fn(&Bench) -> Result<Vec<Line>> {
        match self {
            Row::Drain | Row::Cpu => drain::measure,
            Row::Wake => wake::measure,
        }
    }
}
