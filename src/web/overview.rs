//! `/`: how it goes, at a glance.

mod sections;

use super::cache::Counted;
use super::error_page::Problem;
use super::layout::{Frame, Tab};
use super::reader::ReadError;
use super::{Shared, chart};
use crate::config::Database;
use crate::metrics::{DaemonState, Minute};
use crate::queue::block::Block;
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Millis;
use crate::queue::overview::{AsideSummary, Census, FailureGroup, Pulse};
use crate::queue::pause::Pause;
use crate::queue::story::Delivery;
use crate::queue::when::now;
use crate::store::Store;
use axum::extract::State;
use maud::{Markup, html};
use std::sync::Arc;

/// The most groups of failures, and the most jobs, that it shows.
const GROUPS: u32 = 12;
const LATEST: u32 = 8;
/// How many of the jobs that are set aside are named.
const ASIDE: u32 = 20;
/// The most pauses, and the most holds, that a page lists.
pub const LISTED: u32 = 200;

/// All that the page shows, as of one moment.
struct Seen<'a> {
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
    holds: Vec<Block>,
    pauses: Vec<Pause>,
    aside: AsideSummary,
    latest: Vec<Delivery>,
    /// How many are configured.
    accounts: usize,
}

pub async fn show(State(shared): State<Arc<Shared>>, frame: Frame) -> Result<Markup, Problem> {
    let seen = look(&shared).await?;
    let content = html! {
        h1 .visually-hidden { "Overview" }
        div #state data-live { (sections::state(&seen)) }
        div #figures-now data-live { (sections::tiles(&seen)) }
        section aria-labelledby="hour" {
            h2 #hour { "The last hour" }
            div #last-hour data-live {
                (chart::last_hour(&seen.hour))
                @if seen.daemon == DaemonState::Standby {
                    p .hint { "What this process did; the one that dispatches has its own." }
                } @else if seen.now - seen.started_at < 3_600_000 {
                    p .hint { "Since this process began, " (super::words::time(seen.started_at, seen.now)) "." }
                }
            }
        }
        section aria-labelledby="channels" {
            h2 #channels { "The queue by channel" }
            div #queue data-live { (sections::queue(&seen)) }
        }
        section aria-labelledby="held" {
            h2 #held { "What holds jobs back" }
            div #holds data-live { (sections::blocks(&seen, &frame)) }
        }
        div #aside data-live { (sections::aside(&seen)) }
        section aria-labelledby="failures" {
            h2 #failures { "What goes wrong" }
            div #groups data-live { (sections::failures(&seen)) }
        }
        section aria-labelledby="latest" {
            h2 #latest { "Latest jobs" }
            div #newest data-live { (super::jobs::table(&seen.latest, seen.now)) }
        }
    };
    Ok(frame.live(Tab::Overview, "Overview", &content))
}

async fn look(shared: &Shared) -> Result<Seen<'_>, ReadError> {
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
    let mut pulse = reading.pulse(now, LISTED + 1).await?;
    let seen = Seen {
        now,
        daemon: shared.metrics.state(),
        started_at: shared.metrics.started_at(),
        database: shared.reader.database(),
        held: Store::dispatcher_is_running(shared.reader.database()).unwrap_or(false),
        hour,
        census,
        failures,
        holds: std::mem::take(&mut pulse.blocks),
        pauses: std::mem::take(&mut pulse.pauses),
        aside: std::mem::take(&mut pulse.aside),
        pulse,
        latest: reading.deliveries(&Filter::default(), &Page::newest(LATEST)).await?,
        accounts: shared.accounts.len(),
    };
    reading.done();
    Ok(seen)
}
