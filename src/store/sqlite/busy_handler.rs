//! How a statement waits for the write lock: as SQLite usually does or, during another program's commit,
//! without sleeping. SQLite sleeps for at least a millisecond, and a producer's commit takes a quarter of
//! one.

use super::{SqliteError, SqliteStore};
use libsqlite3_sys::{SQLITE_OK, sqlite3_busy_handler};
use sqlx::sqlite::SqliteConnection;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a statement waits before it fails.
const USUAL: Duration = Duration::from_secs(5);

/// SQLite's own pauses, in milliseconds. A program that asks for the lock more often than others gets it
/// every time: with shorter pauses, eight producers waited a hundred times as long.
const PAUSES: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

/// How a statement waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BusyWait {
    Sleeping,
    /// Without sleeping while a commit usually takes: waking up would take longer than the rest of the
    /// commit.
    Spinning,
}

impl BusyWait {
    fn pause(self, tries: c_int, waited: Duration) {
        let tries = usize::try_from(tries).unwrap_or(0).min(PAUSES.len() - 1);
        match (self, waited.as_micros()) {
            (BusyWait::Spinning, 0..1_000) => std::thread::yield_now(),
            // At most an eighth too late, however slow the disk is.
            (BusyWait::Spinning, _) => std::thread::sleep(waited / 8),
            (BusyWait::Sleeping, _) => std::thread::sleep(Duration::from_millis(PAUSES[tries])),
        }
    }
}

/// How a connection's statements wait.
pub(super) struct BusyHandler(&'static Mutex<Waiting>);

struct Waiting {
    limit: Duration,
    pace: BusyWait,
    since: Instant,
}

impl BusyHandler {
    /// Installs the handler on the connection.
    ///
    /// It leaks a few bytes, because the connection's thread may outlive everything else.
    pub async fn of(conn: &mut SqliteConnection) -> sqlx::Result<BusyHandler> {
        let waiting =
            Mutex::new(Waiting { limit: USUAL, pace: BusyWait::Sleeping, since: Instant::now() });
        let waiting: &'static Mutex<Waiting> = Box::leak(Box::new(waiting));
        let mut conn = conn.lock_handle().await?;
        let context = std::ptr::from_ref(waiting).cast_mut().cast::<c_void>();
        // SAFETY: the handle is the locked connection's, and the context is never freed.
        let set =
            unsafe { sqlite3_busy_handler(conn.as_raw_handle().as_ptr(), Some(wait), context) };
        match set {
            SQLITE_OK => Ok(BusyHandler(waiting)),
            code => Err(sqlx::Error::Protocol(format!("sqlite3_busy_handler answered {code}"))),
        }
    }

    /// Applies to all statements from now on.
    pub fn set(&self, limit: Duration, pace: BusyWait) {
        if let Ok(mut waiting) = self.0.lock() {
            (waiting.limit, waiting.pace) = (limit, pace);
        }
    }

    pub fn set_usual(&self) {
        self.set(USUAL, BusyWait::Sleeping);
    }
}

/// SQLite calls this while another connection has the lock; 0 means giving up.
unsafe extern "C" fn wait(context: *mut c_void, tries: c_int) -> c_int {
    // SAFETY: the context is the one from BusyHandler::of.
    let waiting = unsafe { &*context.cast::<Mutex<Waiting>>() };
    let Ok(mut waiting) = waiting.lock() else { return 0 };
    let now = Instant::now();
    if tries == 0 {
        waiting.since = now;
    }
    let waited = now - waiting.since;
    if waited >= waiting.limit {
        return 0;
    }
    let pace = waiting.pace;
    drop(waiting);
    pace.pause(tries, waited);
    1
}

impl SqliteStore {
    /// Takes the write lock and releases it, waiting at most `wait`; it writes nothing.
    ///
    /// # Errors
    /// The error that a write would get; [`SqliteError::is_busy`] if another program has the lock.
    pub async fn try_write_lock(&mut self, wait: Duration) -> Result<(), SqliteError> {
        let reads_only: bool =
            sqlx::query_scalar("PRAGMA query_only").fetch_one(&mut self.conn).await?;
        self.busy_handler.set(wait, BusyWait::Sleeping);
        sqlx::query("PRAGMA query_only = OFF").execute(&mut self.conn).await?;
        let locked = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut self.conn).await;
        if reads_only {
            sqlx::query("PRAGMA query_only = ON").execute(&mut self.conn).await?;
        }
        self.busy_handler.set_usual();
        locked?;
        Ok(())
    }
}
