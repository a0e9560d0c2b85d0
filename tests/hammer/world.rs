//! A run: a database, four nodes, eight producers, what goes wrong, and the verdict.

use super::clients::{Clients, Producer};
use super::crew::Crew;
use super::journal::Journal;
use super::link::Flow;
use super::place::{NAME, Place};
use super::vendor::Vendor;
use super::verdict::{Forgotten, Verdict};
use crate::support::{Cluster, Outbox};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{sleep, timeout};

pub const NODES: usize = 4;
const PRODUCERS: usize = 8;

/// How long the last jobs may take once everything is well again: a burial, and a busy machine.
const SETTLED: Duration = Duration::from_secs(90);

/// One run.
pub struct World {
    pub journal: Arc<Journal>,
    pub vendor: Vendor,
    pub place: Arc<Place>,
    pub crew: Crew,
    pub dice: fastrand::Rng,
    clients: Arc<Clients>,
    tasks: Vec<JoinHandle<()>>,
    hold: bool,
    seed: u64,
    pub forgotten: Option<Forgotten>,
}

impl World {
    /// On this cluster; `spare` is the folder of another server that half of the nodes have as their second host.
    pub async fn on(cluster: &Cluster, spare: Option<&Path>, hold: bool, seed: u64) -> World {
        let mut dice = fastrand::Rng::with_seed(seed);
        let journal = Arc::new(Journal::new());
        let vendor = Vendor::start(dice.u64(..));
        let place = Arc::new(Place::at(cluster.folder()));
        let channel = |name: &str| {
            let policy = if hold { "hold" } else { "retry" };
            format!(
                "[channels.{name}]\non_uncertain = \"{policy}\"\nmax_in_flight = 8\nrequest_timeout = \"2s\"\nconnect_timeout = \"1s\"\n"
            )
        };
        let channels = ["chat", "mail", "sms"].map(channel).concat();
        let outbox = Outbox::setup(&vendor.server).more(&channels).written();
        let url = format!("postgres://postgres@/{NAME}?host={}", cluster.folder().display());
        let init = outbox.program().env("ACQUIRE_OUTBOX_DATABASE", url);
        block_in_place(|| init.run(&["init"]).expect(0));
        let crew = Crew::of(NODES, outbox, Arc::clone(&journal), cluster.folder(), spare).await;
        let clients = Arc::new(Clients {
            journal: Arc::clone(&journal),
            place: Arc::clone(&place),
            stop: AtomicBool::new(false),
            backlog: AtomicI64::new(0),
        });
        let mut tasks = vec![tokio::spawn(count_backlog(Arc::clone(&clients)))];
        for number in 0..PRODUCERS {
            tasks.push(tokio::spawn(Producer::new(number, Arc::clone(&clients), seed).work()));
        }
        World { journal, vendor, place, crew, dice, clients, tasks, hold, seed, forgotten: None }
    }

