//! Where a database is and who owns it: links, mounts, other names, other users, other file
//! systems.

mod owners;

use crate::support::{Outbox, SOON, Server, SmallDisk, eventually, skipped};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The messages that arrived, without the requests of `check`.
fn sent(server: &Server) -> Vec<String> {
    server.words().into_iter().filter(|words| !words.is_empty()).collect()
}

#[test]
fn two_dispatchers_behind_a_link_to_a_file_that_was_made_through_it_are_one() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    fs::create_dir(outbox.folder().join("data")).unwrap();
    symlink("data/real.db", outbox.database().path()).unwrap();
    outbox.run(&["init"]).expect(0);
    let first = outbox.daemon();
    let mut second = outbox.program().start(&["run"]);
    second.wait_for_log("standing by");
    let mut third = outbox.program().start(&["run", "--database", "data/../data/real.db"]);
    third.wait_for_log("standing by");
    for case in 1..=6 {
        outbox.chat(case, &format!("message {case}"));
    }
    eventually(SOON, "all are sent", || outbox.count("sent") == 6);
    assert_eq!(server.count(), 6);
    first.sigterm();
    first.wait(SOON).expect(0);
    let id = outbox.chat(7, "the next one's");
    assert_eq!(outbox.settled(id)["status"], "sent");
    assert_eq!(server.count(), 7);
}

#[test]
fn a_link_that_leads_elsewhere_by_the_time_of_the_take_over_is_followed() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let link = outbox.database().path();
    symlink("one.db", link).unwrap();
    for database in ["one.db", "two.db"] {
        outbox.run(&["init", "--database", database]).expect(0);
    }
    let first = outbox.daemon();
    let mut second = outbox.program().start(&["run"]);
    second.wait_for_log("standing by");
    // The first one ends, too: the file that it has open is no longer the one that its path leads
    // to.
    fs::rename(link, outbox.folder().join("old-link")).unwrap();
    symlink("two.db", link).unwrap();
    first.wait(SOON).expect(1);
    second.wait_for_log("ready");
    let mut third = outbox.program().start(&["run", "--database", "two.db"]);
    third.wait_for_log("standing by");
    let id = outbox.chat(1, "in the other file");
    assert_eq!(outbox.settled(id)["status"], "sent");
    assert_eq!(server.count(), 1);
}

#[test]
fn a_file_with_two_names_is_refused_by_either_name() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "hi");
    fs::hard_link(outbox.database().path(), outbox.folder().join("other.db")).unwrap();
    for database in ["outbox.db", "other.db"] {
        let send = ["send", "chat", "--case-id", "1", "--message", "hi"];
        for command in [&["run"][..], &["init"], &send, &["status"]] {
            let refused = outbox.run(&[command, &["--database", database]].concat()).expect(78);
            assert!(refused.stderr.contains("has 2 names (hard links)"), "{refused:?}");
        }
        let checked = outbox.run(&["check", "--database", database]).expect(1);
        assert!(checked.stdout.contains("has 2 names (hard links)"), "{checked:?}");
    }
    fs::remove_file(outbox.folder().join("other.db")).unwrap();
    outbox.run_until_empty();
    assert_eq!(sent(&server), ["hi"]);
}

/// Runs the script in a separate mount namespace; `None` where that is not allowed.
fn with_mounts(script: &str, outbox: &Outbox) -> Option<Output> {
    let tried = Command::new("unshare").args(["-m", "true"]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        skipped("nothing can be mounted (not root, or no mounts allowed)");
        return None;
    }
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-e", "-c", script]).current_dir(outbox.folder());
    shell.env("PROGRAM", env!("CARGO_BIN_EXE_acquire-outbox"));
    shell.env("ACQUIRE_OUTBOX_CONFIG", outbox.config_file());
    Some(shell.output().unwrap())
}

