//! `cargo bench --bench dispatch`: every figure that the daemon has to reach, measured from the
//! outside on the built binary, as a ratio to a floor that is measured in the same run at the same
//! pace. Machines differ by a factor of three; ratios hardly differ.
//!
//! The target server, the raw client and the writers are this same program in separate processes, so
//! that their CPU time and memory are not counted as the daemon's.

mod daemon;
mod database;
mod deep;
mod plan;
mod postgres;
mod process;
mod raw;
mod report;
mod rows;
mod target;
mod writers;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use plan::Plan;
use postgres::producers;
use rows::{Bench, Row};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(
    bin_name = "cargo bench --bench dispatch --",
    about = "Measures the daemon, each figure as a ratio to what this machine takes without it",
    after_help = "The databases are in the folder for temporary files; set TMPDIR to use another disk.",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    /// Rows to measure; all of SQLite's if none is named
    #[arg(value_enum, value_name = "ROW")]
    rows: Vec<Row>,
    /// Use smaller tables and fewer rounds: a minute or two
    #[arg(long)]
    quick: bool,
    /// How often each figure is measured
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Another build of the daemon
    #[arg(long, value_name = "NEW", default_value = env!("CARGO_BIN_EXE_acquire-outbox"))]
    binary: PathBuf,
    /// A second build, measured alternately with the first, round by round
    #[arg(long, value_name = "OLD")]
    against: Option<PathBuf>,
    /// Write the figures to this file as JSON
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench/dispatch.json"))]
    json: PathBuf,
    /// Fail if a limit is missed
    #[arg(long)]
    check: bool,
    /// Cargo gives it to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What this program does in the processes that it starts.
#[derive(Subcommand)]
#[command(hide = true)]
enum Part {
    #[command(hide = true)]
    TargetServer(target::Args),
    #[command(hide = true)]
    Raw(raw::Args),
    #[command(hide = true)]
    Commits(writers::CommitsArgs),
    #[command(hide = true)]
    Writers(writers::WritersArgs),
    #[command(hide = true)]
    ServerInserts(producers::InsertsArgs),
    #[command(hide = true)]
    ServerCommits(producers::ServerCommitsArgs),
    #[command(hide = true)]
    ServerPaced(producers::ServerPacedArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.part {
        Some(Part::TargetServer(args)) => target::serve(args),
        Some(Part::Raw(args)) => raw::run(args),
        Some(Part::Commits(args)) => writers::run_commits(args),
        Some(Part::Writers(args)) => writers::run_writers(args),
        Some(Part::ServerInserts(args)) => producers::run_inserts(args),
        Some(Part::ServerCommits(args)) => producers::run_commits(args),
        Some(Part::ServerPaced(args)) => producers::run_paced(args),
        None => measure(&cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(cli: &Cli) -> Result<()> {
    if cfg!(debug_assertions) && !cli.bench {
        // `cargo test --all-targets` also runs benchmarks.
        eprintln!("nothing is measured without optimisation: cargo bench --bench dispatch");
        return Ok(());
    }
    let mut plan = if cli.quick { Plan::quick() } else { Plan::full() };
    plan.rounds = cli.rounds.map_or(plan.rounds, usize::from);
    let folder = tempfile::Builder::new().prefix("acquire-outbox-bench-").tempdir()?;
    if tempfile::env::override_temp_dir(folder.path()).is_err() {
        bail!("the folder for temporary files is set twice");
    }
    leave_nothing_at_ctrl_c(folder.path().to_owned())?;
    let binaries = [Some(&cli.binary), cli.against.as_ref()]
        .into_iter()
        .flatten()
        .map(|binary| binary.canonicalize().with_context(|| binary.display().to_string()));
    let bench = Bench::new(binaries.collect::<Result<_>>()?, plan);
    let mut measurements: Vec<_> =
        Row::chosen(&cli.rows).into_iter().map(Row::measurement).collect();
    measurements.dedup_by(|a, b| std::ptr::fn_addr_eq(*a, *b));
    let busy = report::busy_cores()?;
    if busy > 0.2 {
        eprintln!("other programs use {busy:.1} cores: figures measured now mean little");
    }
    let mut lines = Vec::new();
    for measurement in measurements {
        lines.extend(measurement(&bench)?);
    }
    println!("{}", report::table(&lines, &bench.plan, busy));
    report::write_json(&cli.json, &lines, &bench.plan, busy)?;
    println!("written to {}", cli.json.display());
    match report::missed(&lines) {
        Some(missed) if cli.check => bail!("missed: {missed}"),
        Some(missed) => println!("missed: {missed}"),
        None => {}
    }
    Ok(())
}

/// Child processes die with this one, but gigabytes of databases would stay.
fn leave_nothing_at_ctrl_c(folder: PathBuf) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            let _ = std::fs::remove_dir_all(folder);
            std::process::exit(130);
        }
    });
    Ok(())
}

/// This program in one of its roles.
fn this_program(part: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(part);
    Ok(command)
}

/// Polls every 10 ms until there is a value; after the limit, an error names what did not happen.
fn poll<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if Instant::now() > end {
            bail!("not within {limit:?}: {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The pause between messages that are sent one by one: 5 to 30 ms.
fn random_pause() -> Duration {
    Duration::from_micros(fastrand::u64(5_000..30_000))
}
