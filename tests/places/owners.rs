//! Another user's files next to the database, and links that another user has put on the way to it.

use super::beside;
use crate::support::{Database, Job, Outbox, Server, installed, skipped};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

const SERVICE: u32 = 54_011;
const MEMBER: u32 = 54_012;

fn is_root() -> bool {
    // SAFETY: geteuid takes and changes nothing.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        skipped("only root can show this");
    }
    root
}

/// A folder of the service's user, with the program in it and an outbox that the program has made.
struct Machine {
    outbox: Outbox,
    folder: PathBuf,
    program: PathBuf,
}

impl Machine {
    /// The folder's group is the users' common group; its mode is as given.
    fn new(server: &Server, mode: u32) -> Machine {
        let outbox = Outbox::setup(server).written();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(outbox.folder(), open).unwrap();
        chown(outbox.folder().join("key"), Some(SERVICE), None).unwrap();
        let program =
            installed(env!("CARGO_BIN_EXE_acquire-outbox"), outbox.folder().join("acquire-outbox"));
        let folder = outbox.folder().join("data");
        fs::create_dir(&folder).unwrap();
        chown(&folder, Some(SERVICE), Some(SERVICE)).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        Machine { outbox, folder, program }
    }

    fn database(&self) -> PathBuf {
        self.folder.join("outbox.db")
    }

    /// Runs the program as this user, who is a member of the service's group.
    fn run_as(&self, user: u32, arguments: &str) -> Output {
        let script = format!(
            "umask 0077; exec {} {arguments} --database {}",
            self.program.display(),
            self.database().display()
        );
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={user}")).arg(format!("--regid={user}"));
        command.arg(format!("--groups={SERVICE}")).args(["--inh-caps=-all", "sh", "-c", &script]);
        command.env("ACQUIRE_OUTBOX_CONFIG", self.outbox.config_file()).output().unwrap()
    }

    /// As root, with all its rights.
    fn run_as_root(&self, arguments: &[&str]) -> crate::support::Finished {
        let database = self.database();
        let name = ["--database", database.to_str().unwrap()];
        self.outbox.run(&[arguments, &name].concat())
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[track_caller]
    fn all_belong_to_the_service(&self) {
        for name in self.files() {
            let found = fs::metadata(self.folder.join(&name)).unwrap();
            assert_eq!((found.uid(), found.gid()), (SERVICE, SERVICE), "{name}");
        }
    }
}

fn can_change_users() -> bool {
    let there = Command::new("setpriv").arg("--version").output().is_ok();
    if !there {
        skipped("setpriv is not installed");
    }
    is_root() && there
}

#[track_caller]
fn succeeded(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_root_does_with_a_services_database_stays_the_services() {
    if !can_change_users() {
        return;
    }
    let server = Server::start();
    let machine = Machine::new(&server, 0o700);
    // Root creates it, and root runs it first.
    machine.run_as_root(&["init"]).expect(0);
    machine.all_belong_to_the_service();
    let payload = r#"{"caseId": 1, "message": "hi"}"#;
    machine.run_as_root(&["send", "chat", "--json", payload]).expect(0);
    machine.run_as_root(&["run", "--until-empty"]).expect(0);
    machine.all_belong_to_the_service();
    assert!(machine.files().contains(&"outbox.db.dispatcher-lock".to_owned()));
    // While root has it open, and after root was interrupted.
    let mut daemon = machine
        .outbox
        .program()
        .start(&["run", "--database", machine.database().to_str().unwrap()])
        .ready();
    machine.all_belong_to_the_service();
    daemon.kill9();
    assert!(machine.files().contains(&"outbox.db-wal".to_owned()), "{:?}", machine.files());
    machine.all_belong_to_the_service();
    machine.run_as_root(&["send", "chat", "--json", payload]).expect(0);
    succeeded(&machine.run_as(SERVICE, "run --until-empty"));
    assert_eq!(server.count(), 2);
}

#[test]
fn commands_that_only_read_leave_nothing_behind_and_change_nothing() {
    if !can_change_users() {
        return;
    }
    let server = Server::start();
    let machine = Machine::new(&server, 0o770);
    succeeded(&machine.run_as(SERVICE, "init"));
    let database = machine.database();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o660)).unwrap();
    let before = fs::read(&database).unwrap();
    for command in ["status", "list", "list --json", "export", "check", "status --json"] {
        machine.run_as_root(&command.split(' ').collect::<Vec<_>>()).expect(0);
        assert_eq!(machine.files(), ["outbox.db"], "after {command} by root");
        if command != "check" {
            succeeded(&machine.run_as(MEMBER, command));
        }
        assert_eq!(machine.files(), ["outbox.db"], "after {command} by a member");
    }
    machine.run_as_root(&["show", "1"]).expect(1);
    assert_eq!(machine.files(), ["outbox.db"]);
    assert_eq!(fs::read(&database).unwrap(), before);
    // A backup is not in WAL mode until somebody works on it.
    let copy = machine.folder.join("backup.db");
    Database::at(&database).execute(&format!("VACUUM INTO '{}'", copy.display()));
    Database::at(&copy).execute("PRAGMA journal_mode = DELETE");
    let before = fs::read(&copy).unwrap();
    machine.outbox.run(&["list", "--database", copy.to_str().unwrap()]).expect(0);
    assert_eq!(fs::read(&copy).unwrap(), before);
}

