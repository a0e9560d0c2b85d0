//! The producers on a PostgreSQL server, in six languages, each as a role that may only produce.

use super::{built, go, node, programs, runtime, said};
use crate::support::{Cluster, Outbox, PostgresDatabase, Reply, Server};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

const FOLDER: &str = "examples/producers/postgres";

fn command(program: &str, arguments: &[&str]) -> Command {
    super::command(FOLDER, program, arguments)
}

/// An address of this machine that is no other test program's. Not a socket: JDBC has none.
fn address() -> String {
    let id = std::process::id();
    format!("127.85.{}.{}", id / 250 % 250 + 1, id % 250 + 1)
}

/// The cluster of these tests, with the role `shop_app`; None, and a line that says so, where there is no
/// PostgreSQL.
#[track_caller]
fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let start = || {
        let cluster = Cluster::start(&[&format!("listen_addresses={}", address())])?;
        cluster.named("postgres").execute("CREATE ROLE shop_app LOGIN");
        Some(cluster)
    };
    CLUSTER.get_or_init(start).as_ref()
}

fn name(database: &PostgresDatabase) -> String {
    database.one("SELECT current_database()::text AS name").text("name").to_owned()
}

/// What most drivers take.
fn url(database: &str) -> String {
    // Go's asks for TLS unless it is told not to.
    format!("postgres://shop_app@{}/{database}?sslmode=disable", address())
}

/// Plays a shop's day by the example: `start` gives the command that its arguments are added to, the
/// database as `place` writes it.
fn is_a_good_producer(place: impl Fn(&str) -> String, start: impl Fn() -> Command) {
    let Some(cluster) = cluster() else { return };
    let server = Server::start();
    let database = cluster.database();
    let outbox = Outbox::setup(&server).written();
    let program = outbox.program().env("ACQUIRE_OUTBOX_DATABASE", database.url());
    program.run(&["init"]).expect(0);
    database.execute(&program.run(&["grants", "--producer", "shop_app"]).expect(0).stdout);
    database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, case_id bigint NOT NULL)");
    database.execute("GRANT SELECT, INSERT, DELETE ON orders TO shop_app");
    let daemon = program.start(&["run"]).ready();
    let place = place(&name(&database));
    let order = |id: &str, case: &str| start().args([&place, id, case]).output().unwrap();
    let of = |table: &str, which: &str| {
        database.number(&format!("SELECT count(*) FROM {table} WHERE {which}"))
    };

    let first = said(&order("7", "2069"), 0);
    let row = database.one("SELECT * FROM outbox");
    assert_eq!(first, format!("order 7: sent, message {}", row.text("message_id")));
    assert_eq!(server.words(), ["Order 7 has shipped."]);
    assert_eq!(of("orders", "id = 7 AND case_id = 2069"), 1);
    assert_eq!(row.text("idempotency_key"), "order-7-shipped");
    assert_eq!(row.text("source"), "shop");
    assert_eq!(row.json("payload")["caseId"], 2069);

    // Twice is once: the order is there, and so is its message.
    assert_eq!(said(&order("7", "2069"), 0), first);
    // Where the order is not, the message's key alone keeps it from being sent again.
    database.execute("DELETE FROM orders");
    assert_eq!(said(&order("7", "2069"), 0), first);
    assert_eq!((of("orders", "true"), of("outbox", "true"), server.count()), (1, 1, 1));

    // A transaction that fails leaves neither.
    database.execute("INSERT INTO orders (id, case_id) VALUES (8, 1)");
    let failed = order("8", "2069");
    assert_eq!(said(&failed, 1), "order 8: no message");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("nothing was written"), "{failed:?}");
    assert_eq!(of("outbox", "true"), 1);

    // A message that waits is cancelled with its order; one that was sent keeps it.
    let later = "INSERT INTO outbox (channel, payload, idempotency_key, send_at) VALUES
        ('chat', '{\"caseId\": 1, \"message\": \"Hello\"}', 'order-10-shipped', now() + interval '1 hour')";
    let waiting = database.insert(later);
    database.execute("INSERT INTO orders (id, case_id) VALUES (10, 1)");
    assert_eq!(said(&order("10", "cancel"), 0), "order 10: cancelled");
    assert_eq!(of("outbox", &format!("id = {waiting} AND status = 'cancelled'")), 1);
    assert_eq!(said(&order("7", "cancel"), 1), "order 7: no message is waiting");
    assert_eq!((of("orders", "id = 10"), of("orders", "id = 7")), (0, 1));

    // What Acquire refuses is told.
    server.answer_with(|_| Reply::status(404));
    let refused = said(&order("9", "404"), 1);
    assert!(refused.starts_with("order 9: failed: ") && refused.contains("404"), "{refused}");
    drop(daemon);
}

