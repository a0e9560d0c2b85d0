//! The command line: one small file per command.

mod change_jobs;
mod check;
mod demo;
mod error_text;
mod export;
mod filter_flags;
mod find;
mod generate;
mod grants;
mod import;
mod init;
mod list;
mod lookup;
mod manual;
mod move_outbox;
mod nodes;
mod output;
mod pause_resume;
mod pauses;
mod possible_values;
mod probe;
mod prune;
mod retry_cancel;
mod run;
mod run_progress;
mod sandbox;
mod send;
mod setting_list;
mod show;
mod stand_in;
mod status;
mod usage;
mod watch;

pub use error_text::sentence_of;
pub use usage::parse;

use crate::config::{self, Config, ConfigError, Flags, Outline};
use crate::log;
use crate::queue::act::{ActOrigin, Actor};
use crate::sandbox::SandboxError;
use crate::store::{Store, this_user};
use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Deliver messages through Acquire (chat, mail, SMS) from rows that programs INSERT into SQLite or
/// PostgreSQL.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    settings: GlobalFlags,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  acquire-outbox demo            see everything work, in a temporary folder
  acquire-outbox init --sandbox  create outbox.db, to try things out
  acquire-outbox run --sandbox   deliver to a stand-in for Acquire
  acquire-outbox send chat --case-id 2069 --message Hello --wait

Exit status: 0 done, 1 failed, 2 wrong usage, 3 no dispatcher is running
(`status --check`), 78 wrong configuration. Log: ACQUIRE_OUTBOX_LOG=debug;
ACQUIRE_OUTBOX_LOG_FORMAT=pretty, journald or json";

/// How long the last log lines may take to be written.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Settings that every command takes; they override the environment, which overrides the file.
#[derive(clap::Args)]
pub struct GlobalFlags {
    /// Configuration file [env: ACQUIRE_OUTBOX_CONFIG] [default: acquire-outbox.toml, then
    /// /etc/acquire-outbox/config.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    /// The SQLite file with the outbox, or postgres://user@host/database [env:
    /// ACQUIRE_OUTBOX_DATABASE] [default: outbox.db]
    #[arg(long, global = true, value_name = "FILE|URL", help_heading = "Settings")]
    database: Option<PathBuf>,
    /// The schema of the outbox in a PostgreSQL database [env: ACQUIRE_OUTBOX_SCHEMA] [default:
    /// public]
    #[arg(long, global = true, value_name = "SCHEMA", help_heading = "Settings")]
    schema: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Create the database, add the outbox to an application's database, or migrate it
    Init(init::InitArgs),
    /// Run the daemon: claim, send, record
    Run(run::RunArgs),
    /// Insert one job
    Send(Box<send::SendArgs>),
    /// Show counts by channel and state, ages, rates, and what holds jobs back
    Status(status::StatusArgs),
    /// List the dispatchers that work on the outbox, with their leases
    Nodes(nodes::NodesArgs),
    /// List jobs, newest first
    List(list::ListArgs),
    /// Find jobs by case, contact, phone number, email address, message id, key or source
    Find(find::FindArgs),
    /// Show one job, its history, and why it waits
    Show(show::ShowArgs),
    /// Send failed, cancelled or uncertain jobs again, with a fresh budget
    Retry(retry_cancel::RetryArgs),
    /// Withdraw pending jobs
    Cancel(retry_cancel::CancelArgs),
    /// Resolve uncertain jobs, once you know whether they were delivered
    Resolve(retry_cancel::ResolveArgs),
    /// Insert jobs from CSV or JSON lines
    Import(import::ImportArgs),
    /// Write jobs and their outcomes as CSV or JSON lines
    Export(Box<export::ExportArgs>),
    /// Pause a channel, an account or everything, until it is resumed
    Pause(pause_resume::PauseArgs),
    /// End a pause
    Resume(pause_resume::ResumeArgs),
    /// List what is paused, since when and why
    Pauses(pauses::PausesArgs),
    /// Delete finished jobs: by the retention settings, by id or by filter
    Prune(prune::PruneArgs),
    /// Print the SQL that grants PostgreSQL roles the rights that they need
    Grants(grants::GrantsArgs),
    /// Move an outbox from a file to PostgreSQL, or back, with its ids and history
    Move(move_outbox::MoveArgs),
    /// Check the configuration, the database and the accounts, without sending
    Check(check::CheckArgs),
    /// Look up a contact's cases at Acquire, with the ids that a message needs
    Lookup(lookup::LookupArgs),
    /// Show what Acquire returns for a case, to see whether messages can be verified
    Probe(probe::ProbeArgs),
    /// Run a stand-in for Acquire on this machine, to try things out
    Sandbox(sandbox::SandboxArgs),
    /// See everything work, in a temporary folder
    Demo(demo::DemoArgs),
    /// List every setting of the configuration, with its range and default
    Settings(setting_list::SettingsArgs),
    /// Print the completion script for a shell
    Completions(generate::CompletionsArgs),
    /// Write the manual pages to a folder
    Man(generate::ManArgs),
}

