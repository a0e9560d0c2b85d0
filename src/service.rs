//! What the service manager is told: ready, stopping, reloading, a line of status, and that the
//! loop turns. It never waits for the manager; without `NOTIFY_SOCKET` nothing is said or computed.

mod notify;

use crate::config::Database;
use crate::queue::overview::Backlog;
use notify::NotifySocket;
use sd_notify::NotifyState;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;
use tracing::debug;

/// The least time between two status lines of counts.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Pings per watchdog interval: a turn of the loop may wait for several locks of the database,
/// some seconds each, and still be in time.
const PINGS: u32 = 4;
/// How soon to try the manager again after it had no room.
const AGAIN: Duration = Duration::from_millis(50);

/// The way to the service manager, if there is one.
pub struct Service {
    socket: Option<NotifySocket>,
    ping_every: Option<Duration>,
    next_ping: Instant,
    /// When to send again what the manager had no room for.
    again: Option<Instant>,
    said: String,
    next_status: Instant,
    /// Something that counts has changed since the last status line.
    stale: bool,
    /// What people must see before the counts, until it is mended.
    notice: Option<String>,
}

/// What a status line counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub in_flight: usize,
    pub sent: u64,
    pub backlog: Backlog,
    /// `default`, `default sms`.
    pub held: Vec<String>,
    /// `sms`, `account shop`.
    pub paused: Vec<String>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let up_to = |count: u64| match count {
            Backlog::LIMIT.. => format!("{}+", Backlog::LIMIT),
            _ => count.to_string(),
        };
        let (due, waiting) = (up_to(self.backlog.due), up_to(self.backlog.waiting));
        let Counts { in_flight, sent, held, paused, .. } = self;
        write!(f, "{in_flight} in flight, {sent} sent since the start, {due} due, ")?;
        write!(f, "{waiting} waiting, ")?;
        match held.is_empty() {
            true => write!(f, "none held")?,
            false => write!(f, "held: {}", held.join(", "))?,
        }
        match paused.is_empty() {
            true => Ok(()),
            false => write!(f, "; paused: {}", paused.join(", ")),
        }
    }
}

impl Service {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_environment() -> Service {
        let socket = NotifySocket::from_environment();
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        let ping_every = watchdog.filter(|_| socket.is_some()).map(|limit| limit / PINGS);
        Service { socket, ping_every, ..Service::silent() }
    }

    /// There is no service manager.
    pub fn silent() -> Service {
        Service {
            socket: None,
            ping_every: None,
            next_ping: Instant::now(),
            again: None,
            said: String::new(),
            next_status: Instant::now(),
            stale: true,
            notice: None,
        }
    }

    /// Waits for the lock: not ready, and not to be given up either.
    pub fn standing_by(&mut self, database: &Database) {
        self.say(&format!("standing by: another dispatcher works on {database}"));
    }

    /// Has the lock, and decides what a dead dispatcher left.
    pub fn recovering(&mut self) {
        self.say("recovering");
    }

    /// Dispatches from now on.
    pub fn ready(&mut self) {
        self.notify(&[NotifyState::Ready]);
    }

    /// A reload has begun; [`Service::reloaded`] must follow.
    pub fn reloading(&mut self) {
        if self.socket.is_none() {
            return;
        }
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.notify(&[NotifyState::Reloading, now]),
            Err(e) => debug!(error = %e, "no monotonic clock: the reload is not announced"),
        }
    }

    /// The reload has ended; `notice` says what is wrong with it, until the next one.
    pub fn reloaded(&mut self, notice: Option<String>) {
        self.notice = notice;
        self.changed();
        self.notify(&[NotifyState::Ready]);
    }

    /// Stops; `limit`: the longest that it may take from now on.
    pub fn stopping(&mut self, limit: Duration) {
        let limit = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
        self.notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(limit)]);
    }

    /// The loop has made a turn: the watchdog hears of it, as often as it needs to.
    pub fn turned(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        let now = Instant::now();
        if self.again.is_some_and(|at| at <= now) {
            socket.send_unsent();
            self.again = socket.is_behind().then(|| now + AGAIN);
        }
        if let Some(every) = self.ping_every
            && self.next_ping <= now
        {
            self.next_ping = now + if socket.ping() { every } else { every.min(AGAIN) };
        }
    }

    /// When the loop must turn again: for a ping, or to try the manager once more.
    pub fn next_ping(&self) -> Option<Instant> {
        [self.ping_every.map(|_| self.next_ping), self.again].into_iter().flatten().min()
    }

    /// The counts may be others than those that were said.
    pub fn changed(&mut self) {
        self.stale = true;
    }

    /// Whether a new status line is due: then it is worth counting for it.
    pub fn wants_status(&self) -> bool {
        self.socket.is_some() && self.stale && self.next_status <= Instant::now()
    }

    /// Says how things are, if that is news; no more for a second.
    pub fn status(&mut self, line: &str) {
        self.stale = false;
        self.next_status = Instant::now() + STATUS_EVERY;
        match &self.notice {
            Some(notice) => self.say(&format!("{notice}; {line}")),
            None => self.say(line),
        }
    }

    fn say(&mut self, line: &str) {
        // A line break would begin another assignment.
        let line = line.replace(char::is_control, " ");
        if self.socket.is_some() && line != self.said {
            self.notify(&[NotifyState::Status(&line)]);
            self.said = line;
        }
    }

    /// A failed notification is no reason to stop: the manager has its own time limits.
    fn notify(&mut self, state: &[NotifyState]) {
        if let Some(socket) = &mut self.socket {
            socket.send(state);
            self.again = socket.is_behind().then(|| Instant::now() + AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_counts_up_to_its_limit_and_names_what_is_held_or_paused() {
        let backlog = Backlog { due: Backlog::LIMIT, waiting: 9_999 };
        let mut counts =
            Counts { in_flight: 2, sent: 7, backlog, held: Vec::new(), paused: Vec::new() };
        assert_eq!(
            counts.to_string(),
            "2 in flight, 7 sent since the start, 10000+ due, 9999 waiting, none held"
        );
        counts.held = vec!["default".into(), "shop sms".into()];
        assert!(counts.to_string().ends_with("held: default, shop sms"));
        counts.paused = vec!["sms".into(), "account shop".into()];
        assert!(counts.to_string().ends_with("shop sms; paused: sms, account shop"));
    }
}
