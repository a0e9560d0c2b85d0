//! The store: everything that is SQL, and nothing that is HTTP.

pub mod sqlite;

pub use sqlite::*;