/// The first that has the driver: Debian's package is for Debian's Python.
fn python() -> Option<&'static str> {
    let probe = |python: &str| command(python, &["-c", "import psycopg2"]);
    let has = |python: &str| probe(python).output().is_ok_and(|done| done.status.success());
    let python = if has("python3") { "python3" } else { "/usr/bin/python3" };
    runtime("Python", &mut probe(python)).map(|()| python)
}

#[test]
#[ignore = "heavy: every language"]
fn the_python_example_on_postgres_sends_once_and_cancels() {
    if let Some(python) = python() {
        is_a_good_producer(url, || command(python, &["order.py"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_node_example_on_postgres_sends_once_and_cancels() {
    if runtime("Node.js", &mut node(FOLDER, &["-e", "require('pg')"])).is_some() {
        is_a_good_producer(url, || node(FOLDER, &["order.js"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_go_example_on_postgres_sends_once_and_cancels() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("order");
    let program = program.to_str().unwrap();
    if runtime("Go", &mut go(FOLDER, &["list", "github.com/lib/pq"])).is_some() {
        built(&mut go(FOLDER, &["build", "-o", program, "order.go"]));
        is_a_good_producer(url, || command(program, &[]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_php_example_on_postgres_sends_once_and_cancels() {
    let dsn = |database: &str| format!("pgsql:host={};dbname={database};user=shop_app", address());
    let driver = "exit(in_array('pgsql', PDO::getAvailableDrivers()) ? 0 : 1);";
    if runtime("PHP", &mut command("php", &["-r", driver])).is_some() {
        is_a_good_producer(dsn, || command("php", &["order.php"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_ruby_example_on_postgres_sends_once_and_cancels() {
    if runtime("Ruby", &mut command("ruby", &["-e", "require 'pg'"])).is_some() {
        is_a_good_producer(url, || command("ruby", &["order.rb"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_java_example_on_postgres_sends_once_and_cancels() {
    let folder = TempDir::new().unwrap();
    let classes = folder.path().to_str().unwrap();
    let driver = "/usr/share/java/postgresql.jar";
    let mut probe = command("javac", &["-version"]);
    let probe = if Path::new(driver).exists() { &mut probe } else { &mut command("false", &[]) };
    let jdbc = |database: &str| format!("jdbc:postgresql://{}/{database}?user=shop_app", address());
    if runtime("Java", probe).is_some() {
        built(&mut command("javac", &["-d", classes, "Order.java"]));
        let path = format!("{classes}:{driver}");
        is_a_good_producer(jdbc, || command("java", &["-cp", &path, "Order"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_readme_of_postgres_names_each_of_them() {
    let readme = include_str!("../../examples/producers/postgres/README.md");
    let names = programs(FOLDER);
    assert_eq!(names.len(), 6, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("{name} DATABASE ORDER_ID CASE_ID")), "{name}");
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_first_try_of_postgres_works_as_it_stands() {
    let Some(python) = python() else { return };
    let Some(cluster) = cluster() else { return };
    let readme = include_str!("../../examples/producers/postgres/README.md");
    let block = readme.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let theirs = "postgres://outbox@127.0.0.1/shop";
    assert!(block.contains(theirs), "{block}");
    let ours = format!("postgres://postgres@{}/{}", address(), name(&cluster.database()));
    let folder = TempDir::new().unwrap();
    let python = which(python);
    symlink(env!("CARGO_BIN_EXE_acquire-outbox"), folder.path().join("acquire-outbox")).unwrap();
    symlink(python, folder.path().join("python3")).unwrap();
    let (bin, path) = (cluster.bin().display(), std::env::var("PATH").unwrap());
    let path = format!("{}:{bin}:{path}", folder.path().display());
    // Whatever comes, the daemon in the background ends with the script.
    let script = format!("trap 'kill $!' EXIT\n{}", block.replace(theirs, &ours));
    let ran = command("sh", &["-e", "-c", &script]).env("PATH", path).output().unwrap();
    assert!(said(&ran, 0).contains("order 7: sent, message "), "{ran:?}");
}

/// Where a program of PATH is.
fn which(program: &str) -> String {
    let line = format!("command -v {program}");
    said(&command("sh", &["-c", &line]).output().unwrap(), 0)
}
