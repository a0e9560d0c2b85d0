//! Waiting for another's write lock: as SQLite does by itself or, for a commit that is just being
//! made, without sleeping. SQLite sleeps for a millisecond at first, and a producer's commit takes a
//! quarter of one.

use super::{SqliteError, SqliteStore};
use libsqlite3_sys::{SQLITE_OK, sqlite3_busy_handler};
use sqlx::sqlite::SqliteConnection;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a statement waits before it fails, to be tried again.
const USUAL: Duration = Duration::from_secs(5);

/// SQLite's own pauses, in milliseconds. A program that asks for the lock more often than the others
/// gets it every time: eight producers then waited a hundred times as long.
const PAUSES: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

/// How a statement waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BusyWait {
    Sleeping,
    /// Without sleeping for as long as a commit takes: being woken takes longer than what is left
    /// of it.
    Spinning,
}

impl BusyWait {
    fn pause(self, tries: c_int, waited: Duration) {
        let tries = usize::try_from(tries).unwrap_or(0).min(PAUSES.len() - 1);
        match (self, waited.as_micros()) {
            (BusyWait::Spinning, 0..1_000) => std::thread::yield_now(),
            // Late by an eighth at most, however slow the disk is.
            (BusyWait::Spinning, _) => std::thread::sleep(waited / 8),
            (BusyWait::Sleeping, _) => std::thread::sleep(Duration::from_millis(PAUSES[tries])),
        }
    }
}

/// How long a connection's statements wait: as usual, unless another limit is set.
pub(super) struct BusyHandler(&'static Mutex<Waiting>);

struct Waiting {
    limit: Duration,
    pace: BusyWait,
    since: Instant,
}

impl BusyHandler {
    /// Becomes the way in which the connection waits.
    ///
    /// A few bytes are never freed: the connection's thread may outlive everything of ours.
    pub async fn of(conn: &mut SqliteConnection) -> sqlx::Result<BusyHandler> {
        let waiting =
            Mutex::new(Waiting { limit: USUAL, pace: BusyWait::Sleeping, since: Instant::now() });
        let waiting: &'static Mutex<Waiting> = Box::leak(Box::new(waiting));
        let mut conn = conn.lock_handle().await?;
        let context = std::ptr::from_ref(waiting).cast_mut().cast::<c_void>();
        // SAFETY: the handle is the locked connection's, and the context lives for ever.
        let set =
            unsafe { sqlite3_busy_handler(conn.as_raw_handle().as_ptr(), Some(wait), context) };
        match set {
            SQLITE_OK => Ok(BusyHandler(waiting)),
            code => Err(sqlx::Error::Protocol(format!("sqlite3_busy_handler answered {code}"))),
        }
    }

    /// For the statements from now on.
    pub fn set(&self, limit: Duration, pace: BusyWait) {
        if let Ok(mut waiting) = self.0.lock() {
            (waiting.limit, waiting.pace) = (limit, pace);
        }
    }

    pub fn set_usual(&self) {
        self.set(USUAL, BusyWait::Sleeping);
    }
}

/// SQLite calls it for as long as another has the lock; 0 is to give up.
unsafe extern "C" fn wait(context: *mut c_void, tries: c_int) -> c_int {
    // SAFETY: the context is what BusyHandler::of has given.
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
    /// Takes the write lock and lets go of it, waiting no longer than this; it writes nothing.
    ///
    /// # Errors
    /// What a write would meet; [`SqliteError::is_busy`] where another program has the lock.
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
