//! The engine for PostgreSQL: everything that knows that there is a server.

mod bell;
mod connect_options;
mod connection;
mod counts;
mod cycle_call;
mod ended_json;
mod failures;
mod filter_sql;
mod import_export;
mod inspection;
mod job_changes;
mod job_reads;
mod new_rows;
mod node_blocks;
mod node_burial;
mod node_job;
mod node_process;
mod node_session;
mod node_upkeep;
mod node_waiting;
mod paused_routes;
mod postgres_error;
mod postgres_store;
mod postgres_tenure;
mod refused_rows;
mod restored;
mod route_rooms;
mod rows;
mod schema;
mod time_limit;
mod versions;
mod wanted_schema;

pub use postgres_error::PostgresError;
pub use postgres_store::PostgresStore;
pub use postgres_tenure::PostgresTenure;
pub use time_limit::within;
