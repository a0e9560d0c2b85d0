//! `--watch` of `status` and `list`: repeats until Ctrl-C.

use super::{GlobalFlags, output, sentence_of};
use crate::store::Store;
use anyhow::Result;
use console::{Term, is_dumb};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// A text on a terminal, which is overwritten in place, or JSON, one value per line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    Text,
    Json,
}

/// What is shown each time.
pub trait WatchedView: Sync {
    fn read(&self, store: &mut Store) -> impl Future<Output = Result<String>> + Send;
}

/// Shows the view, again and again, until Ctrl-C or until nobody reads the output. An error is
/// shown, the database is opened again, and the next reading may work.
pub async fn repeat(
    settings: &GlobalFlags,
    store: Store,
    every: Duration,
    watched: Watched,
    view: impl WatchedView,
) -> Result<ExitCode> {
    let json = watched == Watched::Json;
    let in_place = output::to_people() && !is_dumb() && !json;
    let screen = in_place.then(Term::stdout);
    if let Some(screen) = &screen {
        screen.clear_screen()?;
    }
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut store = Some(store);
    let mut first = true;
    loop {
        let shown = match opened(settings, &mut store).await {
            Ok(store) => view.read(store).await,
            Err(e) => Err(e),
        };
        let (text, screen) = (shown.map_err(|e| sentence_of(&e)), screen.clone());
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

/// From a tenth of a second to a day.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    let seconds: f64 = parsed.ok_or("must be a number of seconds from 0.1 to 86400")?;
    Ok(Duration::from_secs_f64(seconds))
}

async fn opened<'a>(settings: &GlobalFlags, store: &'a mut Option<Store>) -> Result<&'a mut Store> {
    if store.is_none() {
        *store = Some(settings.open().await?);
    }
    store.as_mut().ok_or_else(|| anyhow::anyhow!("the database is not open"))
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
