//! Which accounts' messages can be read back, and which accounts are not asked now.

use crate::acquire::read_back::AccountReader;
use crate::config::Config;
use crate::dispatcher::routes::Routes;
use crate::queue::block::BlockKind;
use crate::queue::job::Channel;
use crate::queue::outcome::Fault;
use crate::queue::unreadable::{ReadPurpose, UnreadableRoute};
use crate::reload;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::warn;

/// How long a question may take, in requests of the longest duration; and its bounds.
const REQUESTS: u32 = 10;
const LEASE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));
/// The pause after a question that Acquire had no answer for, doubled from the first to the second.
const SILENT_FOR: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));
/// How often an account whose key was refused is asked.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// How long an account that cannot be read back is not asked again.
const IMPOSSIBLE_FOR: Duration = Duration::from_secs(10 * 60);

/// The lease on a job that was claimed for a question: twice as long as the question may take.
pub(super) fn lease(config: &Config) -> Duration {
    let policy = &config.channels[&Channel::Chat];
    let request = policy.request_timeout + policy.connect_timeout;
    (REQUESTS * request).clamp(LEASE.0, LEASE.1)
}

/// An account that Acquire had no answer for.
struct Silence {
    until: Instant,
    pause: Duration,
}

/// What cannot be read back, and until when that is not tried again.
struct Impossible {
    fault: Fault,
    until: Instant,
}

/// An account's reader, made when it is first used.
pub(super) struct ReaderSlot {
    cell: Arc<OnceCell<Arc<AccountReader>>>,
    account: String,
    settings: Option<Config>,
}

impl ReaderSlot {
    pub(super) async fn reader(self) -> Result<Arc<AccountReader>, Fault> {
        // In a thread, as making a client reads the system's certificates.
        let make = async || {
            let (settings, account) = (self.settings, self.account);
            let settings = settings.ok_or_else(|| "there are no settings".to_owned())?;
            let made =
                spawn_blocking(move || reload::reader(&settings, &settings.accounts[&account]));
            let made = made.await.map_err(|e| e.to_string())?;
            made.map(Arc::new).map_err(|e| e.to_string())
        };
        let reader = self.cell.get_or_try_init(make).await.map(Arc::clone);
        reader.map_err(|e| Fault::new("client", format!("the HTTP client cannot be set up: {e}")))
    }
}

/// The accounts' readers.
#[derive(Default)]
pub(super) struct Readers {
    cells: BTreeMap<String, Arc<OnceCell<Arc<AccountReader>>>>,
    silences: BTreeMap<String, Silence>,
    impossible: BTreeMap<(String, Channel, ReadPurpose), Impossible>,
}

impl Readers {
    /// With what was known before; it is tried again at once.
    pub(super) fn restored(unreadable: &[UnreadableRoute]) -> Readers {
        let until = Instant::now();
        let of = |route: &UnreadableRoute| {
            let key = (route.account.clone(), route.channel, route.purpose);
            (key, Impossible { fault: route.fault.clone(), until })
        };
        Readers { impossible: unreadable.iter().map(of).collect(), ..Readers::default() }
    }

    /// From now on the accounts are asked as the new configuration says.
    pub(super) fn forget_accounts(&mut self) {
        self.cells.clear();
        self.silences.clear();
        for impossible in self.impossible.values_mut() {
            impossible.until = Instant::now();
        }
    }

    pub(super) fn of(&mut self, account: &str, config: &Config) -> ReaderSlot {
        let cell = Arc::clone(self.cells.entry(account.to_owned()).or_default());
        let settings = (!cell.initialized()).then(|| config.clone());
        ReaderSlot { cell, account: account.to_owned(), settings }
    }

    /// What is not to be claimed now: accounts that got no answer, and routes that Acquire asked to wait.
    pub(super) fn left_alone(&mut self, routes: &Routes) -> Vec<(String, Option<Channel>)> {
        let at = Instant::now();
        let mut alone = Vec::new();
        for block in routes.blocks() {
            match block.kind {
                BlockKind::RetryAfter => {
                    alone.push((block.account.clone(), block.channel.parse().ok()));
                }
                BlockKind::Refused => {
                    let silence = Silence { until: at + REFUSED_FOR, pause: REFUSED_FOR };
                    self.silences.entry(block.account.clone()).or_insert(silence);
                }
                _ => {}
            }
        }
        let silent = self.silences.iter().filter(|(_, silence)| silence.until > at);
        alone.extend(silent.map(|(account, _)| (account.clone(), None)));
        alone
    }

