//! Nodes of the daemon on a database of the cluster.

use super::cluster::{Cluster, ServerDatabase};
use crate::daemon::SOON;
use crate::database::TEXT;
use crate::process::Process;
use crate::target::Target;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A configuration and a database with an outbox.
pub struct ServerOutbox {
    folder: TempDir,
    binary: PathBuf,
    pub database: ServerDatabase,
}

impl ServerOutbox {
    /// An empty one, created by `init`.
    pub fn new(cluster: &Cluster, binary: &Path) -> Result<ServerOutbox> {
        let outbox = ServerOutbox::on(binary, cluster.database()?)?;
        // `init` needs no account, but the configuration has to be complete.
        outbox.configure("http://127.0.0.1:9/api/v1", "")?;
        Process::spawn("init", &mut outbox.command(&["init"]))?.wait(SOON)?;
        Ok(outbox)
    }

    /// An empty one with this many jobs, each of a different conversation.
    pub fn with_chats(cluster: &Cluster, binary: &Path, jobs: u64) -> Result<ServerOutbox> {
        let outbox = ServerOutbox::new(cluster, binary)?;
        outbox.insert_chats(jobs, 1)?;
        outbox.database.execute("VACUUM ANALYZE")?;
        Ok(outbox)
    }

    /// A copy of one that nobody has open; give it back by [`Cluster::drop`].
    pub fn copy(&self, cluster: &Cluster) -> Result<ServerOutbox> {
        ServerOutbox::on(&self.binary, cluster.copy(&self.database)?)
    }

    fn on(binary: &Path, database: ServerDatabase) -> Result<ServerOutbox> {
        let folder = TempDir::new().context("a temporary folder")?;
        Ok(ServerOutbox { folder, binary: binary.to_owned(), database })
    }

    fn configure(&self, base_url: &str, more: &str) -> Result<()> {
        let config = format!(
            "database = \"{}\"\n\n[accounts.default]\naccount_id = \"bench\"\n\
             api_key_env = \"BENCH_KEY\"\nbase_url = \"{base_url}\"\n\n\
             [channels.chat]\nmax_in_flight = 64\n{more}",
            self.database.url()
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

    /// One more node; it may not be ready yet.
    pub fn start(&self, target: &Target) -> Result<Process> {
        self.start_with(target, "")
    }

    /// With `more` in the chat channel's settings.
    pub fn start_with(&self, target: &Target, more: &str) -> Result<Process> {
        self.configure(&target.base_url(), more)?;
        Process::spawn("a node", &mut self.command(&["run"]))
    }

    /// One more node, which dispatches when this returns.
    pub fn run(&self, target: &Target) -> Result<Process> {
        self.run_with(target, "")
    }

    pub fn run_with(&self, target: &Target, more: &str) -> Result<Process> {
        let mut node = self.start_with(target, more)?;
        node.wait_for_log("ready", SOON)?;
        Ok(node)
    }

    /// In one statement, as a producer does: jobs of different conversations, whose numbers start at `first`.
    pub fn insert_chats(&self, jobs: u64, first: u64) -> Result<()> {
        self.database.execute(&format!(
            "INSERT INTO outbox (channel, payload)
             SELECT 'chat', jsonb_build_object('caseId', {first} + i, 'message', '{TEXT}') FROM generate_series(0, {jobs} - 1) i"
        ))
    }
}
