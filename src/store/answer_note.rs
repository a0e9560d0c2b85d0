//! The note of answers, which keeps those that are not recorded yet where a kill of the process does not
//! lose them.
//!
//! A noted answer is recorded by the next start or, if there are several nodes, by the one that buries this
//! node. So its place is free before the next cycle is on disk, and claims can be made ahead of free
//! places. The note is not synced: after a power failure the outcomes of its jobs may be unknown, as if
//! there were no note.

use super::postgres::AnswerTable;
use super::sqlite::AnswerFile;
use crate::queue::ended::Ended;
use std::future::pending;

/// The answers of this dispatcher that are not known to be on disk.
#[derive(Debug)]
pub enum AnswerNote {
    File(AnswerFile),
    Table(AnswerTable),
}

/// What became of answers that were to be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    Kept,
    /// [`AnswerNote::kept`] will give the result.
    UnderWay,
    /// They hold their places until they are recorded, unless a later [`AnswerNote::keep`] keeps them.
    NotKept,
}

impl AnswerNote {
    /// Notes these. `is_needed`: jobs wait for a place, and there are enough answers to be worth a write. A
    /// table, which takes longer than a file, is written to only then, with one note at a time.
    pub fn keep(&mut self, ended: &[&Ended], is_needed: impl FnOnce() -> bool) -> Keeping {
        match self {
            AnswerNote::File(file) => match file.keep(ended) {
                true => Keeping::Kept,
                false => Keeping::NotKept,
            },
            AnswerNote::Table(table) => match is_needed() {
                true => table.keep(ended),
                false => Keeping::NotKept,
            },
        }
    }

    /// Whether the note that was under way has been written. Never resolves if none is under way.
    /// Cancel-safe.
    pub async fn kept(&mut self) -> bool {
        match self {
            AnswerNote::File(_) => pending().await,
            AnswerNote::Table(table) => table.kept().await,
        }
    }

    /// Whether places become free before their answers are recorded. If not, nothing should be claimed ahead of
    /// them.
    pub fn works(&self) -> bool {
        match self {
            AnswerNote::File(_) => true,
            AnswerNote::Table(table) => table.works(),
        }
    }

    /// Call it before the tenure is closed.
    pub async fn end(&mut self) {
        match self {
            AnswerNote::File(_) => {}
            AnswerNote::Table(table) => table.end().await,
        }
    }

    /// A cycle begins that records everything that has been noted.
    pub fn cycle_begins(&mut self) {
        match self {
            AnswerNote::File(file) => file.cycle_begins(),
            AnswerNote::Table(table) => table.cycle_begins(),
        }
    }

    /// That cycle is on disk, and has left nothing to record again.
    pub fn cycle_recorded(&mut self) {
        match self {
            AnswerNote::File(file) => file.cycle_recorded(),
            AnswerNote::Table(table) => table.cycle_recorded(),
        }
    }
}
