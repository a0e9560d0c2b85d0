//! Asks Acquire what became of messages that were sent.

use super::asking::Asking;
use super::readers::{Readers, lease};
use crate::config::Config;
use crate::queue::follow_up::{FollowUp, FollowedJob};
use crate::queue::outcome::Fault;
use crate::queue::unreadable::ReadPurpose;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How many messages are asked about at once, over all accounts. Nothing waits for the answers.
const PLACES: usize = 4;
/// The pause when there was nothing to claim. Many that are left alone for now may be due.
const NOTHING_FOR: Duration = Duration::from_secs(1);

/// An answer.
pub(super) struct FollowUpAnswer {
    pub(super) job: FollowedJob,
    pub(super) begun: Instant,
    pub(super) follow_up: FollowUp,
}

/// The questions that are under way.
pub(super) fn follow_ups() -> Asking<FollowUpAnswer> {
    Asking::new(PLACES, NOTHING_FOR)
}

impl Asking<FollowUpAnswer> {
    /// Begins to ask about a message.
    pub(super) fn ask(&mut self, job: FollowedJob, readers: &mut Readers, config: &Config) {
        let begun = Instant::now();
        let known = readers.known_fault(&job.account, job.channel, ReadPurpose::FollowUp, config);
        if let Some(fault) = known {
            return self.answered(FollowUpAnswer {
                job,
                begun,
                follow_up: FollowUp::Impossible(fault),
            });
        }
        let (slot, limit) = (readers.of(&job.account, config), lease(config) / 2);
        self.begin(async move {
            let ask = async {
                match slot.reader().await {
                    Ok(reader) => reader.what_became_of(&job).await,
                    Err(fault) => FollowUp::Later { fault, retry_after: None },
                }
            };
            let follow_up = timeout(limit, ask).await.unwrap_or_else(|_| {
                let fault = Fault::new("timeout", "Acquire took too long to show a message");
                FollowUp::Later { fault, retry_after: None }
            });
            FollowUpAnswer { job, begun, follow_up }
        });
    }
}
