//! The engine for PostgreSQL: everything that knows that there is a server.

mod connect_options;
mod postgres_store;
mod postgres_tenure;

pub use postgres_store::PostgresStore;
pub use postgres_tenure::PostgresTenure;
