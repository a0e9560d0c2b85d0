//! Looks for messages of unknown outcome at Acquire. It has its own places, so that no message waits
//! for it to be sent, and what goes wrong here stops nothing else.

use crate::acquire::read_back::AccountReader;
use crate::config::Config;
use crate::dispatcher::routes::Routes;
use crate::queue::block::BlockKind;
use crate::queue::doubt::{DoubtfulJob, next_look};
use crate::queue::job::{Channel, Millis};
use crate::queue::outcome::Fault;
use crate::queue::verification::{Reading, Sought};
use crate::queue::when::now;
use crate::reload;
use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout};
use tracing::{error, warn};

/// How many messages are looked for at once, over all accounts.
const PLACES: usize = 4;
/// How long a look may take, in requests that take as long as they may; and its bounds.
const REQUESTS: u32 = 10;
const LEASE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(120));
/// The pause after a look that Acquire had no answer for, doubled from the first to the second.
const SILENT_FOR: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));
/// How often an account is asked whose messages were refused for its key.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// How long an account that cannot be read back is not asked again.
const IMPOSSIBLE_FOR: Duration = Duration::from_secs(10 * 60);
/// The pause where there was nothing to take.
const NOTHING_FOR: Duration = Duration::from_millis(250);
/// The pause after an error of the store.
const ERROR_FOR: Duration = Duration::from_secs(1);

/// What a look has shown.
pub(super) struct Shown {
    pub(super) doubt: DoubtfulJob,
    /// When it is looked for next; `None` for the last time.
    pub(super) next: Option<Millis>,
    pub(super) begun: Instant,
    pub(super) reading: Reading,
}

/// An account that Acquire had no answer for.
struct Silence {
    until: Instant,
    pause: Duration,
}

/// An account's reader, made when it is used first.
type Reader = Arc<OnceCell<Arc<AccountReader>>>;

/// The looks that are under way, and which accounts are not asked now.
pub(super) struct Verifier {
    looks: JoinSet<Shown>,
    /// Looks that have ended and are not recorded.
    pub(super) shown: VecDeque<Shown>,
    readers: BTreeMap<String, Reader>,
    silences: BTreeMap<String, Silence>,
    impossible: BTreeMap<(String, Channel), (Fault, Instant)>,
    not_before: Instant,
}

/// The lease on a job that was taken up: twice as long as a look may take.
pub(super) fn lease(config: &Config) -> Duration {
    let policy = &config.channels[&Channel::Chat];
    let request = policy.request_timeout + policy.connect_timeout;
    (REQUESTS * request).clamp(LEASE.0, LEASE.1)
}

impl Verifier {
    pub(super) fn new() -> Verifier {
        Verifier {
            looks: JoinSet::new(),
            shown: VecDeque::new(),
            readers: BTreeMap::new(),
            silences: BTreeMap::new(),
            impossible: BTreeMap::new(),
            not_before: Instant::now(),
        }
    }

    /// From now on the accounts are asked as a new configuration says.
    pub(super) fn forget_accounts(&mut self) {
        self.readers.clear();
        self.silences.clear();
        self.impossible.clear();
        self.not_before = Instant::now();
    }

    /// How many more may be looked for now.
    pub(super) fn places(&self) -> usize {
        PLACES.saturating_sub(self.looks.len() + self.shown.len())
    }

    /// When to take jobs, if the first is due at `due`; `None` while there is no place.
    pub(super) fn next(&self, due: Option<Millis>, at: Instant) -> Option<Instant> {
        let wait = Duration::from_millis(u64::try_from(due? - now()).unwrap_or(0));
        (self.places() > 0).then(|| (at + wait).max(self.not_before))
    }

    /// There was nothing more to take.
    pub(super) fn took_all(&mut self) {
        self.not_before = Instant::now() + NOTHING_FOR;
    }

    /// The store could not be used: what was to be recorded is looked for again after its lease.
    pub(super) fn store_failed(&mut self) {
        self.not_before = Instant::now() + ERROR_FOR;
    }

    /// Nothing more is looked for. The jobs stay as they are, and are looked for again.
    pub(super) fn stop(&mut self) {
        self.looks.abort_all();
        self.shown.clear();
    }

    /// What is not to be taken now: accounts that have had no answer, and routes that are asked to wait.
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

