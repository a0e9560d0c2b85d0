//! Which jobs a command or a page is about, and in which order they are listed.

use super::follow_up::DeliveryState;
use super::job::{Channel, Failure, Millis, Status};

/// Which jobs. A field without a value excludes none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Filter {
    pub statuses: Vec<Status>,
    pub channel: Option<Channel>,
    pub account: Option<String>,
    pub source: Option<String>,
    pub failure: Option<Failure>,
    pub error_code: Option<String>,
    /// What became of a sent message.
    pub deliveries: Vec<DeliveryState>,
    /// The case at Acquire: the one in the payload, or else the one that the answer named.
    pub case: Option<String>,
    pub idempotency_key: Option<String>,
    /// Only pending jobs that wait for their next attempt.
    pub in_backoff: bool,
    /// Part of the last error; upper and lower case are the same.
    pub error: Option<String>,
    /// Inserted before this time.
    pub created_before: Option<Millis>,
    /// Inserted at this time or later.
    pub created_since: Option<Millis>,
    /// Finished before this time.
    pub finished_before: Option<Millis>,
    /// Only jobs that were inserted no later than the job with this id.
    pub up_to_id: Option<i64>,
}

/// What a list is sorted by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    #[default]
    Id,
    /// When the job was inserted.
    Created,
    /// When the row was last written.
    Updated,
    /// When the job finished; unfinished jobs are last.
    Finished,
    /// When the job is due.
    Due,
    /// How many attempts were made.
    Attempts,
}

/// One page of the jobs that pass a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub sort: SortBy,
    /// Smallest first; otherwise largest first.
    pub ascending: bool,
    pub limit: u32,
    /// How many jobs come before the page.
    pub offset: u64,
}

impl Filter {
    /// Whether every job passes.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether it is about messages that did not arrive, of which there are few.
    pub fn is_of_undelivered(&self) -> bool {
        !self.deliveries.is_empty() && self.deliveries.iter().all(|state| state.is_bad())
    }

    pub fn of_states(statuses: &[Status]) -> Filter {
        Filter { statuses: statuses.to_vec(), ..Filter::default() }
    }
}

impl SortBy {
    pub const ALL: [SortBy; 6] = [
        SortBy::Id,
        SortBy::Created,
        SortBy::Updated,
        SortBy::Finished,
        SortBy::Due,
        SortBy::Attempts,
    ];

    /// The word that chooses it, in the command and in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            SortBy::Id => "id",
            SortBy::Created => "created",
            SortBy::Updated => "updated",
            SortBy::Finished => "finished",
            SortBy::Due => "due",
            SortBy::Attempts => "attempts",
        }
    }
}

impl Page {
    /// The newest jobs, newest first.
    pub fn newest(limit: u32) -> Page {
        Page { sort: SortBy::Id, ascending: false, limit, offset: 0 }
    }
}
