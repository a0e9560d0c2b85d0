//! Tells operators which messages cannot be read back at Acquire.

use super::Dispatcher;
use super::readers::Readers;
use crate::config::{Config, OnUncertain};
use crate::queue::job::Channel;
use crate::queue::outcome::Fault;
use crate::queue::unreadable::{ReadPurpose, UnreadableRoute};
use crate::queue::when::now;
use crate::store::{StoreError, Tenure};

impl Dispatcher {
    /// These messages cannot be read back.
    pub(super) async fn cannot_read(
        &mut self,
        account: &str,
        channel: Channel,
        purpose: ReadPurpose,
        fault: &Fault,
    ) -> Result<(), StoreError> {
        if self.readers.cannot_read(account, channel, purpose, fault) {
            let (account, fault) = (account.to_owned(), fault.clone());
            let route = UnreadableRoute { account, channel, purpose, fault, since: now() };
            self.tenure.note_unreadable(&route).await?;
        }
        Ok(())
    }

    /// Such messages were read.
    pub(super) async fn can_read(
        &mut self,
        account: &str,
        channel: Channel,
        purpose: ReadPurpose,
    ) -> Result<(), StoreError> {
        if self.readers.can_read(account, channel, purpose) {
            self.tenure.note_readable(account, channel, purpose).await?;
        }
        Ok(())
    }
}

/// What was known before. What is no longer read by the configuration is forgotten.
pub(super) async fn restore(tenure: &mut Tenure, config: &Config) -> Result<Readers, StoreError> {
    let mut wanted = Vec::new();
    for route in tenure.unreadable().await? {
        let policy = &config.channels[&route.channel];
        let is_wanted = config.accounts.contains_key(&route.account)
            && match route.purpose {
                ReadPurpose::Verify => policy.on_uncertain == OnUncertain::Verify,
                ReadPurpose::FollowUp => policy.follow_up.is_some(),
            };
        match is_wanted {
            true => wanted.push(route),
            false => tenure.note_readable(&route.account, route.channel, route.purpose).await?,
        }
    }
    Ok(Readers::restored(&wanted))
}
