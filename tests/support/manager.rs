//! A socket that plays the service manager: it records what it is told, in order.

use super::{Program, SOON, eventually, found};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// Listens as `NOTIFY_SOCKET`.
pub struct Manager {
    name: String,
    heard: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Manager {
    pub fn in_folder(folder: &Path) -> Manager {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket in a temporary folder");
        Manager::on(socket, path.to_str().expect("a path in UTF-8"))
    }

    /// In the abstract namespace, under a name made from this folder's.
    pub fn abstract_of(folder: &Path) -> Manager {
        let name = folder.to_str().expect("a path in UTF-8");
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        Manager::on(UnixDatagram::bind_addr(&address).expect("a free name"), &format!("@{name}"))
    }

    /// Listens on this socket from now on; `name` as in `NOTIFY_SOCKET`.
    pub fn on(socket: UnixDatagram, name: &str) -> Manager {
        let heard: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let sink = Arc::clone(&heard);
        thread::spawn(move || {
            let mut datagram = [0; 4096];
            // It ends with the test's process.
            while let Ok(length) = socket.recv(&mut datagram) {
                let text = String::from_utf8_lossy(&datagram[..length]).trim_end().to_owned();
                sink.lock().unwrap().push((Instant::now(), text));
            }
        });
        Manager { name: name.to_owned(), heard }
    }

    /// The program, told of this manager.
    pub fn over(&self, program: Program) -> Program {
        program.env("NOTIFY_SOCKET", &self.name)
    }

    /// Every datagram so far, with when it came.
    pub fn timed(&self) -> Vec<(Instant, String)> {
        self.heard.lock().unwrap().clone()
    }

    pub fn heard(&self) -> Vec<String> {
        self.timed().into_iter().map(|(_, text)| text).collect()
    }

    /// How many datagrams begin so.
    pub fn count(&self, start: &str) -> usize {
        self.heard().iter().filter(|text| text.starts_with(start)).count()
    }

    /// The status lines, without their name.
    pub fn statuses(&self) -> Vec<String> {
        let heard = self.heard();
        heard.iter().filter_map(|text| text.strip_prefix("STATUS=").map(str::to_owned)).collect()
    }

    /// Waits for a datagram that begins so, and gives its place.
    #[track_caller]
    pub fn wait_for(&self, start: &str) -> usize {
        found(SOON, &format!("{start:?} in {:?}", self.heard()), || {
            self.heard().iter().position(|text| text.starts_with(start))
        })
    }

    /// Waits until the last status line contains the words.
    #[track_caller]
    pub fn wait_for_status(&self, words: &str) {
        eventually(SOON, &format!("status {words:?}; at first {:?}", self.statuses()), || {
            self.statuses().last().is_some_and(|line| line.contains(words))
        });
    }

    /// Waits until so many more begin like this.
    #[track_caller]
    pub fn wait_for_more(&self, start: &str, more: usize) {
        let wanted = self.count(start) + more;
        eventually(SOON, &format!("{more} more {start:?}"), || self.count(start) >= wanted);
    }
}