#[test]
fn a_member_of_the_group_leaves_files_that_the_service_can_use() {
    if !can_change_users() {
        return;
    }
    let server = Server::start();
    // Without the setgid bit, a member's files belong to the member's own group.
    let machine = Machine::new(&server, 0o770);
    succeeded(&machine.run_as(SERVICE, "init"));
    fs::set_permissions(machine.database(), fs::Permissions::from_mode(0o660)).unwrap();
    fs::set_permissions(machine.outbox.folder().join("key"), fs::Permissions::from_mode(0o640))
        .unwrap();
    chown(machine.outbox.folder().join("key"), Some(SERVICE), Some(SERVICE)).unwrap();
    succeeded(&machine.run_as(MEMBER, "run --until-empty"));
    for name in machine.files() {
        let found = fs::metadata(machine.folder.join(&name)).unwrap();
        assert_eq!((found.gid(), found.mode() & 0o777), (SERVICE, 0o660), "{name}");
    }
    succeeded(&machine.run_as(SERVICE, "run --until-empty"));
}

/// As a dump that was loaded leaves it: SQLite makes `-wal` and `-shm` only once a dispatcher has started.
#[test]
fn the_service_can_use_a_file_whose_wal_mode_a_member_of_the_group_has_set() {
    if !can_change_users() {
        return;
    }
    let server = Server::start();
    let gate = server.hold();
    let machine = Machine::new(&server, 0o770);
    succeeded(&machine.run_as(SERVICE, "init"));
    fs::set_permissions(machine.database(), fs::Permissions::from_mode(0o660)).unwrap();
    let key = machine.outbox.folder().join("key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    chown(&key, Some(SERVICE), Some(SERVICE)).unwrap();
    let database = Database::at(machine.database());
    database.execute("PRAGMA journal_mode = DELETE");
    database.execute(&Job::chat(1, "held").sql());
    std::thread::scope(|scope| {
        let member = scope.spawn(|| machine.run_as(MEMBER, "run --until-empty"));
        server.wait_for(1);
        for name in machine.files() {
            let found = fs::metadata(machine.folder.join(&name)).unwrap();
            assert_eq!((found.gid(), found.mode() & 0o777), (SERVICE, 0o660), "{name}");
        }
        succeeded(&machine.run_as(SERVICE, "send chat --case-id 2 --message hi"));
        gate.open();
        succeeded(&member.join().unwrap());
    });
}

#[test]
fn an_error_names_the_file_that_is_at_fault_and_whose_it_is() {
    if !can_change_users() {
        return;
    }
    let server = Server::start();
    let machine = Machine::new(&server, 0o750);
    succeeded(&machine.run_as(SERVICE, "init"));
    let database = machine.database();
    let refused = |user: u32, command: &str, words: &[&str]| {
        let output = machine.run_as(user, command);
        assert!(!output.status.success(), "{output:?}");
        let said =
            String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        for words in words {
            assert!(said.contains(words), "no {words:?} in {said}");
        }
    };
    let service = format!("user {SERVICE}");
    // A lock file from a version that made it belong to root.
    let lock = beside(&database, ".dispatcher-lock");
    fs::write(&lock, "").unwrap();
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
    let words =
        ["outbox.db.dispatcher-lock belongs to root", "mode 0600", &service, "chown --reference="];
    refused(SERVICE, "run", &words);
    // Reading it is enough for the lock.
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).unwrap();
    succeeded(&machine.run_as(SERVICE, "run --until-empty"));
    fs::remove_file(&lock).unwrap();
    let shm = beside(&database, "-shm");
    fs::write(&shm, "").unwrap();
    fs::set_permissions(&shm, fs::Permissions::from_mode(0o600)).unwrap();
    let words = ["outbox.db-shm belongs to root", "chown --reference=", "outbox.db-shm`"];
    refused(SERVICE, "status", &words);
    refused(SERVICE, "run", &words);
    fs::remove_file(&shm).unwrap();
    let _ = fs::remove_file(beside(&database, "-wal"));
    let words = ["outbox.db belongs to", &service, "write access to the file"];
    refused(MEMBER, "send chat --case-id 1 --message hi", &words);
    fs::set_permissions(&database, fs::Permissions::from_mode(0o660)).unwrap();
    let words = ["data belongs to", "write access to the folder"];
    refused(MEMBER, "send chat --case-id 1 --message hi", &words);
    refused(MEMBER, "init", &words);
}