    /// Acquire had no answer to a question that began then: when the account is asked again.
    pub(super) fn silent(
        &mut self,
        account: &str,
        begun: Instant,
        retry_after: Option<Duration>,
    ) -> Duration {
        let at = Instant::now();
        let before = self.silences.get(account);
        let pause = match before {
            // Questions that were under way together are one.
            Some(silence) if silence.until > begun => silence.pause,
            Some(silence) => (silence.pause * 2).min(SILENT_FOR.1),
            None => SILENT_FOR.0,
        };
        let wait = pause.max(retry_after.unwrap_or_default().min(crate::acquire::RETRY_AFTER_MAX));
        let until = before.map_or(at, |silence| silence.until).max(at + wait);
        self.silences.insert(account.to_owned(), Silence { until, pause });
        wait
    }

    /// The account has answered.
    pub(super) fn answered(&mut self, account: &str) {
        self.silences.remove(account);
    }

    /// Why a question need not be asked now.
    pub(super) fn known_fault(
        &self,
        account: &str,
        channel: Channel,
        purpose: ReadPurpose,
        config: &Config,
    ) -> Option<Fault> {
        let known = self.impossible.get(&(account.to_owned(), channel, purpose));
        if let Some(known) = known.filter(|known| known.until > Instant::now()) {
            return Some(known.fault.clone());
        }
        (!config.accounts.contains_key(account)).then(|| {
            Fault::new(
                "unknown_account",
                format!(
                    "the account `{account}` is not configured, so its messages cannot be read back"
                ),
            )
        })
    }

    /// These messages cannot be read back. True, and it is logged, if that was not known.
    pub(super) fn cannot_read(
        &mut self,
        account: &str,
        channel: Channel,
        purpose: ReadPurpose,
        fault: &Fault,
    ) -> bool {
        let key = (account.to_owned(), channel, purpose);
        let impossible =
            Impossible { fault: fault.clone(), until: Instant::now() + IMPOSSIBLE_FOR };
        let before = self.impossible.insert(key, impossible);
        let is_new = before.is_none_or(|before| before.fault.code != fault.code);
        if is_new {
            let (code, error) = (&fault.code, &fault.message);
            match purpose {
                ReadPurpose::Verify => warn!(account, %channel, code, error,
                    "messages cannot be verified here: those of unknown outcome are left to a person, as with \
                     on_uncertain = \"hold\""),
                ReadPurpose::FollowUp => warn!(account, %channel, code, error,
                    "messages cannot be followed up here: what became of them stays unknown"),
            }
        }
        is_new
    }

    /// Such messages were read. True if it was thought that they could not be.
    pub(super) fn can_read(
        &mut self,
        account: &str,
        channel: Channel,
        purpose: ReadPurpose,
    ) -> bool {
        self.impossible.remove(&(account.to_owned(), channel, purpose)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_an_answer_is_asked_less_and_less_often() {
        let mut readers = Readers::default();
        let second = Duration::from_secs(1);
        let begun = Instant::now();
        assert_eq!(readers.silent("default", begun, None), second);
        assert_eq!(readers.silent("default", begun, None), second, "it was under way with it");
        let later = begun + 60 * second;
        assert_eq!(readers.silent("default", later, None), 2 * second);
        assert_eq!(readers.silent("default", later, Some(60 * second)), 60 * second);
        readers.answered("default");
        assert_eq!(readers.silent("default", later, None), second);
    }

    #[test]
    fn messages_that_cannot_be_read_are_reported_once() {
        let mut readers = Readers::default();
        let fault = Fault::new("http_403", "no");
        let mut cannot =
            |purpose, fault: &Fault| readers.cannot_read("default", Channel::Chat, purpose, fault);
        assert!(cannot(ReadPurpose::Verify, &fault));
        assert!(!cannot(ReadPurpose::Verify, &fault));
        assert!(cannot(ReadPurpose::Verify, &Fault::new("read_shape", "odd")));
        assert!(cannot(ReadPurpose::FollowUp, &fault), "one may work without the other");
        assert!(readers.can_read("default", Channel::Chat, ReadPurpose::Verify));
        assert!(!readers.can_read("default", Channel::Chat, ReadPurpose::Verify));
    }
}
