//! Several users write into one file; others cannot even read it.

use super::page::{block, can_run};
use crate::support::{Database, SOON, eventually, installed, skipped};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

const GROUP: u32 = 54_000;
const DAEMON: u32 = 54_001;
const SHOP: u32 = 54_002;
const BILLING: u32 = 54_003;
const STRANGER: u32 = 54_004;

/// Runs it as this user, who is in the page's group or not; without capabilities.
fn as_user(user: u32, script: &str, folder: &Path) -> Command {
    let groups = if user == STRANGER { STRANGER } else { GROUP };
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={user}")).arg(format!("--regid={user}"));
    command.arg(format!("--groups={groups}")).args(["--inh-caps=-all", "sh", "-c", script]);
    command.current_dir(folder).env("HOME", folder);
    command
}

fn run(user: u32, script: &str, folder: &Path) -> Output {
    as_user(user, script, folder).output().unwrap()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn members_of_the_group_write_and_others_cannot_read() {
    // SAFETY: geteuid takes and changes nothing.
    let root = unsafe { libc::geteuid() } == 0;
    if !can_run() || !root || Command::new("setpriv").arg("--version").output().is_err() {
        return skipped("only root can try the recipe for several users, with setpriv");
    }
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program =
        installed(env!("CARGO_BIN_EXE_acquire-outbox"), folder.path().join("acquire-outbox"));
    let srv = folder.path().join("srv");
    fs::create_dir(&srv).unwrap();
    let here = |text: &str| {
        text.replace("/srv/", &format!("{}/", srv.display()))
            .replace("acquire-outbox init", &format!("{} init --sandbox", program.display()))
            .replace("-g outbox", &format!("-g {GROUP}"))
            .replace("chgrp outbox", &format!("chgrp {GROUP}"))
    };
    // Without the lines that make this machine's users members of a group.
    let lines = block("/srv/outbox").lines().filter(|line| !line.contains("outbox shop"));
    let lines = lines.filter(|line| !line.contains("outbox billing") && !line.contains("groupadd"));
    let script = here(&lines.collect::<Vec<_>>().join("\n"));
    let made = Command::new("sh").args(["-e", "-c", &script]).output().unwrap();
    assert!(made.status.success(), "{made:?}\n{script}");

    let database = srv.join("outbox/outbox.db");
    let insert = |words: &str| {
        format!(
            "umask 0022; sqlite3 -cmd '.timeout 5000' {} \"INSERT INTO outbox (channel, payload)
             VALUES ('chat', json_object('caseId', 1, 'message', '{words}'))\"",
            database.display()
        )
    };
    // First of all a producer makes -wal and -shm, with a umask that lets nobody else write.
    let wrote = run(SHOP, &insert("from the shop"), &srv);
    assert!(wrote.status.success(), "{wrote:?}");
    let script = format!(
        "umask 0077; exec {} run --sandbox --database {}",
        program.display(),
        database.display()
    );
    let mut daemon = as_user(DAEMON, &script, &srv);
    let log = fs::File::create(folder.path().join("log")).unwrap();
    chown(folder.path().join("log"), Some(DAEMON), None).unwrap();
    let _daemon = Running(daemon.stderr(log).stdout(Stdio::null()).spawn().unwrap());
    let sent = || {
        let sql = "SELECT count(*) FROM outbox WHERE status = 'sent'";
        let asked = run(BILLING, &format!("sqlite3 {} \"{sql}\"", database.display()), &srv);
        String::from_utf8_lossy(&asked.stdout).trim().to_owned()
    };
    let said = || fs::read_to_string(folder.path().join("log")).unwrap();
    eventually(SOON, "the shop's is sent", || {
        assert!(!said().contains("ERROR"), "{}", said());
        sent() == "1"
    });
    let wrote = run(BILLING, &insert("from billing"), &srv);
    assert!(wrote.status.success(), "{wrote:?}");
    eventually(SOON, "billing's is sent", || sent() == "2");

    let read =
        run(STRANGER, &format!("sqlite3 {} 'SELECT 1 FROM outbox'", database.display()), &srv);
    assert!(!read.status.success(), "{read:?}");
    assert_eq!(Database::at(&database).number("SELECT count(*) FROM outbox"), 2);
}
