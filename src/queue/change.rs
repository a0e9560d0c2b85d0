//! What a person may do to a job: retry, cancel, resolve or delete it.

use super::job::Status;

/// Where a person may move a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Back to `pending`, with a fresh budget.
    Retry,
    Cancel,
    /// An uncertain one has arrived, as a person found out.
    ResolveSent,
    /// An uncertain one has not arrived, and shall not be sent again.
    ResolveFailed,
    /// A finished one, with its history, is deleted.
    Prune,
}

impl Change {
    /// Where it leads; `None`: out of the database.
    pub fn to(self) -> Option<Status> {
        match self {
            Change::Retry => Some(Status::Pending),
            Change::Cancel => Some(Status::Cancelled),
            Change::ResolveSent => Some(Status::Sent),
            Change::ResolveFailed => Some(Status::Failed),
            Change::Prune => None,
        }
    }

    /// The states from which it leads; what a filter is narrowed to.
    pub fn from(self) -> &'static [Status] {
        match self {
            Change::Retry => &[Status::Failed, Status::Cancelled, Status::Uncertain],
            Change::Cancel => &[Status::Pending],
            Change::ResolveSent | Change::ResolveFailed => &[Status::Uncertain],
            Change::Prune => &[Status::Sent, Status::Failed, Status::Cancelled],
        }
    }

    /// Why a job of this state does not go this way, where no trigger would say it.
    pub fn refuses(self, status: Status) -> Option<String> {
        if self.from().contains(&status) {
            return None;
        }
        if self.to() == Some(status) {
            return Some(format!("is {status} already"));
        }
        match self {
            Change::Retry | Change::Cancel => None,
            Change::ResolveSent | Change::ResolveFailed => {
                Some(format!("is {status}; an uncertain job alone is resolved"))
            }
            Change::Prune => {
                Some(format!("is {status}; what is sent, failed or cancelled alone is pruned"))
            }
        }
    }
}

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
