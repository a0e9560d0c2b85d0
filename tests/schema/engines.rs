//! SQLite in two versions: the one that the program brings, and 3.26.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row, TypeInfo, ValueRef};
use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

/// A way to run SQL on a file: rows as `a|b` lines, or the error's text.
pub trait Engine {
    fn sql(&self, db: &Path, sql: &str) -> Result<String, String>;
}

/// Its connection to a file stays open until it is given another: to read the schema takes longer than most statements.
#[derive(Default)]
pub struct Bundled(RefCell<Option<(PathBuf, Runtime, SqliteConnection)>>);
pub struct Sqlite326(PathBuf);

impl Engine for Bundled {
    fn sql(&self, db: &Path, sql: &str) -> Result<String, String> {
        let mut open = self.0.borrow_mut();
        open.take_if(|(path, ..)| path != db);
        let (_, runtime, conn) = open.get_or_insert_with(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let options = SqliteConnectOptions::new()
                .filename(db)
                .create_if_missing(true)
                .disable_statement_logging();
            let conn = runtime.block_on(options.connect()).unwrap();
            (db.to_owned(), runtime, conn)
        });
        runtime.block_on(async {
            let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut *conn).await;
            if rows.is_err() {
                // As if it had been closed. What fails without a transaction has none to roll back.
                let _ = conn.execute("ROLLBACK").await;
            }
            rows.map_err(|e| e.to_string()).map(|rows| {
                let line = |row: &sqlx::sqlite::SqliteRow| {
                    let cell = |i| {
                        let value = row.try_get_raw(i).unwrap();
                        match value.type_info().name() {
                            _ if value.is_null() => String::new(),
                            "INTEGER" => row.get::<i64, _>(i).to_string(),
                            _ => row.get::<String, _>(i),
                        }
                    };
                    (0..row.columns().len()).map(cell).collect::<Vec<_>>().join("|")
                };
                rows.iter().map(line).collect::<Vec<_>>().join("\n")
            })
        })
    }
}

impl Sqlite326 {
    /// Builds `tests/sqlite-3.26` once.
    pub fn build() -> Self {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let program = BUILT.get_or_init(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let target = root.join("target/sqlite-3.26");
            let status = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--locked", "--manifest-path"])
                .arg(root.join("tests/sqlite-3.26/Cargo.toml"))
                .arg("--target-dir")
                .arg(&target)
                .status()
                .expect("cargo runs");
            assert!(status.success(), "SQLite 3.26 builds from its crate's bundled source");
            target.join("debug/sqlite-3-26")
        });
        Sqlite326(program.clone())
    }
}

impl Engine for Sqlite326 {
    fn sql(&self, db: &Path, sql: &str) -> Result<String, String> {
        let mut child = Command::new(&self.0)
            .arg(db)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }
}
