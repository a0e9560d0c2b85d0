//! The engine for SQLite: everything that knows that there is a file.
//!
//! A dispatcher works on it through a [`SqliteTenure`], operators and readers through a
//! [`SqliteStore`]. What operators read is read by `lenient`: no value in any column makes a reading
//! fail.

mod acts;
mod agenda;
mod answer_file;
mod blocks;
mod busy_handler;
mod claimed_rows;
mod contents;
mod counts;
mod creation_script;
mod cycle;
mod disk;
mod dispatcher_row;
mod epoch;
mod erase;
mod failures;
mod file_arrival;
mod fill_switch;
mod file_departure;
mod file_size;
mod files;
mod filter_sql;
mod following;
#[cfg(test)]
mod fixture;
mod history;
mod housekeeping;
mod import_export;
mod inspection;
mod job_changes;
mod job_reads;
mod lenient;
mod lock;
mod open;
mod owner;
mod paused_routes;
mod progress;
mod reading;
mod real_path;
mod record;
mod repair;
mod restored;
mod retries_clock;
mod row_by_row;
mod schema;
mod set_aside;
mod sqlite_error;
mod sqlite_tenure;
mod source_shares;
mod statements;
mod stray_rows;
mod take_over;
mod time_limit;
mod unknown_accounts;
mod unreadable_routes;
mod user_names;
mod verifying;
mod versions;
mod waiting;
mod wake;

pub use answer_file::AnswerFile;
#[doc(hidden)]
pub use cycle::{PROCEDURES, statements};
pub use file_arrival::FileArrival;
pub use file_departure::FileDeparture;
pub(crate) use inspection::storage;
pub(crate) use lock::is_held;
pub use open::{SqliteStore, wait_until_closed};
pub use schema::listed;
pub use sqlite_error::{SqliteError, neutral};
pub use sqlite_tenure::SqliteTenure;
pub use user_names::this_user;

pub(crate) use contents::Contents;
pub(crate) use progress::Progress;
pub(crate) use real_path::{PathError, RealPath};
pub(crate) use repair::RepairScope;
pub(crate) use schema::Flaw;
#[cfg(test)]
pub(super) use versions::MIGRATIONS;
