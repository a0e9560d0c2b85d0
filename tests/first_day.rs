//! What a new user does wrong first, and whether the error sends them the right way.

use crate::support::{
    Engine, Finished, KEY, Outbox, Program, Server, installed, never_shows, skipped, sqlite_only,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// In Debian's `/etc/passwd` and `/etc/group`.
const NOBODY: u32 = 65_534;
const DAEMON: u32 = 1;

#[test]
fn run_creates_no_outbox_unless_it_is_asked_to() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    for run in [&["run"][..], &["run", "--until-empty"]] {
        let refused = outbox.run(run).expect(1);
        assert!(refused.stderr.contains("`acquire-outbox init`"), "{refused:?}");
        assert!(refused.stderr.contains("--database"), "{refused:?}");
    }
    if Engine::of_this_run() == Engine::Sqlite {
        assert!(!outbox.database().path().exists(), "run created it");
    }
    outbox.run(&["run", "--init", "--until-empty"]).expect(0);
    let id = outbox.chat(1, "hello");
    // Where there is one, the flag changes nothing.
    outbox.run(&["run", "--init", "--until-empty"]).expect(0);
    assert_eq!(outbox.status(id), "sent");
}

#[test]
fn a_mistyped_database_is_refused_and_not_created() {
    sqlite_only!("names of files");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let typo = outbox.folder().join("outbxo.db");
    for command in [&["run"][..], &["status"], &["list"], &["check"]] {
        let refused = outbox.run(&[command, &["--database", typo.to_str().unwrap()]].concat());
        let said = refused.expect(1).output();
        assert!(said.contains("there is no database at") && said.contains("outbxo.db"), "{said}");
    }
    assert!(!typo.exists());
    // An application's own database is not taken for an outbox.
    let shop = crate::support::Database::at(outbox.folder().join("shop.db"));
    shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)");
    let refused = outbox.run(&["run", "--database", "shop.db"]).expect(1);
    assert!(refused.stderr.contains("holds no outbox; name another file"), "{refused:?}");
    assert_eq!(shop.number("SELECT count(*) FROM sqlite_schema"), 1);
}

