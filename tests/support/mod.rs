//! What the black-box tests share: a server that plays Acquire by a script, an outbox in a
//! temporary folder, and the built program run against both.
//!
//! The outbox is a file, or with `ACQUIRE_OUTBOX_TEST_ENGINE=postgres` a schema on a PostgreSQL server that the test
//! program starts itself: `Outbox`, `Job` and `Engine` speak both. What SQLite alone has is marked by `sqlite_only!`,
//! and ends such a test at once on PostgreSQL: `grep -rh 'sqlite_only!(' tests` lists the reasons.
//!
//! Nothing here sleeps for a fixed time. To show that something does *not* happen, a test makes
//! something else happen after it.

mod database;
mod engine;
mod installed;
mod job;
mod manager;
mod open_outbox;
mod outbox;
mod pgbouncer;
mod postgres;
mod program;
mod reply;
mod scrape;
mod server;
mod shop;
mod small_disk;
mod stand_in;

pub use database::{Database, Row, write_lock};
pub(crate) use engine::sqlite_only;
pub use engine::{Engine, iso, quoted};
pub use installed::{installed, script};
pub use job::{Job, from_now};
pub use manager::Manager;
pub use open_outbox::OpenOutbox;
pub use outbox::{KEY, Outbox, Setup};
pub use pgbouncer::Pgbouncer;
pub use postgres::{Cluster, PostgresDatabase};
pub use program::{Daemon, Finished, Program, can_trace, can_unshare, has_terminals};
pub use reply::{Gate, Reply, chat_accepted};
pub use scrape::{Page, Scrape, promtool};
pub use server::{Refusing, Request, Server};
pub use shop::{Shop, shop};
pub use small_disk::SmallDisk;
pub use stand_in::StandIn;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long anything may take before a test calls it missing. Generous: the machine is shared.
pub const SOON: Duration = Duration::from_secs(20);

/// Polls until the condition holds; past the deadline it panics, naming what never came.
#[track_caller]
pub fn eventually(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    found(deadline, what, || condition().then_some(()));
}

/// Polls until there is a value and gives it; past the deadline it panics. The longer it has waited, the less often
/// it looks: a look mostly opens the database again, and other tests need the processor.
#[track_caller]
pub fn found<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        let waited = begun.elapsed();
        assert!(waited < deadline, "not within {deadline:?}: {what}");
        let pause = (waited / 4).clamp(Duration::from_millis(5), Duration::from_millis(50));
        std::thread::sleep(pause);
    }
}

/// Says that a test checked nothing, even where the output of passing tests is not shown.
pub fn skipped(why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// The library that shows a program another time; None, and a line that says so, where there is none.
pub fn libfaketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut libraries = folders.map(|f| f.path().join("faketime/libfaketimeMT.so.1"));
    let found = libraries.find(|library| library.exists());
    if found.is_none() {
        skipped("there is no libfaketime (Debian: faketime)");
    }
    found
}

/// Unix milliseconds, as the table stores times.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
}

/// Fails with the place where it was found when `text` contains `secret`.
#[track_caller]
pub fn never_shows(place: &str, text: &str, secret: &str) {
    assert!(!text.contains(secret), "{place} shows {secret:?}:\n{text}");
}
