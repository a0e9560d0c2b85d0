//! A filter and a page's order as SQL.

use crate::queue::filter::{Filter, Page, SortBy};
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

// The case of an SMS is its thread.
const CASE: &str = "\
coalesce(o.payload ->> CASE o.channel WHEN 'sms' THEN 'threadId' ELSE 'caseId' END, o.receipt ->> 'caseId') =";

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
    let states = states(filter);
    let all = if states.is_empty() { vec!["true"] } else { parts(&states).collect() };
    for (at, part) in all.into_iter().enumerate() {
        let union = if at == 0 { "" } else { " UNION ALL " };
        query.push(format!("{union}SELECT {what} FROM outbox AS o WHERE {part}"));
        push_rest(filter, query);
    }
}

/// Whether a page is read along the table, where reading stops at the end of the page: sent jobs,
/// or all of them, are too many to be sorted.
pub(super) fn is_of_many(filter: &Filter) -> bool {
    if filter.is_of_undelivered() {
        return false;
    }
    let states = states(filter);
    states.is_empty() || states.contains(&Status::Sent)
}

/// The only states that can pass; empty where that is not known.
fn states(filter: &Filter) -> Vec<Status> {
    match filter.failure {
        Some(_) if filter.statuses.is_empty() => vec![Status::Failed],
        _ => filter.statuses.clone(),
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
        (CASE, filter.case.clone()),
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
    let times = [
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
fn parts(states: &[Status]) -> impl Iterator<Item = &'static str> {
    PARTS.iter().filter(|(status, _)| states.contains(status)).map(|(_, part)| *part)
}
