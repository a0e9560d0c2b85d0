//! The sandbox works on databases that were made for it, and on no other.

use crate::support::{Database, Job, KEY, Outbox, Program, SOON, Server, never_shows, skipped};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const UNTIL_EMPTY: [&str; 3] = ["run", "--sandbox", "--until-empty"];

#[test]
fn a_sandbox_leaves_every_outbox_alone_that_was_not_made_for_it() {
    let server = Server::start();
    for jobs in [0, 1] {
        let outbox = Outbox::new(&server);
        for case in 0..jobs {
            outbox.chat(case, "a customer's");
        }
        let before = fs::read(outbox.database().path()).unwrap();
        for command in [&UNTIL_EMPTY[..], &["run", "--sandbox"], &["init", "--sandbox"]] {
            let refused = outbox.run(command).expect(78);
            assert!(refused.stderr.contains("was not made for the sandbox"), "{refused:?}");
            // Both ways to go on.
            assert!(refused.stderr.contains("init --sandbox"), "{refused:?}");
            assert!(refused.stderr.contains("leave --sandbox out"), "{refused:?}");
        }
        assert_eq!(fs::read(outbox.database().path()).unwrap(), before, "touched");
        assert_eq!(outbox.count("pending"), jobs);
        outbox.run_until_empty();
        assert_eq!(outbox.count("sent"), jobs);
    }
    assert_eq!(server.count(), 1);
}

#[test]
fn a_sandbox_leaves_files_alone_that_have_no_outbox_yet() {
    let folder = TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let shop = Database::at(folder.path().join("shop.db"));
    shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)");
    fs::write(folder.path().join("empty.db"), "").unwrap();
    for name in ["shop.db", "empty.db"] {
        let run = [&UNTIL_EMPTY[..], &["--database", name]].concat();
        let before = fs::read(folder.path().join(name)).unwrap();
        assert!(program.run(&run).expect(78).stderr.contains("was not made for the sandbox"));
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), before, "{name} was touched");
        // `init --sandbox` turns it into one.
        program.run(&["init", "--sandbox", "--database", name]).expect(0);
        program.run(&run).expect(0);
    }
    assert_eq!(shop.number("SELECT count(*) FROM orders"), 0);
}

#[test]
fn a_sandbox_does_not_stand_by_for_a_daemon() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    outbox.run(&["run", "--sandbox"]).expect(78);
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    let (sandbox, name) = (Outbox::setup(&server).written(), ["--database", "try.db"]);
    let running =
        sandbox.program().start(&[&["run", "--sandbox", "--init"][..], &name].concat()).ready();
    let real = sandbox.run(&[&["run"][..], &name].concat()).expect(78);
    assert!(real.stderr.contains("was made for the sandbox"), "{real:?}");
    drop(running);
}

#[test]
fn what_was_made_for_the_sandbox_is_never_delivered() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    outbox.run(&["init", "--sandbox"]).expect(0);
    outbox.chat(1, "only tried out");
    let copy = outbox.folder().join("copy.db");
    outbox.execute(&format!("VACUUM INTO '{}'", copy.display()));
    for database in ["outbox.db", "copy.db"] {
        for command in [&["run"][..], &["run", "--until-empty"], &["init"]] {
            let refused = outbox.run(&[command, &["--database", database]].concat()).expect(78);
            assert!(refused.stderr.contains("was made for the sandbox"), "{refused:?}");
            assert!(refused.stderr.contains("run --sandbox"), "{refused:?}");
        }
    }
    let checked = outbox.run(&["check"]).expect(1);
    let told = |line: &str| line.starts_with("FAIL  database") && line.contains("for the sandbox");
    assert!(checked.stdout.lines().any(told), "{checked:?}");
    assert_eq!(server.requests().iter().filter(|request| request.method != "GET").count(), 0);
    assert_eq!(outbox.count("pending"), 1);
    outbox.run(&UNTIL_EMPTY).expect(0);
    assert_eq!(outbox.count("sent"), 1);
}

