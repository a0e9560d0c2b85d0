//! The network between one node and the database: a proxy that freezes, delays and cuts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How bytes flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// Each read waits this long.
    Slow(Duration),
    /// Nothing moves, and nothing is closed.
    Frozen,
    /// Connections are closed as soon as they are made.
    Shut,
}

#[derive(Clone)]
struct State {
    /// The folder of the server's socket.
    target: PathBuf,
    flow: Flow,
    /// Connections that were made under an earlier number are closed.
    generation: u64,
}

/// No cut is waiting.
const NONE: i64 = -1;

/// Listens on a TCP port and passes everything on to a server's socket.
pub struct Link {
    port: u16,
    state: watch::Sender<State>,
    /// After how many bytes of the next chunk the connection is cut: on the way to the server, and back.
    cuts: Arc<[AtomicI64; 2]>,
    task: JoinHandle<()>,
}

impl Link {
    pub async fn to(target: &Path) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        let target = target.to_owned();
        let state = watch::Sender::new(State { target, flow: Flow::Open, generation: 0 });
        let cuts = Arc::new([AtomicI64::new(NONE), AtomicI64::new(NONE)]);
        let task = tokio::spawn(accept(listener, state.subscribe(), Arc::clone(&cuts)));
        Link { port, state, cuts, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, flow: Flow) {
        self.state.send_modify(|state| state.flow = flow);
    }

    /// Cuts every connection; the next ones go to `target`.
    pub fn turn_to(&self, target: &Path) {
        self.state.send_modify(|state| {
            state.target = target.to_owned();
            state.generation += 1;
        });
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Cuts a connection after so many bytes of the next thing that the server says: with 0, that is a
    /// commit without an answer.
    pub fn cut_in_answer(&self, after: u16) {
        self.cuts[1].store(i64::from(after), Ordering::SeqCst);
    }

    /// The same for what the node says.
    pub fn cut_in_request(&self, after: u16) {
        self.cuts[0].store(i64::from(after), Ordering::SeqCst);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>, cuts: Arc<[AtomicI64; 2]>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let (mut state, cuts) = (state.clone(), Arc::clone(&cuts));
        tokio::spawn(async move {
            let begun = state.borrow_and_update().clone();
            if begun.flow == Flow::Shut {
                return;
            }
            let socket = begun.target.join(".s.PGSQL.5432");
            let Ok(server) = UnixStream::connect(socket).await else { return };
            let _ = client.set_nodelay(true);
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            let there = pump(from_client, to_server, state.clone(), begun.generation, &cuts[0]);
            let back = pump(from_server, to_client, state, begun.generation, &cuts[1]);
            // One end has gone, or both are cut: so is the other.
            tokio::select! {
                () = there => {}
                () = back => {}
            }
        });
    }
}

/// Passes bytes on in one direction until the connection ends or is cut.
async fn pump(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    generation: u64,
    cut: &AtomicI64,
) {
    let mut chunk = vec![0; 16 * 1024];
    let mut changes = state.clone();
    loop {
        let count = tokio::select! {
            read = from.read(&mut chunk) => match read {
                Ok(count @ 1..) => count,
                _ => return,
            },
            _ = changes.wait_for(|now| now.generation != generation || now.flow == Flow::Shut) => return,
        };
        let flow = state.borrow().flow;
        if let Flow::Slow(delay) = flow {
            sleep(delay).await;
        }
        // Until it is thawed, or cut.
        let thawed = state.wait_for(|now| now.flow != Flow::Frozen || now.generation != generation);
        let passes =
            thawed.await.is_ok_and(|now| now.generation == generation && now.flow != Flow::Shut);
        if !passes {
            return;
        }
        let after = cut.swap(NONE, Ordering::SeqCst);
        let passed = usize::try_from(after).map_or(count, |after| after.min(count));
        if to.write_all(&chunk[..passed]).await.is_err() || after != NONE {
            let _ = to.flush().await;
            return;
        }
    }
}
