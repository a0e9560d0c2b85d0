//! Who has logged in, and the limit on wrong tokens. In memory only: a restart logs everybody out.

use axum::http::{HeaderMap, header};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use tracing::warn;

/// How long a login lasts.
pub const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// Beyond this number the oldest login ends.
const MOST_SESSIONS: usize = 1000;
/// How many wrong tokens a network may send at once. After that it may send one a second.
const GUESSES: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
/// How many networks are remembered.
const MOST_NETWORKS: usize = 1000;
/// Wrong tokens are logged this often at most, so that no outsider can fill the log.
const WARNING_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The end of a cookie's attributes. The origin says how the browser connects: behind a proxy the connection here
/// is plain HTTP.
pub fn secure(headers: &HeaderMap) -> &'static str {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if origin.is_some_and(|origin| origin.starts_with("https://")) { "; Secure" } else { "" }
}

/// A secret of 256 bits, in hexadecimal digits.
pub fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Takes constant time, wherever they differ and however long they are.
pub fn same_secret(one: &str, other: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    digest(one).ct_eq(&digest(other)).into()
}

/// The logins, by a digest of the id in the browser's cookie.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<Key, Session>>);

/// The digest of a session's id.
pub type Key = [u8; 32];

struct Session {
    until: Instant,
    csrf: String,
    /// The name that was given at the login.
    name: Option<String>,
    /// What the last action did, for the next page to show.
    flash: Option<String>,
}

fn key_of(id: &str) -> Key {
    Sha256::digest(id.as_bytes()).into()
}

impl Sessions {
    /// Begins a session and returns its id.
    pub fn begin(&self, name: Option<String>, now: Instant) -> Result<String, getrandom::Error> {
        let (id, csrf) = (random()?, random()?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.until > now);
        if all.len() >= MOST_SESSIONS
            && let Some(oldest) = all.iter().min_by_key(|(_, s)| s.until).map(|(key, _)| *key)
        {
            all.remove(&oldest);
        }
        all.insert(key_of(&id), Session { until: now + LIFE, csrf, name, flash: None });
        Ok(id)
    }

    /// The session's key, the token of its forms and its user's name, while it lasts.
    pub fn find(&self, id: &str, now: Instant) -> Option<(Key, String, Option<String>)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key_of(id);
        let session = all.get(&key).filter(|session| session.until > now)?;
        Some((key, session.csrf.clone(), session.name.clone()))
    }

    pub fn end(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    pub fn set_flash(&self, key: &Key, text: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = all.get_mut(key) {
            session.flash = Some(text);
        }
    }

    /// What the last action did; it is shown once.
    pub fn take_flash(&self, key: &Key) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key)?.flash.take()
    }
}

/// Limits how fast wrong tokens are answered.
pub struct Guesses {
    by_network: DefaultKeyedRateLimiter<IpAddr>,
    warnings: DefaultDirectRateLimiter,
}

impl Default for Guesses {
    fn default() -> Guesses {
        let guesses = Quota::per_second(NonZeroU32::MIN).allow_burst(GUESSES);
        let warnings = Quota::with_period(WARNING_PAUSE).expect("not zero");
        Guesses { by_network: RateLimiter::keyed(guesses), warnings: RateLimiter::direct(warnings) }
    }
}

impl Guesses {
    /// Counts a wrong token; `false` if its network sends them too fast. While too many networks
    /// send them, all are too fast.
    pub fn allow(&self, from: IpAddr) -> bool {
        let from = network(from);
        if self.by_network.len() >= MOST_NETWORKS {
            self.by_network.retain_recent();
        }
        let has_room = self.by_network.len() < MOST_NETWORKS;
        let allowed = has_room && self.by_network.check_key(&from).is_ok();
        if !allowed && self.warnings.check().is_ok() {
            warn!(%from, "too many wrong tokens were sent to the dashboard: more are answered with 429");
        }
        allowed
    }
}

/// Somebody who has one IPv6 address usually has its whole /64.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() & !u128::from(u64::MAX)).into()),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_lasts_its_time_and_ends_when_it_is_ended() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.begin(Some("Anna".to_owned()), now).unwrap();
        assert_eq!(id.len(), 64);
        let (key, csrf, name) = sessions.find(&id, now + LIFE - Duration::from_secs(1)).unwrap();
        assert_ne!(csrf, id);
        assert_eq!(name.as_deref(), Some("Anna"));
        assert_eq!(sessions.find(&id, now + LIFE), None);
        assert_eq!(sessions.find("another", now), None);
        sessions.end(&key);
        assert_eq!(sessions.find(&id, now), None);
    }

    #[test]
    fn a_flash_is_shown_once() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.begin(None, now).unwrap();
        let (key, ..) = sessions.find(&id, now).unwrap();
        sessions.set_flash(&key, "done".to_owned());
        assert_eq!(sessions.take_flash(&key).as_deref(), Some("done"));
        assert_eq!(sessions.take_flash(&key), None);
    }

    #[test]
    fn the_number_of_logins_is_limited() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.begin(None, now).unwrap();
        for _ in 0..MOST_SESSIONS {
            sessions.begin(None, now + Duration::from_secs(1)).unwrap();
        }
        assert_eq!(sessions.find(&first, now), None);
        assert_eq!(sessions.0.lock().unwrap().len(), MOST_SESSIONS);
    }

    #[test]
    fn guessing_is_slowed_down_for_one_network_only() {
        let guesses = Guesses::default();
        let from = "2001:db8::7".parse().unwrap();
        let allowed = (0..1000).filter(|_| guesses.allow(from)).count();
        // One more for each second that this took.
        assert!((5..100).contains(&allowed), "{allowed}");
        assert!(!guesses.allow("2001:db8::8".parse().unwrap()), "the same network");
        assert!(guesses.allow("2001:db8:0:1::7".parse().unwrap()));
        assert!(guesses.allow("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn guesses_from_many_networks_do_not_fill_the_memory() {
        let guesses = Guesses::default();
        for n in 0..3 * MOST_NETWORKS as u32 {
            guesses.allow(IpAddr::V4(n.into()));
        }
        assert!(guesses.by_network.len() <= MOST_NETWORKS);
    }

    #[test]
    fn secrets_are_compared_as_a_whole() {
        assert!(same_secret("abc", "abc"));
        assert!(!same_secret("abc", "abcd"));
        assert!(!same_secret("", "a"));
    }
}
