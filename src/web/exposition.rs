//! `/metrics` for Prometheus: what the dispatcher has counted, and the state of the queue.
//!
//! In OpenMetrics format if the client asks for it, as Prometheus does, else in the older text
//! format.

mod by_account;

use super::Shared;
use super::cache::Counted;
use super::reader::ReadError;
use crate::metrics::{ChannelLabel, DaemonState, Metrics, RouteLabels};
use crate::queue::block::{Block, BlockKind};
use crate::queue::examination::Storage;
use crate::queue::follow_up::DeliveryState;
use crate::queue::job::{Channel, Status};
use crate::queue::node::{Nodes, Standing};
use crate::queue::outcome_counts::{DAY_MS, HistoryRow};
use crate::queue::overview::{Overview, Undelivered};
use crate::queue::when::now;
use crate::store::Store;
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tracing::warn;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a scrape waits for a count; then it reports the last one.
const SCRAPE_WAIT: Duration = Duration::from_secs(3);
/// How long a count may take. One that takes longer fails, and a metric says so.
pub const COUNTING: Duration = Duration::from_secs(60);

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    channel: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BlockLabels {
    account: String,
    channel: &'static str,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabel {
    delivery: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StandingLabel {
    standing: &'static str,
}

/// What is read from the database for a scrape.
pub struct Levels {
    overview: Overview,
    nodes: Nodes,
    /// Of the last 24 hours, by route.
    day: Vec<HistoryRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

pub async fn page(
    extract::State(shared): extract::State<Arc<Shared>>,
    headers: HeaderMap,
) -> Response {
    let (counted, readable) = levels(&shared).await;
    let mut registry = Registry::with_prefix("acquire_outbox");
    process(&mut registry, &shared.metrics, Instant::now());
    let help = "1 if the sandbox answers instead of Acquire: nothing is delivered";
    flag(&mut registry, "sandbox", help, shared.sandbox);
    files(&mut registry, &Store::storage(shared.counter.database()), readable);
    if let Some(levels) = counted.value {
        queue(&mut registry, &levels.overview, counted.age);
        stopped(&mut registry, &levels.overview, &shared.metrics);
        nodes(&mut registry, &levels.nodes);
        by_account::accounts(&mut registry, &levels, &shared.metrics);
    }
    let assessment = shared.assessment().await;
    by_account::verdict(&mut registry, &assessment);
    let Ok(text) = text(&[shared.metrics.registry(), &registry, &start(&shared.metrics)]) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    match wants_open_metrics(&headers) {
        true => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        false => ([(header::CONTENT_TYPE, TEXT)], to_text_format(&text)).into_response(),
    }
}

/// The last count, and whether the database could be read when it was last tried.
async fn levels(shared: &Arc<Shared>) -> (Counted<Arc<Levels>>, bool) {
    let counting = Arc::clone(shared);
    // A separate task: it ends even if the client no longer waits.
    let count = tokio::spawn(async move {
        let _ = counting.levels.get(count(&counting)).await;
    });
    let panicked = matches!(timeout(SCRAPE_WAIT, count).await, Ok(Err(_)));
    (shared.levels.last(), !panicked && !shared.levels.has_failed())
}

async fn count(shared: &Shared) -> Result<Arc<Levels>, ReadError> {
    let failed_before = shared.levels.has_failed();
    let read = async {
        let mut reading = shared.counter.read().await?;
        let (overview, nodes) = (reading.overview(now()).await?, reading.nodes(false).await?);
        let day = reading.history(now() - DAY_MS, DAY_MS).await?;
        reading.done();
        Ok(Arc::new(Levels { overview, nodes, day }))
    };
    let read = read.await;
    if let Err(error) = &read
        && !failed_before
    {
        warn!(%error, "the metrics cannot be read from the database");
    }
    read
}

fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        kind.trim_start().to_ascii_lowercase().starts_with("application/openmetrics-text")
    })
}

fn text(registries: &[&Registry]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for registry in registries {
        encode_registry(&mut text, registry)?;
    }
    encode_eof(&mut text)?;
    Ok(text)
}

