//! The database: everything that is SQL, and nothing that is HTTP.
//!
//! The dispatcher uses it narrowly: [`SqliteStore::open`], [`SqliteStore::cycle`] (record and claim),
//! [`SqliteStore::look`] (has anything changed, what falls due) and the upkeep. Commands read and edit
//! through [`query`] and [`edit`], files go in and out through [`transfer`]. What is shown to
//! people is read by `lenient`: no value in any column makes a reading fail.

mod backlog;
mod aside;
mod bookkeeping;
mod bounded;
mod census;
mod claim;
mod clock;
mod closing;
mod cycle;
pub mod disk;
mod each;
pub mod edit;
mod erase;
mod failures;
#[cfg(test)]
mod fixture;
mod filter;
mod health;
mod holds;
mod left;
pub mod lock;
mod lenient;
mod neutral;
mod open;
mod overview;
pub mod owner;
mod patience;
mod pauses;
mod plain;
mod progress;
mod purpose;
pub mod query;
mod reading;
mod real_path;
mod record;
mod repair;
mod restored;
mod schema;
mod shown;
mod shrink;
mod statistics;
mod sweep;
pub mod transfer;
mod position;
mod upkeep;
pub mod wake;

pub use aside::Tryable;
pub use bounded::TimeLimit;
pub use closing::wait_until_closed;
#[doc(hidden)]
pub use cycle::{PROCEDURES, statements};
pub use each::DueEach;
pub use erase::Erased;
pub use health::Files;
pub use neutral::neutral;
pub use open::{SqliteError, SqliteStore};
pub use progress::{NoteFile, Progress};
pub use purpose::Contents;
pub use real_path::{PathError, RealPath};
pub use repair::Mend;
pub use schema::{Flaw, listed};
pub use shrink::Shrunk;
pub use sweep::{STRAYS, TakenIn};
