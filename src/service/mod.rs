//! Notifications to the service manager: ready, stopping, reloading, a status line, and pings for
//! its watchdog. It never waits for the manager. Without `NOTIFY_SOCKET` it does nothing.

mod notify;

use crate::config::Database;
use crate::queue::overview::Backlog;
use libsystemd::daemon::{NotifyState, watchdog_enabled};
use notify::NotifySocket;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two status lines with counts.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Pings per watchdog interval: one iteration of the loop may wait for several database locks, a few
/// seconds each, and still be in time.
const PINGS: u32 = 4;
/// How soon to try again after the manager had no room for a notification.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The connection to the service manager, if there is one.
pub struct Service {
    socket: Option<NotifySocket>,
    ping_every: Option<Duration>,
    next_ping: Instant,
    /// When to try again to send what the manager had no room for.
    retry_at: Option<Instant>,
    last_status: String,
    next_status: Instant,
    /// Something in the counts has changed since the last status line.
    stale: bool,
    /// Shown before the counts, until the next reload.
    notice: Option<String>,
}

/// The counts in a status line.
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
            true => write!(f, "none blocked")?,
            false => write!(f, "blocked: {}", held.join(", "))?,
        }
        match paused.is_empty() {
            true => Ok(()),
            false => write!(f, "; paused: {}", paused.join(", ")),
        }
    }
}

impl Service {
    /// By `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_environment() -> Service {
        let socket = NotifySocket::from_environment();
        let watchdog = watchdog_enabled(false).filter(|limit| !limit.is_zero());
        let ping_every = watchdog.filter(|_| socket.is_some()).map(|limit| limit / PINGS);
        Service { socket, ping_every, ..Service::silent() }
    }

    /// Without a service manager.
    pub fn silent() -> Service {
        Service {
            socket: None,
            ping_every: None,
            next_ping: Instant::now(),
            retry_at: None,
            last_status: String::new(),
            next_status: Instant::now(),
            stale: true,
            notice: None,
        }
    }

    /// Waits for the lock: not ready yet.
    pub fn standing_by(&mut self, database: &Database) {
        self.send_status(&format!("standing by: another dispatcher works on {database}"));
    }

    /// Has the lock, and decides the jobs that a dead dispatcher left.
    pub fn recovering(&mut self) {
        self.send_status("recovering");
    }

    /// Dispatches from now on.
    pub fn ready(&mut self) {
        self.notify(&[NotifyState::Ready]);
    }

    /// A reload has begun; [`Service::reloaded`] must follow.
    pub fn reloading(&mut self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        let begun = NotifyState::Other(format!("MONOTONIC_USEC={microseconds}"));
        self.notify(&[NotifyState::Reloading, begun]);
    }

    /// The reload has ended; `notice` says what went wrong, and is shown until the next reload.
    pub fn reloaded(&mut self, notice: Option<String>) {
        self.notice = notice;
        self.changed();
        self.notify(&[NotifyState::Ready]);
    }

    /// Stops; this may take up to `limit` from now on.
    pub fn stopping(&mut self, limit: Duration) {
        let limit = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
        let extended = NotifyState::Other(format!("EXTEND_TIMEOUT_USEC={limit}"));
        self.notify(&[NotifyState::Stopping, extended]);
    }

    /// The loop has turned: pings the watchdog if that is due.
    pub fn turned(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            socket.send_unsent();
            self.retry_at = socket.is_behind().then(|| now + RETRY_PAUSE);
        }
        if let Some(every) = self.ping_every
            && self.next_ping <= now
        {
            self.next_ping = now + if socket.ping() { every } else { every.min(RETRY_PAUSE) };
        }
    }

    /// When the loop must run again, for a ping or to retry a notification.
    pub fn next_ping(&self) -> Option<Instant> {
        [self.ping_every.map(|_| self.next_ping), self.retry_at].into_iter().flatten().min()
    }

    /// The counts may have changed since the last status line.
    pub fn changed(&mut self) {
        self.stale = true;
    }

    /// Whether a new status line is due, so that it is worth counting for it.
    pub fn wants_status(&self) -> bool {
        self.socket.is_some() && self.stale && self.next_status <= Instant::now()
    }

    /// Sends a status line, if it is a new one. The next is not due for a second.
    pub fn status(&mut self, line: &str) {
        self.stale = false;
        self.next_status = Instant::now() + STATUS_EVERY;
        match &self.notice {
            Some(notice) => self.send_status(&format!("{notice}; {line}")),
            None => self.send_status(line),
        }
    }

    fn send_status(&mut self, line: &str) {
        // A line break would begin another assignment.
        let line = line.replace(char::is_control, " ");
        if self.socket.is_some() && line != self.last_status {
            self.notify(&[NotifyState::Status(line.clone())]);
            self.last_status = line;
        }
    }

    /// A failed notification does not stop the dispatcher: the manager has its own time limits.
    fn notify(&mut self, state: &[NotifyState]) {
        if let Some(socket) = &mut self.socket {
            socket.send(state);
            self.retry_at = socket.is_behind().then(|| Instant::now() + RETRY_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_counts_up_to_its_limit_and_names_blocks_and_pauses() {
        let backlog = Backlog { due: Backlog::LIMIT, waiting: 9_999 };
        let mut counts =
            Counts { in_flight: 2, sent: 7, backlog, held: Vec::new(), paused: Vec::new() };
        assert_eq!(
            counts.to_string(),
            "2 in flight, 7 sent since the start, 10000+ due, 9999 waiting, none blocked"
        );
        counts.held = vec!["default".into(), "shop sms".into()];
        assert!(counts.to_string().ends_with("blocked: default, shop sms"));
        counts.paused = vec!["sms".into(), "account shop".into()];
        assert!(counts.to_string().ends_with("shop sms; paused: sms, account shop"));
    }
}
