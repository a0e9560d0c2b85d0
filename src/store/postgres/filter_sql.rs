//! A filter and a page's order as SQL.

use crate::queue::filter::{Filter, Page, SortBy, WaitState};
use crate::queue::job::{Millis, Status};
use sqlx::{Postgres, QueryBuilder};

/// What a page is sorted by, as a column of `outbox AS o`.
pub(super) fn sort_column(sort: SortBy) -> &'static str {
    match sort {
        SortBy::Id => "o.id",
        SortBy::Created => "o.created_at",
        SortBy::Updated => "o.updated_at",
        SortBy::Finished => "o.finished_at",
        SortBy::Due => "coalesce(o.next_attempt_at, o.due_at)",
        SortBy::Attempts => "o.attempts",
        SortBy::Channel => "o.channel",
        SortBy::Account => "o.account",
        SortBy::Status => "o.status",
        SortBy::Source => "o.source",
        SortBy::Error => "coalesce(o.error_code, '') || ' ' || o.error",
        SortBy::Case => "o.case_id",
        SortBy::Contact => "o.contact_id",
    }
}

/// The order of a page by the columns `sort` and `id` of `p`.
pub(super) fn order(page: &Page) -> String {
    let direction = if page.ascending { "ASC" } else { "DESC" };
    match page.sort {
        SortBy::Id => format!(" ORDER BY p.id {direction}"),
        _ => format!(" ORDER BY p.sort {direction} NULLS LAST, p.id {direction}"),
    }
}

/// The indexes that have the jobs of a state and few others, so that a few failed ones among millions
/// are found at once, whatever the statistics say: without any, PostgreSQL expects that no row has NULL.
const PARTS: [(Status, &str); 10] = [
    (
        Status::Pending,
        "o.wait IN ('ready', 'arrived') AND NOT (o.wait = 'arrived' AND o.lane IS NULL)",
    ),
    (Status::Pending, "o.wait = 'scheduled'"),
    (Status::Pending, "o.wait = 'backoff'"),
    (
        Status::Pending,
        "o.lane IS NOT NULL AND o.wait IN ('arrived', 'parked') AND o.wait = 'parked'",
    ),
    (
        Status::Pending,
        "o.status = 'pending' AND (o.wait IS NULL OR o.wait = 'arrived' AND o.lane IS NULL)",
    ),
    (Status::Sending, "o.claimed_by BETWEEN 0 AND 9000000000000000 AND o.status = 'sending'"),
    (Status::Sent, "o.status = 'sent' AND o.finished_at IS NOT NULL"),
    (Status::Failed, "o.status = 'failed' AND o.finished_at IS NOT NULL"),
    (Status::Cancelled, "o.status = 'cancelled' AND o.finished_at IS NOT NULL"),
    (Status::Uncertain, "o.status = 'uncertain'"),
];

// By two indexes: without a case in the payload it is the answer's. As arrays, which are made first.
const CASE: [&str; 2] = [
    "o.id = ANY (ARRAY(SELECT p.id FROM outbox AS p WHERE p.case_id = ",
    " UNION ALL SELECT p.id FROM outbox AS p WHERE p.case_id IS NULL AND p.receipt IS NOT NULL AND p.receipt ->> 'caseId' = ",
];
// As an array: before ANALYZE, PostgreSQL would rather read along the ids of a large table than sort what this gives.
const MESSAGE: &str = "o.id = ANY (ARRAY(SELECT p.id FROM outbox AS p WHERE p.message_id = ";
const RECIPIENT: &str = "o.id = ANY (ARRAY(SELECT p.id FROM outbox AS p WHERE p.recipient IS NOT NULL AND p.recipient @> ARRAY[";

/// Appends the conditions on `outbox AS o`; the query has its `WHERE` already.
pub(super) fn push_onto(filter: &Filter, query: &mut QueryBuilder<Postgres>) {
    if !filter.statuses.is_empty() {
        query.push(" AND o.status IN (");
        let mut list = query.separated(", ");
        for status in &filter.statuses {
            list.push_bind(status.as_str());
        }
        query.push(")");
    }
    push_rest(filter, query);
}

