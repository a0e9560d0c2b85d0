//! An outbox in a temporary folder, and the daemon run on it.

use crate::database::Database;
use crate::process::Process;
use crate::target::Target;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long the daemon may take until it dispatches, or until it ends when nothing is left to do.
pub const SOON: Duration = Duration::from_secs(60);

/// Configuration, key and database.
pub struct Outbox {
    folder: TempDir,
    binary: PathBuf,
}

impl Outbox {
    /// With an empty database, created by `init`.
    pub fn new(binary: &Path) -> Result<Outbox> {
        let outbox = Outbox::without_database(binary)?;
        // `init` needs no account, but the configuration has to be complete.
        outbox.configure("http://127.0.0.1:9/api/v1", "")?;
        Process::spawn("init", &mut outbox.command(&["init"]))?.wait(SOON)?;
        Ok(outbox)
    }

    /// A copy of an outbox that no process has open.
    pub fn copy(&self) -> Result<Outbox> {
        let outbox = Outbox::without_database(&self.binary)?;
        fs::copy(self.path(), outbox.path()).context("the copy of the database")?;
        outbox.sync()?;
        Ok(outbox)
    }

    /// Flushes what a fill or a copy has not yet written to disk; otherwise the daemon's first fsync
    /// would do it. No process may have the database open.
    pub fn sync(&self) -> Result<()> {
        fs::File::open(self.path())?.sync_all().context("the database")
    }

    fn without_database(binary: &Path) -> Result<Outbox> {
        let folder = TempDir::new().context("a temporary folder")?;
        Ok(Outbox { folder, binary: binary.to_owned() })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("outbox.db")
    }

    pub fn database(&self) -> Database {
        Database::at(self.path())
    }

    fn configure(&self, base_url: &str, more: &str) -> Result<()> {
        let config = format!(
            "database = \"outbox.db\"\n\n[accounts.default]\naccount_id = \"bench\"\n\
             api_key_env = \"BENCH_KEY\"\nbase_url = \"{base_url}\"\n\n\
             [channels.chat]\nmax_in_flight = 64\n\n{more}"
        );
        fs::write(self.folder.path().join("outbox.toml"), config).context("the configuration")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("ACQUIRE_OUTBOX_CONFIG", self.folder.path().join("outbox.toml"));
        command.env("BENCH_KEY", "bench");
        command
    }

    /// The daemon with this many accounts; the jobs belong to the first one.
    pub fn run_with_accounts(&self, target: &Target, count: u32) -> Result<Process> {
        // With the default address, like real accounts; they have no jobs.
        let account = |number| {
            format!(
                "[accounts.a{number}]\naccount_id = \"a{number}\"\napi_key_env = \"BENCH_KEY\"\n"
            )
        };
        self.run_with(target, &(1..count).map(account).collect::<String>())
    }

    /// The daemon, watching its database, with `more` in its configuration.
    pub fn run_with(&self, target: &Target, more: &str) -> Result<Process> {
        self.configure(&target.base_url(), more)?;
        let mut daemon = Process::spawn("the daemon", &mut self.command(&["run"]))?;
        daemon.wait_for_log("ready", SOON)?;
        Ok(daemon)
    }

    /// The daemon, watching its database.
    pub fn run(&self, target: &Target) -> Result<Process> {
        self.run_with(target, "")
    }

    /// Starts the daemon, which sends to the target; it may not be ready yet.
    pub fn start(&self, target: &Target, until_empty: bool) -> Result<Process> {
        self.configure(&target.base_url(), "")?;
        let arguments: &[&str] = if until_empty { &["run", "--until-empty"] } else { &["run"] };
        Process::spawn("the daemon", &mut self.command(arguments))
    }
}
