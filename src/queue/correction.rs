//! A payload that is corrected before its job is sent again.

use super::job::Status;

/// The states in which a job can be corrected and sent again.
pub const CORRECTABLE: [Status; 2] = [Status::Failed, Status::Cancelled];

/// A job as it was when somebody began to correct it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftFence {
    pub id: i64,
    pub status: String,
    /// It changes with every change of the job.
    pub moves: i64,
}

impl DraftFence {
    /// Whether a job in its state can be corrected and sent again.
    pub fn is_correctable(&self) -> bool {
        self.status.parse().is_ok_and(|status| CORRECTABLE.contains(&status))
    }
}

/// What is there to be corrected.
#[derive(Clone, PartialEq, Eq)]
pub struct EditDraft {
    pub fence: DraftFence,
    pub channel: String,
    pub account: String,
    /// Contains message text, so this type has no `Debug`.
    pub payload: String,
}

/// What became of a correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corrected {
    /// The job has the payload and is pending.
    Done,
    /// Somebody else has changed the job since, or it could not be corrected in the first place; it is in this
    /// state, and was left as it is.
    LeftAlone(String),
    /// There is no such job.
    Missing,
}
