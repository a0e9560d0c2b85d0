//! One outbox in each engine, to which the same statements are put.

use crate::support::{Database, PostgresDatabase};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::runtime::Runtime;

/// A connection to each. Statements may write `ms(1800000000000)` for a time in Unix milliseconds.
pub struct Both {
    runtime: Runtime,
    sqlite: SqliteConnection,
    postgres: PgConnection,
    _folder: tempfile::TempDir,
}

impl Both {
    /// None, and a line that says so, where there is no PostgreSQL.
    pub fn fresh() -> Option<Both> {
        let postgres = PostgresDatabase::fresh()?.with_schema();
        postgres.execute(
            "CREATE FUNCTION ms(t bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT to_timestamp(t / 1000.0)';
             CREATE FUNCTION millis(t timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT (extract(epoch FROM t) * 1000)::bigint';
             SELECT 1",
        );
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Database::at(folder.path().join("outbox.db"));
        sqlite.execute(include_str!("../../migrations/sqlite/0001_outbox.sql"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (sqlite, postgres) = runtime.block_on(async {
            (
                SqliteConnection::connect_with(&sqlite.options()).await.unwrap(),
                PgConnection::connect_with(&postgres.options()).await.unwrap(),
            )
        });
        let mut both = Both { runtime, sqlite, postgres, _folder: folder };
        both.on_sqlite("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY").unwrap();
        Some(both)
    }

    /// What each engine answers: the first column of the last row as text, or the sentence.
    pub fn answers(&mut self, sql: &str) -> [Result<String, String>; 2] {
        [self.on_sqlite(sql), self.on_postgres(sql)]
    }

    pub fn on_sqlite(&mut self, sql: &str) -> Result<String, String> {
        let sql = sql.replace("ms(", "(").replace("millis(", "(");
        let rows = self
            .runtime
            .block_on(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.sqlite))
            .map_err(|e| sentence(&e))?;
        let last = rows.last().map(|row| row.get_unchecked::<Option<String>, _>(0));
        Ok(last.flatten().unwrap_or_default())
    }

    pub fn on_postgres(&mut self, sql: &str) -> Result<String, String> {
        let rows = self
            .runtime
            .block_on(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.postgres))
            .map_err(|e| sentence(&e))?;
        let text = |row: &sqlx::postgres::PgRow| {
            let raw = row.try_get_raw(0).expect("a column");
            if sqlx::ValueRef::is_null(&raw) {
                None
            } else {
                Some(raw.as_str().expect("raw_sql gives text").to_owned())
            }
        };
        Ok(rows.last().and_then(text).unwrap_or_default())
    }

    /// Both refuse it, with the same sentence; gives that.
    #[track_caller]
    pub fn refuse(&mut self, sql: &str) -> String {
        match self.answers(sql) {
            [Err(sqlite), Err(postgres)] => {
                assert_eq!(postgres, sqlite, "{sql}");
                assert!(sqlite.starts_with("outbox"), "{sql}: {sqlite}");
                sqlite
            }
            answers => panic!("{sql}: {answers:?}"),
        }
    }

    /// Both accept it, and answer the same; gives that.
    #[track_caller]
    pub fn agree(&mut self, sql: &str) -> String {
        match self.answers(sql) {
            [Ok(sqlite), Ok(postgres)] => {
                assert_eq!(postgres, sqlite, "{sql}");
                sqlite
            }
            answers => panic!("{sql}: {answers:?}"),
        }
    }

    /// As `agree` or `refuse`, whichever SQLite does.
    #[track_caller]
    pub fn same(&mut self, sql: &str) -> Result<String, String> {
        let [sqlite, postgres] = self.answers(sql);
        assert_eq!(postgres, sqlite, "{sql}");
        sqlite
    }
}

/// A trigger's sentence alone, or all that the engine says.
fn sentence(error: &sqlx::Error) -> String {
    let message = error.as_database_error().map_or(error.to_string(), |e| e.message().to_owned());
    match message.find("outbox") {
        Some(at) if !message.contains("constraint") => message[at..].to_owned(),
        _ => message,
    }
}
