//! The engine for SQLite: everything that knows that there is a file.
//!
//! A dispatcher works on it through a [`SqliteTenure`], operators and readers through a
//! [`SqliteStore`]. What is shown to people is read by `lenient`: no value in any column makes a
//! reading fail.

mod agenda;
mod blocks;
mod bookkeeping;
mod bounded;
mod busy_handler;
mod census;
mod claim;
mod closing;
mod cycle;
pub mod disk;
pub mod edit;
mod epoch;
mod erase;
mod failures;
mod file_size;
mod files;
mod filter;
#[cfg(test)]
mod fixture;
mod housekeeping;
mod lenient;
pub mod lock;
mod neutral;
mod open;
mod overview;
pub mod owner;
mod pauses;
mod plain;
mod position;
mod progress;
mod purpose;
pub mod query;
mod reading;
mod real_path;
mod record;
mod repair;
mod restored;
mod retries_clock;
mod row_by_row;
mod schema;
mod set_aside;
mod shown;
mod statements;
mod stray_rows;
mod take_over;
mod tenure;
pub mod transfer;
mod unknown_accounts;
mod waiting;
mod wake;

pub use bounded::TimeLimit;
pub use closing::wait_until_closed;
#[doc(hidden)]
pub use cycle::{PROCEDURES, statements};
pub use erase::Erased;
pub use neutral::neutral;
pub use open::{SqliteError, SqliteStore};
pub use progress::Progress;
pub use purpose::Contents;
pub use real_path::{PathError, RealPath};
pub use repair::Mend;
pub use schema::{Flaw, listed};
pub use tenure::SqliteTenure;
