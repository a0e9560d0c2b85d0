//! The `acquire-outbox` program: parse, set up logging, call one function, exit code.

use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

mod cli;

fn main() -> ExitCode {
    let cli = cli::parse(std::env::args_os()).unwrap_or_else(|e| e.exit());
    tracing_subscriber::fmt()
        .with_env_filter(log_filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // Told on stderr, it would panic there: a log that nobody reads any more stops nothing.
        .log_internal_errors(false)
        .init();
    rustls::crypto::ring::default_provider().install_default().ok();
    // One thread, and the database's own beside it: what work there is between two requests is not
    // worth a second one's waking.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        // As a task: a future that is blocked on is woken by a system call each time.
        let done = runtime.block_on(async { tokio::spawn(cli::run(cli)).await });
        let done = done.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
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

/// `ACQUIRE_OUTBOX_LOG`: a level, or directives such as `warn,acquire_outbox=debug`.
fn log_filter() -> EnvFilter {
    let text = std::env::var("ACQUIRE_OUTBOX_LOG").unwrap_or_default();
    let text = if text.trim().is_empty() { "info" } else { text.trim() };
    // Alone on its own, a word that is no level would be read as a module's name: an empty log.
    let no_level = !text.contains([',', '=', ':', '[']) && text.parse::<LevelFilter>().is_err();
    match EnvFilter::try_new(text) {
        Ok(filter) if !no_level => filter,
        _ => {
            cli::note(
                "acquire-outbox: ACQUIRE_OUTBOX_LOG is no level (error, warn, info, debug, trace \
                 or off); it is taken for info",
            );
            EnvFilter::new("info")
        }
    }
}
