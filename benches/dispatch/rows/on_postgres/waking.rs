//! `postgres-wake`: how soon after another client's commit a message is on its way. A node has to commit its
//! claim before it sends: the floor is one synced transaction and one raw request, at the same pace.

use crate::daemon::SOON;
use crate::postgres::cluster::Cluster;
use crate::postgres::node::ServerOutbox;
use crate::postgres::producers::PLAIN_SERVER_TABLE;
use crate::report::{Line, percentile};
use crate::rows::{Bench, wake};
use crate::target::{Answer, Target};
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let (cluster, commits) = (bench.cluster()?, bench.plan.commits);
    let plain = cluster.database()?;
    plain.execute(PLAIN_SERVER_TABLE)?;
    let floor = || {
        let target = Target::start(Answer::Chat)?;
        let micros = plain.paced_micros(&target, commits)?;
        Ok(micros.into_iter().map(|(transaction, request)| transaction + request).collect())
    };
    let pairs = bench.over_shared("postgres-wake", &bench.binaries, floor, |binary| {
        lone(cluster, binary, commits)
    })?;
    let line = |what: &str, percent| {
        let millis = move |micros: &Vec<f64>| percentile(micros, percent) / 1000.0;
        let floor = "synced transaction and raw request, same pace";
        Line::over("postgres-wake", what, "ms", floor, &pairs, millis)
    };
    Ok(vec![
        line("from the commit's return to the arrival, p50", 50).at_most(3.0, 2.0),
        line("the same, p99", 99),
    ])
}

fn lone(cluster: &Cluster, binary: &Path, commits: u64) -> Result<Vec<f64>> {
    let mut target = Target::recording(Answer::Chat)?;
    let outbox = ServerOutbox::new(cluster, binary)?;
    let node = outbox.run(&target)?;
    let committed = outbox.database.commits(commits)?;
    target.wait_for(commits, Duration::from_secs(10))?;
    let micros = wake::latencies(&committed, &target.report()?)?;
    node.stop(SOON)?;
    cluster.drop(outbox.database)?;
    Ok(micros)
}
