//! Waiting for another's write lock: as SQLite does by itself, or, for a commit that is just being
//! made, awake. SQLite sleeps for a millisecond at first, and a producer's commit takes a quarter of one.

use libsqlite3_sys::{SQLITE_OK, sqlite3_busy_handler};
use sqlx::sqlite::SqliteConnection;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a statement waits before it fails, to be tried again.
const USUAL: Duration = Duration::from_secs(5);

/// SQLite's own pauses, in milliseconds. Everybody's: who asks for the lock more often than others
/// gets it every time, and eight producers beside it wait a hundred times as long.
const POLITE: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

/// How a statement waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Polite,
    /// For as long as a commit takes without sleeping: to be woken takes longer than what is left
    /// of it.
    Awake,
}

impl Pace {
    fn pause(self, tries: c_int, waited: Duration) {
        let tries = usize::try_from(tries).unwrap_or(0).min(POLITE.len() - 1);
        match (self, waited.as_micros()) {
            (Pace::Awake, 0..1_000) => std::thread::yield_now(),
            (Pace::Awake, _) => std::thread::sleep(Duration::from_millis(1)),
            (Pace::Polite, _) => std::thread::sleep(Duration::from_millis(POLITE[tries])),
        }
    }
}

/// A connection's patience; for all of its statements the usual one, unless another is set.
pub(super) struct Patience(&'static Mutex<Waiting>);

struct Waiting {
    limit: Duration,
    pace: Pace,
    since: Instant,
}

impl Patience {
    /// Becomes the way in which the connection waits.
    ///
    /// Some bytes are never freed: the connection's thread may outlive everything of ours.
    pub async fn of(conn: &mut SqliteConnection) -> sqlx::Result<Patience> {
        let waiting =
            Mutex::new(Waiting { limit: USUAL, pace: Pace::Polite, since: Instant::now() });
        let waiting: &'static Mutex<Waiting> = Box::leak(Box::new(waiting));
        let mut conn = conn.lock_handle().await?;
        let context = std::ptr::from_ref(waiting).cast_mut().cast::<c_void>();
        // SAFETY: the handle is the locked connection's, and the context lives for ever.
        let set =
            unsafe { sqlite3_busy_handler(conn.as_raw_handle().as_ptr(), Some(wait), context) };
        match set {
            SQLITE_OK => Ok(Patience(waiting)),
            code => Err(sqlx::Error::Protocol(format!("sqlite3_busy_handler answered {code}"))),
        }
    }

    /// For the statements from now on.
    pub fn set(&self, limit: Duration, pace: Pace) {
        if let Ok(mut waiting) = self.0.lock() {
            (waiting.limit, waiting.pace) = (limit, pace);
        }
    }

    pub fn set_usual(&self) {
        self.set(USUAL, Pace::Polite);
    }
}

/// SQLite calls it for as long as another has the lock; 0 is to give up.
unsafe extern "C" fn wait(context: *mut c_void, tries: c_int) -> c_int {
    // SAFETY: the context is what Patience::of has given.
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
