//! Where the database is at present.

use crate::support::{PostgresDatabase, Row};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::timeout;

/// The database's name, in every cluster.
pub const NAME: &str = "hammer";

/// The primary server, which changes when another is promoted.
pub struct Place(Mutex<PathBuf>);

impl Place {
    pub fn at(folder: &Path) -> Place {
        Place(Mutex::new(folder.to_owned()))
    }

    pub fn turn_to(&self, folder: &Path) {
        *self.0.lock().unwrap() = folder.to_owned();
    }

    /// The folder of the server's socket.
    pub fn folder(&self) -> PathBuf {
        self.0.lock().unwrap().clone()
    }

    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.connect_to(NAME).await
    }

    pub async fn connect_to(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass().socket(self.folder());
        let options = options.username("postgres").database(database).application_name("hammer");
        let connected = timeout(Duration::from_secs(5), options.connect()).await;
        connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Runs a statement, and gives its one number; an error where the server is down.
    pub async fn number(&self, sql: &str) -> Result<i64, sqlx::Error> {
        let asked = async {
            let mut conn = self.connect().await?;
            let number = sqlx::query_scalar(AssertSqlSafe(sql))
                .persistent(false)
                .fetch_one(&mut conn)
                .await?;
            let _ = conn.close().await;
            Ok(number)
        };
        timeout(Duration::from_secs(10), asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Runs statements; they are tried again until the server takes them.
    pub async fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let mut conn = self.connect().await?;
        let asked = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn);
        timeout(Duration::from_secs(10), asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        let _ = conn.close().await;
        Ok(())
    }

    /// All rows, read by the suite's own reader; blocks.
    pub fn query(&self, sql: &str) -> Vec<Row> {
        let database = PostgresDatabase::on_socket(&self.folder(), NAME);
        tokio::task::block_in_place(|| {
            std::thread::scope(|s| s.spawn(|| database.query(sql)).join().unwrap())
        })
    }
}