/// Translates to the older text format: there a counter has its `_total` in the comments, too, and
/// there are neither units nor an end mark.
fn to_text_format(open_metrics: &str) -> String {
    let lines: Vec<_> = open_metrics.lines().collect();
    let counters: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in lines.iter().filter(|line| !line.starts_with("# UNIT ") && **line != "# EOF") {
        let comment = ["# HELP ", "# TYPE "].iter().find_map(|kind| {
            let (name, rest) = line.strip_prefix(kind)?.split_once(' ')?;
            counters.contains(&name).then(|| format!("{kind}{name}_total {rest}"))
        });
        text.push_str(comment.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

/// `process_start_time_seconds`: the usual name has no prefix.
fn start(metrics: &Metrics) -> Registry {
    let mut registry = Registry::default();
    let started = Seconds::default();
    started.set(metrics.started_at() as f64 / 1000.0);
    let help = "When this process started, in seconds since 1970";
    registry.register_with_unit("process_start_time", help, Unit::Seconds, started);
    registry
}

fn process(registry: &mut Registry, metrics: &Metrics, now: Instant) {
    let version = Family::<VersionLabel, Gauge>::default();
    let label = VersionLabel { version: env!("CARGO_PKG_VERSION") };
    version.get_or_create(&label).set(1);
    registry.register("build_info", "The program's version; always 1", version);
    let help =
        "1 while it dispatches; 0 while it starts, stops, is a standby or cannot use the database";
    flag(registry, "dispatching", help, metrics.state() == DaemonState::Dispatching);
    let help = "1 while it waits for another dispatcher to end";
    flag(registry, "standby", help, metrics.state() == DaemonState::Standby);
    let help = "1 while a restored backup is paused until a person decides";
    flag(registry, "restored_backup", help, metrics.holds_restored());
    if let Some(age) = metrics.last_turn(now) {
        let help = "How long ago the dispatch loop last ran; an idle loop runs once a second";
        seconds(registry, "last_turn_age", help, age.as_secs_f64());
    }
}

fn files(registry: &mut Registry, storage: &Storage, readable: bool) {
    let of_files = [
        ("database", "The size of the database file", storage.bytes),
        ("wal", "The size of the database's write-ahead log", storage.log_bytes),
    ];
    // Zero: the engine has no files that this program can see.
    for (name, help, length) in of_files.into_iter().filter(|_| storage.bytes > 0) {
        registry.register_with_unit(name, help, Unit::Bytes, gauge(length));
    }
    let help = "1 if the counts of jobs can be read; if 0, they are outdated or missing";
    flag(registry, "database_readable", help, readable);
}

fn queue(registry: &mut Registry, overview: &Overview, age: Duration) {
    let jobs = Family::<JobLabels, Gauge>::default();
    let oldest = Family::<ChannelLabel, Seconds>::default();
    let now = now();
    for channel in Channel::ALL {
        for status in Status::ALL {
            let labels = JobLabels { channel: channel.as_str(), status: status.as_str() };
            let mut counts = overview.counts.iter();
            let is_it = counts.find(|c| c.channel == labels.channel && c.status == labels.status);
            jobs.get_or_create(&labels).set(is_it.map_or(0, |count| count.count));
        }
        let due = overview.oldest_due_of.get(channel.as_str());
        let age = due.map_or(0, |due| now.saturating_sub(*due).max(0));
        let label = ChannelLabel { channel: channel.as_str() };
        oldest.get_or_create(&label).set(age as f64 / 1000.0);
    }
    let help = "Uncertain jobs that are being verified at Acquire";
    registry.register("verifying_jobs", help, gauge(overview.verifying.unsigned_abs()));
    let help = "Sent messages that Acquire will still be asked about";
    registry.register("following_jobs", help, gauge(overview.following.unsigned_abs()));
    let undelivered = Family::<DeliveryLabel, Gauge>::default();
    let Undelivered { bounced, failed } = overview.undelivered;
    for (state, count) in [(DeliveryState::Bounced, bounced), (DeliveryState::Failed, failed)] {
        undelivered.get_or_create(&DeliveryLabel { delivery: state.as_str() }).set(count);
    }
    let help = "Sent messages, still in the outbox, that were later returned or failed";
    registry.register("undelivered_jobs", help, undelivered);
    let help = "Jobs that wait for a person because their row cannot be read, recorded or moved";
    registry.register("set_aside_jobs", help, gauge(overview.set_aside.count));
    let help = "Rows that were written without the triggers and are not in the queue yet, counted up to 10000";
    registry.register("untouched_jobs", help, gauge(overview.untouched.count));
    registry.register("jobs", "Jobs in the outbox, by state", jobs);
    let help = "How long the oldest due job has been waiting; 0 if none is";
    registry.register_with_unit("oldest_due_age", help, Unit::Seconds, oldest);
    let help = "How long ago jobs, blocks and pauses were read from the database";
    seconds(registry, "levels_age", help, age.as_secs_f64());
}

/// The blocks and pauses of every route.
fn stopped(registry: &mut Registry, overview: &Overview, metrics: &Metrics) {
    let held = Family::<BlockLabels, Gauge>::default();
    let paused = Family::<RouteLabels, Gauge>::default();
    for account in metrics.accounts() {
        for channel in Channel::ALL {
            for kind in BlockKind::ALL {
                // An empty account or channel means all of them.
                let is_it = |block: &Block| {
                    block.kind == kind
                        && (block.account.is_empty() || block.account == account)
                        && (block.channel.is_empty() || block.channel == channel.as_str())
                };
                let labels = BlockLabels {
                    account: account.clone(),
                    channel: channel.as_str(),
                    kind: kind.as_str(),
                };
                held.get_or_create(&labels).set(i64::from(overview.blocks.iter().any(is_it)));
            }
            let is_it = overview.pauses.iter().any(|p| p.concerns(&account, channel.as_str()));
            let labels = RouteLabels { account: account.clone(), channel: channel.as_str() };
            paused.get_or_create(&labels).set(i64::from(is_it));
        }
    }
    registry.register("held", "1 while a block of this kind holds the route's jobs back", held);
    registry.register("paused", "1 while a person has paused the route's jobs", paused);
}

fn nodes(registry: &mut Registry, nodes: &Nodes) {
    let count = Family::<StandingLabel, Gauge>::default();
    for standing in [Standing::Working, Standing::Overdue, Standing::Dead] {
        let label = StandingLabel { standing: standing.as_str() };
        count.get_or_create(&label).set(i64::try_from(nodes.count(standing)).unwrap_or(i64::MAX));
    }
    let help = "Dispatchers of the outbox: at work, with a lease that has run out, or dead with jobs to decide";
    registry.register("nodes", help, count);
}

fn seconds(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Seconds::default();
    gauge.set(value);
    registry.register_with_unit(name, help, Unit::Seconds, gauge);
}

fn flag(registry: &mut Registry, name: &str, help: &str, is: bool) {
    registry.register(name, help, gauge(u64::from(is)));
}

fn gauge(value: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_has_the_total_in_comments_and_no_units() {
        let open = "# HELP a_b Words.\n# TYPE a_b counter\na_b_total{x=\"y\"} 1\n\
                    # HELP a_s Words.\n# TYPE a_s gauge\n# UNIT a_s seconds\na_s 2.5\n# EOF\n";
        let expected = "# HELP a_b_total Words.\n# TYPE a_b_total counter\na_b_total{x=\"y\"} 1\n\
                        # HELP a_s Words.\n# TYPE a_s gauge\na_s 2.5\n";
        assert_eq!(to_text_format(open), expected);
    }

    #[test]
    fn open_metrics_are_sent_to_clients_that_accept_them() {
        let asks = |accept: &'static str| {
            let headers = [(header::ACCEPT, accept.parse().unwrap())];
            wants_open_metrics(&headers.into_iter().collect())
        };
        assert!(asks(
            "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5,*/*;q=0.1"
        ));
        assert!(!asks("text/plain, */*"));
        assert!(!wants_open_metrics(&HeaderMap::new()));
    }
}
