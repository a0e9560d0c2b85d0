//! A PostgreSQL server of the test program's own, and what any producer has in it: plain SQL.

use super::database::only;
use super::{Row, skipped};
use acquire_outbox::config::PostgresServer;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, PgConnection, Row as _};
use sqlx::{TypeInfo, ValueRef};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use tempfile::TempDir;

/// The folder of `initdb` and `postgres`.
const BIN: &str = "ACQUIRE_OUTBOX_TEST_POSTGRES";

/// A cluster on a socket in a temporary folder; stopped and removed with this, or when the test program
/// ends, however it ends.
pub struct Cluster {
    /// The shell that keeps the cluster, and lives for as long as its input is open.
    keeper: Child,
    commands: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
    bin: PathBuf,
    folder: PathBuf,
    databases: AtomicU32,
}

impl Cluster {
    /// The cluster that all tests of this program share. None, and a line that says so, where there is no
    /// PostgreSQL.
    #[track_caller]
    pub fn shared() -> Option<&'static Cluster> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::start(&[])).as_ref()
    }

    /// One more, with these settings (`name=value`), for a test that stops or crashes it.
    #[track_caller]
    pub fn start(settings: &[&str]) -> Option<Cluster> {
        let Some(bin) = bin() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "there is no PostgreSQL: install it, or set {BIN} to the folder of initdb"
            );
            skipped(&format!("there is no PostgreSQL (Debian: postgresql; or set {BIN})"));
            return None;
        };
        Some(Cluster::of(bin, settings, None))
    }

    /// A standby of the server that answers at this port: a base backup of it that follows it.
    #[track_caller]
    pub fn standby_of(host: &str, port: u16, settings: &[&str]) -> Cluster {
        let primary = format!("host={host} port={port} user=postgres");
        Cluster::of(bin().expect("that of its primary"), settings, Some(primary))
    }

    /// Makes a standby a primary.
    #[track_caller]
    pub fn promote(&self) {
        self.order("promote", "promoted");
    }

    #[track_caller]
    fn of(bin: PathBuf, settings: &[&str], primary: Option<String>) -> Cluster {
        // Short, because a socket's path has 107 bytes at most; the keeper removes it.
        let folder = TempDir::with_prefix_in("pg-", "/tmp").expect("a temporary folder").keep();
        let mut keeper = Command::new("setsid");
        keeper.args(["sh", "-c", include_str!("postgres-cluster.sh"), "postgres-cluster.sh"]);
        keeper.arg(&bin).arg(&folder);
        let socket = format!("unix_socket_directories={}", folder.display());
        // Nothing here outlives the machine, so it is not synced.
        let own = ["listen_addresses=", "fsync=off", "max_connections=300", "shared_buffers=64MB"];
        for setting in own.iter().chain(&[socket.as_str()]).chain(settings) {
            keeper.args(["-c", setting]);
        }
        if let Some((user, group)) = unprivileged() {
            give_away(&folder);
            keeper.uid(user).gid(group);
        }
        keeper.env("LC_ALL", "C").env("PRIMARY", primary.unwrap_or_default()).current_dir("/");
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = keeper.spawn().expect("setsid (util-linux) starts");
        let commands = keeper.stdin.take().expect("a pipe");
        let mut answers = BufReader::new(keeper.stdout.take().expect("a pipe"));
        expect(&mut answers, "started");
        let commands = Mutex::new(Some((commands, answers)));
        Cluster { keeper, commands, bin, folder, databases: AtomicU32::new(0) }
    }

    /// Stops it cleanly; every connection is closed.
    #[track_caller]
    pub fn stop(&self) {
        self.order("stop", "stopped");
    }

    /// Ends it as a crash would (an immediate shutdown).
    #[track_caller]
    pub fn crash(&self) {
        self.order("crash", "stopped");
    }

    /// Starts it after [`Cluster::stop`] or [`Cluster::crash`].
    #[track_caller]
    pub fn start_again(&self) {
        self.order("start", "started");
    }

    #[track_caller]
    fn order(&self, command: &str, answer: &str) {
        let mut commands = self.commands.lock().expect("no test has failed here");
        let (orders, answers) = commands.as_mut().expect("a cluster that has not been dropped");
        writeln!(orders, "{command}").expect("the cluster's keeper is at work");
        expect(answers, answer);
    }

    /// The folder of its socket and its log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of its programs: `psql`, `pg_dump`.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// A new, empty database.
    #[track_caller]
    pub fn database(&self) -> PostgresDatabase {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.named("postgres").execute(&format!("CREATE DATABASE {name}"));
        self.named(&name)
    }

    /// A database that a test has created itself.
    pub fn named(&self, name: &str) -> PostgresDatabase {
        PostgresDatabase::on_socket(&self.folder, name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.commands.get_mut().map(Option::take));
        let _ = self.keeper.wait();
    }
}

/// Waits for the keeper's next line.
#[track_caller]
fn expect(answers: &mut BufReader<ChildStdout>, wanted: &str) {
    let mut line = String::new();
    answers.read_line(&mut line).expect("an answer from the cluster's keeper");
    assert_eq!(line.trim_end(), wanted, "PostgreSQL");
}

/// By the variable, in Debian's folder (the newest), or in PATH.
fn bin() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os(BIN) {
        let given = PathBuf::from(given);
        assert!(given.join("initdb").exists(), "{BIN}: there is no initdb in {}", given.display());
        return Some(given);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|version| version.path()).filter(|path| number(path).is_some());
    let debian = newest.max_by_key(number).map(|version| version.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = debian.into_iter().chain(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").exists())
}

/// PostgreSQL does not run as root: the user and group that it runs as instead.
pub fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("a list of users");
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("a user postgres or nobody"))
}

