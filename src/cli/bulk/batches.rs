//! Many jobs in short transactions, so that no producer and no dispatcher waits long.

use crate::cli::output;
use acquire_outbox::queue::change::{Change, Mode, Refused};
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::store::{BATCH, Store, StoreError};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// What takes longer is worth a bar.
const BAR_AFTER: Duration = Duration::from_secs(1);
/// How often a busy database is tried, each time for as long as a statement waits for a lock, and how
/// long apart.
const TRIES: (u32, Duration) = (12, Duration::from_millis(200));
/// The longest pause between two batches.
const PAUSE: Duration = Duration::from_secs(1);

/// What becomes of a batch.
#[derive(Clone, Copy)]
pub enum Step<'a> {
    /// Each job by itself.
    Each(Change),
    /// The same, undone.
    Try(Change),
    /// What still passes.
    Where(Change, &'a Filter),
}

/// A change on its way, batch by batch.
pub struct Batches<'a> {
    store: &'a mut Store,
    total: usize,
    handled: usize,
    changed: u64,
    refused: Vec<Refused>,
    begun: Instant,
    /// How long the last batch took.
    last: Duration,
    bar: Option<ProgressBar>,
}

impl Step<'_> {
    async fn take(self, store: &mut Store, ids: &[i64]) -> Result<(u64, Vec<Refused>), StoreError> {
        let refused = match self {
            Step::Each(change) => store.change(change, ids, Mode::Apply).await?,
            Step::Try(change) => store.change(change, ids, Mode::Rehearse).await?,
            Step::Where(change, filter) => {
                return Ok((store.change_where(change, filter, ids).await?, Vec::new()));
            }
        };
        Ok(((ids.len() - refused.len()) as u64, refused))
    }
}

impl<'a> Batches<'a> {
    pub fn of(store: &'a mut Store, total: usize) -> Self {
        Batches {
            store,
            total,
            handled: 0,
            changed: 0,
            refused: Vec::new(),
            begun: Instant::now(),
            last: Duration::ZERO,
            bar: None,
        }
    }

    /// Takes the step with these jobs. Between two batches the loop pauses as long as the last one
    /// took: a writer that waits gets its turn.
    ///
    /// # Errors
    /// The store's, but for a busy database, which is tried again for a minute. What was changed
    /// before stays so, and is told.
    pub async fn each(&mut self, ids: &[i64], step: Step<'_>) -> Result<()> {
        for batch in ids.chunks(BATCH as usize) {
            sleep(self.last.min(PAUSE)).await;
            let begun = Instant::now();
            match self.patiently(batch, step).await {
                Ok((changed, refused)) => {
                    self.changed += changed;
                    self.refused.extend(refused);
                }
                Err(e) => {
                    self.end_bar();
                    let (changed, total) = (output::jobs(self.changed), self.total);
                    output::note(format!("stopped by an error: {changed} of {total} done"));
                    return Err(e.into());
                }
            }
            self.last = begun.elapsed();
            self.handled += batch.len();
            self.show();
        }
        Ok(())
    }

    /// How many jobs were changed, and which could not be.
    pub fn end(self) -> (u64, Vec<Refused>) {
        self.end_bar();
        (self.changed, self.refused)
    }

    async fn patiently(
        &mut self,
        batch: &[i64],
        step: Step<'_>,
    ) -> Result<(u64, Vec<Refused>), StoreError> {
        let mut tries = 1;
        loop {
            match step.take(self.store, batch).await {
                Err(e) if e.is_busy() && tries < TRIES.0 => {
                    if tries == 1 {
                        self.say("the database is busy: waiting for its lock");
                    }
                    tries += 1;
                    sleep(TRIES.1).await;
                }
                done => return done,
            }
        }
    }

    fn say(&self, sentence: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(sentence)),
            None => output::note(sentence),
        }
    }

    /// Draws nothing where stderr is no terminal.
    fn show(&mut self) {
        if self.bar.is_none() && self.begun.elapsed() < BAR_AFTER {
            return;
        }
        let total = self.total as u64;
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} jobs, {eta} left");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_position(self.handled as u64);
    }

    fn end_bar(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
