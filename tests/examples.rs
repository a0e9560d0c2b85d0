//! The example producers in eight languages, each run as it stands against the real daemon.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{Outbox, Server, skipped};
use tempfile::TempDir;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/producers")
}

/// A way to start an example; `None`, and a line that says so, where its runtime is missing.
/// With `EXAMPLES=all` (the gate, which installs them) a missing one fails.
fn runtime(language: &str, probe: &mut Command) -> Option<()> {
    let there = probe.output().is_ok_and(|done| done.status.success());
    if !there && std::env::var_os("EXAMPLES").is_some_and(|all| all == "all") {
        panic!("{language} is not installed, and EXAMPLES=all wants it: {probe:?}");
    }
    if !there {
        skipped(&format!(
            "{language} or its SQLite driver is not installed, its example was not run"
        ));
    }
    there.then_some(())
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(examples());
    command
}

/// Standard output without its line end; panics unless the exit code is this one.
#[track_caller]
fn said(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

/// Plays a shop's day by the example: `start` gives the command that its arguments are added to.
fn is_a_good_producer(start: impl Fn() -> Command) {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    let path = outbox.database().path().to_str().unwrap().to_owned();
    let order = |id: &str, case: &str| start().args([&path, id, case]).output().unwrap();
    let of = |table: &str, id: &str| {
        outbox.database().number(&format!("SELECT count(*) FROM {table} WHERE {id}"))
    };

    let first = said(&order("7", "2069"), 0);
    let message = outbox.row(1).text("message_id").to_owned();
    assert_eq!(first, format!("order 7: sent, message {message}"));
    assert_eq!(server.words(), ["Order 7 has left our house."]);
    assert_eq!(of("orders", "id = 7 AND case_id = 2069"), 1);
    let row = outbox.row(1);
    assert_eq!(row.text("idempotency_key"), "order-7-shipped");
    assert_eq!(row.text("source"), "shop");
    assert_eq!(row.json("payload")["caseId"], 2069);

    // Twice is once: the order is there, and so is its message.
    assert_eq!(said(&order("7", "2069"), 0), first);
    // Where the order is not, the message's key alone keeps it from being sent again.
    outbox.execute("DELETE FROM orders");
    assert_eq!(said(&order("7", "2069"), 0), first);
    assert_eq!((of("orders", "1"), of("outbox", "1"), server.count()), (1, 1, 1));

    // A transaction that fails leaves neither.
    outbox.execute("INSERT INTO orders (id, case_id) VALUES (8, 1)");
    let failed = order("8", "2069");
    assert_eq!(said(&failed, 1), "order 8: no message");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("nothing was written"), "{failed:?}");
    assert_eq!(of("outbox", "1"), 1);

    // What Acquire refuses is told.
    server.answer_with(|_| support::Reply::status(404));
    let refused = said(&order("9", "404"), 1);
    assert!(refused.starts_with("order 9: failed: ") && refused.contains("404"), "{refused}");
    drop(daemon);
}

#[test]
fn the_python_example_sends_once_and_rolls_back_whole() {
    let mut probe = command("python3", &["-c", "import sqlite3"]);
    if runtime("Python", &mut probe).is_some() {
        is_a_good_producer(|| command("python3", &["order.py"]));
    }
}

#[test]
fn the_node_example_sends_once_and_rolls_back_whole() {
    // Where `npm install --prefix target/producers better-sqlite3` has put it, or NODE_PATH says.
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/producers/node_modules");
    let path = std::env::var("NODE_PATH").unwrap_or_else(|_| modules.display().to_string());
    let node = |arguments: &[&str]| {
        let mut node = command("node", arguments);
        node.env("NODE_PATH", &path);
        node
    };
    let mut probe = node(&["-e", "new (require('better-sqlite3'))(':memory:')"]);
    if runtime("Node.js", &mut probe).is_some() {
        is_a_good_producer(|| node(&["order.js"]));
    }
}

#[test]
fn the_go_example_sends_once_and_rolls_back_whole() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("order");
    let debian = |arguments: &[&str]| {
        let mut go = command("go", arguments);
        go.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "");
        go
    };
    let driver = "github.com/mattn/go-sqlite3";
    if runtime("Go", &mut debian(&["list", driver])).is_some() {
        let built =
            debian(&["build", "-o", program.to_str().unwrap(), "order.go"]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        is_a_good_producer(|| command(program.to_str().unwrap(), &[]));
    }
}

#[test]
fn the_php_example_sends_once_and_rolls_back_whole() {
    let mut probe = command("php", &["-r", "new PDO('sqlite::memory:');"]);
    if runtime("PHP", &mut probe).is_some() {
        is_a_good_producer(|| command("php", &["order.php"]));
    }
}

#[test]
fn the_ruby_example_sends_once_and_rolls_back_whole() {
    if runtime("Ruby", &mut command("ruby", &["-e", "require 'sqlite3'"])).is_some() {
        is_a_good_producer(|| command("ruby", &["order.rb"]));
    }
}

#[test]
fn the_java_example_sends_once_and_rolls_back_whole() {
    let folder = TempDir::new().unwrap();
    let classes = folder.path().to_str().unwrap();
    let driver = "/usr/share/java/sqlite-jdbc.jar";
    let mut probe = command("javac", &["-version"]);
    let probe = if Path::new(driver).exists() { &mut probe } else { &mut command("false", &[]) };
    if runtime("Java", probe).is_some() {
        // Compiled once rather than at each of its starts.
        let built = command("javac", &["-d", classes, "Order.java"]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let path = format!("{classes}:{driver}");
        is_a_good_producer(|| command("java", &["-cp", &path, "Order"]));
    }
}

#[test]
fn the_perl_example_sends_once_and_rolls_back_whole() {
    let mut probe = command("perl", &["-MDBD::SQLite", "-MJSON::PP", "-e", "1"]);
    if runtime("Perl", &mut probe).is_some() {
        is_a_good_producer(|| command("perl", &["order.pl"]));
    }
}

#[test]
fn the_shell_example_sends_once_and_rolls_back_whole() {
    if runtime("The shell's sqlite3", &mut command("sqlite3", &["-version"])).is_some() {
        is_a_good_producer(|| command("sh", &["order.sh"]));
    }
}

#[test]
fn the_readme_names_each_of_them() {
    let readme = include_str!("../examples/producers/README.md");
    let programs = std::fs::read_dir(examples()).unwrap().flatten();
    let names: Vec<String> = programs.map(|file| file.file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 9, "{names:?}");
    for name in names.iter().filter(|name| *name != "README.md") {
        assert!(readme.contains(&format!("{name} DATABASE ORDER_ID CASE_ID")), "{name}");
    }
}

#[test]
fn the_readmes_first_try_works_as_it_stands() {
    let mut probe = command("python3", &["-c", "import sqlite3"]);
    if runtime("Python", &mut probe).is_none() {
        return;
    }
    let readme = include_str!("../examples/producers/README.md");
    let block = readme.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let folder = TempDir::new().unwrap();
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_acquire-outbox"),
        folder.path().join("acquire-outbox"),
    )
    .unwrap();
    let here = block.replace("/tmp/", &format!("{}/", folder.path().display()));
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    // Whatever comes, the daemon in the background ends with the script.
    let script = format!("trap 'kill $!' EXIT\n{here}");
    let ran = command("sh", &["-e", "-c", &script]).env("PATH", path).output().unwrap();
    assert!(said(&ran, 0).contains("order 7: sent, message "), "{ran:?}");
}
