//! `/`: the state of the outbox at a glance.

mod node_table;
mod sections;
mod share_tables;

use super::cache::Counted;
use super::error_page::ErrorPage;
use super::layout::{Frame, Tab};
use super::reader::ReadError;
use super::{Shared, chart};
use crate::config::Database;
use crate::metrics::DaemonState;
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Millis;
use crate::queue::node::Nodes;
use crate::queue::outcome_counts::{DAY_MS, HOUR_MS, HistoryRow, Interval, OutcomeCounts, Window};
use crate::queue::overview::{Census, FailureGroup, Pulse, RouteBacklog, SourceRow};
use crate::queue::story::Delivery;
use crate::queue::when::now;
use crate::store::Store;
use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;
use std::sync::Arc;

/// How many groups of failures, and how many jobs, it shows.
const GROUPS: u32 = 12;
const LATEST: u32 = 8;
/// How many sources are read.
const SOURCES: u32 = 1000;
/// How many of the jobs that are set aside are listed.
const SET_ASIDE: u32 = 20;
/// How many pauses, and how many blocks, a page lists.
pub const LISTED: u32 = 200;

/// Everything that the page shows, as of one moment.
struct FrontPage<'a> {
    now: Millis,
    daemon: DaemonState,
    database: &'a Database,
    /// Whether any process has the dispatcher's lock.
    held: bool,
    /// By route and step of the window.
    history: Vec<HistoryRow>,
    /// Of the last hour, by minute, over all routes.
    hour: Vec<Interval>,
    /// Of the last 24 hours.
    day: OutcomeCounts,
    /// What waits, by route.
    backlogs: Counted<Vec<RouteBacklog>>,
    /// Of the last 24 hours.
    sources: Counted<Vec<SourceRow>>,
    census: Counted<Census>,
    failures: Counted<Vec<FailureGroup>>,
    pulse: Pulse,
    nodes: Nodes,
    latest: Vec<Delivery>,
    /// How many accounts are configured.
    accounts: usize,
}

/// The parameter that chooses the window.
#[derive(Deserialize)]
pub struct Choice {
    window: Option<String>,
}

pub async fn show(
    State(shared): State<Arc<Shared>>,
    Query(choice): Query<Choice>,
    frame: Frame,
) -> Result<Markup, ErrorPage> {
    let named = |wanted: &str| Window::ALL.into_iter().find(|window| window.as_str() == wanted);
    let window = match choice.window.as_deref() {
        None => Window::default(),
        Some(text) => {
            named(text).ok_or_else(|| ErrorPage::bad("window: must be 1h, 24h, 7d or 30d"))?
        }
    };
    let page = read(&shared, window).await?;
    let content = html! {
        h1 .visually-hidden { "Overview" }
        div #state data-live { (sections::state(&page)) }
        div #figures-now data-live { (sections::tiles(&page)) }
        section aria-labelledby="hour" {
            h2 #hour { "The last " (window.noun()) }
            (windows(window))
            div #last-hour data-live { (chart::history(&window.filled(&page.history, page.now), window)) }
        }
        (folding("accounts", &format!("By account, in the last {}", window.noun()), &html! {
            div #by-account data-live { (share_tables::by_account(&page)) }
        }))
        (folding("sources", "By source, in the last 24 hours", &html! {
            div #by-source data-live { (share_tables::by_source(&page)) }
        }))
        (folding("channels", "The queue by channel", &html! {
            div #queue data-live { (sections::queue(&page)) }
        }))
        section aria-labelledby="held" {
            h2 #held { "What holds jobs back" }
            div #holds data-live { (sections::blocks(&page, &frame)) }
        }
        div #at-work data-live { (node_table::nodes(&page)) }
        div #aside data-live { (sections::set_aside(&page)) }
        section aria-labelledby="failures" {
            h2 #failures { "What is going wrong" }
            div #groups data-live { (sections::failures(&page)) }
        }
        (folding("latest", "Latest jobs", &html! {
            div #newest data-live { (super::job_list::table(&page.latest, page.now)) }
        }))
    };
    Ok(frame.live(Tab::Overview, "Overview", &content))
}

/// A section that starts open, but closed on a phone, so that what needs attention is not far down.
fn folding(id: &str, title: &str, content: &Markup) -> Markup {
    html! {
        section aria-labelledby=(id) {
            details .fold open { summary { h2 id=(id) { (title) } } (content) }
        }
    }
}

/// The links from one window to the others.
fn windows(chosen: Window) -> Markup {
    html! {
        nav .windows aria-label="How far back" {
            @for window in Window::ALL {
                a href={ "/?window=" (window.as_str()) } aria-current=[(window == chosen).then_some("true")] { (window.as_str()) }
            }
        }
    }
}

async fn read(shared: &Shared, window: Window) -> Result<FrontPage<'_>, ReadError> {
    let now = now();
    let census = shared.census().await?;
    let failures = shared.failures.get(async {
        let mut reading = shared.reader.read().await?;
        let failures = reading.failures(GROUPS).await?;
        reading.done();
        Ok(failures)
    });
    let failures = failures.await?;
    let backlogs = shared.backlogs.get(async {
        let mut reading = shared.reader.read().await?;
        let backlogs = reading.backlogs(now).await?;
        reading.done();
        Ok(backlogs)
    });
    let backlogs = backlogs.await?;
    let sources = shared.sources.get(async {
        let mut reading = shared.reader.read().await?;
        let sources = reading.sources(now - DAY_MS, now, share_tables::LOOKED_AT, SOURCES).await?;
        reading.done();
        Ok(sources)
    });
    let sources = sources.await?;
    let mut reading = shared.reader.read().await?;
    let hour = reading.history(Window::Hour.since(now), Window::Hour.step()).await?;
    let mut day = OutcomeCounts::default();
    for row in reading.history(now - DAY_MS, HOUR_MS).await? {
        day.add(&row.tally);
    }
    let page = FrontPage {
        now,
        daemon: shared.metrics.state(),
        database: shared.reader.database(),
        held: Store::dispatcher_is_running(shared.reader.database()).await.unwrap_or(false),
        history: reading.history(window.since(now), window.step()).await?,
        hour: Window::Hour.filled(&hour, now),
        day,
        sources,
        backlogs,
        census,
        failures,
        pulse: reading.pulse(now, LISTED + 1).await?,
        nodes: reading.nodes(false).await?,
        latest: reading.deliveries(&Filter::default(), &Page::newest(LATEST)).await?,
        accounts: shared.accounts.len(),
    };
    reading.done();
    Ok(page)
}