    /// Acquire had no answer to a look that began then: when the account is asked again.
    pub(super) fn silent(
        &mut self,
        account: &str,
        begun: Instant,
        retry_after: Option<Duration>,
    ) -> Duration {
        let at = Instant::now();
        let before = self.silences.get(account);
        let pause = match before {
            // Looks that were under way together are one question.
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

    /// This account and channel cannot be read back, which is logged once.
    pub(super) fn cannot_read(&mut self, account: &str, channel: Channel, fault: &Fault) {
        let route = (account.to_owned(), channel);
        let until = Instant::now() + IMPOSSIBLE_FOR;
        let before = self.impossible.insert(route, (fault.clone(), until));
        if before.is_none_or(|(before, _)| before.code != fault.code) {
            warn!(account, %channel, code = fault.code, error = fault.message,
                "messages cannot be verified here: those of unknown outcome are left to a person, as with \
                 on_uncertain = \"hold\"");
        }
    }

    /// Begins to look for a message.
    pub(super) fn look(&mut self, doubt: DoubtfulJob, config: &Config) {
        let DoubtfulJob { job, sought } = doubt;
        let (begun, policy) = (Instant::now(), &config.channels[&job.channel]);
        let next = next_look(&policy.verify_after, sought.until, now());
        let doubt = DoubtfulJob { sought: Sought { is_last: next.is_none(), ..sought }, job };
        let account = &doubt.job.account;
        let known = self.impossible.get(&(account.clone(), doubt.job.channel));
        let fault = match known {
            Some((fault, until)) if *until > begun => Some(fault.clone()),
            _ if !config.accounts.contains_key(account) => Some(Fault::new(
                "unknown_account",
                format!(
                    "the account `{account}` is not configured, so its messages cannot be verified"
                ),
            )),
            _ => None,
        };
        if let Some(fault) = fault {
            let reading = Reading::Impossible { fault };
            return self.shown.push_back(Shown { doubt, next, begun, reading });
        }
        let reader = Arc::clone(self.readers.entry(account.clone()).or_default());
        let settings = (!reader.initialized()).then(|| config.clone());
        let limit = lease(config) / 2;
        self.looks.spawn(async move {
            let looked = timeout(limit, read(&reader, settings, &doubt.sought)).await;
            let reading = looked.unwrap_or_else(|_| {
                let message = "Acquire took too long to show its messages";
                later(Fault::new("timeout", message))
            });
            Shown { doubt, next, begun, reading }
        });
    }

    /// Waits for the end of a look, and keeps what it has shown. Cancel-safe.
    pub(super) async fn ended(&mut self) {
        match self.looks.join_next().await {
            None => pending().await,
            Some(Ok(shown)) => self.shown.push_back(shown),
            Some(Err(e)) if e.is_cancelled() => {}
            Some(Err(e)) => {
                error!(error = %e, "looking for a message has failed; this is a bug: it is looked for again");
            }
        }
    }
}

fn later(fault: Fault) -> Reading {
    Reading::Later { fault, account_refused: false, retry_after: None }
}

async fn read(reader: &Reader, settings: Option<Config>, sought: &Sought) -> Reading {
    // In a thread, as making a client reads the system's certificates.
    let make = async || {
        let settings = settings.ok_or_else(|| "there are no settings".to_owned())?;
        let account = sought.account.clone();
        let made = spawn_blocking(move || reload::reader(&settings, &settings.accounts[&account]));
        let made = made.await.map_err(|e| e.to_string())?;
        made.map(Arc::new).map_err(|e| e.to_string())
    };
    match reader.get_or_try_init(make).await {
        Ok(reader) => Arc::clone(reader).look_for(sought).await,
        Err(e) => later(Fault::new("client", format!("the HTTP client cannot be set up: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_an_answer_is_asked_less_and_less_often() {
        let mut verifier = Verifier::new();
        let second = Duration::from_secs(1);
        let begun = Instant::now();
        assert_eq!(verifier.silent("default", begun, None), second);
        assert_eq!(verifier.silent("default", begun, None), second, "it was under way with it");
        let later = begun + 60 * second;
        assert_eq!(verifier.silent("default", later, None), 2 * second);
        assert_eq!(verifier.silent("default", later, Some(60 * second)), 60 * second);
        verifier.answered("default");
        assert_eq!(verifier.silent("default", later, None), second);
    }
}
