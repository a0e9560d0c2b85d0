//! Which jobs a command or a page is about, and in which order they are listed.

use super::follow_up::DeliveryState;
use super::job::{Channel, Failure, Millis, Status};

/// Which jobs. A field without a value excludes none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Filter {
    pub statuses: Vec<Status>,
    /// Why a pending job waits.
    pub wait: Option<WaitState>,
    pub channel: Option<Channel>,
    pub account: Option<String>,
    pub source: Option<String>,
    pub failure: Option<Failure>,
    pub error_code: Option<String>,
    /// What became of a sent message.
    pub deliveries: Vec<DeliveryState>,
    /// The case at Acquire: the one in the payload, or else the one that the answer named.
    pub case: Option<String>,
    /// The contact in the payload.
    pub contact: Option<String>,
    /// Who receives it, as [`recipient`](super::recipient) writes it; not after the payload was scrubbed.
    pub recipient: Option<String>,
    /// The message's id at Acquire.
    pub message_id: Option<String>,
    pub idempotency_key: Option<String>,
    /// Only pending jobs that wait for their next attempt.
    pub in_backoff: bool,
    /// Part of the last error; upper and lower case are the same.
    pub error: Option<String>,
    /// Inserted before this time.
    pub created_before: Option<Millis>,
    /// Inserted at this time or later.
    pub created_since: Option<Millis>,
    /// Finished at this time or later.
    pub finished_since: Option<Millis>,
    /// Finished before this time.
    pub finished_before: Option<Millis>,
    /// Only jobs that were inserted no later than the job with this id.
    pub up_to_id: Option<i64>,
}

/// Why a pending job waits; the column `wait`. What has arrived on PostgreSQL, and no node has looked at yet, counts
/// as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitState {
    Ready,
    Backoff,
    Scheduled,
    Parked,
}

impl WaitState {
    pub const ALL: [WaitState; 4] =
        [WaitState::Ready, WaitState::Backoff, WaitState::Scheduled, WaitState::Parked];

    pub fn as_str(self) -> &'static str {
        match self {
            WaitState::Ready => "ready",
            WaitState::Backoff => "backoff",
            WaitState::Scheduled => "scheduled",
            WaitState::Parked => "parked",
        }
    }
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
    Channel,
    Account,
    Status,
    Source,
    /// The last error's code, then its text.
    Error,
    Case,
    Contact,
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

    /// Whether few jobs pass, which have an index of their own.
    pub fn is_selective(&self) -> bool {
        let texts =
            [&self.case, &self.contact, &self.recipient, &self.message_id, &self.idempotency_key];
        texts.iter().any(|text| text.is_some())
    }

    /// The only states that can pass; empty where that is not known.
    pub fn possible_states(&self) -> Vec<Status> {
        const ENDED: [Status; 3] = [Status::Sent, Status::Failed, Status::Cancelled];
        if self.failure.is_some() && self.statuses.is_empty() {
            return vec![Status::Failed];
        }
        if self.wait.is_some() && self.statuses.is_empty() {
            return vec![Status::Pending];
        }
        if self.finished_since.is_none() {
            return self.statuses.clone();
        }
        if self.statuses.is_empty() {
            return ENDED.to_vec();
        }
        let ended: Vec<_> = ENDED.into_iter().filter(|one| self.statuses.contains(one)).collect();
        if ended.is_empty() { self.statuses.clone() } else { ended }
    }

    /// Whether sent jobs, or all, may pass: too many to sort by anything but their ids.
    pub fn is_of_many(&self) -> bool {
        let states = self.possible_states();
        let has_sent = states.is_empty() || states.contains(&Status::Sent);
        has_sent
            && self.finished_since.is_none()
            && !self.is_selective()
            && !self.is_of_undelivered()
    }

    pub fn of_states(statuses: &[Status]) -> Filter {
        Filter { statuses: statuses.to_vec(), ..Filter::default() }
    }
}

impl SortBy {
    pub const ALL: [SortBy; 13] = [
        SortBy::Id,
        SortBy::Created,
        SortBy::Updated,
        SortBy::Finished,
        SortBy::Due,
        SortBy::Attempts,
        SortBy::Channel,
        SortBy::Account,
        SortBy::Status,
        SortBy::Source,
        SortBy::Error,
        SortBy::Case,
        SortBy::Contact,
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
            SortBy::Channel => "channel",
            SortBy::Account => "account",
            SortBy::Status => "status",
            SortBy::Source => "source",
            SortBy::Error => "error",
            SortBy::Case => "case",
            SortBy::Contact => "contact",
        }
    }

    /// Whether people expect it from A to Z.
    pub fn is_text(self) -> bool {
        use SortBy::{Account, Channel, Error, Source, Status};
        matches!(self, Channel | Account | Status | Source | Error)
    }
}

impl Page {
    /// The newest jobs, newest first.
    pub fn newest(limit: u32) -> Page {
        Page { sort: SortBy::Id, ascending: false, limit, offset: 0 }
    }
}
