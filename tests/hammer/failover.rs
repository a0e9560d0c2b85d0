//! The database becomes another one: a standby that is promoted, or an earlier state of itself.

use super::link::{Flow, Link};
use super::place::NAME;
use super::verdict::Forgotten;
use super::world::{self, World};
use crate::support::Cluster;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::task::block_in_place;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    Synchronous,
    Asynchronous,
}

/// How long nodes take to find the new primary: their pause after errors is 5 s at most.
const FOUND: Duration = Duration::from_secs(20);

const CLOCK: &str = "SELECT outbox_millis(clock_timestamp())";

/// A standby is promoted after its primary has crashed. False where there is no PostgreSQL.
pub async fn fail_over(kind: Failover, seed: u64, time: Duration) -> bool {
    let settings = ["wal_level=replica", "max_wal_senders=10"];
    let Some(primary) = Cluster::start(&settings) else { return false };
    world::create(&primary).await;
    let replication = Link::to(primary.folder()).await;
    let standby =
        block_in_place(|| Cluster::standby_of("127.0.0.1", replication.port(), &settings));
    let mut world = World::on(&primary, Some(standby.folder()), true, seed).await;
    if kind == Failover::Synchronous {
        world.place.execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await.unwrap();
        world.place.execute("SELECT pg_reload_conf()").await.unwrap();
    }
    // In the long form with faults before and after it.
    world.hammer(time / 4, None).await;
    let lag = Duration::from_millis(world.dice.u64(700..2_500));
    let begun = Instant::now();
    if kind == Failover::Asynchronous {
        // Settled, so that nobody but the nodes that are at work has to notice.
        block_in_place(|| world.crew.heal());
        world.quiet(Duration::from_secs(1)).await;
        all_have_renewed(&mut world, 0).await;
        replication.set(Flow::Frozen);
        world.journal.event(format!("the standby lags for {lag:?}"));
        // On a loaded machine no node may commit in so short a time; then there is nothing to notice.
        let now = world.place.number(CLOCK).await.expect("a server that is up");
        all_have_renewed(&mut world, now).await;
        world.quiet(lag).await;
    }
    world.journal.event("the primary crashes, and the standby is promoted");
    block_in_place(|| primary.crash());
    replication.turn_to(Path::new("/nowhere"));
    block_in_place(|| standby.promote());
    for node in &world.crew.nodes {
        if node.spare.is_none() {
            node.link.turn_to(standby.folder());
        }
    }
    world.place.turn_to(standby.folder());
    world.journal.count("promotions", 1);
    if kind == Failover::Asynchronous {
        see_it_noticed(&mut world, begun, 1).await;
    }
    world.hammer(time / 4, None).await;
    world.finish(&format!("{kind:?} failover")).await;
    true
}

