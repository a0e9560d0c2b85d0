//! An outbox in a temporary folder: configuration, key, database, and the program to run on it.

use super::{Daemon, Database, Finished, PostgresDatabase, Program, Row, SOON, Server, found};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The API key of the account `default`: never to be seen anywhere but in the header.
pub const KEY: &str = "k-9f31c2-never-to-be-shown";

/// `postgres`: every outbox that a test configures is in its own database on a PostgreSQL server.
/// Anything else: in a file.
const ENGINE: &str = "ACQUIRE_OUTBOX_TEST_ENGINE";

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
        let postgres = std::env::var(ENGINE).is_ok_and(|engine| engine == "postgres");
        let postgres = postgres.then(|| PostgresDatabase::fresh().expect("a PostgreSQL server"));
        let place = postgres.as_ref().map_or("outbox.db", PostgresDatabase::url);
        let mut config = format!("database = {place:?}\n\n[accounts.default]\n");
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

    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.query(sql);
    }

    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Row> {
        match &self.postgres {
            Some(database) => database.query(sql),
            None => self.database.query(sql),
        }
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

    /// A chat job in this case, inserted.
    #[track_caller]
    pub fn chat(&self, case: i64, words: &str) -> i64 {
        self.add(Job::chat(case, words))
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

    /// How many rows have this status.
    #[track_caller]
    pub fn count(&self, status: &str) -> i64 {
        let sql = format!("SELECT count(*) AS jobs FROM outbox WHERE status = '{status}'");
        self.query(&sql)[0].int("jobs")
    }
}

/// A row to insert: channel and payload, and any other column as an SQL expression.
#[derive(Clone, Debug)]
pub struct Job {
    channel: &'static str,
    payload: Value,
    columns: Vec<(String, String)>,
}

impl Job {
    pub fn new(channel: &'static str, payload: Value) -> Job {
        Job { channel, payload, columns: Vec::new() }
    }

    pub fn chat(case: i64, words: &str) -> Job {
        Job::new("chat", json!({"caseId": case, "message": words}))
    }

    pub fn mail(case: i64, subject: &str) -> Job {
        let payload = json!({
            "caseId": case, "contactId": 9_156_860, "from": "test@acquire.io",
            "to": ["user@gmail.com"], "subject": subject, "htmlBody": "<p>html</p>"
        });
        Job::new("mail", payload)
    }

    pub fn sms(thread: i64, words: &str) -> Job {
        let payload = json!({
            "From": "+12513188609", "To": "+919666929552", "Body": words,
            "contactId": 751_069, "threadId": thread, "timelineId": 2108
        });
        Job::new("sms", payload)
    }

    /// Sets a field of the payload.
    pub fn field(mut self, name: &str, value: Value) -> Job {
        self.payload[name] = value;
        self
    }

    /// Sets a column to an SQL expression: `column("ordering_key", "'a'")`.
    pub fn column(mut self, name: &str, expression: &str) -> Job {
        self.columns.push((name.to_owned(), expression.to_owned()));
        self
    }

    pub fn sql(&self) -> String {
        let mut names = "channel, payload".to_owned();
        let payload = self.payload.to_string().replace('\'', "''");
        let mut values = format!("'{}', '{payload}'", self.channel);
        for (name, expression) in &self.columns {
            write!(names, ", {name}").unwrap();
            write!(values, ", {expression}").unwrap();
        }
        format!("INSERT INTO outbox ({names}) VALUES ({values})")
    }
}
