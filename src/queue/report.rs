//! What the store did to rows without being asked, for the log and the metrics.

use super::job::{Channel, Failure};
use tracing::Level;

/// Returned with each answer of the store's tenure, also about what happened before an error.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    pub notices: Vec<Notice>,
    /// Jobs that failed without a request, one entry each.
    pub failures: Vec<(Channel, Failure)>,
    /// Jobs may have become ready on any route.
    pub may_be_ready: bool,
}

impl Report {
    pub fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}

/// An entry for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub level: Level,
    /// For people, without the text of any message.
    pub sentence: String,
    /// The job that it is about, if it is about one.
    pub job: Option<i64>,
    /// How many rows it is about, if it is about several.
    pub rows: Option<u64>,
    /// What the database said.
    pub reason: Option<String>,
}

impl Notice {
    pub fn new(level: Level, sentence: impl Into<String>) -> Notice {
        Notice { level, sentence: sentence.into(), job: None, rows: None, reason: None }
    }

    pub fn job(self, id: i64) -> Notice {
        Notice { job: Some(id), ..self }
    }

    pub fn rows(self, count: usize) -> Notice {
        Notice { rows: Some(count as u64), ..self }
    }

    pub fn reason(self, reason: impl Into<String>) -> Notice {
        Notice { reason: Some(reason.into()), ..self }
    }
}
