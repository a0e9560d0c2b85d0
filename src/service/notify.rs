//! The service manager's socket. Sending never blocks.
//!
//! libsystemd's own function would block while the manager reads nothing.

use libsystemd::daemon::NotifyState;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use tracing::{debug, warn};

/// How many datagrams are kept while the manager has no room for them. Beyond that the oldest are
/// dropped.
const MOST_UNSENT: usize = 16;

/// The address in `NOTIFY_SOCKET`, and what could not be sent to it yet.
pub(super) struct NotifySocket {
    address: SocketAddr,
    /// Oldest first.
    unsent: VecDeque<Datagram>,
}

struct Datagram {
    text: String,
    /// A later status line replaces it.
    is_status: bool,
}

impl NotifySocket {
    /// `NOTIFY_SOCKET`: an absolute path, or `@` and an abstract name. Other forms are logged.
    pub(super) fn from_environment() -> Option<NotifySocket> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        match address(&name) {
            Ok(address) => Some(NotifySocket { address, unsent: VecDeque::new() }),
            Err(e) => {
                warn!(error = %e, "NOTIFY_SOCKET cannot be used, so the service manager is not notified: \
                    it must be an absolute path, or @ and the name of an abstract socket");
                None
            }
        }
    }

    /// Sends this after everything unsent. What the manager has no room for is kept.
    pub(super) fn send(&mut self, state: &[NotifyState]) {
        let is_status = matches!(state, [NotifyState::Status(_)]);
        if is_status {
            self.unsent.retain(|datagram| !datagram.is_status);
        }
        self.unsent.push_back(Datagram { text: text(state), is_status });
        if self.unsent.len() > MOST_UNSENT {
            self.unsent.pop_front();
        }
        self.send_unsent();
    }

    /// Pings the watchdog, after everything unsent. `false`: there is no room for it. It is not kept:
    /// a later ping says the same.
    pub(super) fn ping(&mut self) -> bool {
        self.send_unsent();
        self.unsent.is_empty() && self.has_taken(&text(&[NotifyState::Watchdog]))
    }

    /// Tries again to send what is unsent.
    pub(super) fn send_unsent(&mut self) {
        while let Some(first) = self.unsent.front() {
            if !self.has_taken(&first.text) {
                return;
            }
            self.unsent.pop_front();
        }
    }

    /// Whether something could not be sent yet.
    pub(super) fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// `false`: the manager has no room for it now. Without a manager the datagram counts as sent.
    fn has_taken(&self, text: &str) -> bool {
        match self.try_send(text.as_bytes()) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => false,
            Err(e) => {
                debug!(error = %e, "the service manager cannot be notified");
                true
            }
            Ok(()) => true,
        }
    }

    /// Uses a new socket each time, so that a restarted manager is found.
    fn try_send(&self, text: &[u8]) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(text, &self.address).map(drop)
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(ErrorKind::Unsupported.into()),
    }
}

fn text(state: &[NotifyState]) -> String {
    state.iter().map(|one| format!("{one}\n")).collect()
}
