//! The nodes: the real program, each behind its own network; killed, frozen and started again.

use super::journal::Journal;
use super::link::{Flow, Link};
use super::place::NAME;
use crate::support::{Daemon, Outbox};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a node may end by itself while the database is being hammered; anything else is a fault.
const EXPECTED_ENDS: [&str; 4] = [
    "another dispatcher has taken over this database",
    // At its start, when there is no database.
    "cannot connect to",
    "the connection to the database was lost",
    "the database: terminating connection",
];
/// Only after a failover that lost commits, or a restore.
const GONE_BACK: &str = "the database has gone back in time";

pub struct Node {
    pub link: Link,
    /// A second host of its URL, where it has one.
    pub spare: Option<Link>,
    daemon: Option<Daemon>,
    start_at: Instant,
    thaw_at: Option<Instant>,
    heal_at: Option<Instant>,
}

pub struct Crew {
    pub nodes: Vec<Node>,
    outbox: Outbox,
    journal: Arc<Journal>,
    /// How many nodes have noticed that the database has lost transactions.
    pub gone_back: u64,
    /// How many have ended because others had buried them.
    pub buried: u64,
    /// Whether they may notice that.
    pub may_go_back: bool,
}

impl Crew {
    /// Nodes whose database is at `folder`; `spare`: those with an even number have a second host there.
    pub async fn of(
        count: usize,
        outbox: Outbox,
        journal: Arc<Journal>,
        folder: &Path,
        spare: Option<&Path>,
    ) -> Crew {
        let mut nodes = Vec::new();
        for number in 0..count {
            let spare = match spare {
                Some(folder) if number % 2 == 0 => Some(Link::to(folder).await),
                _ => None,
            };
            let link = Link::to(folder).await;
            nodes.push(Node {
                link,
                spare,
                daemon: None,
                start_at: Instant::now(),
                thaw_at: None,
                heal_at: None,
            });
        }
        Crew { nodes, outbox, journal, gone_back: 0, buried: 0, may_go_back: false }
    }