impl Cli {
    /// Whether the command runs as a service, which a slow reader of its output must not hold up.
    pub fn is_service(&self) -> bool {
        matches!(self.command, Command::Run(_) | Command::Sandbox(_) | Command::Demo(_))
    }
}

/// Writes the last log lines of a process that ends at once.
fn flush_log() {
    log::flush(LAST_LINES);
}

/// Runs the command; its results go to stdout.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    let settings = cli.settings;
    match cli.command {
        Command::Init(args) => init::run(&settings, args).await,
        Command::Run(args) => run::run(&settings, args).await,
        Command::Send(args) => send::run(&settings, *args).await,
        Command::Status(args) => status::run(&settings, args).await,
        Command::Nodes(args) => nodes::run(&settings, args).await,
        Command::List(args) => list::run(&settings, args).await,
        Command::Find(args) => find::run(&settings, args).await,
        Command::Show(args) => show::run(&settings, args).await,
        Command::Retry(args) => retry_cancel::retry(&settings, args).await,
        Command::Cancel(args) => retry_cancel::cancel(&settings, args).await,
        Command::Resolve(args) => retry_cancel::resolve(&settings, args).await,
        Command::Import(args) => import::run(&settings, args).await,
        Command::Export(args) => export::run(&settings, *args).await,
        Command::Pause(args) => pause_resume::pause(&settings, args).await,
        Command::Resume(args) => pause_resume::resume(&settings, args).await,
        Command::Pauses(args) => pauses::run(&settings, args).await,
        Command::Prune(args) => prune::run(&settings, args).await,
        Command::Grants(args) => grants::run(&settings, args).await,
        Command::Move(args) => move_outbox::run(&settings, args).await,
        Command::Check(args) => check::run(&settings, args).await,
        Command::Lookup(args) => lookup::run(&settings, args).await,
        Command::Probe(args) => probe::run(&settings, args).await,
        Command::Sandbox(args) => {
            settings.unused_by("sandbox")?;
            sandbox::run(args).await
        }
        Command::Demo(args) => {
            settings.unused_by("demo")?;
            let done = demo::run(args).await;
            output::flush();
            done
        }
        Command::Settings(args) => {
            settings.unused_by("settings")?;
            setting_list::run(&args)
        }
        Command::Completions(args) => {
            settings.unused_by("completions")?;
            generate::completions(&args)
        }
        Command::Man(args) => {
            settings.unused_by("man")?;
            generate::man(&args)
        }
    }
}

/// Wrong usage that clap cannot detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

/// 78 (EX_CONFIG) for a wrong configuration, after which a service manager should not restart; 2
/// for wrong usage; otherwise 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let shares = matches!(error.downcast_ref(), Some(SandboxError::Share(_)));
    if error.is::<ConfigError>() || error_text::is_of_the_file(error) {
        ExitCode::from(78)
    } else if shares || error.is::<WrongUsage>() {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// A whole number, with an error that needs no knowledge of Rust.
fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "must be a whole number".to_owned())
}

/// A length of time, such as `30s` or `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "must be a number and its unit, like 200ms, 30s or 10m".to_owned())
}

impl GlobalFlags {
    fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            database: self.database.clone(),
            schema: self.schema.clone(),
            ..Flags::default()
        }
    }

    /// clap accepts these flags for every command; a command that would ignore them refuses them.
    fn unused_by(&self, command: &str) -> Result<(), WrongUsage> {
        match (&self.config, &self.database, &self.schema) {
            (None, None, None) => Ok(()),
            _ => Err(WrongUsage(format!(
                "`{command}` uses neither --config nor --database nor --schema; leave them out"
            ))),
        }
    }

    /// The whole configuration, including the keys.
    fn load(&self) -> Result<Config> {
        Ok(config::load(&self.flags(), &|name| std::env::var_os(name))?)
    }

    /// The part of the configuration that needs no key.
    fn outline(&self) -> Result<Outline> {
        Ok(config::load_outline(&self.flags(), &|name| std::env::var_os(name))?)
    }

    /// The names of the configured accounts; `None` where none is, as on a producer's machine.
    fn accounts(&self) -> Result<Option<Vec<String>>> {
        let accounts = self.outline()?.accounts;
        Ok(if accounts.is_empty() { None } else { Some(accounts.into_keys().collect()) })
    }

    /// Opens the outbox for a command that needs no account.
    async fn open(&self) -> Result<Store> {
        let database = config::load_database(&self.flags(), &|name| std::env::var_os(name))?;
        let mut store = Store::open(&database).await?;
        store.act_as(Actor::new(ActOrigin::Command, &this_user()));
        if store.is_sandbox() {
            output::note("SANDBOX: nothing in this outbox reaches Acquire");
        }
        Ok(store)
    }
}
