//! The engine for PostgreSQL: everything that knows that there is a server.

mod bell;
mod cycle_call;
mod ended_json;
mod node_blocks;
mod node_burial;
mod node_job;
mod node_process;
mod node_session;
mod node_upkeep;
mod node_waiting;
mod refused_rows;
mod route_rooms;
mod connection;
mod postgres_error;
mod connect_options;
mod postgres_store;
mod postgres_tenure;
mod time_limit;
mod versions;

pub use postgres_error::PostgresError;
pub use postgres_store::PostgresStore;
pub use postgres_tenure::PostgresTenure;
