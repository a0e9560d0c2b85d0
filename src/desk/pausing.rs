//! Pausing and resuming a channel, an account or everything.

use crate::queue::filter::Filter;
use crate::queue::job::{Channel, Status};
use crate::queue::pause::{Pause, subject};
use crate::store::{ALL, Store, StoreError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What to pause or resume; a field without a value means all of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseScope {
    pub account: Option<String>,
    pub channel: Option<Channel>,
}

/// The longest pause with an end.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads how long a pause lasts: `90s`, `1h`, `2h 30m`, `3d`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse_length(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text.trim()).ok();
    length
        .filter(|length| (Duration::from_secs(1)..=LONGEST).contains(length))
        .ok_or_else(|| "must be a time from 1s to 366d, like 30m, 1h or 2d".to_owned())
}

/// What `resume` found.
pub struct Resumed {
    /// Whether there was such a pause.
    pub was_paused: bool,
    /// The pauses that remain.
    pub others: Vec<Pause>,
}

/// What `resume_restored` found.
pub enum Restored {
    /// No pause of everything protects a backup; these are the pauses that there are.
    NotPaused(Vec<Pause>),
    /// Everything goes out again, except for this many jobs, which are now uncertain.
    Resumed { uncertain: u64 },
}

impl PauseScope {
    /// `sms`, `account shop`, `sms of account shop`, `everything`.
    pub fn subject(&self) -> String {
        subject(self.account.as_deref(), self.channel)
    }

    /// How many pending jobs it covers.
    pub async fn count_pending(&self, store: &mut Store) -> Result<u64, StoreError> {
        let (channel, account) = (self.channel, self.account.clone());
        let filter = Filter { channel, account, ..Filter::of_states(&[Status::Pending]) };
        store.count(&filter).await
    }

    /// Pauses it, for this long or until somebody resumes it. A pause that exists keeps its beginning, and
    /// takes the new reason and end; it is returned as it was.
    pub async fn pause(
        &self,
        store: &mut Store,
        reason: &str,
        length: Option<Duration>,
    ) -> Result<Option<Pause>, StoreError> {
        let pauses = store.pauses(ALL).await?;
        let earlier = pauses.into_iter().find(|pause| self.is_of(pause));
        store.pause(self.account.as_deref(), self.channel, reason, length).await?;
        Ok(earlier)
    }

    /// Whether the pause is of all of this, and of more.
    pub fn is_within(&self, pause: &Pause) -> bool {
        let account = pause.account.is_none() || pause.account == self.account;
        let channel = pause.channel.is_none() || pause.channel == self.channel;
        account && channel && !self.is_of(pause)
    }

    /// Whether the pause is of exactly this.
    pub fn is_of(&self, pause: &Pause) -> bool {
        (&pause.account, pause.channel) == (&self.account, self.channel)
    }

    /// Ends exactly this pause. A wider one still holds its jobs.
    pub async fn resume(&self, store: &mut Store) -> Result<Resumed, StoreError> {
        let was_paused = store.resume(self.account.as_deref(), self.channel).await?;
        Ok(Resumed { was_paused, others: store.pauses(ALL).await? })
    }

    /// Whether its account is none of those that are configured. A pause may come before its account does.
    pub fn is_of_unknown<'a>(&self, configured: impl IntoIterator<Item = &'a String>) -> bool {
        let account = self.account.as_ref();
        account.is_some_and(|account| !configured.into_iter().any(|known| known == account))
    }
}

/// Ends the pause that protects a restored backup. Jobs that were due when it began may have been
/// sent since the backup was made: they become uncertain. The pause ends last, so that after an
/// error the same command continues with the rest.
pub async fn resume_restored(store: &mut Store) -> Result<Restored, StoreError> {
    let pauses = store.pauses(ALL).await?;
    let Some(whole) = pauses.iter().find(|pause| pause.is_of_everything()) else {
        return Ok(Restored::NotPaused(pauses));
    };
    let mut uncertain = 0;
    loop {
        let begun = Instant::now();
        match store.resolve_restored(whole.since).await? {
            0 => break,
            some => uncertain += some,
        }
        // Producers can write in between.
        sleep(begun.elapsed()).await;
    }
    store.resume(None, None).await?;
    Ok(Restored::Resumed { uncertain })
}
