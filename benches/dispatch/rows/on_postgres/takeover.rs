//! `postgres-takeover`: how long after a kill -9 the jobs of a node are decided by another one, beyond the lease
//! and the longest request, which have to be waited for.

use crate::daemon::SOON;
use crate::postgres::cluster::Cluster;
use crate::postgres::node::ServerOutbox;
use crate::report::Line;
use crate::rows::Bench;
use crate::target::Target;
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// A node's lease, as docs/postgres.md has it.
const LEASE: Duration = Duration::from_secs(6);
/// The longest of all channels: `request_timeout` and `connect_timeout`.
const LONGEST_REQUEST: Duration = Duration::from_secs(3);
const SETTINGS: &str = "request_timeout = \"2s\"\nconnect_timeout = \"1s\"\n\
    [channels.mail]\nrequest_timeout = \"2s\"\nconnect_timeout = \"1s\"\n\
    [channels.sms]\nrequest_timeout = \"2s\"\nconnect_timeout = \"1s\"\n";
const JOBS: u64 = 64;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let cluster = bench.cluster()?;
    let seconds =
        bench.alone("postgres-takeover", &bench.binaries, |binary| taken_over(cluster, binary))?;
    let what = "a killed node's jobs decided, beyond lease and longest request";
    Ok(vec![Line::absolute("postgres-takeover", what, "s", seconds).at_most(2.0, 0.5)])
}

fn taken_over(cluster: &Cluster, binary: &Path) -> Result<f64> {
    let outbox = ServerOutbox::new(cluster, binary)?;
    // Nothing is answered before the kill.
    let mut target = Target::slow(Duration::from_secs(60))?;
    let dies = outbox.run_with(&target, SETTINGS)?;
    outbox.insert_chats(JOBS, 1)?;
    target.wait_for(JOBS, SOON)?;
    let claimed =
        "SELECT count(*) FROM outbox WHERE claimed_by = (SELECT min(epoch) FROM outbox_nodes)";
    ensure!(outbox.database.number(claimed)?.unsigned_abs() == JOBS, "not all jobs are sending");
    let lives = outbox.run_with(&target, SETTINGS)?;
    dies.kill();
    let killed = Instant::now();
    crate::poll("the killed node's jobs decided", SOON, || {
        Ok((outbox.database.number(claimed)? == 0).then_some(()))
    })?;
    let took = killed.elapsed();
    drop(lives);
    cluster.drop(outbox.database)?;
    Ok(took.as_secs_f64() - (LEASE + LONGEST_REQUEST).as_secs_f64())
}
