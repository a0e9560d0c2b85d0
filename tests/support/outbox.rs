//! An outbox in a temporary folder: configuration, key, database, and the program to run on it.

use super::database::only;
use super::{
    Daemon, Database, Engine, Finished, Job, PostgresDatabase, Program, Row, SOON, Server,
};
use super::{found, now_ms, quoted};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The API key of the account `default`: never to be seen anywhere but in the header.
pub const KEY: &str = "k-9f31c2-never-to-be-shown";

/// A configuration in the making. Retries are fast unless a test says otherwise.
pub struct Setup {
    base_url: String,
    retry: String,
    account: String,
    more: String,
}

impl Setup {
    pub fn sending_to(base_url: &str) -> Setup {
        Setup {
            base_url: base_url.to_owned(),
            retry: "initial = \"20ms\"\nmax = \"100ms\"".to_owned(),
            account: String::new(),
            more: String::new(),
        }
    }

    /// The whole content of `[retry]`.
    pub fn retry(self, toml: &str) -> Setup {
        Setup { retry: toml.to_owned(), ..self }
    }

    /// One more line under `[retry]`.
    pub fn retry_also(self, line: &str) -> Setup {
        Setup { retry: format!("{}\n{line}", self.retry), ..self }
    }

    /// More lines under `[accounts.default]`.
    pub fn account(self, toml: &str) -> Setup {
        Setup { account: toml.to_owned(), ..self }
    }

    /// More tables.
    pub fn more(self, toml: &str) -> Setup {
        Setup { more: toml.to_owned(), ..self }
    }

    /// Writes the files, without a database.
    pub fn written(self) -> Outbox {
        let folder = TempDir::new().expect("a temporary folder");
        let key_file = folder.path().join("key");
        fs::write(&key_file, format!("{KEY}\n")).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
        let postgres = match Engine::of_this_run() {
            Engine::Sqlite => None,
            Engine::Postgres => {
                Some(PostgresDatabase::fresh_schema().expect("a PostgreSQL server"))
            }
        };
        let (place, schema) = match &postgres {
            None => ("outbox.db", String::new()),
            Some(database) => (database.url(), format!("schema = {:?}", database.server().schema)),
        };
        let mut config = format!("database = {place:?}\n{schema}\n[accounts.default]\n");
        writeln!(config, "account_id = \"acme\"\napi_key_file = \"key\"").unwrap();
        writeln!(config, "base_url = \"{}\"\n{}", self.base_url, self.account).unwrap();
        writeln!(config, "\n[retry]\n{}\n\n{}", self.retry, self.more).unwrap();
        let config_file = folder.path().join("outbox.toml");
        fs::write(&config_file, config).unwrap();
        let database = Database::at(folder.path().join("outbox.db"));
        Outbox { folder, config_file, database, postgres }
    }

    /// Writes the files and creates the database by `init`.
    #[track_caller]
    pub fn ready(self) -> Outbox {
        let outbox = self.written();
        outbox.run(&["init"]).expect(0);
        outbox
    }
}

pub struct Outbox {
    folder: TempDir,
    config_file: PathBuf,
    database: Database,
    /// Instead of the file.
    postgres: Option<PostgresDatabase>,
}

impl Outbox {
    /// With a database, sending to the server.
    #[track_caller]
    pub fn new(server: &Server) -> Outbox {
        Outbox::setup(server).ready()
    }

    pub fn setup(server: &Server) -> Setup {
        Setup::sending_to(&server.base_url())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// The file, for tests that are about one.
    #[track_caller]
    pub fn database(&self) -> &Database {
        assert!(self.postgres.is_none(), "this test is about a file");
        &self.database
    }

    /// The program, told its configuration by the environment.
    pub fn program(&self) -> Program {
        let config = self.config_file.to_str().expect("a path in UTF-8");
        Program::in_folder(self.folder.path()).env("ACQUIRE_OUTBOX_CONFIG", config)
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.program().run(arguments)
    }

    /// The daemon, dispatching.
    #[track_caller]
    pub fn daemon(&self) -> Daemon {
        self.program().start(&["run"]).ready()
    }

    /// `run --until-empty`, to its end.
    #[track_caller]
    pub fn run_until_empty(&self) -> Finished {
        self.run(&["run", "--until-empty"]).expect(0)
    }

    /// Runs SQL that both engines read.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.query(sql);
    }

