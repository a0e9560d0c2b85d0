//! Which jobs a command or a page is about.

use super::job::{Channel, Failure, Millis, Status};

/// Which jobs; what is left empty excludes none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Filter {
    pub statuses: Vec<Status>,
    pub channel: Option<Channel>,
    pub account: Option<String>,
    pub source: Option<String>,
    pub failure: Option<Failure>,
    pub error_code: Option<String>,
    /// The case at Acquire: the payload's, or the one that the answer named.
    pub case: Option<String>,
    pub idempotency_key: Option<String>,
    /// Words of the last error, in upper or lower case.
    pub error: Option<String>,
    /// Inserted before this time.
    pub created_before: Option<Millis>,
    /// Inserted at this time or later.
    pub created_since: Option<Millis>,
    /// Ended before this time.
    pub finished_before: Option<Millis>,
    /// No job that was inserted after this one.
    pub up_to_id: Option<i64>,
}

/// What jobs are listed by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    #[default]
    Id,
    /// When it was inserted
    Created,
    /// When it was last written
    Updated,
    /// When it ended; what has not ended comes last
    Finished,
    /// When it is due
    Due,
    /// How many requests were begun
    Attempts,
}

/// Which part of what passes, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub sort: Sort,
    /// Smallest first; else largest.
    pub ascending: bool,
    pub limit: u32,
    /// So many are left out before.
    pub offset: u64,
}

impl Filter {
    /// Whether it lets every job pass.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }
}

impl Sort {
    /// Every order, as a person chooses from them.
    pub const ALL: [Sort; 6] =
        [Sort::Id, Sort::Created, Sort::Updated, Sort::Finished, Sort::Due, Sort::Attempts];
}

impl Page {
    /// The newest jobs, newest first.
    pub fn newest(limit: u32) -> Page {
        Page { sort: Sort::Id, ascending: false, limit, offset: 0 }
    }
}