    /// Everything goes well for so long.
    pub async fn quiet(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            block_in_place(|| self.crew.tend());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Faults at random for so long; the server is crashed where one is given.
    pub async fn hammer(&mut self, time: Duration, cluster: Option<&Cluster>) {
        let end = Instant::now() + time;
        let (mut next, mut next_crash) = (Instant::now(), Instant::now() + Duration::from_secs(2));
        while Instant::now() < end {
            block_in_place(|| self.crew.tend());
            if next <= Instant::now() {
                self.fault().await;
                next = Instant::now() + Duration::from_millis(self.dice.u64(50..600));
            }
            if let Some(cluster) = cluster.filter(|_| next_crash <= Instant::now()) {
                self.crash(cluster).await;
                next_crash = Instant::now() + Duration::from_millis(self.dice.u64(2_000..9_000));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The server ends at once, and comes back after a while.
    async fn crash(&mut self, cluster: &Cluster) {
        self.journal.event("the server crashes");
        block_in_place(|| cluster.crash());
        let down = Duration::from_millis(self.dice.u64(0..1_500));
        self.quiet(down).await;
        block_in_place(|| cluster.start_again());
        self.journal.event("the server has started");
        self.journal.count("immediate restarts of PostgreSQL", 1);
    }

    async fn fault(&mut self) {
        let node = self.dice.usize(0..NODES);
        let moment = Duration::from_millis(self.dice.u64(50..2_500));
        // Past the lease, and past the burial.
        let long = Duration::from_millis(self.dice.u64(6_000..12_000));
        let dice = self.dice.u32(0..100);
        match dice {
            0..25 => {
                let after = if self.dice.bool() { 0 } else { self.dice.u16(1..400) };
                self.crew.nodes[node].link.cut_in_answer(after);
                self.journal.event(format!("node {node}: an answer is cut after {after} bytes"));
                self.journal.count("answers cut", 1);
            }
            25..33 => {
                self.crew.nodes[node].link.cut_in_request(self.dice.u16(0..2_000));
                self.journal.count("statements cut", 1);
            }
            33..39 => {
                self.crew.nodes[node].link.cut();
                self.journal.count("connections cut", 1);
            }
            39..46 => {
                let delay = Duration::from_millis(self.dice.u64(2..150));
                self.crew.disturb(node, Flow::Slow(delay), moment);
            }
            46..54 => {
                let time = if self.dice.u32(0..4) == 0 { long } else { moment };
                self.crew.disturb(node, Flow::Frozen, time);
            }
            54..74 => self.crew.kill(node, moment / 2),
            74..90 => {
                let time = if self.dice.u32(0..3) == 0 { long } else { moment };
                self.crew.freeze(node, time);
            }
            _ => self.terminate_backends().await,
        }
    }

    async fn terminate_backends(&self) {
        let some = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.4";
        if let Ok(ended) = self.place.number(some).await {
            self.journal.event(format!("{ended} sessions are terminated"));
            self.journal.count("sessions terminated", ended.unsigned_abs());
        }
    }

    /// The last jobs go out with nothing in their way, the nodes stop, and everything is checked. `what` heads the line of figures.
    pub async fn finish(mut self, what: &str) {
        self.clients.stop.store(true, Ordering::SeqCst);
        self.journal.event("everything is well again");
        block_in_place(|| self.crew.heal());
        for task in self.tasks.drain(..) {
            if timeout(Duration::from_secs(60), task).await.is_err() {
                self.journal.wrong("a producer does not end");
            }
        }
        let _ = self.place.execute("DELETE FROM outbox_pauses WHERE reason = 'hammer'").await;
        self.settle().await;
        block_in_place(|| self.crew.stop());
        let rows = self.place.query("SELECT * FROM outbox ORDER BY id");
        let attempts = self.place.query("SELECT * FROM outbox_attempts ORDER BY job_id, attempt");
        let verdict = Verdict {
            journal: &self.journal,
            deliveries: self.vendor.deliveries(),
            rows,
            attempts,
            hold: self.hold,
            forgotten: self.forgotten,
        };
        block_in_place(|| verdict.reach());
        println!("{what} (seed {}): {}", self.seed, self.journal.figures());
        let wrongs = self.journal.wrongs();
        let shown = wrongs.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n\n");
        assert!(
            wrongs.is_empty(),
            "{what}: {} things are wrong; ACQUIRE_OUTBOX_HAMMER_SEED={}\n{shown}",
            wrongs.len(),
            self.seed
        );
    }

    /// Until nothing waits and every node that died is buried.
    async fn settle(&mut self) {
        let left = "SELECT (SELECT count(*) FROM outbox WHERE status IN ('pending', 'sending'))
            + (SELECT count(*) FROM outbox_elections) + (SELECT count(*) FROM outbox_set_aside)
            + (SELECT count(*) FROM outbox_nodes WHERE settled_at IS NULL AND lease_until < clock_timestamp())";
        let (end, mut last) = (Instant::now() + SETTLED, -1);
        while Instant::now() < end {
            self.quiet(Duration::from_millis(150)).await;
            if let Ok(count) = self.place.number(left).await {
                last = count;
                if count == 0 {
                    return;
                }
            }
        }
        let nodes = self.place.query("SELECT * FROM outbox_nodes ORDER BY epoch DESC LIMIT 12");
        let jobs = self
            .place
            .query("SELECT * FROM outbox WHERE status IN ('pending', 'sending') LIMIT 20");
        let others = self.place.query("SELECT 'pause' AS what, reason AS a FROM outbox_pauses UNION ALL SELECT 'election', lane::text FROM outbox_elections UNION ALL SELECT 'block', kind || reason FROM outbox_holds");
        let logs = self.crew.logs();
        self.journal.wrong(format!(
            "{last} things are left after {SETTLED:?}: {jobs:#?}\n{nodes:#?}\n{others:#?}\n{logs}"
        ));
    }
}

async fn count_backlog(clients: Arc<Clients>) {
    let waiting = "SELECT count(*) FROM outbox WHERE wait IS NOT NULL";
    while !clients.stop.load(Ordering::SeqCst) {
        if let Ok(count) = clients.place.number(waiting).await {
            clients.backlog.store(count, Ordering::SeqCst);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The database, empty.
pub async fn create(cluster: &Cluster) {
    execute(cluster, &format!("CREATE DATABASE {NAME}")).await;
}

/// A statement outside the outbox's database.
pub async fn execute(cluster: &Cluster, sql: &str) {
    let place = Place::at(cluster.folder());
    let mut conn = place.connect_to("postgres").await.expect("a connection");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.expect("it is executed");
}
