//! Jobs as rows: what went wrong first, and every header sorts.

use crate::config::DEFAULT_ACCOUNT;
use crate::desk::vocabulary::remark;
use crate::queue::filter::{Filter, SortBy};
use crate::queue::job::{Millis, Status};
use crate::queue::story::Delivery;
use crate::web::display::{short, status, time_of};
use crate::web::parameters::JobQuery;
use maud::{Markup, html};

/// What is shown besides the columns that are always there.
struct Columns {
    account: bool,
    source: bool,
    case: bool,
    contact: bool,
}

impl Columns {
    fn of(rows: &[Delivery]) -> Columns {
        Columns {
            account: rows.iter().any(|job| job.account != DEFAULT_ACCOUNT),
            source: rows.iter().any(|job| job.source.is_some()),
            case: rows.iter().any(|job| job.case_id.is_some()),
            contact: rows.iter().any(|job| job.contact_id.is_some()),
        }
    }
}

/// With a `query` the headers sort; with `checks` each row has a box.
pub fn rows_of(rows: &[Delivery], now: Millis, query: Option<&JobQuery>, checks: bool) -> Markup {
    let columns = Columns::of(rows);
    let head = |sort, label| header(query, sort, label, false);
    let number = |sort, label| header(query, sort, label, true);
    let pending = query.is_some_and(|query| query.filter.statuses == [Status::Pending]);
    let when = if pending { SortBy::Due } else { SortBy::Finished };
    html! {
        div .wide {
            table .cards.jobs {
                thead { tr {
                    @if checks {
                        th scope="col" .check { label { span .visually-hidden { "Select every job on this page" } input #check-page type="checkbox"; } }
                    }
                    (number(SortBy::Id, "id")) (head(SortBy::Status, "state")) (head(SortBy::Error, "error or message id"))
                    (head(SortBy::Channel, "channel"))
                    @if columns.account { (head(SortBy::Account, "account")) }
                    @if columns.case { (number(SortBy::Case, "case")) }
                    @if columns.contact { (number(SortBy::Contact, "contact")) }
                    (number(SortBy::Attempts, "attempts"))
                    @if columns.source { (head(SortBy::Source, "source")) }
                    (head(SortBy::Created, "created"))
                    (head(when, "due or finished"))
                } }
                tbody { @for job in rows { (row(job, now, &columns, checks)) } }
            }
        }
    }
}

fn row(job: &Delivery, now: Millis, columns: &Columns, checks: bool) -> Markup {
    let list = |filter| JobQuery::of_filter(filter).path();
    html! {
        tr #{ "job-" (job.id) } {
            @if checks {
                td .check { label { span .visually-hidden { "Job " (job.id) } input #{ "check-" (job.id) } type="checkbox" name="id" value=(job.id); } }
            }
            th scope="row" .num { a href={ "/jobs/" (job.id) } { (job.id) } }
            td data-label="state" { (status(&job.status, remark(job))) }
            td .error.zero[is_bare(job)] data-label=[job.error.is_none().then_some("message")] { (detail(job)) }
            td data-label="channel" { (job.channel) }
            @if columns.account { td data-label="account" { (short(&job.account)) } }
            @if columns.case {
                td .num.zero[job.case_id.is_none()] data-label="case" {
                    @match job.case_id {
                        Some(case) => a href=(list(Filter { case: Some(case.to_string()), ..Filter::default() })) { (case) },
                        None => "–",
                    }
                }
            }
            @if columns.contact {
                td .num.zero[job.contact_id.is_none()] data-label="contact" {
                    @match job.contact_id {
                        Some(contact) => a href=(list(Filter { contact: Some(contact.to_string()), ..Filter::default() })) { (contact) },
                        None => "–",
                    }
                }
            }
            td .num data-label="attempts" { (job.attempts) }
            @if columns.source {
                td .source.zero[job.source.is_none()] data-label="source" title=[job.source.as_deref().filter(|source| source.len() > 20).map(short)] {
                    (short(job.source.as_deref().unwrap_or("–")))
                }
            }
            td data-label="created" { (time_of(&job.created_at, now)) }
            td .zero[job.due_or_finished().is_none()] data-label="due or finished" {
                @match job.due_or_finished() { Some(at) => (time_of(at, now)), None => "–" }
            }
        }
    }
}

/// A link that sorts by this column: text and times as people read them first, and the other way round when it
/// is followed again.
fn header(query: Option<&JobQuery>, sort: SortBy, label: &str, is_number: bool) -> Markup {
    let Some(query) = query else {
        return html! { th scope="col" .num[is_number] { (label) } };
    };
    let current = query.sort == sort;
    let ascending = if current { !query.ascending } else { sort.is_text() };
    let sorted = JobQuery { sort, ascending, page: 0, ..query.clone() };
    let state = current.then_some(if query.ascending { "ascending" } else { "descending" });
    let reads_all = sort != SortBy::Id && query.filter.is_of_many();
    let hint = reads_all.then_some("Sorting reads every job; filter by state to make it fast");
    html! {
        th scope="col" .num[is_number] aria-sort=[state] {
            a .sort href=(sorted.path()) title=[hint] {
                (label)
                @if current { span aria-hidden="true" { (if query.ascending { " ▲" } else { " ▼" }) } }
            }
        }
    }
}

/// Whether there is neither an error nor a message id to show.
fn is_bare(job: &Delivery) -> bool {
    match job.status == "sent" {
        true => job.message_id.is_none(),
        false => job.error_code.is_none() && job.error.is_none(),
    }
}

fn detail(job: &Delivery) -> Markup {
    html! {
        @if job.status == "sent" {
            (short(job.message_id.as_deref().unwrap_or("–")))
        } @else if job.error_code.is_some() || job.error.is_some() {
            @if let Some(code) = &job.error_code { code { (short(code)) } " " }
            (short(job.error.as_deref().unwrap_or_default()))
        } @else {
            "–"
        }
    }
}
