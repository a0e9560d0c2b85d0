//! The service manager's socket: datagrams that never wait for it.
//!
//! The notifications come from the sd-notify crate. The socket code is our own: the crate's send
//! waits while the manager reads nothing, and it does not support abstract names.

use sd_notify::NotifyState;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use tracing::{debug, warn};

/// How many datagrams are kept while the manager has no room for them; the oldest are dropped.
const KEPT: usize = 16;

/// The way to the service manager.
pub(super) struct NotifySocket {
    address: SocketAddr,
    /// In their order.
    unsent: VecDeque<Datagram>,
}

struct Datagram {
    text: String,
    /// A later one of its kind replaces it.
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

    /// Sends what is unsent and then this. What the manager has no room for is kept.
    pub(super) fn send(&mut self, state: &[NotifyState]) {
        let is_status = matches!(state, [NotifyState::Status(_)]);
        if is_status {
            self.unsent.retain(|datagram| !datagram.is_status);
        }
        self.unsent.push_back(Datagram { text: text(state), is_status });
        if self.unsent.len() > KEPT {
            self.unsent.pop_front();
        }
        self.send_unsent();
    }

    /// Sends a ping of the watchdog, after what is unsent. False: there is no room for it now, and
    /// a later ping says as much.
    pub(super) fn ping(&mut self) -> bool {
        self.send_unsent();
        self.unsent.is_empty() && self.has_taken(&text(&[NotifyState::Watchdog]))
    }

    /// Tries once more.
    pub(super) fn send_unsent(&mut self) {
        while let Some(first) = self.unsent.front() {
            if !self.has_taken(&first.text) {
                return;
            }
            self.unsent.pop_front();
        }
    }

    /// Whether the manager has not yet had room for something.
    pub(super) fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// False: it has no room now. If there is no manager, the datagram counts as sent: the
    /// manager's own time limits say when it gives up.
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
