//! A real pgbouncer in front of a cluster.

use super::postgres::{give_away, unprivileged};
use super::{Cluster, PostgresDatabase, SOON, eventually, skipped};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// In front of a cluster, on a socket and, where asked for, an address; it ends with this, or when the test
/// program ends, however it ends.
pub struct Pgbouncer {
    /// The shell that keeps it, for as long as its input is open.
    keeper: Child,
    folder: PathBuf,
}

impl Pgbouncer {
    /// Its users are those of `userlist`, without passwords. None, and a line that says so, where there
    /// is none. `more`: settings of it.
    #[track_caller]
    pub fn before(
        cluster: &Cluster,
        mode: &str,
        users: &[&str],
        more: &[&str],
    ) -> Option<Pgbouncer> {
        let there = Command::new("pgbouncer").arg("--version").output();
        if !there.is_ok_and(|done| done.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "there is no pgbouncer: install it");
            skipped("there is no pgbouncer (Debian: pgbouncer)");
            return None;
        }
        let folder = TempDir::with_prefix_in("pb-", "/tmp").expect("a temporary folder").keep();
        let place = folder.display();
        let list: String = users.iter().map(|user| format!("\"{user}\" \"\"\n")).collect();
        fs::write(folder.join("users"), list).unwrap();
        let mut settings = format!(
            "[databases]\n* = host={}\n[pgbouncer]\npool_mode = {mode}\nauth_type = trust\n\
             auth_file = {place}/users\nunix_socket_dir = {place}\nlisten_port = 6432\n",
            cluster.folder().display()
        );
        for line in more {
            writeln!(settings, "{line}").unwrap();
        }
        let file = folder.join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        let keep = "pgbouncer -q \"$1/pgbouncer.ini\" 2>\"$1/log\" & cat >/dev/null; kill -INT $!; wait; rm -rf \"$1\"";
        let mut keeper = Command::new("setsid");
        keeper.args(["sh", "-c", keep, "pgbouncer"]).arg(&folder).current_dir("/");
        // Like PostgreSQL, it does not run as root.
        if let Some((user, group)) = unprivileged() {
            give_away(&folder);
            keeper.uid(user).gid(group);
        }
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = keeper.spawn().expect("setsid (util-linux) starts");
        let pooler = Pgbouncer { keeper, folder };
        let socket = pooler.folder.join(".s.PGSQL.6432");
        let log = pooler.folder.join("log");
        let said = || fs::read_to_string(&log).unwrap_or_default();
        eventually(SOON, &format!("pgbouncer listens: {}", said()), || socket.exists());
        Some(pooler)
    }

    /// The database, through it.
    pub fn way_to(&self, database: &PostgresDatabase) -> PostgresDatabase {
        let name = database.one("SELECT current_database()::text AS name");
        let (name, folder) = (name.text("name"), self.folder.display());
        let url = format!("postgres://postgres@localhost/{name}?host={folder}&port=6432");
        PostgresDatabase::at(&url).pooled()
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
