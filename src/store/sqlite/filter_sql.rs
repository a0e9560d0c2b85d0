//! A filter and a page's order as SQL.

use crate::queue::filter::{Filter, Page, SortBy};
use crate::queue::follow_up::DeliveryState;
use crate::queue::job::Status;
use sqlx::{QueryBuilder, Sqlite};

impl SortBy {
    fn column(self) -> &'static str {
        match self {
            SortBy::Id => "o.id",
            SortBy::Created => "o.created_at",
            SortBy::Updated => "o.updated_at",
            SortBy::Finished => "o.finished_at",
            SortBy::Due => "ifnull(o.next_attempt_at, o.due_at)",
            SortBy::Attempts => "o.attempts",
        }
    }
}

impl Page {
    pub(super) fn push_order(&self, query: &mut QueryBuilder<Sqlite>) {
        let direction = if self.ascending { "ASC" } else { "DESC" };
        if self.sort == SortBy::Id {
            query.push(format!(" ORDER BY o.id {direction}"));
        } else {
            let column = self.sort.column();
            query.push(format!(" ORDER BY {column} {direction} NULLS LAST, o.id {direction}"));
        }
    }
}

/// The indexes that have the jobs of a state and no others, so that a few failed ones among millions
/// are found at once. As literals, or SQLite does not use the index.
const PARTS: [(Status, &str); 10] = [
    (Status::Pending, "o.wait = 'ready'"),
    (Status::Pending, "o.wait = 'scheduled'"),
    (Status::Pending, "o.wait = 'backoff'"),
    (Status::Pending, "o.wait = 'parked'"),
    (Status::Pending, "o.status = 'pending' AND o.wait IS NULL"),
    (Status::Sending, "o.claimed_by IS NOT NULL"),
    (Status::Sent, "o.status = 'sent' AND o.finished_at IS NOT NULL"),
    (Status::Failed, "o.status = 'failed' AND o.finished_at IS NOT NULL"),
    (Status::Cancelled, "o.status = 'cancelled' AND o.finished_at IS NOT NULL"),
    (Status::Uncertain, "o.status = 'uncertain'"),
];

// The case of an SMS is its thread. A payload is JSON when it is written; one that was damaged since
// must not make the filter fail.
const CASE: &str = "\
CAST(coalesce(CASE WHEN typeof(o.payload) = 'text' AND json_valid(o.payload)
                   THEN json_extract(o.payload, CASE o.channel WHEN 'sms' THEN '$.threadId' ELSE '$.caseId' END) END,
              CASE WHEN typeof(o.receipt) = 'text' AND json_valid(o.receipt)
                   THEN json_extract(o.receipt, '$.caseId') END) AS TEXT) =";

impl Filter {
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
        self.push_rest(query);
    }

    /// As [`Filter::push_onto`], for a page: states with few jobs are read through their indexes; sent
    /// jobs, or all of them, from the table itself, where reading stops at the end of the page.
    pub(super) fn push_onto_page(&self, query: &mut QueryBuilder<Sqlite>) {
        if self.is_of_undelivered() {
            query.push(" AND o.id IN (SELECT d.id FROM outbox AS d WHERE d.delivery IS NOT NULL");
            push_deliveries("d", &self.deliveries, query);
            query.push(")");
            return self.push_onto(query);
        }
        let states = self.states();
        if states.is_empty() || states.contains(&Status::Sent) {
            return self.push_onto(query);
        }
        let parts = parts(&states).map(|part| format!("SELECT o.id FROM outbox AS o WHERE {part}"));
        let parts = parts.collect::<Vec<_>>().join(" UNION ALL ");
        query.push(format!(" AND o.id IN ({parts})"));
        self.push_rest(query);
    }

    /// Appends `SELECT what FROM outbox AS o WHERE ...` for everything that passes: through the
    /// indexes of the states, or the whole table where no state is named and its rows must be read.
    pub(super) fn push_all(&self, what: &str, query: &mut QueryBuilder<Sqlite>) {
        if !self.deliveries.is_empty() {
            query.push(format!("SELECT {what} FROM outbox AS o WHERE o.delivery IS NOT NULL"));
            return self.push_onto(query);
        }
        let mut states = self.states();
        if states.is_empty() && self.by_state_and_channel() {
            states = Status::ALL.to_vec();
        }
        let all = if states.is_empty() { vec!["1"] } else { parts(&states).collect() };
        for (at, part) in all.into_iter().enumerate() {
            let union = if at == 0 { "" } else { " UNION ALL " };
            query.push(format!("{union}SELECT {what} FROM outbox AS o WHERE {part}"));
            self.push_rest(query);
        }
    }

    /// The only states that can pass; empty where that is not known.
    fn states(&self) -> Vec<Status> {
        match self.failure {
            Some(_) if self.statuses.is_empty() => vec![Status::Failed],
            _ => self.statuses.clone(),
        }
    }

    /// Whether the indexes have everything that it asks for.
    fn by_state_and_channel(&self) -> bool {
        let Filter { statuses, channel, .. } = self.clone();
        *self == Filter { statuses, channel, ..Filter::default() }
    }

    /// All conditions but the states.
    fn push_rest(&self, query: &mut QueryBuilder<Sqlite>) {
        if self.in_backoff {
            query.push(" AND o.wait = 'backoff'");
        }
        push_deliveries("o", &self.deliveries, query);
        let texts = [
            ("o.channel =", self.channel.map(|c| c.as_str().to_owned())),
            ("o.account =", self.account.clone()),
            ("o.source =", self.source.clone()),
            ("o.failure =", self.failure.map(|f| f.as_str().to_owned())),
            ("o.error_code =", self.error_code.clone()),
            ("o.idempotency_key =", self.idempotency_key.clone()),
            (CASE, self.case.clone()),
            // SQLite's lower() changes only the letters of ASCII.
            ("0 < instr(lower(o.error),", self.error.as_deref().map(str::to_ascii_lowercase)),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                query.push(format!(" AND {condition} ")).push_bind(value);
                if condition.ends_with(',') {
                    query.push(")");
                }
            }
        }
        let numbers = [
            ("o.created_at <", self.created_before),
            ("o.created_at >=", self.created_since),
            ("o.finished_at <", self.finished_before),
            // The sign keeps SQLite from using the id's index instead of the state's.
            ("+o.id <=", self.up_to_id),
        ];
        for (condition, number) in numbers {
            if let Some(number) = number {
                query.push(format!(" AND {condition} ")).push_bind(number);
            }
        }
    }
}

fn push_deliveries(table: &str, deliveries: &[DeliveryState], query: &mut QueryBuilder<Sqlite>) {
    if !deliveries.is_empty() {
        query.push(format!(" AND {table}.delivery IN ("));
        let mut list = query.separated(", ");
        for state in deliveries {
            list.push_bind(state.as_str());
        }
        query.push(")");
    }
}

/// The parts of these states, each once.
fn parts(states: &[Status]) -> impl Iterator<Item = &'static str> {
    PARTS.iter().filter(|(status, _)| states.contains(status)).map(|(_, part)| *part)
}