/// Makes the folder that user's.
pub fn give_away(folder: &Path) {
    if let Some((user, group)) = unprivileged() {
        chown(folder, Some(user), Some(group)).expect("the folder given away");
    }
}

/// A database of the cluster, opened again for each call as a script would.
#[derive(Clone, Debug)]
pub struct PostgresDatabase {
    server: PostgresServer,
    /// Behind a pooler, which refuses settings at the beginning of a session.
    pooled: bool,
}

impl PostgresDatabase {
    /// In the cluster that all tests share; None, and a line that says so, where there is no PostgreSQL.
    #[track_caller]
    pub fn fresh() -> Option<PostgresDatabase> {
        Some(Cluster::shared()?.database())
    }

    /// A schema that does not exist yet, in a database that many tests share: much quicker made than a database.
    #[track_caller]
    pub fn fresh_schema() -> Option<PostgresDatabase> {
        let cluster = Cluster::shared()?;
        let number = cluster.databases.fetch_add(1, Ordering::Relaxed);
        Some(cluster.named("postgres").in_schema(&format!("outbox_{number}")))
    }

    pub fn at(url: &str) -> PostgresDatabase {
        let server = PostgresServer::read(url, Path::new("/")).expect("a URL");
        PostgresDatabase { server, pooled: false }
    }

    /// Reached through a pooler: its search path is the server's.
    pub fn pooled(self) -> PostgresDatabase {
        PostgresDatabase { pooled: true, ..self }
    }

    /// As the configuration names it.
    pub fn server(&self) -> &PostgresServer {
        &self.server
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// A database of the server whose socket is in this folder.
    pub fn on_socket(folder: &Path, name: &str) -> PostgresDatabase {
        let url = format!("postgres://postgres@localhost/{name}?host={}", folder.display());
        PostgresDatabase::at(&url)
    }

    /// The same database, with the outbox in another schema.
    pub fn in_schema(&self, schema: &str) -> PostgresDatabase {
        let mut server = self.server.clone();
        server.set_schema(schema.to_owned()).expect("a schema's name");
        PostgresDatabase { server, pooled: self.pooled }
    }

    /// Creates the outbox by the migration alone, without the program.
    #[track_caller]
    pub fn with_schema(self) -> PostgresDatabase {
        self.execute(concat!(
            include_str!("../../migrations/postgres/0001_outbox.sql"),
            "\n; SELECT 1"
        ));
        self
    }

    /// The outbox's schema is the search path.
    pub fn options(&self) -> PgConnectOptions {
        let options: PgConnectOptions = self.server.url.parse().expect("a URL");
        if self.pooled {
            return options.extra_float_digits(None);
        }
        let schema = self.server.schema.replace('"', "\"\"");
        options.options([("search_path", format!("\"{schema}\""))])
    }

    /// Runs the statements and gives the last one's rows, or PostgreSQL's message.
    pub fn try_query(&self, sql: &str) -> Result<Vec<Row>, String> {
        self.with(async |connection| rows(connection, sql).await)
    }

    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Row> {
        self.try_query(sql).unwrap_or_else(|e| panic!("{e}\nin: {sql}"))
    }

    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.query(sql);
    }

    /// The one row that a query gives.
    #[track_caller]
    pub fn one(&self, sql: &str) -> Row {
        only(self.query(sql), sql)
    }

    /// The first column of the one row, an integer.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i64 {
        self.one(sql).number()
    }

    /// Inserts and gives the new row's id, or PostgreSQL's message.
    pub fn try_insert(&self, sql: &str) -> Result<i64, String> {
        let rows = self.try_query(&format!("{sql} RETURNING id"))?;
        let [row] = &rows[..] else { return Err(format!("{} rows were inserted", rows.len())) };
        Ok(row.int("id"))
    }

    #[track_caller]
    pub fn insert(&self, sql: &str) -> i64 {
        self.try_insert(sql).unwrap_or_else(|e| panic!("{e}\nin: {sql}"))
    }

    /// Runs the statements with the triggers turned off, as replication does.
    #[track_caller]
    pub fn past_the_rules(&self, sql: &str) {
        self.execute(&format!("SET session_replication_role = replica; {sql}"));
    }

    /// Runs something on a separate connection.
    pub fn with<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = self.options().connect().await.expect("the database opens");
            let value = work(&mut connection).await;
            // After a crash of the server there is nothing to close.
            let _ = connection.close().await;
            value
        })
    }
}

/// Runs the statements and gives their rows, or PostgreSQL's message.
pub async fn rows(connection: &mut PgConnection, sql: &str) -> Result<Vec<Row>, String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    rows.map(|rows| rows.iter().map(read).collect()).map_err(message)
}

/// The server's message alone, where it is one.
fn message(e: sqlx::Error) -> String {
    match e.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => e.to_string(),
    }
}

fn read(row: &PgRow) -> Row {
    let columns = row.columns().iter().enumerate();
    Row(columns.map(|(at, column)| (column.name().to_owned(), value(row, at))).collect())
}

/// As SQLite would have it: times are Unix milliseconds, and JSON is text.
fn value(row: &PgRow, at: usize) -> Value {
    let raw = row.try_get_raw(at).expect("a column of this row");
    if raw.is_null() {
        return Value::Null;
    }
    let text = raw.as_str().expect("raw_sql gives text");
    match raw.type_info().name() {
        "INT2" | "INT4" | "INT8" | "OID" => text.parse::<i64>().expect("an integer").into(),
        "FLOAT4" | "FLOAT8" | "NUMERIC" => text.parse::<f64>().expect("a number").into(),
        "BOOL" => (text == "t").into(),
        "TIMESTAMPTZ" => chrono::DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z")
            .map(|time| time.timestamp_millis().into())
            .unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}
