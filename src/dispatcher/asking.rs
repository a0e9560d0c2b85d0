//! Questions to Acquire of one kind. They have their own places, so that no message waits for them to be
//! sent, and what goes wrong here stops nothing else.

use crate::queue::job::Millis;
use crate::queue::when::now;
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;

/// The pause after an error of the store.
const ERROR_FOR: Duration = Duration::from_secs(1);

/// The questions that are under way, and the answers that are not recorded yet.
pub(super) struct Asking<T> {
    places: usize,
    /// The pause when there was nothing more to claim.
    nothing_for: Duration,
    under_way: JoinSet<T>,
    answers: VecDeque<T>,
    not_before: Instant,
}

impl<T: Send + 'static> Asking<T> {
    /// `places`: how many at once, over all accounts.
    pub(super) fn new(places: usize, nothing_for: Duration) -> Asking<T> {
        let (under_way, answers) = (JoinSet::new(), VecDeque::new());
        Asking { places, nothing_for, under_way, answers, not_before: Instant::now() }
    }

    /// How many more may be asked now.
    pub(super) fn places(&self) -> usize {
        self.places.saturating_sub(self.under_way.len() + self.answers.len())
    }

    /// When to claim jobs, if the first is due at `due`; `None` while there is no place.
    pub(super) fn next(&self, due: Option<Millis>, at: Instant) -> Option<Instant> {
        let wait = Duration::from_millis(u64::try_from(due? - now()).unwrap_or(0));
        (self.places() > 0).then(|| (at + wait).max(self.not_before))
    }

    /// There was nothing more to claim.
    pub(super) fn took_all(&mut self) {
        self.not_before = Instant::now() + self.nothing_for;
    }

    /// The store could not be used: what was not recorded is asked again after its lease.
    pub(super) fn store_failed(&mut self) {
        self.not_before = Instant::now() + ERROR_FOR;
    }

    /// Jobs are claimed at once, whatever happened before.
    pub(super) fn hurry(&mut self) {
        self.not_before = Instant::now();
    }

    /// Nothing more is asked. The jobs stay as they are, and are asked about again.
    pub(super) fn stop(&mut self) {
        self.under_way.abort_all();
        self.answers.clear();
    }

    pub(super) fn begin(&mut self, question: impl Future<Output = T> + Send + 'static) {
        self.under_way.spawn(question);
    }

    /// An answer that needed no request.
    pub(super) fn answered(&mut self, answer: T) {
        self.answers.push_back(answer);
    }

    pub(super) fn next_answer(&mut self) -> Option<T> {
        self.answers.pop_front()
    }

    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Waits for the end of a question, and keeps its answer. Cancel-safe.
    pub(super) async fn ended(&mut self) {
        match self.under_way.join_next().await {
            None => pending().await,
            Some(Ok(answer)) => self.answers.push_back(answer),
            Some(Err(e)) if e.is_cancelled() => {}
            Some(Err(e)) => {
                error!(error = %e, "asking Acquire about a message failed, which is a bug; Acquire will be asked again");
            }
        }
    }
}
