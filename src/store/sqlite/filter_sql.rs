//! A filter and a page's order as SQL.

use crate::queue::filter::{Filter, Page, SortBy, WaitState};
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
            SortBy::Channel => "o.channel",
            SortBy::Account => "o.account",
            SortBy::Status => "o.status",
            SortBy::Source => "o.source",
            SortBy::Error => "ifnull(o.error_code, '') || ' ' || o.error",
            SortBy::Case => "o.case_id",
            SortBy::Contact => "o.contact_id",
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

// By two indexes: without a case in the payload it is the answer's. With the index's own expression.
const CASE: [&str; 2] = [
    "o.id IN (SELECT p.id FROM outbox AS p WHERE p.case_id = ",
    " UNION ALL SELECT p.id FROM outbox AS p WHERE p.case_id IS NULL AND p.receipt IS NOT NULL
        AND CASE WHEN json_valid(p.receipt) THEN CAST(json_extract(p.receipt, '$.caseId') AS TEXT) END = ",
];
const RECIPIENT: [&str; 2] = [
    "o.id IN (SELECT p.id FROM outbox AS p WHERE p.recipient = ",
    " UNION ALL SELECT r.job_id FROM outbox_recipients AS r WHERE r.address = ",
];
/// Of what is read by when it finished: an index entry for each job of that time.
const FINISHED: &str = " AND o.channel IN ('chat', 'mail', 'sms')";

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
        let states = self.possible_states();
        if self.is_of_many() || self.is_selective() || states.is_empty() {
            return self.push_onto(query);
        }
        for (at, part) in parts(&states, self.wait).enumerate() {
            let before = if at == 0 { " AND o.id IN (" } else { " UNION ALL " };
            query.push(format!("{before}SELECT o.id FROM outbox AS o WHERE {part}"));
            self.push_finished(query);
        }
        query.push(")");
        self.push_rest(query);
    }

    /// Appends `SELECT what FROM outbox AS o WHERE ...` for everything that passes: through the
    /// indexes of the states, or the whole table where no state is named and its rows must be read.
    pub(super) fn push_all(&self, what: &str, query: &mut QueryBuilder<Sqlite>) {
        if !self.deliveries.is_empty() {
            query.push(format!("SELECT {what} FROM outbox AS o WHERE o.delivery IS NOT NULL"));
            return self.push_onto(query);
        }
        let mut states = self.possible_states();
        if self.is_selective() {
            query.push(format!("SELECT {what} FROM outbox AS o WHERE 1"));
            return self.push_onto(query);
        }
        if states.is_empty() && self.by_state_and_channel() {
            states = Status::ALL.to_vec();
        }
        let all = if states.is_empty() { vec!["1"] } else { parts(&states, self.wait).collect() };
        for (at, part) in all.into_iter().enumerate() {
            let union = if at == 0 { "" } else { " UNION ALL " };
            query.push(format!("{union}SELECT {what} FROM outbox AS o WHERE {part}"));
            if !states.is_empty() {
                self.push_finished(query);
            }
            self.push_rest(query);
        }
    }

    /// Down the index of what has finished, channel by channel.
    fn push_finished(&self, query: &mut QueryBuilder<Sqlite>) {
        if let Some(since) = self.finished_since {
            query.push(format!("{FINISHED} AND o.finished_at >= ")).push_bind(since);
            if let Some(before) = self.finished_before {
                query.push(" AND o.finished_at < ").push_bind(before);
            }
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
            ("o.message_id =", self.message_id.clone()),
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
        if let Some(wait) = self.wait {
            query.push(format!(" AND {}", waits(wait)));
        }
        let whole = |text: &String| text.trim().parse::<i64>().ok();
        if let Some(case) = &self.case {
            query.push(format!(" AND {}", CASE[0])).push_bind(whole(case));
            query.push(CASE[1]).push_bind(case.clone()).push(")");
        }
        if let Some(contact) = &self.contact {
            query.push(" AND o.contact_id = ").push_bind(whole(contact));
        }
        if let Some(recipient) = &self.recipient {
            query.push(format!(" AND {}", RECIPIENT[0])).push_bind(recipient.clone());
            query.push(RECIPIENT[1]).push_bind(recipient.clone()).push(")");
        }
        let numbers = [
            // The sign keeps the index of what has finished to those that name its states.
            ("+o.finished_at >=", self.finished_since),
            ("o.created_at <", self.created_before),
            ("o.created_at >=", self.created_since),
            ("+o.finished_at <", self.finished_before),
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
fn parts(states: &[Status], wait: Option<WaitState>) -> impl Iterator<Item = &'static str> {
    let wanted = wait.map(waits);
    let is_wanted = move |status: &Status, part: &str| {
        *status != Status::Pending || wanted.is_none_or(|wanted| part == wanted)
    };
    let parts = PARTS.iter().filter(move |(status, part)| is_wanted(status, part));
    parts.filter(|(status, _)| states.contains(status)).map(|(_, part)| *part)
}

/// As the part of the jobs that wait for this.
fn waits(wait: WaitState) -> &'static str {
    match wait {
        WaitState::Ready => PARTS[0].1,
        WaitState::Scheduled => PARTS[1].1,
        WaitState::Backoff => PARTS[2].1,
        WaitState::Parked => PARTS[3].1,
    }
}
