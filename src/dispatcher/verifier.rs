//! Looks up messages of unknown outcome at Acquire.

use super::asking::Asking;
use super::readers::{Readers, lease};
use crate::config::Config;
use crate::queue::doubt::{DoubtfulJob, next_look};
use crate::queue::job::Millis;
use crate::queue::outcome::Fault;
use crate::queue::unreadable::ReadPurpose;
use crate::queue::verification::{Reading, Sought};
use crate::queue::when::now;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How many messages are looked up at once, over all accounts.
const PLACES: usize = 4;
/// The pause when there was nothing to claim.
const NOTHING_FOR: Duration = Duration::from_millis(250);

/// What a lookup has shown.
pub(super) struct Shown {
    pub(super) doubt: DoubtfulJob,
    /// When it is looked up next; `None` for the last time.
    pub(super) next: Option<Millis>,
    pub(super) begun: Instant,
    pub(super) reading: Reading,
}

/// The lookups that are under way.
pub(super) fn looks() -> Asking<Shown> {
    Asking::new(PLACES, NOTHING_FOR)
}

impl Asking<Shown> {
    /// Begins to look up a message.
    pub(super) fn look(&mut self, doubt: DoubtfulJob, readers: &mut Readers, config: &Config) {
        let DoubtfulJob { job, sought } = doubt;
        let (begun, policy) = (Instant::now(), &config.channels[&job.channel]);
        let next = next_look(&policy.verify_after, sought.until, now());
        let doubt = DoubtfulJob { sought: Sought { is_last: next.is_none(), ..sought }, job };
        let job = &doubt.job;
        let known = readers.known_fault(&job.account, job.channel, ReadPurpose::Verify, config);
        if let Some(fault) = known {
            let reading = Reading::Impossible { fault };
            return self.answered(Shown { doubt, next, begun, reading });
        }
        let (slot, limit) = (readers.of(&job.account, config), lease(config) / 2);
        self.begin(async move {
            let look = async {
                match slot.reader().await {
                    Ok(reader) => reader.look_for(&doubt.sought).await,
                    Err(fault) => later(fault),
                }
            };
            let reading = timeout(limit, look).await.unwrap_or_else(|_| {
                later(Fault::new("timeout", "Acquire took too long to show its messages"))
            });
            Shown { doubt, next, begun, reading }
        });
    }
}

fn later(fault: Fault) -> Reading {
    Reading::Later { fault, account_refused: false, retry_after: None }
}