#[test]
fn the_sandbox_creates_its_outbox_only_where_nobody_named_one() {
    sqlite_only!("the default, outbox.db");
    let folder = TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let refused = program.run(&["run", "--sandbox", "--until-empty", "--database", "sandbx.db"]);
    let said = refused.expect(1).stderr;
    assert!(said.contains("there is no database at sandbx.db"), "{said}");
    assert!(said.contains("`acquire-outbox init --sandbox --database sandbx.db`"), "{said}");
    let named = program.clone().env("ACQUIRE_OUTBOX_DATABASE", "sandbx.db");
    named.run(&["run", "--sandbox", "--until-empty"]).expect(1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    named.run(&["run", "--sandbox", "--until-empty", "--init"]).expect(0);
    assert!(folder.path().join("sandbx.db").exists());
    program.run(&["run", "--sandbox", "--until-empty"]).expect(0);
    assert!(folder.path().join("outbox.db").exists());
    program.run(&["run", "--until-empty"]).expect(78);
}

#[test]
fn an_account_that_is_not_configured_is_refused_with_the_names_of_those_that_are() {
    let server = Server::start();
    let shop = "[accounts.shop]\naccount_id = \"shop\"\napi_key_env = \"NOT_SET_HERE\"";
    let outbox = Outbox::setup(&server).more(shop).ready();
    let send = ["send", "chat", "--case-id", "1", "--message", "hi", "--account"];
    // A producer's machine has no keys.
    fs::remove_file(outbox.folder().join("key")).unwrap();
    let refused = outbox.run(&[&send[..], &["shpo"]].concat()).expect(1);
    let sentence =
        "account `shpo` is not configured; name one of these with --account: default, shop";
    assert!(refused.stderr.contains(sentence), "{refused:?}");
    assert_eq!(outbox.count("pending"), 0);
    outbox.run(&[&send[..], &["shop"]].concat()).expect(0);
}

/// A folder with the packaged configuration.
fn packaged(more: &str) -> (TempDir, Program) {
    let folder = TempDir::new().unwrap();
    let config = include_str!("../packaging/config.toml")
        .replace("/var/lib/acquire-outbox/outbox.db", "outbox.db")
        .replace("# account_id", "account_id");
    fs::write(folder.path().join("config.toml"), config + more).unwrap();
    let file = folder.path().join("config.toml");
    let program = Program::in_folder(folder.path());
    let program = program.env("ACQUIRE_OUTBOX_CONFIG", file.to_str().unwrap());
    program.run(&["init"]).expect(0);
    (folder, program)
}

#[test]
fn check_works_on_a_packaged_host_without_the_services_credential() {
    sqlite_only!("the packaged configuration names a file");
    let server = Server::start();
    let key = TempDir::new().unwrap();
    let key = key.path().join("key");
    fs::create_dir_all(key.parent().unwrap()).unwrap();
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let shop = format!(
        "[accounts.shop]\nbase_url = \"{}\"\napi_key_file = \"{}\"\n\
         [web]\nlisten = \"127.0.0.1:9464\"\ntoken_credential = \"web-token\"\n",
        server.base_url(),
        key.display()
    );
    let (_folder, program) = packaged(&shop);
    let checked = program.run(&["check"]).expect(0);
    let line = |start: &str| {
        let line = checked.stdout.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start}: {checked:?}")).to_owned()
    };
    assert!(line("ok    configuration").contains("accounts: default, shop"));
    line("ok    database");
    assert!(line("ok    account shop").contains("accepts the key"));
    let skipped = line("skip  account default");
    let systemd_run = "`systemd-run --pipe --wait --property=LoadCredential=acquire-api-key:/etc/acquire-outbox/key`";
    assert!(skipped.contains(systemd_run), "{skipped}");
    let token = line("skip  the dashboard's token");
    assert!(!token.contains("web-token"), "a name may be a misplaced secret: {token}");
    // What needs the key says the same.
    let refused = program.run(&["run"]).expect(78);
    assert!(refused.stderr.contains(systemd_run), "{refused:?}");
}

/// With a folder that only a group may use, as the package has it.
struct Shared {
    folder: TempDir,
    program: PathBuf,
}

