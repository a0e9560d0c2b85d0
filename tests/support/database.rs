//! The test's own way into the database file: what any producer has, plain SQL.

use serde_json::{Map, Value};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row as _, SqliteConnection};
use sqlx::{TypeInfo, ValueRef};
use std::ops::Index;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// One row, by column name.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Map<String, Value>);

/// The one row of a query.
#[track_caller]
pub fn only(mut rows: Vec<Row>, sql: &str) -> Row {
    assert_eq!(rows.len(), 1, "rows of {sql}");
    rows.remove(0)
}

impl Row {
    /// Its first column, an integer.
    #[track_caller]
    pub fn number(&self) -> i64 {
        self.0.values().next().and_then(Value::as_i64).unwrap_or_else(|| panic!("{self:?}"))
    }

    #[track_caller]
    pub fn text(&self, column: &str) -> &str {
        self[column].as_str().unwrap_or_else(|| panic!("{column} is no text in {self:?}"))
    }

    #[track_caller]
    pub fn int(&self, column: &str) -> i64 {
        self[column].as_i64().unwrap_or_else(|| panic!("{column} is no integer in {self:?}"))
    }

    #[track_caller]
    pub fn is_null(&self, column: &str) -> bool {
        self[column].is_null()
    }

    /// A column that holds JSON.
    #[track_caller]
    pub fn json(&self, column: &str) -> Value {
        serde_json::from_str(self.text(column)).unwrap_or_else(|e| panic!("{column}: {e}"))
    }
}

impl Index<&str> for Row {
    type Output = Value;

    #[track_caller]
    fn index(&self, column: &str) -> &Value {
        self.0.get(column).unwrap_or_else(|| panic!("no column {column} in {self:?}"))
    }
}

/// A database file, opened again for each call as a script would.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
}

impl Database {
    pub fn at(path: impl Into<PathBuf>) -> Database {
        Database { path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SQLite's own defaults, foreign keys off included, and a producer's busy timeout.
    pub fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(true)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(5))
    }

    /// Runs the statements and gives the last one's rows, or SQLite's words.
    pub fn try_query(&self, sql: &str) -> Result<Vec<Row>, String> {
        self.with(async |connection| rows(connection, sql).await)
    }

    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Row> {
        self.try_query(sql).unwrap_or_else(|e| panic!("{e}\nin: {sql}"))
    }

    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.query(sql);
    }

    /// The one row that a query gives.
    #[track_caller]
    pub fn one(&self, sql: &str) -> Row {
        only(self.query(sql), sql)
    }

    /// The first column of the one row, an integer.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i64 {
        self.one(sql).number()
    }

    /// Inserts and gives the new row's id, or SQLite's words.
    pub fn try_insert(&self, sql: &str) -> Result<i64, String> {
        self.with(async |connection| {
            let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
            done.map_err(|e| e.to_string())?;
            let id = sqlx::query_scalar("SELECT last_insert_rowid()").fetch_one(connection).await;
            id.map_err(|e| e.to_string())
        })
    }

    /// Runs the statements with the triggers turned off, as `.dbconfig enable_trigger off` does.
    #[track_caller]
    pub fn past_the_rules(&self, sql: &str) {
        use libsqlite3_sys::{SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_OK, sqlite3_db_config};
        self.with(async |connection| {
            let mut handle = connection.lock_handle().await.expect("a handle");
            let none = std::ptr::null_mut::<std::ffi::c_int>();
            let off = 0 as std::ffi::c_int;
            // SAFETY: the handle is the locked connection's; the option takes a number and a
            // pointer.
            let done = unsafe {
                let handle = handle.as_raw_handle().as_ptr();
                sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, off, none)
            };
            assert_eq!(done, SQLITE_OK);
            drop(handle);
            let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
            done.unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
        });
    }

    /// Runs something on a separate connection.
    pub fn with<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = self.options().connect().await.expect("the database opens");
            let value = work(&mut connection).await;
            connection.close().await.expect("the database closes");
            value
        })
    }
}

/// Runs the statements and gives their rows, or SQLite's words.
pub async fn rows(connection: &mut SqliteConnection, sql: &str) -> Result<Vec<Row>, String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    rows.map(|rows| rows.iter().map(read).collect()).map_err(|e| e.to_string())
}

fn read(row: &SqliteRow) -> Row {
    let columns = row.columns().iter().enumerate();
    Row(columns.map(|(at, column)| (column.name().to_owned(), value(row, at))).collect())
}

fn value(row: &SqliteRow, at: usize) -> Value {
    let raw = row.try_get_raw(at).expect("a column of this row");
    if raw.is_null() {
        return Value::Null;
    }
    match raw.type_info().name() {
        "INTEGER" => row.get_unchecked::<i64, _>(at).into(),
        "REAL" => row.get_unchecked::<f64, _>(at).into(),
        _ => String::from_utf8_lossy(row.get_unchecked::<&[u8], _>(at)).into(),
    }
}

/// Holds the write lock from when this returns until it is told or dropped.
pub fn write_lock(database: &Database) -> (mpsc::Sender<()>, thread::JoinHandle<()>) {
    let (release, released) = mpsc::channel::<()>();
    let (locked, is_locked) = mpsc::channel();
    let database = database.clone();
    let thread = thread::spawn(move || {
        database.with(async |connection| {
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
            locked.send(()).unwrap();
            let _ = released.recv();
            sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.unwrap();
        });
    });
    is_locked.recv().expect("the lock");
    (release, thread)
}
