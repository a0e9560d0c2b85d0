//! An outbox that a test opens in its own process, on the engine of this run.

use super::{Database, Engine, PostgresDatabase, Row};
use acquire_outbox::config;
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::store::Store;
use sqlx::{ConnectOptions as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// An outbox that is empty, and a producer's connection to it that stays open.
pub struct OpenOutbox {
    pub place: config::Database,
    connection: Open,
    /// The folder of the file; dropped last.
    _kept: Option<TempDir>,
}

enum Open {
    /// From the first statement on.
    Sqlite(Database, Option<SqliteConnection>),
    Postgres(PgConnection),
}

impl OpenOutbox {
    pub async fn new() -> OpenOutbox {
        match Engine::of_this_run() {
            Engine::Sqlite => {
                let folder = TempDir::new().expect("a temporary folder");
                let database = Database::at(folder.path().join("outbox.db"));
                let place = config::Database::from(database.path());
                Store::init(Purpose::Delivery, &place).await.expect("an outbox");
                let connection = Open::Sqlite(database, None);
                OpenOutbox { place, connection, _kept: Some(folder) }
            }
            Engine::Postgres => {
                let database = tokio::task::spawn_blocking(PostgresDatabase::fresh).await;
                let database = database.expect("no panic").expect("a PostgreSQL server");
                let place = config::Database::Postgres(Box::new(database.server().clone()));
                Store::init(Purpose::Delivery, &place).await.expect("an outbox");
                let options = database.options().disable_statement_logging();
                let connection = Open::Postgres(options.connect().await.expect("it opens"));
                OpenOutbox { place, connection, _kept: None }
            }
        }
    }

    /// Runs SQL that both engines read; gives its rows, or what the database said.
    pub async fn sql(&mut self, sql: &str) -> Result<Vec<Row>, String> {
        match &mut self.connection {
            Open::Sqlite(_, Some(connection)) => super::database::rows(connection, sql).await,
            Open::Sqlite(database, connection) => {
                let options = database.options().disable_statement_logging();
                let opened = options.connect().await.expect("it opens");
                super::database::rows(connection.insert(opened), sql).await
            }
            Open::Postgres(connection) => super::postgres::rows(connection, sql).await,
        }
    }

    /// As if so much time had passed that everything scheduled is due. True: the engine goes by the time that the
    /// caller of a cycle names, which does it too.
    pub async fn make_all_due(&mut self) -> bool {
        match self.connection {
            Open::Sqlite(..) => true,
            // Its times are the database's own.
            Open::Postgres(_) => {
                let earlier = "SET session_replication_role = replica;
                    UPDATE outbox SET due_at = due_at - interval '100 years', send_at = send_at - interval '100 years'
                        WHERE wait = 'scheduled';
                    UPDATE outbox SET next_attempt_at = now() - interval '1 second' WHERE wait IN ('backoff', 'parked');
                    SET session_replication_role = DEFAULT";
                self.sql(earlier).await.expect("a superuser may");
                false
            }
        }
    }

    /// Deletes everything and counts ids from 1 again, where that is quicker than another outbox. False: it is not.
    pub async fn empty(&mut self) -> bool {
        match self.connection {
            Open::Sqlite(..) => false,
            Open::Postgres(_) => {
                let delete = "SET session_replication_role = replica;
                    DELETE FROM outbox; DELETE FROM outbox_attempts; DELETE FROM outbox_elections; DELETE FROM outbox_set_aside;
                    ALTER SEQUENCE outbox_id_seq RESTART;
                    SET session_replication_role = DEFAULT";
                self.sql(delete).await.expect("a superuser may");
                true
            }
        }
    }
}