    /// Starts, thaws and heals what is due, and sees who has ended.
    pub fn tend(&mut self) {
        let now = Instant::now();
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            if node.thaw_at.is_some_and(|at| at <= now) {
                node.thaw_at = None;
                if let Some(daemon) = &node.daemon {
                    daemon.signal(libc::SIGCONT);
                    self.journal.event(format!("node {number} thaws"));
                }
            }
            if node.heal_at.is_some_and(|at| at <= now) {
                node.heal_at = None;
                node.link.set(Flow::Open);
                self.journal.event(format!("node {number}: its network is well again"));
            }
            if node.daemon.as_mut().is_some_and(|daemon| !daemon.is_running()) {
                let ended =
                    node.daemon.take().expect("looked at just now").wait(Duration::from_secs(5));
                node.start_at = now + Duration::from_millis(100);
                self.ended(number, &ended.stderr);
            }
            let node = &mut self.nodes[number];
            if node.daemon.is_none() && node.start_at <= now {
                let url = url(node);
                let program = self.outbox.program().env("ACQUIRE_OUTBOX_DATABASE", url);
                let daemon = program.start(&["run"]);
                self.journal.event(format!("node {number} starts, pid {}", daemon.pid()));
                node.daemon = Some(daemon);
                self.journal.count("starts", 1);
            }
        }
    }

    fn ended(&mut self, number: usize, log: &str) {
        let last = log.lines().last().unwrap_or_default();
        self.journal.event(format!("node {number} ended: {last}"));
        let expected = EXPECTED_ENDS.iter().any(|end| log.contains(end));
        if log.contains(GONE_BACK) {
            self.gone_back += 1;
            self.journal.count("nodes that noticed lost commits", 1);
            if !self.may_go_back {
                self.journal.wrong(format!("node {number} says that commits were lost:\n{log}"));
            }
        } else if !expected {
            self.journal.wrong(format!("node {number} ended by itself:\n{log}"));
        }
        if log.contains("another dispatcher has taken over") {
            self.buried += 1;
            self.journal.count("nodes that others had buried", 1);
        }
        self.bugs(number, log);
    }

    fn bugs(&self, number: usize, log: &str) {
        if log.contains("this is a bug") || log.contains("panicked at") {
            self.journal.wrong(format!("node {number} met a bug:\n{log}"));
        }
        let lost = log.matches("no longer belonged to this claim").count();
        self.journal.count("outcomes that came too late", lost as u64);
    }

    /// The log of each node that runs, for whoever looks for a reason.
    pub fn logs(&self) -> String {
        let running =
            self.nodes.iter().enumerate().filter_map(|(n, node)| Some((n, node.daemon.as_ref()?)));
        running
            .map(|(number, daemon)| format!("-- node {number} --\n{}\n", daemon.stderr()))
            .collect()
    }

    /// `kill -9`; it starts again after the pause.
    pub fn kill(&mut self, number: usize, pause: Duration) {
        let node = &mut self.nodes[number];
        node.thaw_at = None;
        node.start_at = Instant::now() + pause;
        if let Some(mut daemon) = node.daemon.take() {
            daemon.kill9();
            self.journal.event(format!("node {number} is killed"));
            self.journal.count("kills", 1);
            let log = daemon.stderr();
            self.bugs(number, &log);
        }
    }

    /// SIGSTOP, and SIGCONT after this time.
    pub fn freeze(&mut self, number: usize, time: Duration) {
        let node = &mut self.nodes[number];
        if let Some(daemon) = node.daemon.as_mut().filter(|_| node.thaw_at.is_none()) {
            if !daemon.is_running() {
                return;
            }
            daemon.signal(libc::SIGSTOP);
            node.thaw_at = Some(Instant::now() + time);
            self.journal.event(format!("node {number} freezes for {time:?}"));
            self.journal.count("freezes", 1);
        }
    }

    /// Its network is like this for so long.
    pub fn disturb(&mut self, number: usize, flow: Flow, time: Duration) {
        let node = &mut self.nodes[number];
        node.link.set(flow);
        node.heal_at = Some(Instant::now() + time);
        self.journal.event(format!("node {number}: its network is {flow:?} for {time:?}"));
        let what = match flow {
            Flow::Slow(_) => "network delays",
            _ => "network freezes",
        };
        self.journal.count(what, 1);
    }

    /// Nothing is frozen or disturbed any more, and what was killed starts.
    pub fn heal(&mut self) {
        for node in &mut self.nodes {
            node.thaw_at = node.thaw_at.map(|_| Instant::now());
            node.heal_at = Some(Instant::now());
            node.start_at = node.start_at.min(Instant::now());
        }
        self.tend();
    }

    /// SIGTERM: each must end in good order. One that could not reach the database for longer than its lease may
    /// only now learn that others have buried it.
    pub fn stop(&mut self) {
        for node in &self.nodes {
            if let Some(daemon) = &node.daemon {
                daemon.sigterm();
            }
        }
        for number in 0..self.nodes.len() {
            let Some(daemon) = self.nodes[number].daemon.take() else { continue };
            let ended = daemon.wait(Duration::from_secs(40));
            self.bugs(number, &ended.stderr);
            let buried = ended.stderr.contains(EXPECTED_ENDS[0]);
            self.journal.count("nodes that others had buried", u64::from(buried));
            if ended.code != Some(0) && !buried {
                self.journal.wrong(format!("node {number} did not stop in good order: {ended:?}"));
            }
        }
    }

    /// A command on the database that a node is at.
    pub fn command(&self, arguments: &[&str]) -> crate::support::Finished {
        let url = url(&self.nodes[1]);
        self.outbox.program().env("ACQUIRE_OUTBOX_DATABASE", url).run(arguments)
    }
}

fn url(node: &Node) -> String {
    let port = node.link.port();
    match &node.spare {
        Some(spare) => {
            format!("postgres://postgres@127.0.0.1:{port},127.0.0.1:{}/{NAME}", spare.port())
        }
        None => format!("postgres://postgres@127.0.0.1:{port}/{NAME}"),
    }
}
