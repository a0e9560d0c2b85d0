//! `postgres-rates` and `postgres-nodes`: jobs per second of one node as a share of other queues', whose jobs do
//! nothing; and of two nodes where the requests, not PostgreSQL, are the limit.

use super::{Drained, drain};
use crate::postgres::cluster::{Cluster, ServerDatabase};
use crate::postgres::node::ServerOutbox;
use crate::postgres::peers::{Peer, Peers};
use crate::report::Line;
use crate::rows::{Bench, Pairs, Station};
use crate::target::{Answer, Target};
use anyhow::Result;
use std::cell::RefCell;
use std::time::Duration;

/// How long the target takes where it is to be the limit: one node makes 64 jobs in that time.
const SLOW_ANSWER: Duration = Duration::from_millis(30);

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let (cluster, jobs) = (bench.cluster()?, bench.plan.jobs);
    let full = bench.each(|binary| ServerOutbox::with_chats(cluster, binary, jobs))?;
    let target = RefCell::new(Target::start(Answer::Chat)?);
    let peers = Peers::installed()?;
    let mut filled = Vec::new();
    for peer in [Peer::GraphileWorker, Peer::PgBoss] {
        if let Some(peers) = &peers {
            filled.push((peers, peer, peers.filled(peer, cluster, jobs)?));
        }
    }
    let mut stations: Vec<Station<'_, Drained>> = Vec::new();
    for (peers, peer, database) in &filled {
        stations.push(Box::new(|| drain_peer(peers, *peer, cluster, database, jobs)));
    }
    for nodes in [1, 2] {
        for full in &full {
            let target = &target;
            stations.push(Box::new(move || {
                drain_copy(cluster, full, &mut target.borrow_mut(), jobs, nodes)
            }));
        }
    }
    let mut rounds = bench.alternately("postgres-rates", stations)?.into_iter();
    let of_peers: Vec<_> = rounds.by_ref().take(filled.len()).collect();
    let one: Vec<_> = rounds.by_ref().take(full.len()).collect();
    let two: Vec<_> = rounds.collect();
    let over = |floor: &[Drained], sides: &[Vec<Drained>]| -> Pairs<Drained> {
        let pairs = |side: &Vec<Drained>| floor.iter().copied().zip(side.iter().copied()).collect();
        sides.iter().map(pairs).collect()
    };
    let rate = |drained: &Drained| drained.per_second;
    let row = "postgres-rates";
    let mut lines = Vec::new();
    for ((_, peer, _), floor) in filled.iter().zip(&of_peers) {
        let line = Line::over(row, "one node", "jobs/s", peer.name(), &over(floor, &one), rate);
        lines.push(match peer {
            Peer::GraphileWorker => line.at_least(0.6, 1.0),
            Peer::PgBoss => line.at_least(2.0, 4.0),
        });
        let cpu = |drained: &Drained| drained.server_micros;
        let what = "PostgreSQL's CPU of a job";
        lines.push(Line::over(row, what, "us", peer.name(), &over(floor, &one), cpu));
    }
    let figures = |figure: fn(&Drained) -> f64| {
        one.iter().map(|side| side.iter().map(figure).collect()).collect::<Vec<_>>()
    };
    lines.push(Line::absolute(row, "the node's CPU of a job", "us", figures(|d| d.node_micros)));
    let pairs: Pairs<Drained> =
        one.into_iter().zip(two).map(|(one, two)| one.into_iter().zip(two).collect()).collect();
    lines.push(Line::over(row, "two nodes, flat out", "jobs/s", "one node", &pairs, rate));
    Ok(lines)
}

pub fn nodes(bench: &Bench) -> Result<Vec<Line>> {
    let (cluster, jobs) = (bench.cluster()?, bench.plan.jobs);
    let full = bench.each(|binary| ServerOutbox::with_chats(cluster, binary, jobs))?;
    let target = RefCell::new(Target::slow(SLOW_ANSWER)?);
    let drain = |full: &ServerOutbox, nodes| {
        drain_copy(cluster, full, &mut target.borrow_mut(), jobs, nodes)
    };
    let pairs = bench.over_own("postgres-nodes", &full, |f| drain(f, 1), |f| drain(f, 2))?;
    let what = format!("two nodes, answers after {} ms", SLOW_ANSWER.as_millis());
    Ok(vec![
        Line::over("postgres-nodes", what, "jobs/s", "one node", &pairs, |d| d.per_second)
            .at_least(1.5, 1.9),
    ])
}

fn drain_copy(
    cluster: &Cluster,
    full: &ServerOutbox,
    target: &mut Target,
    jobs: u64,
    nodes: usize,
) -> Result<Drained> {
    let copy = full.copy(cluster)?;
    let drained = drain(cluster, &copy, target, jobs, nodes)?;
    cluster.drop(copy.database)?;
    Ok(drained)
}

fn drain_peer(
    peers: &Peers,
    peer: Peer,
    cluster: &Cluster,
    filled: &ServerDatabase,
    jobs: u64,
) -> Result<Drained> {
    let before = cluster.cpu_ns()?;
    let per_second = peers.drain(peer, cluster, filled, jobs)?;
    let server = cluster.cpu_ns()?.saturating_sub(before);
    let server_micros = server as f64 / 1000.0 / jobs as f64;
    Ok(Drained { per_second, server_micros, node_micros: f64::NAN })
}