#[test]
fn a_database_that_is_a_mount_point_by_itself_is_refused_and_its_folder_named() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "hi");
    let script = r#"
        mkdir "a folder"; : > "a folder/mounted.db"
        mount --bind outbox.db "a folder/mounted.db"
        for command in run init status; do
            set +e; $PROGRAM $command --database "a folder/mounted.db"; code=$?; set -e
            [ $code = 78 ] || { echo "$command ended with $code"; exit 1; }
        done
        $PROGRAM check --database "a folder/mounted.db" && exit 1
        : > outbox.db-wal; : > elsewhere; mount --bind elsewhere outbox.db-wal
        set +e; $PROGRAM init; [ $? = 78 ] || exit 1"#;
    let Some(ran) = with_mounts(script, &outbox) else { return };
    assert!(ran.status.success(), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stderr) + String::from_utf8_lossy(&ran.stdout);
    assert_eq!(said.matches("mounted.db is mounted by itself").count(), 4, "{said}");
    assert!(said.contains("mount its folder instead"), "{said}");
    assert!(said.contains("outbox.db-wal is mounted by itself"), "{said}");
    let folder = outbox.folder().canonicalize().unwrap().join("a folder");
    assert!(said.contains(folder.to_str().unwrap()), "{said}");
    fs::remove_file(beside(outbox.database().path(), "-wal")).unwrap();
    outbox.run_until_empty();
    assert_eq!(sent(&server), ["hi"]);
}

#[test]
fn a_mounted_folder_is_fine_and_has_one_lock() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let script = r#"
        mkdir data other; mount --bind data other
        $PROGRAM init --database data/outbox.db
        $PROGRAM run --database data/outbox.db & first=$!
        until $PROGRAM status --json --database data/outbox.db | grep -q '"running": true'; do sleep 0.05; done
        $PROGRAM status --json --database other/outbox.db | grep -q '"running": true'
        kill $first; wait $first"#;
    let Some(ran) = with_mounts(script, &outbox) else { return };
    assert!(ran.status.success(), "{ran:?}");
}

#[test]
fn a_network_or_overlay_file_system_is_warned_of_by_check() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let script = r#"
        mkdir small; mount -t tmpfs tmpfs small; cd small; mkdir lower upper work all
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work all || exit 9
        $PROGRAM init --database all/outbox.db
        $PROGRAM check --database all/outbox.db
        timeout 20 $PROGRAM run --until-empty --database all/outbox.db"#;
    let Some(ran) = with_mounts(script, &outbox) else { return };
    if ran.status.code() == Some(9) {
        return skipped("no overlay can be mounted");
    }
    assert!(ran.status.success(), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stdout);
    let told = |line: &str| line.starts_with("warn  database") && line.contains("overlay");
    assert!(said.lines().any(told), "{ran:?}");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(said.matches("it is on an overlay").count(), 2, "init and run say so too: {said}");
}

#[test]
fn check_finds_a_full_disk_one_without_inodes_and_one_that_is_read_only() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let Some(disk) = SmallDisk::mount(outbox.folder().join("small"), 64) else { return };
    let program = disk.program(&outbox);
    program.run(&["init"]).expect(0);
    program.run(&["check"]).expect(0);
    let folder = outbox.folder().join("small");
    let files = || fs::read_dir(&folder).unwrap().count();
    assert_eq!(files(), 1, "check leaves nothing behind");
    let failed = |words: &str| {
        let checked = program.run(&["check"]).expect(1);
        let told = |line: &str| line.starts_with("FAIL  database") && line.contains(words);
        assert!(checked.stdout.lines().any(told), "no {words} in {checked:?}");
    };
    let filler = disk.fill();
    failed("KiB left");
    fs::remove_file(filler).unwrap();
    program.run(&["check"]).expect(0);
    assert!(disk.remount("nr_inodes=3"));
    fs::write(folder.join("last"), "").unwrap();
    failed("no inodes are left");
    fs::remove_file(folder.join("last")).unwrap();
    assert!(disk.remount("nr_inodes=100,ro"));
    failed("read-only");
    assert!(disk.remount("rw"));
    program.run(&["check"]).expect(0);
}
