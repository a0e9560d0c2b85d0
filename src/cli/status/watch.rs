//! `status --watch`: the same again and again.

use super::{Seen, view};
use crate::cli::{Settings, output, told};
use acquire_outbox::store::Store;
use anyhow::Result;
use console::{Term, is_dumb};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// Until Ctrl-C, or until nobody reads any more. What cannot be read now may be read the next time.
pub async fn run(
    settings: &Settings,
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
        let shown = match look(settings, &mut store).await {
            Ok(seen) if json => Some(serde_json::to_string(&view::json(&seen))?),
            Ok(seen) => Some(view::text(&seen)),
            Err(e) => {
                store = None;
                tell_trouble(screen.as_ref(), &told(&e));
                None
            }
        };
        if let Some(text) = shown {
            let written = match &screen {
                Some(screen) => redraw(screen, &text),
                // A block per look, apart from the next.
                None if json || first => writeln_now(&text),
                None => writeln_now(&format!("\n{text}")),
            };
            match written {
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                written => written?,
            }
            first = false;
        }
        tokio::select! {
            _ = interrupted.recv() => return Ok(ExitCode::SUCCESS),
            () = sleep(every) => {}
        }
    }
}

/// A connection that failed is not used again.
async fn look(settings: &Settings, store: &mut Option<Store>) -> Result<Seen> {
    if store.is_none() {
        *store = Some(settings.open().await?);
    }
    match store {
        Some(store) => Seen::read(store).await,
        None => anyhow::bail!("the database is not open"),
    }
}

fn tell_trouble(screen: Option<&Term>, sentence: &str) {
    match screen {
        Some(screen) => drop(redraw(screen, sentence)),
        None => output::note(sentence),
    }
}

fn writeln_now(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Over what stood there, without a blank screen between; no more lines than there is room for.
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
