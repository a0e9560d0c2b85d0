//! `/metrics`: what the dispatcher has counted, and how things stand, for Prometheus.
//!
//! In OpenMetrics where that is asked for, as Prometheus does, else in the older text format.

use super::Shared;
use super::levels::{Levels, levels};
use crate::metrics::{DaemonState, Metrics};
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::{Channel, Status};
use crate::queue::when::now;
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    channel: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabel {
    channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    account: String,
    channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HoldLabels {
    account: String,
    channel: &'static str,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

pub async fn page(
    extract::State(shared): extract::State<Arc<Shared>>,
    headers: HeaderMap,
) -> Response {
    let (levels, readable) = levels(&shared).await;
    let now = Instant::now();
    let mut registry = Registry::with_prefix("acquire_outbox");
    process(&mut registry, &shared.metrics, now);
    let help = "1 where a stand-in answers instead of Acquire: nothing is delivered";
    flag(&mut registry, "sandbox", help, shared.sandbox);
    files(&mut registry, shared.counter.path(), readable);
    if let Some(levels) = levels {
        queue(&mut registry, &levels, now);
        stopped(&mut registry, &levels, &shared.metrics);
    }
    let Ok(text) = text(&[shared.metrics.registry(), &registry, &start(&shared.metrics)]) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    match wants_open_metrics(&headers) {
        true => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        false => ([(header::CONTENT_TYPE, TEXT)], plain(&text)).into_response(),
    }
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

/// The same in Prometheus' own text format: there the name of a counter has its `_total` in the
/// comments, too, and there are neither units nor an end.
fn plain(open_metrics: &str) -> String {
    let lines: Vec<_> = open_metrics.lines().collect();
    let counters: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut plain = String::with_capacity(open_metrics.len());
    for line in lines.iter().filter(|line| !line.starts_with("# UNIT ") && **line != "# EOF") {
        let comment = ["# HELP ", "# TYPE "].iter().find_map(|kind| {
            let (name, rest) = line.strip_prefix(kind)?.split_once(' ')?;
            counters.contains(&name).then(|| format!("{kind}{name}_total {rest}"))
        });
        plain.push_str(comment.as_deref().unwrap_or(line));
        plain.push('\n');
    }
    plain
}

/// By its usual name, which has no prefix.
fn start(metrics: &Metrics) -> Registry {
    let mut registry = Registry::default();
    let started = Seconds::default();
    started.set(metrics.started_at() as f64 / 1000.0);
    let help = "When this process began, in seconds since 1970";
    registry.register_with_unit("process_start_time", help, Unit::Seconds, started);
    registry
}

fn process(registry: &mut Registry, metrics: &Metrics, now: Instant) {
    let version = Family::<VersionLabel, Gauge>::default();
    let label = VersionLabel { version: env!("CARGO_PKG_VERSION") };
    version.get_or_create(&label).set(1);
    registry.register("build_info", "The program's version; always 1", version);
    let help = "1 while it claims and sends; 0 while it starts, stands by, stops or cannot use the database";
    flag(registry, "dispatching", help, metrics.state() == DaemonState::Dispatching);
    let help = "1 while another dispatcher has the lock";
    flag(registry, "standby", help, metrics.state() == DaemonState::Standby);
    let help = "1 while a restored backup is paused until a person decides";
    flag(registry, "restored_backup", help, metrics.holds_restored());
    if let Some(age) = metrics.last_turn(now) {
        let help = "How long ago the dispatch loop made its last turn; idle it makes one a second";
        seconds(registry, "last_turn_age", help, age.as_secs_f64());
    }
}

fn files(registry: &mut Registry, database: &Path, readable: bool) {
    let mut wal = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    wal.push("-wal");
    for (name, help, path) in [
        ("database", "The size of the database file", database),
        ("wal", "The size of the database's write-ahead log", Path::new(&wal)),
    ] {
        let bytes = Gauge::<i64>::default();
        let length = std::fs::metadata(path).map_or(0, |file| file.len());
        bytes.set(i64::try_from(length).unwrap_or(i64::MAX));
        registry.register_with_unit(name, help, Unit::Bytes, bytes);
    }
    let help = "1 while the counts of jobs can be read; 0: they are old, or there are none";
    flag(registry, "database_readable", help, readable);
}

fn queue(registry: &mut Registry, levels: &Levels, at: Instant) {
    let jobs = Family::<JobLabels, Gauge>::default();
    let oldest = Family::<ChannelLabel, Seconds>::default();
    let now = now();
    for channel in Channel::ALL {
        for status in Status::ALL {
            let labels = JobLabels { channel: channel.as_str(), status: status.as_str() };
            let mut counts = levels.overview.counts.iter();
            let is_it = counts.find(|c| c.channel == labels.channel && c.status == labels.status);
            jobs.get_or_create(&labels).set(is_it.map_or(0, |count| count.count));
        }
        let due = levels.overview.oldest_due_of.get(channel.as_str());
        let age = due.map_or(0, |due| now.saturating_sub(*due).max(0));
        let label = ChannelLabel { channel: channel.as_str() };
        oldest.get_or_create(&label).set(age as f64 / 1000.0);
    }
    let aside = Gauge::<i64>::default();
    aside.set(i64::try_from(levels.overview.aside.count).unwrap_or(i64::MAX));
    let help = "Jobs whose row cannot be read, recorded or moved, and that wait for a person";
    registry.register("set_aside_jobs", help, aside);
    let untouched = Gauge::<i64>::default();
    untouched.set(i64::try_from(levels.overview.untouched.count).unwrap_or(i64::MAX));
    let help =
        "Rows that were written without the triggers and are not in the queue yet, up to 10000";
    registry.register("untouched_jobs", help, untouched);
    registry.register("jobs", "Jobs in the outbox, by the state they are in", jobs);
    let help = "How long the job has been due that waits longest; 0 where none waits";
    registry.register_with_unit("oldest_due_age", help, Unit::Seconds, oldest);
    let help = "How long ago jobs, holds and pauses were read from the database";
    let age = at.saturating_duration_since(levels.read_at);
    seconds(registry, "levels_age", help, age.as_secs_f64());
}

/// What is held and what is paused, of every route that there is.
fn stopped(registry: &mut Registry, levels: &Levels, metrics: &Metrics) {
    let held = Family::<HoldLabels, Gauge>::default();
    let paused = Family::<RouteLabels, Gauge>::default();
    let overview = &levels.overview;
    for account in metrics.accounts() {
        for channel in Channel::ALL {
            for kind in BlockKind::ALL {
                let is_it = |hold: &Block| {
                    let whole = hold.channel.is_empty() || hold.channel == channel.as_str();
                    let every = hold.account.is_empty();
                    hold.kind == kind && (every || hold.account == account) && whole
                };
                let labels = HoldLabels {
                    account: account.clone(),
                    channel: channel.as_str(),
                    kind: kind.as_str(),
                };
                held.get_or_create(&labels).set(i64::from(overview.holds.iter().any(is_it)));
            }
            let is_it = overview.pauses.iter().any(|p| p.concerns(&account, channel.as_str()));
            let labels = RouteLabels { account: account.clone(), channel: channel.as_str() };
            paused.get_or_create(&labels).set(i64::from(is_it));
        }
    }
    registry.register("held", "1 while Acquire or its failures hold the jobs back", held);
    registry.register("paused", "1 while a person has paused the jobs", paused);
}

fn seconds(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Seconds::default();
    gauge.set(value);
    registry.register_with_unit(name, help, Unit::Seconds, gauge);
}

fn flag(registry: &mut Registry, name: &str, help: &str, is: bool) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::from(is));
    registry.register(name, help, gauge);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_a_counter_with_its_total_and_knows_no_unit() {
        let open = "# HELP a_b Words.\n# TYPE a_b counter\na_b_total{x=\"y\"} 1\n\
                    # HELP a_s Words.\n# TYPE a_s gauge\n# UNIT a_s seconds\na_s 2.5\n# EOF\n";
        let expected = "# HELP a_b_total Words.\n# TYPE a_b_total counter\na_b_total{x=\"y\"} 1\n\
                        # HELP a_s Words.\n# TYPE a_s gauge\na_s 2.5\n";
        assert_eq!(plain(open), expected);
    }

    #[test]
    fn open_metrics_are_for_those_that_ask() {
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