#[test]
fn root_follows_no_link_that_others_can_replace() {
    if !can_change_users() {
        return;
    }
    let server = Server::start();
    let target = TempDir::new().unwrap();
    let secret = target.path().join("secret");
    fs::write(&secret, "root's own").unwrap();
    for mode in [0o770, 0o757, 0o1777, 0o700] {
        let machine = Machine::new(&server, mode);
        let link = machine.database();
        for to in [secret.clone(), target.path().join("not-there")] {
            symlink(&to, &link).unwrap();
            std::os::unix::fs::lchown(&link, Some(SERVICE), Some(SERVICE)).unwrap();
            for command in [&["run"][..], &["init"], &["status"], &["init", "--sandbox"]] {
                let refused = machine.run_as_root(command).expect(78);
                assert!(refused.stderr.contains("outbox.db is a symbolic link"), "{refused:?}");
            }
            let checked = machine.run_as_root(&["check"]).expect(1);
            assert!(checked.stdout.contains("root does not follow it"), "{checked:?}");
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read_to_string(&secret).unwrap(), "root's own");
        assert!(!target.path().join("not-there").exists());
        // The same holds for a folder on the way.
        let inner = machine.folder.join("inner");
        symlink(target.path(), &inner).unwrap();
        std::os::unix::fs::lchown(&inner, Some(SERVICE), Some(SERVICE)).unwrap();
        let through = inner.join("outbox.db");
        let refused =
            machine.outbox.run(&["init", "--database", through.to_str().unwrap()]).expect(78);
        assert!(refused.stderr.contains("inner is a symbolic link"), "{refused:?}");
        assert!(!target.path().join("outbox.db").exists());
    }
    // The dispatcher's files next to the database do not allow it either.
    let machine = Machine::new(&server, 0o770);
    machine.run_as_root(&["init"]).expect(0);
    for name in
        ["outbox.db.dispatcher-lock", ".outbox.db.dispatcher-note", ".outbox.db.dispatcher-answers"]
    {
        let _ = fs::remove_file(machine.folder.join(name));
        symlink(&secret, machine.folder.join(name)).unwrap();
        let ran = machine.run_as_root(&["run", "--until-empty"]);
        assert_eq!(fs::read_to_string(&secret).unwrap(), "root's own", "{ran:?}");
        assert_eq!(fs::metadata(&secret).unwrap().uid(), 0);
        fs::remove_file(machine.folder.join(name)).unwrap();
    }
    // Nor does an export that root writes into such a folder.
    symlink(target.path(), machine.folder.join("out")).unwrap();
    let out = machine.folder.join("out/jobs.csv");
    machine.run_as_root(&["export", "-o", out.to_str().unwrap()]).expect(78);
    assert!(!target.path().join("jobs.csv").exists());
    // The folder's owner may follow their own link.
    let machine = Machine::new(&server, 0o700);
    symlink("real.db", machine.database()).unwrap();
    succeeded(&machine.run_as(SERVICE, "init"));
    assert!(machine.folder.join("real.db").exists());
}
