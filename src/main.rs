//! The `acquire-outbox` program: parse, set up logging, call one function, exit code.

use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

mod cli;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("ACQUIRE_OUTBOX_LOG")
                .unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(cli::run(cli));
        // A standby's thread may still wait for the lock; it ends with the process.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(code) => code,
        Err(e) => {
            cli::note(format!("acquire-outbox: {}", cli::told(&e)));
            cli::exit_code(&e)
        }
    }
}
