//! `/`: the state of the outbox at a glance.

mod node_table;
mod sections;

use super::cache::Counted;
use super::error_page::ErrorPage;
use super::layout::{Frame, Tab};
use super::reader::ReadError;
use super::{Shared, chart};
use crate::config::Database;
use crate::metrics::{DaemonState, Minute};
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Millis;
use crate::queue::node::Nodes;
use crate::queue::overview::{Census, FailureGroup, Pulse};
use crate::queue::story::Delivery;
use crate::queue::when::now;
use crate::store::Store;
use axum::extract::State;
use maud::{Markup, html};
use std::sync::Arc;

/// How many groups of failures, and how many jobs, it shows.
const GROUPS: u32 = 12;
const LATEST: u32 = 8;
/// How many of the jobs that are set aside it names.
const SET_ASIDE: u32 = 20;
/// How many pauses, and how many blocks, a page lists.
pub const LISTED: u32 = 200;

/// Everything that the page shows, as of one moment.
struct FrontPage<'a> {
    now: Millis,
    daemon: DaemonState,
    started_at: Millis,
    database: &'a Database,
    /// Whether any process has the dispatcher's lock.
    held: bool,
    hour: Vec<Minute>,
    census: Counted<Census>,
    failures: Counted<Vec<FailureGroup>>,
    pulse: Pulse,
    nodes: Nodes,
    latest: Vec<Delivery>,
    /// How many accounts are configured.
    accounts: usize,
}

pub async fn show(State(shared): State<Arc<Shared>>, frame: Frame) -> Result<Markup, ErrorPage> {
    let page = read(&shared).await?;
    let content = html! {
        h1 .visually-hidden { "Overview" }
        div #state data-live { (sections::state(&page)) }
        div #figures-now data-live { (sections::tiles(&page)) }
        section aria-labelledby="hour" {
            h2 #hour { "The last hour" }
            div #last-hour data-live {
                (chart::last_hour(&page.hour))
                @if page.daemon == DaemonState::Standby {
                    p .hint { "Only of this process; the dispatching process has its own figures." }
                } @else if page.now - page.started_at < 3_600_000 {
                    p .hint { "Since this process started, " (super::display::time(page.started_at, page.now)) "." }
                }
            }
        }
        section aria-labelledby="channels" {
            h2 #channels { "The queue by channel" }
            div #queue data-live { (sections::queue(&page)) }
        }
        section aria-labelledby="held" {
            h2 #held { "What holds jobs back" }
            div #holds data-live { (sections::blocks(&page, &frame)) }
        }
        div #at-work data-live { (node_table::nodes(&page)) }
        div #aside data-live { (sections::set_aside(&page)) }
        section aria-labelledby="failures" {
            h2 #failures { "What goes wrong" }
            div #groups data-live { (sections::failures(&page)) }
        }
        section aria-labelledby="latest" {
            h2 #latest { "Latest jobs" }
            div #newest data-live { (super::job_list::table(&page.latest, page.now)) }
        }
    };
    Ok(frame.live(Tab::Overview, "Overview", &content))
}

async fn read(shared: &Shared) -> Result<FrontPage<'_>, ReadError> {
    let (now, hour) = (now(), shared.metrics.last_hour(now()));
    let census = shared.census().await?;
    let failures = shared.failures.get(async {
        let mut reading = shared.reader.read().await?;
        let failures = reading.failures(GROUPS).await?;
        reading.done();
        Ok(failures)
    });
    let failures = failures.await?;
    let mut reading = shared.reader.read().await?;
    let page = FrontPage {
        now,
        daemon: shared.metrics.state(),
        started_at: shared.metrics.started_at(),
        database: shared.reader.database(),
        held: Store::dispatcher_is_running(shared.reader.database()).await.unwrap_or(false),
        hour,
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
