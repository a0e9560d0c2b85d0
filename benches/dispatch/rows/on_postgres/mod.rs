//! The rows of the table "PostgreSQL": nodes and PostgreSQL share the cores, and commits are synced.

pub mod depths;
pub mod inserts;
pub mod rates;
pub mod resting;
pub mod takeover;
pub mod waking;

use crate::daemon::SOON;
use crate::postgres::cluster::Cluster;
use crate::postgres::node::ServerOutbox;
use crate::process::Process;
use crate::target::Target;
use anyhow::{Result, ensure};
use std::time::Duration;

/// Enough for nodes that have become ten times slower.
const LIMIT: Duration = Duration::from_secs(120);

/// One drain.
#[derive(Clone, Copy, Debug)]
struct Drained {
    /// Jobs per second from the first to the last.
    per_second: f64,
    /// CPU time per job in microseconds: of PostgreSQL, and of the nodes with their start and end.
    server_micros: f64,
    node_micros: f64,
}

/// Runs this many nodes until all jobs have been sent.
fn drain(
    cluster: &Cluster,
    outbox: &ServerOutbox,
    target: &mut Target,
    jobs: u64,
    nodes: usize,
) -> Result<Drained> {
    target.reset()?;
    let before = cluster.cpu_ns()?;
    let running: Vec<Process> = (0..nodes).map(|_| outbox.start(target)).collect::<Result<_>>()?;
    target.wait_for(jobs, LIMIT)?;
    let mut node_seconds = 0.0;
    for node in running {
        node_seconds += node.stop(SOON)?.cpu_seconds;
    }
    let server = cluster.cpu_ns()?.saturating_sub(before);
    let seen = target.count()?;
    ensure!(seen.count == jobs, "{} requests for {jobs} jobs", seen.count);
    Ok(Drained {
        per_second: seen.per_second(),
        server_micros: server as f64 / 1000.0 / jobs as f64,
        node_micros: node_seconds * 1e6 / jobs as f64,
    })
}
