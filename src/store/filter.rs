//! Which jobs a command or a page is about.

use crate::job::{Channel, Failure, Millis, Status};
use sqlx::{QueryBuilder, Sqlite};

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

impl Sort {
    /// Every order, as a person chooses from them.
    pub const ALL: [Sort; 6] =
        [Sort::Id, Sort::Created, Sort::Updated, Sort::Finished, Sort::Due, Sort::Attempts];

    fn column(self) -> &'static str {
        match self {
            Sort::Id => "o.id",
            Sort::Created => "o.created_at",
            Sort::Updated => "o.updated_at",
            Sort::Finished => "o.finished_at",
            Sort::Due => "ifnull(o.next_attempt_at, o.due_at)",
            Sort::Attempts => "o.attempts",
        }
    }
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

impl Page {
    /// The newest jobs, newest first.
    pub fn newest(limit: u32) -> Page {
        Page { sort: Sort::Id, ascending: false, limit, offset: 0 }
    }

    pub(super) fn push_order(&self, query: &mut QueryBuilder<Sqlite>) {
        let direction = if self.ascending { "ASC" } else { "DESC" };
        query.push(format!(" ORDER BY {} {direction}", self.sort.column()));
        if self.sort != Sort::Id {
            query.push(format!(", o.id {direction}"));
        }
    }
}

impl Filter {
    /// Whether it lets every job pass.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Appends the conditions on `outbox AS o`; the query has its `WHERE` already.
    pub(super) fn push_onto(&self, query: &mut QueryBuilder<Sqlite>) {
        if !self.statuses.is_empty() {
            query.push(" AND o.status IN (");
            let mut list = query.separated(", ");
            for status in &self.statuses {
                list.push_bind(status.as_str());
            }
            query.push(")");
        }
        let texts = [
            ("o.channel =", self.channel.map(|c| c.as_str().to_owned())),
            ("o.account =", self.account.clone()),
            ("o.source =", self.source.clone()),
            ("o.failure =", self.failure.map(|f| f.as_str().to_owned())),
            ("o.error_code =", self.error_code.clone()),
            ("o.idempotency_key =", self.idempotency_key.clone()),
            (
                "CAST(ifnull(json_extract(o.payload, '$.caseId'), json_extract(o.receipt, '$.caseId')) AS TEXT) =",
                self.case.clone(),
            ),
            ("0 < instr(lower(o.error),", self.error.as_deref().map(str::to_lowercase)),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                query.push(format!(" AND {condition} ")).push_bind(value);
                if condition.ends_with(',') {
                    query.push(")");
                }
            }
        }
        for (condition, time) in
            [("o.created_at <", self.created_before), ("o.created_at >=", self.created_since)]
        {
            if let Some(time) = time {
                query.push(format!(" AND {condition} ")).push_bind(time);
            }
        }
    }
}