/// An earlier state is restored while the nodes run. False where there is no PostgreSQL.
pub async fn restore(seed: u64, time: Duration) -> bool {
    let Some(cluster) = Cluster::start(&[]) else { return false };
    world::create(&cluster).await;
    let mut world = World::on(&cluster, None, true, seed).await;
    world.hammer(time / 4, None).await;
    block_in_place(|| world.crew.heal());
    world.quiet(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let by_dump = world.dice.bool();
    world.journal.event(format!("a copy is made, by pg_dump: {by_dump}"));
    let copy = cluster.folder().join("copy");
    let data = cluster.folder().join("data");
    if by_dump {
        block_in_place(|| dump(&cluster, "pg_dump", &["-Fc", "-f", copy.to_str().unwrap(), NAME]));
    } else {
        block_in_place(|| {
            cluster.stop();
            shell(&format!("cp -a {} {}", data.display(), copy.display()));
            cluster.start_again();
        });
    }
    // At least one renewal of each node's lease is forgotten.
    all_have_renewed(&mut world, 0).await;
    let now = world.place.number(CLOCK).await.expect("a server that is up");
    all_have_renewed(&mut world, now).await;
    let since = Duration::from_millis(world.dice.u64(3_000..5_000));
    world.quiet(since).await;
    for node in &world.crew.nodes {
        node.link.set(Flow::Shut);
    }
    world.journal.event("the copy is restored");
    if by_dump {
        block_in_place(|| {
            dump(&cluster, "createdb", &["restored"]);
            dump(&cluster, "pg_restore", &["-d", "restored", copy.to_str().unwrap()]);
        });
        let swap = format!(
            "ALTER DATABASE {NAME} ALLOW_CONNECTIONS false;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{NAME}';"
        );
        world::execute(&cluster, &swap).await;
        world::execute(&cluster, &format!("ALTER DATABASE {NAME} RENAME TO before")).await;
        world::execute(&cluster, &format!("ALTER DATABASE restored RENAME TO {NAME}")).await;
    } else {
        block_in_place(|| {
            cluster.crash();
            shell(&format!("rm -rf {0} && mv {1} {0}", data.display(), copy.display()));
            cluster.start_again();
        });
    }
    world.journal.count("restores", 1);
    for node in &world.crew.nodes {
        node.link.set(Flow::Open);
    }
    see_it_noticed(&mut world, begun, world::NODES as u64).await;
    world.hammer(time / 4, None).await;
    world.finish(&format!("restore, by pg_dump: {by_dump}")).await;
    true
}

/// The database has forgotten what was done since `from`: waits until so many nodes have noticed it, and all is paused;
/// then decides as an operator.
async fn see_it_noticed(world: &mut World, from: Instant, nodes: u64) {
    let to = Instant::now();
    world.forgotten = Some(Forgotten { from, to, noticed: to });
    world.crew.may_go_back = true;
    let (gone_back, buried) = (world.crew.gone_back, world.crew.buried);
    let end = Instant::now() + FOUND;
    let paused = "SELECT count(*) FROM outbox_pauses WHERE account = '' AND channel = '' AND reason LIKE 'restored backup: %'";
    loop {
        world.quiet(Duration::from_millis(50)).await;
        // A node whose lease ended meanwhile may be buried by one that has noticed, before it can.
        let noticed = world.crew.gone_back - gone_back;
        let all = noticed > 0 && noticed + world.crew.buried - buried >= nodes;
        if all && world.place.number(paused).await.is_ok_and(|count| count == 1) {
            break;
        }
        if Instant::now() > end {
            let logs = world.crew.logs();
            world.journal.wrong(format!(
                "{noticed} nodes have noticed that commits were lost, of {nodes}\n{logs}"
            ));
            return;
        }
    }
    // Every node has found the database, and then made one more transaction in which it could have claimed.
    all_have_renewed(world, 0).await;
    let sent = world.vendor.server.count();
    let now = world.place.number(CLOCK).await.expect("a server that is up");
    all_have_renewed(world, now).await;
    if world.vendor.server.count() != sent {
        world.journal.wrong("something is sent although everything is paused");
    }
    world.forgotten = Some(Forgotten { from, to, noticed: Instant::now() });
    world.crew.may_go_back = false;
    let resumed = block_in_place(|| world.crew.command(&["resume", "--restored"]));
    world.journal.event(format!("an operator resumes: {}", resumed.stdout.trim()));
    if resumed.code != Some(0) {
        world.journal.wrong(format!("{resumed:?}"));
    }
}

/// Waits until every node has a lease that it asked for after this time.
async fn all_have_renewed(world: &mut World, since: i64) {
    let renewed = format!(
        "SELECT count(*) FROM outbox_nodes WHERE buried_at IS NULL AND lease_until > clock_timestamp()
            AND lease_until > timestamptz 'epoch' + {since} * interval '1 ms' + interval '6 s'"
    );
    let end = Instant::now() + FOUND;
    while Instant::now() < end {
        world.quiet(Duration::from_millis(50)).await;
        if world.place.number(&renewed).await.is_ok_and(|count| count >= world::NODES as i64) {
            return;
        }
    }
    let logs = world.crew.logs();
    world.journal.wrong(format!("not every node is at work again\n{logs}"));
}

/// A program of PostgreSQL on the cluster.
fn dump(cluster: &Cluster, program: &str, arguments: &[&str]) {
    let mut command = Command::new(cluster.bin().join(program));
    command.arg("-h").arg(cluster.folder()).args(["-U", "postgres"]).args(arguments);
    let done = command.output().expect("it starts");
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

fn shell(line: &str) {
    let done = Command::new("sh").args(["-ec", line]).status().expect("sh");
    assert!(done.success(), "{line}");
}