#[test]
fn all_that_shows_a_sandbox_says_so() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    outbox.run(&["init", "--sandbox"]).expect(0);
    let ids =
        [Job::chat(1, "one"), Job::mail(2, "two"), Job::sms(3, "three")].map(|job| outbox.add(job));
    let run = outbox.run(&UNTIL_EMPTY).expect(0);
    never_shows("the log", &run.output(), KEY);
    for id in ids {
        assert_eq!(outbox.row(id).json("receipt")["sandbox"], true);
        let id = id.to_string();
        assert_eq!(outbox.run(&["show", &id, "--json"]).expect(0).json()["sandbox"], true);
        assert!(outbox.run(&["show", &id]).expect(0).output().contains("SANDBOX"));
    }
    assert_eq!(outbox.run(&["status", "--json"]).expect(0).json()["sandbox"], true);
    assert!(outbox.run(&["status"]).expect(0).stdout.contains("SANDBOX"));
    assert_eq!(outbox.run(&["list", "--json"]).expect(0).json()[0]["sandbox"], true);
    let send = ["send", "chat", "--case-id", "1", "--message", "hi"];
    assert!(outbox.run(&send).expect(0).stderr.contains("SANDBOX"));

    let mut daemon = outbox
        .program()
        .env("ACQUIRE_OUTBOX_WEB_TOKEN", "a-token-of-sixteen-or-more")
        .start(&["run", "--sandbox", "--listen", "127.0.0.1:0"])
        .ready();
    let bearer = "Authorization: Bearer a-token-of-sixteen-or-more\r\n";
    for page in ["/", "/jobs", "/jobs/1", "/pauses", "/jobs/999", "/nowhere"] {
        let shown = daemon.get_with(page, bearer).body;
        assert!(shown.contains("Nothing is sent to Acquire"), "{page}: {shown}");
    }
    assert!(daemon.get("/login").body.contains("Nothing is sent to Acquire"));
    let metrics = daemon.get_with("/metrics", bearer).body;
    assert!(metrics.contains("acquire_outbox_sandbox 1"), "{metrics}");
    assert_eq!(daemon.get("/readyz").json()["sandbox"], true);
}

#[test]
fn a_real_outbox_shows_no_mark() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert!(outbox.row(id).json("receipt").get("sandbox").is_none());
    let status = outbox.run(&["status", "--json"]).expect(0);
    assert_eq!((status.json()["sandbox"].clone(), status.stderr), (false.into(), String::new()));
    let mut daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    assert!(!daemon.get("/").body.contains("Nothing is sent to Acquire"));
    assert_eq!(daemon.scrape().number("acquire_outbox_sandbox"), 0.0);
}

/// Runs the script with a separate folder `/etc/acquire-outbox`; `None` where that is not allowed.
fn with_own_etc(script: &str, folder: &Path) -> Option<std::process::Output> {
    let mount = "mount -t tmpfs tmpfs /etc && mkdir /etc/acquire-outbox && ";
    let mut allowed = Command::new("unshare");
    allowed.args(["-m", "sh", "-c", "mount -t tmpfs tmpfs /etc"]);
    if !allowed.output().is_ok_and(|tried| tried.status.success()) {
        skipped("no file system can be mounted on /etc (not root, or no mounts allowed)");
        return None;
    }
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", &format!("{mount}{script}")]).current_dir(folder);
    shell.env("PROGRAM", env!("CARGO_BIN_EXE_acquire-outbox"));
    Some(shell.output().unwrap())
}

#[test]
fn the_database_of_the_machines_own_configuration_is_never_the_sandboxs() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "a customer's");
    let empty = TempDir::new().unwrap();
    let config = outbox.config_file().display();
    let database = outbox.database().path().display();
    let script = format!(
        "sed 's|^database.*|database = \"{database}\"|' {config} > /etc/acquire-outbox/config.toml
         for command in 'run --sandbox --until-empty' 'init --sandbox'; do
             $PROGRAM $command && exit 1; [ $? = 78 ] || exit 2
         done
         mv {database} {database}.away
         $PROGRAM run --sandbox --until-empty && exit 3; [ $? = 78 ] || exit 4
         mv {database}.away {database}
         $PROGRAM init --sandbox --database sandbox.db
         $PROGRAM run --sandbox --until-empty --database sandbox.db"
    );
    let Some(ran) = with_own_etc(&script, empty.path()) else { return };
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{ran:?}");
    assert!(said.contains("this machine's own configuration"), "{said}");
    assert!(said.contains("/etc/acquire-outbox/config.toml"), "{said}");
    assert_eq!(outbox.count("pending"), 1);
    assert!(empty.path().join("sandbox.db").exists());
}
