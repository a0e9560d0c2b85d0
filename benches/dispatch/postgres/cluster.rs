//! A PostgreSQL cluster of the benchmark, in the folder for temporary files: it listens on a socket alone, and
//! commits are synced.

use crate::process::Process;
use anyhow::{Context, Result, ensure};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The folder of `initdb` and `postgres`, where it is neither Debian's nor in PATH.
const BIN: &str = "ACQUIRE_OUTBOX_TEST_POSTGRES";
const SOON: Duration = Duration::from_secs(60);
/// What differs from PostgreSQL's defaults: enough memory for the tables of a drain, and no checkpoint in it.
const SETTINGS: [&str; 6] = [
    "listen_addresses=",
    "synchronous_commit=on",
    "fsync=on",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "max_connections=100",
];

/// Stopped and removed with this.
pub struct Cluster {
    server: Process,
    folder: TempDir,
    databases: Cell<u32>,
}

impl Cluster {
    /// # Errors
    /// Also if there is no PostgreSQL on this machine.
    pub fn start() -> Result<Cluster> {
        let bin = bin().with_context(|| {
            format!(
                "there is no PostgreSQL (Debian: postgresql; or set {BIN} to the folder of initdb)"
            )
        })?;
        let folder = TempDir::with_prefix("pg").context("a temporary folder")?;
        let user = unprivileged()?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
            // It is in a folder of ours, which is private.
            let parent = folder.path().parent().context("a folder's parent")?;
            fs::set_permissions(parent, fs::Permissions::from_mode(0o711))?;
        }
        let command = |program: &str| {
            let mut command = Command::new(bin.join(program));
            command.arg("-D").arg(folder.path().join("data")).env("LC_ALL", "C").current_dir("/");
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let mut initdb = command("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        Process::spawn("initdb", &mut initdb)?.wait(SOON)?;
        let mut postgres = command("postgres");
        let socket = format!("unix_socket_directories={}", folder.path().display());
        for setting in SETTINGS.iter().chain(&[socket.as_str()]) {
            postgres.args(["-c", setting]);
        }
        let mut server = Process::spawn("PostgreSQL", &mut postgres)?;
        server.wait_for_log("ready to accept connections", SOON)?;
        Ok(Cluster { server, folder, databases: Cell::new(0) })
    }

    /// An empty database.
    pub fn database(&self) -> Result<ServerDatabase> {
        self.create("template0")
    }

    /// A copy of a database that nobody is connected to, synced.
    pub fn copy(&self, of: &ServerDatabase) -> Result<ServerDatabase> {
        self.create(&of.name)
    }

    fn create(&self, template: &str) -> Result<ServerDatabase> {
        let number = self.databases.replace(self.databases.get() + 1);
        let database = self.named(&format!("bench_{number}"));
        let create = format!("CREATE DATABASE {} TEMPLATE {template}", database.name);
        // A session that has just ended may still be there for a moment.
        crate::poll(&create, SOON, || Ok(self.named("postgres").execute(&create).ok()))?;
        self.checkpoint()?;
        Ok(database)
    }

    pub fn drop(&self, database: ServerDatabase) -> Result<()> {
        self.named("postgres").execute(&format!("DROP DATABASE {} WITH (FORCE)", database.name))
    }

    /// So that none begins in the middle of a measurement.
    pub fn checkpoint(&self) -> Result<()> {
        self.named("postgres").execute("CHECKPOINT")
    }

    fn named(&self, name: &str) -> ServerDatabase {
        ServerDatabase { folder: self.folder.path().to_owned(), name: name.to_owned() }
    }

    /// The CPU time of all its processes so far, in nanoseconds; of those that have ended, to 10 ms.
    pub fn cpu_ns(&self) -> Result<u64> {
        let server = self.server.pid();
        let stat = |pid: u32| -> Result<Vec<u64>> {
            let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let fields = text.rsplit_once(')').context("/proc/PID/stat")?.1;
            Ok(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
        };
        // Fields 16 and 17 of proc(5): of the children that have been waited for, in ticks of 10 ms.
        let ended: u64 = stat(server)?.iter().skip(13).take(2).sum();
        let mut sum = ended * 10_000_000 + crate::rows::idle::cpu_ns(server)?;
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process may have ended since.
            if stat(pid).is_ok_and(|fields| fields.get(1) == Some(&u64::from(server))) {
                sum += crate::rows::idle::cpu_ns(pid).unwrap_or(0);
            }
        }
        Ok(sum)
    }
}

/// A database of the cluster, opened for each call as a script would.
#[derive(Clone, Debug)]
pub struct ServerDatabase {
    pub folder: PathBuf,
    pub name: String,
}

impl ServerDatabase {
    /// As the daemon's configuration has it.
    pub fn url(&self) -> String {
        format!("postgres://postgres@localhost/{}?host={}", self.name, self.folder.display())
    }

    pub fn options(folder: &Path, name: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(folder)
            .username("postgres")
            .database(name)
            .disable_statement_logging()
    }

    pub fn execute(&self, sql: &str) -> Result<()> {
        self.with(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.context(sql.to_owned())?;
            Ok(())
        })
    }

    pub fn number(&self, sql: &str) -> Result<i64> {
        self.with(async |connection| {
            Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?)
        })
    }

    /// Runs `work` on a new connection.
    pub fn with<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connection = Self::options(&self.folder, &self.name).connect().await?;
            let value = work(&mut connection).await.context("the database")?;
            connection.close().await?;
            Ok(value)
        })
    }
}

/// By the variable, in Debian's folder (the newest), or in PATH.
fn bin() -> Option<PathBuf> {
    let given = std::env::var_os(BIN).map(PathBuf::from);
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|version| version.path()).filter(|path| number(path).is_some());
    let debian = newest.max_by_key(number).map(|version| version.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = given.into_iter().chain(debian).chain(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").exists())
}

/// PostgreSQL does not run as root: the user and group that it runs as instead.
fn unprivileged() -> Result<Option<(u32, u32)>> {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    let found = ids("postgres").or_else(|| ids("nobody"));
    ensure!(
        found.is_some(),
        "PostgreSQL does not run as root: there is no user postgres or nobody"
    );
    Ok(found)
}
