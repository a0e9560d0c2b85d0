//! The progress of a long change, on a terminal.

use crate::cli::output;
use crate::desk::changes::{BatchStep, Batches};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// A bar appears only for changes that take longer than this.
const BAR_AFTER: Duration = Duration::from_secs(1);

/// Changes all batches; after an error it prints how many of the `total` jobs were changed.
pub async fn run_with_bar(batches: &mut Batches<'_>, total: usize) -> Result<()> {
    let mut progress = ChangeProgress { total, begun: Instant::now(), bar: None, is_busy: false };
    let done = progress.follow(batches).await;
    if let Some(bar) = &progress.bar {
        bar.finish_and_clear();
    }
    if done.is_err() {
        let changed = output::jobs(batches.tally().changed);
        output::note(format!("stopped by an error after {changed} of {total}"));
    }
    done
}

struct ChangeProgress {
    total: usize,
    begun: Instant,
    bar: Option<ProgressBar>,
    is_busy: bool,
}

impl ChangeProgress {
    async fn follow(&mut self, batches: &mut Batches<'_>) -> Result<()> {
        while let Some(step) = batches.next().await? {
            match step {
                BatchStep::Done => {
                    self.is_busy = false;
                    self.show(batches.tally().handled);
                }
                BatchStep::Busy(_) if self.is_busy => {}
                BatchStep::Busy(_) => {
                    self.is_busy = true;
                    self.note("the database is busy: waiting for its lock");
                }
            }
            batches.rest().await;
        }
        Ok(())
    }

    fn note(&self, sentence: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(sentence)),
            None => output::note(sentence),
        }
    }

    /// Draws nothing where stderr is no terminal.
    fn show(&mut self, handled: u64) {
        if self.bar.is_none() && self.begun.elapsed() < BAR_AFTER {
            return;
        }
        let total = self.total as u64;
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} jobs, {eta} left");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_position(handled);
    }
}
