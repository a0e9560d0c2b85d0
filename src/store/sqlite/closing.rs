//! Waiting until SQLite has closed what was opened: only then are its log and shared memory gone.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many connections of this process are open.
static OPEN: Mutex<usize> = Mutex::new(0);
static CLOSED: Condvar = Condvar::new();

/// One connection; SQLite drops it at the very end of closing.
pub(super) struct OpenConnection(());

impl OpenConnection {
    pub fn begin() -> OpenConnection {
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        OpenConnection(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        CLOSED.notify_all();
    }
}

/// Waits until every connection is closed. A dropped connection is closed by another thread, which
/// the end of the process would interrupt: `-wal` and `-shm` would stay behind and belong to this
/// user.
pub fn wait_until_closed(limit: Duration) {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = CLOSED.wait_timeout_while(open, limit, |open| *open > 0);
}
