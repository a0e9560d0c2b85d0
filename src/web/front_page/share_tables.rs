//! What each account and each source has sent, how much of it failed, and what waits.

use super::FrontPage;
use super::sections::age;
use crate::desk::shares::{self, Share};
use crate::queue::filter::Filter;
use crate::queue::job::Status;
use crate::queue::overview::SourceRow;
use crate::web::display::{length, number, short, time};
use crate::web::parameters::JobQuery;
use maud::{Markup, html};

/// At most this many accounts, or sources, have separate rows.
const ROWS: usize = 20;

/// How many jobs of each state and channel are read to count by source.
pub const LOOKED_AT: u32 = 2_000;

/// What the rows are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Account,
    Source,
}

pub fn by_account(page: &FrontPage<'_>) -> Markup {
    let backlogs = page.backlogs.value.as_deref().unwrap_or_default();
    table(Of::Account, &shares::by_account(&page.history, backlogs, ROWS), page)
}

pub fn by_source(page: &FrontPage<'_>) -> Markup {
    // If they could not be counted, `age` says so.
    let sources: Option<Vec<SourceRow>> = page.sources.value.clone();
    html! {
        @if let Some(sources) = sources { (table(Of::Source, &shares::by_source(sources, ROWS), page)) }
        (age(&page.sources))
        p .hint {
            "Counted over the latest " (number(LOOKED_AT.into())) " jobs of each state and channel; "
            code { "acquire-outbox status --by source" } " counts more of them."
        }
    }
}

fn table(of: Of, shares: &[Share], page: &FrontPage<'_>) -> Markup {
    let what = if of == Of::Account { "account" } else { "source" };
    html! {
        @if shares.is_empty() {
            p .calm { "Nothing was sent, and nothing is waiting." }
        } @else {
            div .wide {
                table .cards {
                    thead { tr {
                        th scope="col" { (what) } th scope="col" .num { "sent" } th scope="col" .num { "failed" }
                        th scope="col" .num { "failure rate" } th scope="col" .num { "waiting" }
                        th scope="col" { "oldest due" } th scope="col" .num { "95% within" }
                    } }
                    tbody { @for share in shares { (row(of, share, page)) } }
                }
            }
        }
    }
}

fn row(of: Of, share: &Share, page: &FrontPage<'_>) -> Markup {
    let link = |status: Status| {
        let states = Filter::of_states(&[status]);
        let filter = match of {
            Of::Account => Filter { account: share.name.clone(), ..states },
            Of::Source => Filter { source: share.name.clone(), ..states },
        };
        JobQuery::of_filter(filter).path()
    };
    let linked = |label: &str, count: u64, status: Status| {
        html! {
            td .num.zero[count == 0] data-label=(label) {
                @if count > 0 && share.name.is_some() { a href=(link(status)) { (number(count)) } }
                @else { (number(count)) }
            }
        }
    };
    html! {
        tr {
            th scope="row" { (short(share.name.as_deref().unwrap_or(if share.is_of_others { "others" } else { "none" }))) }
            (linked("sent", share.tally.sent, Status::Sent))
            (linked("failed", share.tally.failed, Status::Failed))
            td .num data-label="failure rate" { (format!("{:.1}%", share.tally.failed_share() * 100.0)) }
            (linked("waiting", share.waiting, Status::Pending))
            td data-label="oldest due" {
                @match share.oldest_due { Some(due) => (time(due, page.now)), None => "–" }
            }
            td .num data-label="95% within" {
                (share.tally.lateness(0.95).map_or_else(|| "–".to_owned(), length))
            }
        }
    }
}
