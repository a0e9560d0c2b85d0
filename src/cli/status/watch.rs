//! `status --watch`: repeats until Ctrl-C.

use super::{StatusReport, view};
use crate::cli::{GlobalFlags, output, sentence_of};
use acquire_outbox::store::Store;
use anyhow::Result;
use console::{Term, is_dumb};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Runs until Ctrl-C, or until nobody reads the output. An error is shown, and the next reading may
/// work again.
pub async fn run(
    settings: &GlobalFlags,
    store: Store,
    every: Duration,
    json: bool,
) -> Result<ExitCode> {
    let in_place = output::to_people() && !is_dumb() && !json;
    let screen = in_place.then(Term::stdout);
    if let Some(screen) = &screen {
        screen.clear_screen()?;
    }
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut store = Some(store);
    let mut first = true;
    loop {
        let (text, screen) = (shown(read(settings, &mut store).await, json)?, screen.clone());
        if text.is_err() {
            store = None;
        }
        let (apart, is_block) = (!json && !first, text.is_ok());
        // On a separate thread: a reader that has stopped reading must not hold up Ctrl-C.
        let writing = spawn_blocking(move || write(screen.as_ref(), &text, apart));
        tokio::select! {
            _ = interrupted.recv() => return Ok(ExitCode::SUCCESS),
            written = writing => match written? {
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                written => written?,
            },
        }
        first &= !is_block;
        tokio::select! {
            _ = interrupted.recv() => return Ok(ExitCode::SUCCESS),
            () = sleep(every) => {}
        }
    }
}

/// After an error the connection is opened again.
async fn read(settings: &GlobalFlags, store: &mut Option<Store>) -> Result<StatusReport> {
    if store.is_none() {
        *store = Some(settings.open().await?);
    }
    match store {
        Some(store) => StatusReport::read(store).await,
        None => anyhow::bail!("the database is not open"),
    }
}

/// The text to show; the inner error is a sentence to show in its place.
fn shown(report: Result<StatusReport>, json: bool) -> Result<Result<String, String>> {
    Ok(match report {
        Ok(report) if json => Ok(serde_json::to_string(&view::json(&report))?),
        Ok(report) => Ok(view::text(&report)),
        Err(e) => Err(sentence_of(&e)),
    })
}

/// `apart` puts a blank line before the text.
fn write(screen: Option<&Term>, text: &Result<String, String>, apart: bool) -> io::Result<()> {
    match (screen, text) {
        (Some(screen), Ok(text) | Err(text)) => redraw(screen, text),
        (None, Ok(text)) if apart => writeln_now(&format!("\n{text}")),
        (None, Ok(text)) => writeln_now(text),
        (None, Err(sentence)) => {
            output::note(sentence);
            Ok(())
        }
    }
}

fn writeln_now(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Overwrites the last text, without clearing the screen in between, as far as there is room.
fn redraw(screen: &Term, text: &str) -> io::Result<()> {
    const CLEAR_TO_THE_LINES_END: &str = "\u{1b}[K";
    // A terminal that does not know its size says zero.
    let rows = match screen.size() {
        (0 | 1, _) => usize::MAX,
        (rows, _) => usize::from(rows) - 1,
    };
    screen.move_cursor_to(0, 0)?;
    for line in text.lines().take(rows) {
        screen.write_line(&format!("{line}{CLEAR_TO_THE_LINES_END}"))?;
    }
    screen.clear_to_end_of_screen()
}