impl Shared {
    /// `None`: this machine cannot show it.
    fn new() -> Option<Shared> {
        let there = Command::new("setpriv").arg("--version").output().is_ok();
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = passwd.contains(&format!("nobody:x:{NOBODY}:"));
        // SAFETY: geteuid takes and changes nothing.
        if unsafe { libc::geteuid() } != 0 || !there || !named {
            skipped("only root can show this, with setpriv and a user `nobody`");
            return None;
        }
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program =
            installed(env!("CARGO_BIN_EXE_acquire-outbox"), folder.path().join("acquire-outbox"));
        fs::create_dir(folder.path().join("data")).unwrap();
        let shared = Shared { folder, program };
        chown(shared.data(), Some(DAEMON), Some(DAEMON)).unwrap();
        shared.as_root(&["init", "--sandbox"]).expect(0);
        shared.mode(&shared.data(), 0o2770);
        Some(shared)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn database(&self) -> PathBuf {
        self.data().join("outbox.db")
    }

    fn mode(&self, path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn in_it(&self) -> Program {
        let database = self.database();
        let program = Program::in_folder(self.folder.path());
        program.env("ACQUIRE_OUTBOX_DATABASE", database.to_str().unwrap())
    }

    fn as_root(&self, arguments: &[&str]) -> Finished {
        self.in_it().run(arguments)
    }

    /// As `nobody`, who is in no group of the outbox.
    fn as_nobody(&self, arguments: &str) -> Finished {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        command.arg(&self.program).args(arguments.split(' '));
        command.env("ACQUIRE_OUTBOX_DATABASE", self.database());
        let output = command.current_dir("/").output().unwrap();
        Finished {
            arguments: vec![arguments.to_owned()],
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

const SEND: &str = "send chat --case-id 1 --message hi";

#[test]
fn no_permission_is_not_told_as_a_missing_database() {
    sqlite_only!("who may use a file");
    let Some(shared) = Shared::new() else { return };
    let joins = "join its group, as root: `usermod -aG daemon nobody`, then log in again";
    for command in ["status", "list", SEND, "init", "run --sandbox --until-empty"] {
        let refused = shared.as_nobody(command).expect(1);
        let said = &refused.stderr;
        assert!(said.contains("belongs to user daemon and group daemon (mode 2770)"), "{said}");
        assert!(said.contains("nobody may not look into it") && said.contains(joins), "{said}");
        assert!(!said.contains("no database") && !said.contains("create"), "{said}");
    }
    // A folder further up is named where it is the one that is closed.
    let closed = shared.folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    shared.mode(&closed, 0o700);
    let inside = closed.join("data/outbox.db");
    let refused = shared.as_nobody(&format!("status --database {}", inside.display())).expect(1);
    let said = &refused.stderr;
    assert!(
        said.contains("closed belongs to root") && said.contains("access to the folder"),
        "{said}"
    );
}

#[test]
fn who_may_only_read_reads_while_a_dispatcher_runs_and_is_told_so() {
    sqlite_only!("who may write to a file");
    let Some(shared) = Shared::new() else { return };
    shared.as_root(&["send", "chat", "--case-id", "1", "--message", "hi"]).expect(0);
    shared.mode(&shared.data(), 0o755);
    shared.mode(&shared.database(), 0o644);
    let words = "can only be read, and only while a dispatcher runs";
    for command in ["status", "list", SEND] {
        let refused = shared.as_nobody(command).expect(1);
        assert!(refused.stderr.contains("may not write to it"), "{refused:?}");
        assert!(refused.stderr.contains(words), "{refused:?}");
        assert!(refused.stderr.contains("give this user write access"), "{refused:?}");
    }
    // Where the group may write, joining it is enough.
    shared.mode(&shared.database(), 0o664);
    let refused = shared.as_nobody("status").expect(1);
    assert!(refused.stderr.contains("usermod -aG daemon nobody"), "{refused:?}");
    let _daemon = shared.in_it().start(&["run", "--sandbox"]).ready();
    for command in ["status", "list", "show 1", "export", "nodes"] {
        shared.as_nobody(command).expect(0);
    }
    let refused = shared.as_nobody(SEND).expect(1);
    assert!(refused.stderr.contains("may not write to it"), "{refused:?}");
}

/// The rehearsal's exports, and then those of the README's real delivery, in one shell.
#[test]
fn for_real_works_after_the_exports_of_a_rehearsal() {
    let rehearsal = commands(include_str!("../docs/guarantees.md"), "export ACQUIRE_BASE_URL");
    let real = commands(include_str!("../README.md"), "export ACQUIRE_ACCOUNT_ID");
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let settings = |line: &&str| line.starts_with("export ") || line.starts_with("unset ");
    for left_out in ["", "unset "] {
        // Whoever stopped the rehearsal half way has not unset anything.
        let first = rehearsal.lines().filter(settings);
        let first = first.filter(|line| left_out.is_empty() || !line.starts_with(left_out));
        let lines: Vec<&str> = first.chain(real.lines().filter(settings)).collect();
        let script = lines
            .join("\n")
            .replace("/path/to/key", key.to_str().unwrap())
            .replace("/path/to/outbox.db", "real.db");
        let program = env!("CARGO_BIN_EXE_acquire-outbox");
        let script = format!("{script}\n{program} init && {program} check");
        // No name of the vendor's is looked up: a proxy that is not there refuses.
        let ran = Command::new("sh")
            .args(["-c", &script])
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(said.contains("ok    configuration"), "{ran:?}");
        assert!(said.contains("https://acme.acquire.io/api/v1"), "{ran:?}");
        never_shows("check", &said, KEY);
    }
}

/// The fenced block of a page that has this line.
fn commands<'a>(page: &'a str, line: &str) -> &'a str {
    let mut blocks = page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.find(|block| block.contains(line)).unwrap_or_else(|| panic!("no block with {line}"))
}
