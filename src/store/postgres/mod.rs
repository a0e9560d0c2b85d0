//! The engine for PostgreSQL: everything that knows that there is a server.

mod connect_options;
mod connection;
mod counts;
mod failures;
mod filter_sql;
mod import_export;
mod init_script;
mod inspection;
mod job_changes;
mod job_reads;
mod new_rows;
mod node_list;
mod paused_routes;
mod postgres_error;
mod postgres_store;
mod postgres_tenure;
mod restored;
mod role_rights;
mod rows;
mod schema;
mod schema_arrival;
mod schema_departure;
mod time_limit;
mod versions;
mod wanted_schema;

pub use postgres_error::PostgresError;
pub use postgres_store::PostgresStore;
pub use postgres_tenure::PostgresTenure;
pub use role_rights::grants;
pub use schema_arrival::SchemaArrival;
pub use schema_departure::SchemaDeparture;
pub use time_limit::within;
