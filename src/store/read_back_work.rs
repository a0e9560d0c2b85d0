//! What a dispatcher reads back at Acquire: the jobs that it takes up for that, and what it records of them.

use super::StoreError;
use super::tenure::Tenure;
use crate::queue::doubt::DoubtfulJob;
use crate::queue::follow_up::{DeliveryEvent, FollowedJob};
use crate::queue::job::{Channel, Millis};
use crate::queue::transition::Transition;
use crate::queue::unreadable::{ReadPurpose, UnreadableRoute};
use crate::queue::verification::Sought;
use std::collections::HashSet;
use std::time::Duration;

impl Tenure {
    /// Up to `limit` jobs that are to be looked for at Acquire by `now`, those that wait longest first: not
    /// those that are paused, nor of the routes `without` (without a channel: the whole account). Each is this
    /// caller's for `lease`; if nothing is recorded about it by then, it is looked for again. Their
    /// [`is_last`](Sought::is_last) is left to the caller.
    pub async fn take_sought(
        &mut self,
        limit: usize,
        without: &[(String, Option<Channel>)],
        now: Millis,
        lease: Duration,
    ) -> Result<Vec<DoubtfulJob>, StoreError> {
        match self {
            Tenure::Sqlite(t) => {
                t.take_sought(limit, without, now, lease).await.map_err(|e| t.neutral(e))
            }
            Tenure::Postgres(t) => t.take_sought(limit, without, now, lease).await,
        }
    }

    /// Which of these ids of messages other jobs of its account and channel have.
    pub async fn recorded_ids(
        &mut self,
        sought: &Sought,
        ids: &[&str],
    ) -> Result<HashSet<String>, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.recorded_ids(sought, ids).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.recorded_ids(sought, ids).await,
        }
    }

    /// Whether another job's message for the same recipient may look like this one, and may be at Acquire
    /// without anybody knowing its id. It may be true without need.
    pub async fn has_rival(&mut self, sought: &Sought) -> Result<bool, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.has_rival(sought).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.has_rival(sought).await,
        }
    }

    /// Records what a lookup has shown of a job; `seen` becomes `verify_seen`, and `None` leaves that as it
    /// is. False, and nothing is changed: somebody has ended its verification or looked for it since, or
    /// another job has the message's id.
    pub async fn record_verdict(
        &mut self,
        sought: &Sought,
        transition: &Transition,
        seen: Option<&str>,
    ) -> Result<bool, StoreError> {
        match self {
            Tenure::Sqlite(t) => {
                t.record_verdict(sought, transition, seen).await.map_err(|e| t.neutral(e))
            }
            Tenure::Postgres(t) => t.record_verdict(sought, transition, seen).await,
        }
    }

    /// Up to `limit` sent messages whose delivery Acquire is to be asked about by `now`, in the order in which
    /// they are due; as in [`Tenure::take_sought`] otherwise.
    pub async fn take_follow_ups(
        &mut self,
        limit: usize,
        without: &[(String, Option<Channel>)],
        now: Millis,
        lease: Duration,
    ) -> Result<Vec<FollowedJob>, StoreError> {
        match self {
            Tenure::Sqlite(t) => {
                t.take_follow_ups(limit, without, now, lease).await.map_err(|e| t.neutral(e))
            }
            Tenure::Postgres(t) => t.take_follow_ups(limit, without, now, lease).await,
        }
    }

    /// Records what became of a message; without an event what is known stays. `answered`: Acquire has said
    /// something. `next`: when it is asked again. False, and nothing is changed: somebody has taken it up since,
    /// or the job is gone.
    pub async fn record_follow_up(
        &mut self,
        job: &FollowedJob,
        event: Option<DeliveryEvent>,
        answered: bool,
        next: Option<Millis>,
        now: Millis,
    ) -> Result<bool, StoreError> {
        match self {
            Tenure::Sqlite(t) => {
                t.record_follow_up(job, event, answered, next, now).await.map_err(|e| t.neutral(e))
            }
            Tenure::Postgres(t) => t.record_follow_up(job, event, answered, next, now).await,
        }
    }

    /// What is known to be unreadable at Acquire.
    pub async fn unreadable(&mut self) -> Result<Vec<UnreadableRoute>, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.store.unreadable().await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.unreadable().await,
        }
    }

    /// Tells operators that these messages cannot be read back. What is known already keeps its time.
    pub async fn note_unreadable(&mut self, route: &UnreadableRoute) -> Result<(), StoreError> {
        match self {
            Tenure::Sqlite(t) => t.store.note_unreadable(route).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.note_unreadable(route).await,
        }
    }

    /// The opposite.
    pub async fn note_readable(
        &mut self,
        account: &str,
        channel: Channel,
        purpose: ReadPurpose,
    ) -> Result<(), StoreError> {
        match self {
            Tenure::Sqlite(t) => {
                let noted = t.store.note_readable(account, channel, purpose).await;
                noted.map_err(|e| t.neutral(e))
            }
            Tenure::Postgres(t) => t.note_readable(account, channel, purpose).await,
        }
    }
}
