//! What an operator may do to a job: retry, try now, cancel, resolve, verify or prune it.

use super::job::Status;

/// A change that an operator makes to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Back to `pending`, with a fresh budget.
    Retry,
    /// A pending job in backoff is due now, with the budget that it has.
    TryNow,
    /// A pending job is not sent.
    Cancel,
    /// The outcome of an uncertain job is now known.
    Resolve(Resolution),
    /// An uncertain job is looked for at Acquire, now.
    Verify,
    /// A finished job is deleted, with its history.
    Prune,
}

/// What became of an uncertain job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It was delivered.
    Sent,
    /// It was not delivered, and is not sent again.
    Failed,
}

impl Change {
    /// The new state; `None` for a job that is deleted.
    pub fn to(self) -> Option<Status> {
        match self {
            Change::Retry | Change::TryNow => Some(Status::Pending),
            Change::Cancel => Some(Status::Cancelled),
            Change::Resolve(Resolution::Sent) => Some(Status::Sent),
            Change::Resolve(Resolution::Failed) => Some(Status::Failed),
            // What is found decides.
            Change::Verify => Some(Status::Uncertain),
            Change::Prune => None,
        }
    }

    /// The states in which a job can be changed like this.
    pub fn from(self) -> &'static [Status] {
        match self {
            Change::Retry => &[Status::Failed, Status::Cancelled, Status::Uncertain],
            Change::TryNow | Change::Cancel => &[Status::Pending],
            Change::Resolve(_) | Change::Verify => &[Status::Uncertain],
            Change::Prune => &[Status::Sent, Status::Failed, Status::Cancelled],
        }
    }

    /// The states that a filter means when it names none. A retry of everything must not repeat
    /// what somebody cancelled, or what may have been delivered.
    pub fn from_by_default(self) -> &'static [Status] {
        match self {
            Change::Retry => &[Status::Failed],
            other => other.from(),
        }
    }

    /// Why a job in this state cannot be changed like this, unless a trigger says it.
    pub fn refuses(self, status: Status) -> Option<String> {
        if self.from().contains(&status) {
            return None;
        }
        match self {
            Change::Retry if status == Status::Pending => {
                Some(format!("is pending already; {TRY_NOW}"))
            }
            Change::TryNow => Some(format!("is {status}, {NOT_IN_BACKOFF}")),
            _ if self.to() == Some(status) => Some(format!("is {status} already")),
            Change::Retry | Change::Cancel => None,
            Change::Resolve(_) => Some(format!("is {status}; only uncertain jobs can be resolved")),
            Change::Verify => Some(format!("is {status}; only uncertain jobs can be verified")),
            Change::Prune => {
                Some(format!("is {status}; only sent, failed and cancelled jobs can be pruned"))
            }
        }
    }
}

/// What to do with a pending job instead of retrying it.
pub const TRY_NOW: &str = "`acquire-outbox retry --now` makes one in backoff due at once";

/// Why a job is not tried now, after its state.
pub const NOT_IN_BACKOFF: &str =
    "not in backoff; only a job that waits for its next attempt can be tried now";

/// Whether something is done or only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Apply,
    /// Finds what would be refused, and changes nothing.
    Rehearse,
}

/// A job that was not changed, and the sentence that says why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    pub id: i64,
    pub sentence: String,
}
