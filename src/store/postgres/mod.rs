//! The engine for PostgreSQL: everything that knows that there is a server.

mod connection;
mod grants;
mod init_script;
mod node_list;
mod postgres_error;
mod connect_options;
mod postgres_store;
mod postgres_tenure;
mod time_limit;
mod versions;

pub use grants::grants;
pub use postgres_error::PostgresError;
pub use postgres_store::PostgresStore;
pub use postgres_tenure::PostgresTenure;
