//! Who has logged in: in memory only, so a restart logs everybody out.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::warn;

/// How long a login lasts.
pub const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// Past this many the oldest login ends.
const MOST: usize = 1000;
/// So many wrong tokens cost nothing; then one is answered as such each [`WRONG_PAUSE`].
const FREE_GUESSES: u32 = 5;
const WRONG_PAUSE: Duration = Duration::from_secs(1);
/// Wrong tokens are forgotten after this, and past this many addresses the oldest ones are.
const WRONG_LIFE: Duration = Duration::from_secs(15 * 60);
const WRONG_MOST: usize = 1000;

/// 256 bits that nobody can guess, in hexadecimal digits.
pub fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Takes as long whether they differ early, late or in length.
pub fn same_secret(one: &str, other: &str) -> bool {
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    digest(one).ct_eq(&digest(other)).into()
}

/// The logins, by a digest of the id that the browser has in its cookie.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<Key, Session>>);

/// The digest of a session's id.
pub type Key = [u8; 32];

struct Session {
    until: Instant,
    csrf: String,
    /// What the last action did, for the next page to say.
    flash: Option<String>,
}

fn key_of(id: &str) -> Key {
    Sha256::digest(id.as_bytes()).into()
}

impl Sessions {
    /// Begins one and gives its id.
    pub fn begin(&self, now: Instant) -> Result<String, getrandom::Error> {
        let (id, csrf) = (random()?, random()?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| session.until > now);
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, s)| s.until).map(|(key, _)| *key)
        {
            all.remove(&oldest);
        }
        all.insert(key_of(&id), Session { until: now + LIFE, csrf, flash: None });
        Ok(id)
    }

    /// The session's key and the token of its forms, while it lasts.
    pub fn find(&self, id: &str, now: Instant) -> Option<(Key, String)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key_of(id);
        let session = all.get(&key).filter(|session| session.until > now)?;
        Some((key, session.csrf.clone()))
    }

    pub fn end(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    pub fn tell(&self, key: &Key, words: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = all.get_mut(key) {
            session.flash = Some(words);
        }
    }

    /// What there is to tell; it is told once.
    pub fn told(&self, key: &Key) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key)?.flash.take()
    }
}

/// Wrong tokens, by where they came from.
#[derive(Default)]
pub struct Guesses(Mutex<HashMap<IpAddr, Wrong>>);

struct Wrong {
    count: u32,
    last: Instant,
}

impl Guesses {
    /// Counts one; `false` where they come from there too fast.
    pub fn was_wrong(&self, from: IpAddr, now: Instant) -> bool {
        let from = network(from);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let too_fast = |wrong: &Wrong| {
            wrong.count >= FREE_GUESSES && now.duration_since(wrong.last) < WRONG_PAUSE
        };
        if all.get(&from).is_some_and(too_fast) {
            return false;
        }
        if all.len() >= WRONG_MOST {
            all.retain(|_, wrong| now.duration_since(wrong.last) < WRONG_LIFE);
        }
        if all.len() >= WRONG_MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, w)| w.last).map(|(from, _)| *from)
        {
            all.remove(&oldest);
        }
        let wrong = all.entry(from).or_insert(Wrong { count: 0, last: now });
        let forgotten = now.duration_since(wrong.last) >= WRONG_LIFE;
        wrong.count = if forgotten { 1 } else { wrong.count.saturating_add(1) };
        wrong.last = now;
        // Once in a while, whatever comes: a log is no place to write to from outside.
        if wrong.count == FREE_GUESSES {
            warn!(%from, "wrong tokens came for the dashboard: more of them from there are slowed down");
        }
        true
    }
}

/// Whoever has one IPv6 address has all of its /64.
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
        let id = sessions.begin(now).unwrap();
        assert_eq!(id.len(), 64);
        let (key, csrf) = sessions.find(&id, now + LIFE - Duration::from_secs(1)).unwrap();
        assert_ne!(csrf, id);
        assert_eq!(sessions.find(&id, now + LIFE), None);
        assert_eq!(sessions.find("another", now), None);
        sessions.end(&key);
        assert_eq!(sessions.find(&id, now), None);
    }

    #[test]
    fn what_is_told_is_told_once() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let id = sessions.begin(now).unwrap();
        let (key, _) = sessions.find(&id, now).unwrap();
        sessions.tell(&key, "done".to_owned());
        assert_eq!(sessions.told(&key).as_deref(), Some("done"));
        assert_eq!(sessions.told(&key), None);
    }

    #[test]
    fn only_so_many_logins_are_kept() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.begin(now).unwrap();
        for _ in 0..MOST {
            sessions.begin(now + Duration::from_secs(1)).unwrap();
        }
        assert_eq!(sessions.find(&first, now), None);
        assert_eq!(sessions.0.lock().unwrap().len(), MOST);
    }

    #[test]
    fn who_guesses_is_slowed_down_and_nobody_else() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let (from, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..FREE_GUESSES {
            assert!(guesses.was_wrong(from, now));
        }
        assert!(!guesses.was_wrong(from, now));
        assert!(guesses.was_wrong(other, now));
        assert_eq!(
            network("2001:db8::7".parse().unwrap()),
            network("2001:db8::8".parse().unwrap())
        );
        assert!(guesses.was_wrong(from, now + WRONG_PAUSE));
        assert!(!guesses.was_wrong(from, now + WRONG_PAUSE));
    }

    #[test]
    fn many_addresses_fill_no_memory() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for n in 0..3 * WRONG_MOST as u32 {
            guesses.was_wrong(IpAddr::V4(n.into()), now);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), WRONG_MOST);
    }

    #[test]
    fn secrets_are_the_same_only_when_they_are() {
        assert!(same_secret("abc", "abc"));
        assert!(!same_secret("abc", "abcd"));
        assert!(!same_secret("", "a"));
    }
}
