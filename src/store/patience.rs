//! Waiting for another's write lock. SQLite's own way sleeps for a millisecond, then two, five, ten:
//! a producer's commit takes a quarter of one, and among producers that never pause the one that
//! sleeps longest gets its turn last.

use libsqlite3_sys::{SQLITE_OK, sqlite3_busy_handler};
use sqlx::sqlite::SqliteConnection;
use std::ffi::{c_int, c_void};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a statement waits before it fails, to be tried again.
const USUAL: Duration = Duration::from_secs(5);

/// Waits before the lock is asked for again, by how long it has been waited for. As long as a commit
/// takes, awake: to be woken takes longer than what is left of it.
fn pause(waited: Duration) {
    match waited.as_micros() {
        0..1_000 => std::thread::yield_now(),
        1_000..20_000 => std::thread::sleep(Duration::from_micros(200)),
        _ => std::thread::sleep(Duration::from_millis(2)),
    }
}

/// A connection's patience; for all of its statements the usual one, unless another is set.
pub(super) struct Patience(&'static Mutex<Waiting>);

struct Waiting {
    limit: Duration,
    since: Instant,
}

impl Patience {
    /// Becomes the way in which the connection waits.
    ///
    /// Some bytes are never freed: the connection's thread may outlive everything of ours.
    pub async fn of(conn: &mut SqliteConnection) -> sqlx::Result<Patience> {
        let waiting = Mutex::new(Waiting { limit: USUAL, since: Instant::now() });
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
    pub fn set(&self, limit: Duration) {
        if let Ok(mut waiting) = self.0.lock() {
            waiting.limit = limit;
        }
    }

    pub fn set_usual(&self) {
        self.set(USUAL);
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
    drop(waiting);
    pause(waited);
    1
}
