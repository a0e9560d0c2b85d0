//! The program: parse, set up logging, call one function, exit code.
//!
//! In the library, so that `main.rs` compiles nothing of it a second time: that took a fifth of a build's time.

use crate::{cli, log, store};
use std::process::ExitCode;
use std::time::Duration;

/// How long the last connection may take to close: it writes its log into the database.
const CLOSING: Duration = Duration::from_secs(5);

/// Runs the command that the process was started with, to its end. Gives the process's exit status.
pub fn main() -> ExitCode {
    let cli = cli::parse(std::env::args_os()).unwrap_or_else(|e| e.exit());
    let last_lines = log::set_up(cli.is_service());
    rustls::crypto::ring::default_provider().install_default().ok();
    // One thread, next to the database's own: there is too little work between two requests to be
    // worth waking a second one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        // As a task: a future that is blocked on is woken by a system call each time.
        let done = runtime.block_on(async { tokio::spawn(cli::run(cli)).await });
        let done = done.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
        store::wait_until_closed(CLOSING);
        // A standby's thread may still wait for the lock; it ends with the process.
        runtime.shutdown_background();
        done
    });
    let code = done.unwrap_or_else(|e| {
        log::note(format!("acquire-outbox: {}", cli::sentence_of(&e)));
        cli::exit_code(&e)
    });
    drop(last_lines);
    code
}
