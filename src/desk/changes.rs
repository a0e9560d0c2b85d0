//! Changes of many jobs, in short transactions with rests in between, so that no producer and no
//! dispatcher waits long.

use crate::queue::change::{Change, Mode, Refused};
use crate::queue::filter::Filter;

use crate::store::{BATCH, Store, StoreError};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often a batch is tried while the database is busy. Each try waits for a lock as long as any
/// statement does, so that together they take about a minute.
const TRIES: u32 = 12;
const REST_WHEN_BUSY: Duration = Duration::from_millis(200);
/// The longest rest between two batches.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Which jobs an operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Ascending, each once.
    Ids(Vec<i64>),
    Filter(Box<Filter>),
}

impl Selection {
    pub fn of_ids(mut ids: Vec<i64>) -> Selection {
        ids.sort_unstable();
        ids.dedup();
        Selection::Ids(ids)
    }

    /// What passes the filter and is in a state in which it can be changed. A filter that names no
    /// state means those of [`Change::from_by_default`].
    pub fn of_filter(mut filter: Filter, change: Change) -> Selection {
        if filter.statuses.is_empty() {
            filter.statuses = change.from_by_default().to_vec();
        }
        filter.in_backoff |= change == Change::TryNow;
        filter.statuses.retain(|status| change.from().contains(status));
        match filter.statuses.is_empty() {
            true => Selection::Ids(Vec::new()),
            false => Selection::Filter(Box::new(filter)),
        }
    }
}

/// The jobs that are left.
enum Remaining<'a> {
    /// Each job by itself, with a sentence for each one that is refused.
    Each { ids: &'a [i64], mode: Mode },
    /// The jobs of a list that still pass the filter.
    Listed { ids: &'a [i64], filter: &'a Filter },
    /// Whatever passes the filter, above an id.
    Paged { filter: &'a Filter, after: i64 },
}

impl Remaining<'_> {
    /// Whether it is known that none are left.
    fn is_empty(&self) -> bool {
        match self {
            Remaining::Each { ids, .. } | Remaining::Listed { ids, .. } => ids.is_empty(),
            Remaining::Paged { .. } => false,
        }
    }
}

/// What happened in [`Batches::next`].
pub enum BatchStep {
    /// A batch was done.
    Done,
    /// Somebody else had the write lock; the same batch is tried again.
    Busy(StoreError),
}

/// What has been done so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Jobs that were looked at.
    pub handled: u64,
    pub changed: u64,
    pub refused: Vec<Refused>,
}

/// A change in progress, batch by batch.
pub struct Batches<'a> {
    store: &'a mut Store,
    change: Change,
    remaining: Remaining<'a>,
    busy: u32,
    rest: Duration,
    tally: Tally,
}

impl<'a> Batches<'a> {
    /// Each of these jobs by itself.
    pub fn of_ids(store: &'a mut Store, change: Change, ids: &'a [i64], mode: Mode) -> Self {
        Batches::new(store, change, Remaining::Each { ids, mode })
    }

    /// The jobs of a list that still pass the filter when their batch is due.
    pub fn of_list(
        store: &'a mut Store,
        change: Change,
        ids: &'a [i64],
        filter: &'a Filter,
    ) -> Self {
        Batches::new(store, change, Remaining::Listed { ids, filter })
    }

    /// What passes a filter, by ascending id: takes little memory, whatever passes.
    pub fn of_filter(store: &'a mut Store, change: Change, filter: &'a Filter) -> Self {
        Batches::new(store, change, Remaining::Paged { filter, after: i64::MIN })
    }

    fn new(store: &'a mut Store, change: Change, remaining: Remaining<'a>) -> Self {
        let tally = Tally::default();
        Batches { store, change, remaining, busy: 0, rest: Duration::ZERO, tally }
    }

    /// Continues the count of earlier batches.
    pub fn after(mut self, tally: Tally) -> Self {
        self.tally = tally;
        self
    }

    /// Changes the next batch; `None` when none is left.
    ///
    /// # Errors
    /// The store's; a busy database only after about a minute. What was changed before stays so.
    pub async fn next(&mut self) -> Result<Option<BatchStep>, StoreError> {
        let begun = Instant::now();
        match self.batch().await {
            Ok(more) => {
                self.busy = 0;
                let rest = begun.elapsed().min(LONGEST_REST);
                self.rest = if self.remaining.is_empty() { Duration::ZERO } else { rest };
                Ok(more.then_some(BatchStep::Done))
            }
            Err(e) if e.is_busy() && self.busy + 1 < TRIES => {
                self.busy += 1;
                self.rest = REST_WHEN_BUSY;
                Ok(Some(BatchStep::Busy(e)))
            }
            Err(e) => Err(e),
        }
    }

    /// Waits as long as the last batch took, so that a writer that waits for the lock gets it. After
    /// the last batch there is no rest.
    pub async fn rest(&self) {
        sleep(self.rest).await;
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn into_tally(self) -> Tally {
        self.tally
    }

    /// Whether there was another batch.
    async fn batch(&mut self) -> Result<bool, StoreError> {
        match &mut self.remaining {
            Remaining::Each { ids, mode } => {
                let (batch, rest) = ids.split_at(ids.len().min(BATCH as usize));
                if batch.is_empty() {
                    return Ok(false);
                }
                let refused = self.store.change(self.change, batch, *mode).await?;
                *ids = rest;
                self.tally.changed += (batch.len() - refused.len()) as u64;
                self.tally.handled += batch.len() as u64;
                self.tally.refused.extend(refused);
            }
            Remaining::Listed { ids, filter } => {
                let (batch, rest) = ids.split_at(ids.len().min(BATCH as usize));
                if batch.is_empty() {
                    return Ok(false);
                }
                self.tally.changed += self.store.change_where(self.change, filter, batch).await?;
                self.tally.handled += batch.len() as u64;
                *ids = rest;
            }
            Remaining::Paged { filter, after } => {
                let batch = self.store.ids(filter, *after, BATCH).await?;
                let Some(&last) = batch.last() else { return Ok(false) };
                let (is_last, filter) = (batch.len() < BATCH as usize, *filter);
                self.tally.changed += self.store.change_where(self.change, filter, &batch).await?;
                self.tally.handled += batch.len() as u64;
                *after = last;
                if is_last {
                    self.remaining = Remaining::Listed { ids: &[], filter };
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::job::Status;

    #[test]
    fn a_filter_selects_only_jobs_that_can_be_changed() {
        let statuses =
            |named: &[Status], change| match Selection::of_filter(Filter::of_states(named), change)
            {
                Selection::Filter(filter) => filter.statuses,
                Selection::Ids(ids) => {
                    assert!(ids.is_empty());
                    Vec::new()
                }
            };
        let sent = Change::Resolve(crate::queue::change::Resolution::Sent);
        assert_eq!(statuses(&[], Change::Retry), [Status::Failed]);
        assert_eq!(
            statuses(&[Status::Sent, Status::Uncertain], Change::Retry),
            [Status::Uncertain]
        );
        assert_eq!(statuses(&[], Change::TryNow), [Status::Pending]);
        assert_eq!(statuses(&[], Change::Cancel), [Status::Pending]);
        assert_eq!(statuses(&[Status::Sent], Change::Cancel), []);
        assert_eq!(statuses(&[], sent), [Status::Uncertain]);
    }

    #[test]
    fn ids_are_selected_once_each() {
        assert_eq!(Selection::of_ids(vec![3, 1, 3]), Selection::Ids(vec![1, 3]));
    }
}
