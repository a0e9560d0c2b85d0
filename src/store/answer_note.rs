//! The note of the answers that are not recorded yet: where a kill of the process does not lose them.
//!
//! An answer that is noted is recorded by the next start or, where there are several nodes, by the one
//! that buries this one. So its place is free before the next cycle is on disk, which is what lets
//! claims be made ahead of free places. The note is not synced: after a loss of power its jobs may be of
//! unknown outcome, as if it did not exist.

use super::postgres::AnswerTable;
use super::sqlite::AnswerFile;
use crate::queue::ended::Ended;
use std::future::pending;

/// The answers of this dispatcher, as far as they are not known to be on disk.
#[derive(Debug)]
pub enum AnswerNote {
    File(AnswerFile),
    Table(AnswerTable),
}

/// What became of answers that were to be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    Kept,
    /// [`AnswerNote::kept`] will tell.
    UnderWay,
    /// They have their places until they are recorded, unless they are given again.
    NotKept,
}

impl AnswerNote {
    /// Notes these. `is_needed`: jobs wait for so many places that a note is worth its time. One that takes
    /// long is written only then, one at a time.
    pub fn keep(&mut self, ended: &[&Ended], is_needed: bool) -> Keeping {
        match self {
            AnswerNote::File(file) => match file.keep(ended) {
                true => Keeping::Kept,
                false => Keeping::NotKept,
            },
            AnswerNote::Table(table) if is_needed => table.keep(ended),
            AnswerNote::Table(_) => Keeping::NotKept,
        }
    }

    /// Whether what was under way has been noted. It never resolves where nothing is under way.
    /// Cancel-safe.
    pub async fn kept(&mut self) -> bool {
        match self {
            AnswerNote::File(_) => pending().await,
            AnswerNote::Table(table) => table.kept().await,
        }
    }

    /// A cycle begins that records all that has been noted.
    pub fn cycle_begins(&mut self) {
        match self {
            AnswerNote::File(file) => file.cycle_begins(),
            AnswerNote::Table(table) => table.cycle_begins(),
        }
    }

    /// That cycle is on disk.
    pub fn cycle_recorded(&mut self) {
        match self {
            AnswerNote::File(file) => file.cycle_recorded(),
            AnswerNote::Table(table) => table.cycle_recorded(),
        }
    }
}
