//! The outbox in a SQLite file: everything that is SQL, and everything that knows that there is a
//! file. What operators read is read by `lenient`: no value in any column makes a reading fail.

mod backlog;
mod aside;
mod claim;
mod clock;
mod contents;
mod counts;
mod cycle;
pub mod disk;
mod each;
mod erase;
mod failures;
mod filter_sql;
#[cfg(test)]
mod fixture;
mod health;
mod holds;
mod import_export;
mod inspection;
mod job_changes;
mod job_reads;
mod left;
mod lenient;
pub mod lock;
mod open;
pub mod owner;
mod patience;
mod paused_routes;
mod progress;
mod reading;
mod real_path;
mod record;
mod repair;
mod restored;
mod schema;
mod shrink;
mod sqlite_error;
mod statistics;
mod sweep;
mod time_limit;
mod upkeep;
mod versions;
pub mod wake;

pub use aside::Tryable;
pub use contents::Contents;
#[doc(hidden)]
pub use cycle::{PROCEDURES, statements};
pub use each::DueEach;
pub use erase::Erased;
pub use health::Files;
pub(crate) use inspection::storage;
pub use open::{SqliteStore, wait_until_closed};
pub use progress::{NoteFile, Progress};
pub use real_path::{PathError, RealPath};
pub use repair::Mend;
pub use schema::{Flaw, listed};
pub use shrink::Shrunk;
pub use sqlite_error::{SqliteError, neutral};
pub use sweep::{STRAYS, TakenIn};
