//! The engine that the black-box tests run on, and the little SQL in which the two differ.

use std::time::Duration;

/// `postgres`: every outbox that a test configures is in its own schema on a PostgreSQL server.
/// Anything else: in a file.
const VARIABLE: &str = "ACQUIRE_OUTBOX_TEST_ENGINE";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Says that a test is about what SQLite alone has, and ends it where it would run on PostgreSQL.
///
/// `grep -rh 'sqlite_only!' tests` lists them.
macro_rules! sqlite_only {
    ($why:literal) => {
        if $crate::support::Engine::of_this_run() != $crate::support::Engine::Sqlite {
            return $crate::support::skipped(concat!("SQLite's own: ", $why));
        }
    };
}
pub(crate) use sqlite_only;

impl Engine {
    pub fn of_this_run() -> Engine {
        match std::env::var(VARIABLE).as_deref() {
            Ok("postgres") => Engine::Postgres,
            Ok("sqlite") | Err(_) => Engine::Sqlite,
            Ok(other) => panic!("{VARIABLE} is {other:?}; it must be sqlite or postgres"),
        }
    }

    /// A time in Unix milliseconds, as an expression of the type that its columns have.
    pub fn time(self, ms: i64) -> String {
        match self {
            Engine::Sqlite => ms.to_string(),
            // Of an interval, because a float would round.
            Engine::Postgres => format!("(timestamptz 'epoch' + interval '{ms} milliseconds')"),
        }
    }

    /// A time moved back.
    pub fn earlier(self, time: &str, by: Duration) -> String {
        let ms = by.as_millis();
        match self {
            Engine::Sqlite => format!("{time} - {ms}"),
            Engine::Postgres => format!("{time} - interval '{ms} milliseconds'"),
        }
    }

    /// A time as many milliseconds later as the row's id says: each row has another.
    pub fn by_id(self, ms: i64) -> String {
        match self {
            Engine::Sqlite => format!("{ms} + id"),
            Engine::Postgres => format!("{} + id * interval '1 millisecond'", self.time(ms)),
        }
    }

    /// A field of a JSON column, as text or a number.
    pub fn field(self, column: &str, name: &str) -> String {
        match self {
            Engine::Sqlite => format!("json_extract({column}, '$.{name}')"),
            Engine::Postgres => format!("{column} ->> '{name}'"),
        }
    }

    /// A SELECT of so many chat payloads without an ordering key, with the number of the row for `%`.
    pub fn many(self, count: u32, payload: &str) -> String {
        let (before, after) = payload.split_once('%').expect("a place for the number");
        let (before, after) = (before.replace('\'', "''"), after.replace('\'', "''"));
        match self {
            Engine::Sqlite => format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                 SELECT 'chat', '{before}' || i || '{after}', '' FROM n"
            ),
            Engine::Postgres => format!(
                "SELECT 'chat', ('{before}' || i || '{after}')::jsonb, '' FROM generate_series(1, {count}) AS i"
            ),
        }
    }

    /// An application's own trigger on the outbox, named `own_rule`.
    pub fn own_rule(self, event: &str, when: &str, sentence: &str) -> String {
        match self {
            Engine::Sqlite => format!(
                "CREATE TRIGGER own_rule BEFORE {event} ON outbox WHEN {when}
                 BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
            ),
            Engine::Postgres => format!(
                "CREATE FUNCTION own_rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{sentence}'; END $$;
                 CREATE TRIGGER own_rule BEFORE {event} ON outbox FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION own_rule()"
            ),
        }
    }

    pub fn drop_own_rule(self) -> &'static str {
        match self {
            Engine::Sqlite => "DROP TRIGGER own_rule",
            Engine::Postgres => "DROP TRIGGER own_rule ON outbox",
        }
    }
}

/// A text as SQL.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time as the pages, the view and JSON show it.
pub fn iso(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms).expect("a time of this era");
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