/// Appends `SELECT what FROM outbox AS o WHERE ...` for everything that passes: through the
/// indexes of the states, or the whole table where no state is named.
pub(super) fn push_all(filter: &Filter, what: &str, query: &mut QueryBuilder<Postgres>) {
    if !filter.deliveries.is_empty() {
        query.push(format!("SELECT {what} FROM outbox AS o WHERE o.delivery IS NOT NULL"));
        return push_onto(filter, query);
    }
    if filter.is_selective() {
        query.push(format!("SELECT {what} FROM outbox AS o WHERE true"));
        return push_onto(filter, query);
    }
    let states = filter.possible_states();
    let all = if states.is_empty() { vec!["true"] } else { parts(&states, filter.wait).collect() };
    for (at, part) in all.into_iter().enumerate() {
        let union = if at == 0 { "" } else { " UNION ALL " };
        query.push(format!("{union}SELECT {what} FROM outbox AS o WHERE {part}"));
        if filter.finished_since.is_some() && !states.is_empty() {
            // The columns of the index before the time.
            query.push(" AND o.channel IN ('chat', 'mail', 'sms')");
        }
        push_rest(filter, query);
    }
}

/// All conditions but the states.
fn push_rest(filter: &Filter, query: &mut QueryBuilder<Postgres>) {
    if filter.in_backoff {
        query.push(" AND o.wait = 'backoff'");
    }
    if !filter.deliveries.is_empty() {
        query.push(" AND o.delivery IN (");
        let mut list = query.separated(", ");
        for state in &filter.deliveries {
            list.push_bind(state.as_str());
        }
        query.push(")");
    }
    let texts = [
        ("o.channel =", filter.channel.map(|c| c.as_str().to_owned())),
        ("o.account =", filter.account.clone()),
        ("o.source =", filter.source.clone()),
        ("o.failure =", filter.failure.map(|f| f.as_str().to_owned())),
        ("o.error_code =", filter.error_code.clone()),
        ("o.idempotency_key =", filter.idempotency_key.clone()),
        // Only the letters of ASCII, as on SQLite.
        (
            "0 < strpos(lower(o.error COLLATE \"C\"),",
            filter.error.as_deref().map(str::to_ascii_lowercase),
        ),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            // No column has a NUL character, and no parameter may.
            query.push(format!(" AND {condition} ")).push_bind(value.replace('\0', "\u{fffd}"));
            if condition.ends_with(',') {
                query.push(")");
            }
        }
    }
    if let Some(wait) = filter.wait {
        query.push(format!(" AND {}", waits(wait)));
    }
    let whole = |text: &String| text.trim().parse::<i64>().ok();
    if let Some(case) = &filter.case {
        query.push(format!(" AND {}", CASE[0])).push_bind(whole(case));
        query.push(CASE[1]).push_bind(case.replace('\0', "")).push("))");
    }
    if let Some(id) = &filter.message_id {
        query.push(format!(" AND {MESSAGE}")).push_bind(id.replace('\0', "")).push("))");
    }
    if let Some(contact) = &filter.contact {
        query.push(" AND o.contact_id = ").push_bind(whole(contact));
    }
    if let Some(recipient) = &filter.recipient {
        query.push(format!(" AND {RECIPIENT}")).push_bind(recipient.replace('\0', "")).push("]))");
    }
    let times = [
        ("o.finished_at >=", filter.finished_since),
        ("o.created_at <", filter.created_before),
        ("o.created_at >=", filter.created_since),
        ("o.finished_at <", filter.finished_before),
    ];
    for (condition, at) in times {
        if let Some(at) = at {
            query.push(format!(" AND {condition} "));
            push_time(at, query);
        }
    }
    if let Some(id) = filter.up_to_id {
        query.push(" AND o.id <= ").push_bind(id);
    }
}

/// Appends a time, so that an index of the column can be used.
pub(super) fn push_time(at: Millis, query: &mut QueryBuilder<Postgres>) {
    // Within what PostgreSQL can represent.
    let at = at.clamp(-210_866_803_200_000, 253_402_300_799_999);
    query.push("timestamptz 'epoch' + ").push_bind(at).push(" * interval '1 ms'");
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