    /// The rows of SQL that both engines read: times are Unix milliseconds, and JSON is text.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Row> {
        self.try_query(sql).unwrap_or_else(|e| panic!("{e}\nin: {sql}"))
    }

    /// The rows, or what the database said.
    pub fn try_query(&self, sql: &str) -> Result<Vec<Row>, String> {
        match &self.postgres {
            Some(database) => database.try_query(sql),
            None => self.database.try_query(sql),
        }
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

    #[track_caller]
    pub fn insert(&self, sql: &str) -> i64 {
        self.try_insert(sql).unwrap_or_else(|e| panic!("{e}\nin: {sql}"))
    }

    /// The new row's id, or what the database said.
    pub fn try_insert(&self, sql: &str) -> Result<i64, String> {
        match &self.postgres {
            Some(database) => database.try_insert(sql),
            None => self.database.try_insert(sql),
        }
    }

    #[track_caller]
    pub fn add(&self, job: Job) -> i64 {
        self.insert(&job.sql())
    }

    /// Inserts them all in one transaction.
    #[track_caller]
    pub fn add_all(&self, jobs: impl IntoIterator<Item = Job>) {
        self.execute(&Job::all(jobs));
    }

    /// A chat job in this case, inserted.
    #[track_caller]
    pub fn chat(&self, case: i64, words: &str) -> i64 {
        self.add(Job::chat(case, words))
    }

    /// Moves a time back, in the rows for which the condition holds.
    #[track_caller]
    pub fn move_back(&self, column: &str, by: Duration, condition: &str) {
        let earlier = Engine::of_this_run().earlier(column, by);
        self.execute(&format!("UPDATE outbox SET {column} = {earlier} WHERE {condition}"));
    }

    /// Changes a field of the message.
    #[track_caller]
    pub fn correct(&self, id: i64, field: &str, value: Value) {
        let mut payload = self.row(id).json("payload");
        payload[field] = value;
        let payload = quoted(&payload.to_string());
        self.execute(&format!("UPDATE outbox SET payload = {payload} WHERE id = {id}"));
    }

    /// So many chat jobs that ended with this status two hours ago, each with a history and so many bytes of words.
    #[track_caller]
    pub fn ended_long_ago(&self, status: &str, count: u32, words: &str) {
        let failure = if status == "failed" { "'rejected'" } else { "NULL" };
        let engine = Engine::of_this_run();
        let started = engine.time(now_ms() - 7_300_000);
        let ended = engine.by_id(now_ms() - 7_200_000);
        let jobs = engine.many(count, &format!("{{\"caseId\": %, \"message\": \"{words}\"}}"));
        self.execute(&format!(
            "BEGIN;
             INSERT INTO outbox (channel, payload, ordering_key) {jobs};
             UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = 1, claimed_by = 0
                 WHERE status = 'pending';
             INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome)
                 SELECT id, 1, {started}, 1, 'accepted' FROM outbox WHERE status = 'sending';
             UPDATE outbox SET status = '{status}', moves = moves + 1, claimed_by = NULL, failure = {failure},
                 finished_at = {ended} WHERE status = 'sending';
             COMMIT"
        ));
    }

    /// An application's own trigger, which refuses what it is about (`DELETE`, `UPDATE OF status`) with this sentence.
    #[track_caller]
    pub fn own_rule(&self, event: &str, when: &str, sentence: &str) {
        self.execute(&Engine::of_this_run().own_rule(event, when, sentence));
    }

    #[track_caller]
    pub fn row(&self, id: i64) -> Row {
        let mut rows = self.query(&format!("SELECT * FROM outbox WHERE id = {id}"));
        assert_eq!(rows.len(), 1, "rows of job {id}");
        rows.remove(0)
    }

    #[track_caller]
    pub fn status(&self, id: i64) -> String {
        self.row(id).text("status").to_owned()
    }

    /// The job's rows in `outbox_attempts`, oldest first.
    #[track_caller]
    pub fn history(&self, id: i64) -> Vec<Row> {
        self.query(&format!("SELECT * FROM outbox_attempts WHERE job_id = {id} ORDER BY attempt"))
    }

    /// The outcomes of the job's attempts, oldest first.
    #[track_caller]
    pub fn outcomes(&self, id: i64) -> Vec<String> {
        self.history(id).iter().map(|row| row.text("outcome").to_owned()).collect()
    }

    /// Waits until the job is neither pending nor sending and gives its row.
    #[track_caller]
    pub fn settled(&self, id: i64) -> Row {
        self.when(id, "settled", |row| !["pending", "sending"].contains(&row.text("status")))
    }

    /// Waits for this status, by whatever way, and gives the row.
    #[track_caller]
    pub fn when_status(&self, id: i64, status: &str) -> Row {
        self.when(id, status, |row| row.text("status") == status)
    }

    /// Waits until the job's row is as asked for and gives it.
    #[track_caller]
    pub fn when(&self, id: i64, what: &str, is_so: impl Fn(&Row) -> bool) -> Row {
        let mut last = self.row(id);
        let what = format!("job {id} {what}; at first {last:?}");
        found(SOON, &what, || {
            last = self.row(id);
            is_so(&last).then(|| last.clone())
        })
    }

    /// The job's row of the view.
    #[track_caller]
    pub fn seen(&self, id: i64) -> Row {
        self.one(&format!("SELECT * FROM delivery_status WHERE id = {id}"))
    }

    /// How many jobs have been scrubbed.
    #[track_caller]
    pub fn scrubbed(&self) -> i64 {
        let is_scrubbed = Engine::of_this_run().field("payload", "scrubbed");
        self.number(&format!("SELECT count(*) FROM outbox WHERE {is_scrubbed} IS NOT NULL"))
    }

    /// How many rows have this status.
    #[track_caller]
    pub fn count(&self, status: &str) -> i64 {
        let sql = format!("SELECT count(*) AS jobs FROM outbox WHERE status = '{status}'");
        self.query(&sql)[0].int("jobs")
    }
}
