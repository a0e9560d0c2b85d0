//! Other queues on PostgreSQL, from npm, in a folder under `target/`.

use super::cluster::{Cluster, ServerDatabase};
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = include_str!("peers.mjs");
/// The newest of pg-boss that run on Node.js 20.
const PACKAGES: [&str; 3] = ["graphile-worker@0.17.3", "pg-boss@10.4.2", "pg@8"];
const LIMIT: Duration = Duration::from_secs(300);

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    GraphileWorker,
    PgBoss,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Peer::GraphileWorker => "graphile-worker",
            Peer::PgBoss => "pg-boss",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Peer::GraphileWorker => "graphile",
            Peer::PgBoss => "boss",
        }
    }
}

/// The folder that they are installed in.
pub struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// Installs them, where that has not been done. None, and a line that says so, without Node.js and npm or
    /// where they cannot be installed.
    pub fn installed() -> Result<Option<Peers>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/peers");
        let there = ["graphile-worker", "pg-boss", "pg"]
            .iter()
            .all(|name| folder.join("node_modules").join(name).join("package.json").exists());
        if !there {
            fs::create_dir_all(&folder)?;
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--prefix", "."]).args(PACKAGES);
            npm.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
            let installed = npm.status().is_ok_and(|status| status.success());
            if !installed {
                eprintln!(
                    "graphile-worker and pg-boss cannot be installed (Node.js and npm): their rows are left out"
                );
                return Ok(None);
            }
        }
        fs::write(folder.join("peers.mjs"), PROGRAM)?;
        let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
        if !node.is_ok_and(|status| status.success()) {
            eprintln!("there is no Node.js: the rows of graphile-worker and pg-boss are left out");
            return Ok(None);
        }
        Ok(Some(Peers { folder }))
    }

    /// A database with this many jobs that do nothing.
    pub fn filled(&self, peer: Peer, cluster: &Cluster, jobs: u64) -> Result<ServerDatabase> {
        let database = cluster.database()?;
        self.spawn("fill", peer, &database, jobs)?.wait(LIMIT)?;
        database.execute("VACUUM ANALYZE")?;
        Ok(database)
    }

    /// Jobs per second, from the first to the last.
    pub fn drain(
        &self,
        peer: Peer,
        cluster: &Cluster,
        filled: &ServerDatabase,
        jobs: u64,
    ) -> Result<f64> {
        let database = cluster.copy(filled)?;
        let mut process = self.spawn("drain", peer, &database, jobs)?;
        let line = process.line(LIMIT)?;
        process.wait(LIMIT)?;
        cluster.drop(database)?;
        let rate: f64 = line.parse().with_context(|| format!("{line} of {}", peer.name()))?;
        ensure!(rate > 0.0, "{rate} jobs/s of {}", peer.name());
        Ok(rate)
    }

    fn spawn(
        &self,
        action: &str,
        peer: Peer,
        database: &ServerDatabase,
        jobs: u64,
    ) -> Result<Process> {
        let mut node = Command::new("node");
        node.args(["peers.mjs", action, peer.word(), &jobs.to_string()]);
        node.current_dir(&self.folder).env("PGHOST", &database.folder);
        node.env("PGUSER", "postgres").env("PGDATABASE", &database.name);
        Process::spawn(peer.name(), &mut node)
    }
}
