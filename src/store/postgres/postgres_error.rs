//! What PostgreSQL and the way to it say, and its translation into the store's error.

use crate::config::PostgresServer;
use crate::store::StoreError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use std::fmt;

/// Why the outbox could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostgresError {
    #[error(
        "{0} holds no outbox; name another one with --database and --schema, or add one with \
         `acquire-outbox init`"
    )]
    NoOutbox(Location),
    #[error(
        "{0} was made by an older acquire-outbox; bring it up to date with `acquire-outbox init`"
    )]
    Older(Location),
    #[error("{0} was made by a newer acquire-outbox; use that version or a later one")]
    Newer(Location),
    #[error(
        "{0} was made for the sandbox: nothing in it may reach Acquire; work on it with \
         `acquire-outbox run --sandbox`, or name another schema and make it with `acquire-outbox init`"
    )]
    ForSandbox(Location),
    #[error(
        "{0} was not made for the sandbox, which would mark its messages as sent without sending them; \
         make another schema for the sandbox (`acquire-outbox init --sandbox`), or leave --sandbox out \
         to deliver what is in this one"
    )]
    NotForSandbox(Location),
    #[error("{0} has a table `outbox` that another program made; name another schema")]
    Foreign(Location),
    #[error(
        "{place}: the user may not create the outbox there: {refusal}; let the database's owner run \
         `acquire-outbox init`, or execute what `acquire-outbox init --dry-run` prints"
    )]
    MayNotCreate { place: Location, refusal: String },
    #[error("{0} runs PostgreSQL {1}; acquire-outbox needs 13 or later")]
    OldServer(Location, String),
    #[error("the migration of {place} failed: {problem}")]
    Migrate { place: Location, problem: String },
    #[error(
        "the schema of {place} is not as it should be: {flaws}; repair it with `acquire-outbox init`"
    )]
    Flawed { place: Location, flaws: String },
    #[error(
        "{}: the triggers were missing or turned off; `acquire-outbox run` checks and queues such rows; \
         a program that turns the triggers off must be changed", untouched(*.rows, *.first)
    )]
    Untouched { rows: u64, first: i64 },
    #[error(
        "{place}: {flaw}, and it cannot be restored: add the column with SQL, or restore a backup, and \
         then run `acquire-outbox init` again"
    )]
    Unrepaired { place: Location, flaw: String },
    /// One of the outbox's own rules, found before the database was asked.
    #[error("{0}")]
    Rule(String),
    /// No session could be opened.
    #[error("cannot connect to {place}: {problem}")]
    Connect { place: Location, problem: String },
    /// There was a session, and it has ended: whether the last statement was executed is unknown.
    #[error("the connection to the database was lost: {0}")]
    Lost(String),
    #[error("{}", .0.sentence())]
    Answer(Answer),
    /// What was read is not what the schema promises, or sqlx was used wrongly.
    #[error("the database answered: {0}")]
    Unreadable(String),
    #[error(
        "{place} is reached through a pooler that keeps no session: {what}; connect to the server itself, \
         or through a pooler in session mode"
    )]
    Pooled { place: Location, what: &'static str },
    #[error("{0} did not answer within the time limit")]
    TimeLimit(Location),
    #[error("another dispatcher has taken over this database")]
    Superseded,
}

fn untouched(rows: u64, first: i64) -> String {
    match rows {
        1 => format!("1 job was written without the triggers and is in no queue (job {first})"),
        rows => format!(
            "{rows} jobs were written without the triggers and are in no queue (the first is job {first})"
        ),
    }
}

/// Where an outbox is, for a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(String);

impl Location {
    pub(super) fn of(server: &PostgresServer) -> Location {
        Location(server.to_string())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error that the server answered. Its DETAIL is left out: it quotes the row, and so message text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    pub code: String,
    pub message: String,
    /// A constraint that the statement broke; the outbox's own rules are triggers.
    constraint: Option<String>,
}

impl Answer {
    /// The sentence of a trigger that refused the statement: one of the outbox's own rules, or an application's.
    pub(super) fn rule(&self) -> Option<&str> {
        let is_rule = match self.code.as_str() {
            // What RAISE EXCEPTION gives by itself.
            "P0001" => true,
            "23514" => self.constraint.is_none(),
            _ => false,
        };
        is_rule.then_some(self.message.as_str())
    }

    /// Another session has the lock; the same statement may succeed later.
    fn is_busy(&self) -> bool {
        matches!(self.code.as_str(), "55P03" | "40001" | "40P01" | "55006")
    }

    /// The row's values are the reason: data exceptions, constraints, and limits such as an index
    /// entry's size.
    fn is_of_a_row(&self) -> bool {
        let class = self.code.get(..2).unwrap_or_default();
        matches!(class, "22" | "23" | "44") || self.code == "54000"
    }

    /// The session has ended with it.
    fn ends_the_session(&self) -> bool {
        self.code.starts_with("08")
            || matches!(self.code.as_str(), "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
    }

    fn sentence(&self) -> String {
        let message = &self.message;
        match self.code.as_str() {
            "42P01" | "42703" | "42883" | "42P10" | "42704" => format!(
                "the database: {message}; the schema is not as it should be: repair it with `acquire-outbox init`"
            ),
            "42501" => format!(
                "the database: {message}; let its owner execute what `acquire-outbox grants` prints"
            ),
            "55P03" | "40001" | "40P01" | "55006" => format!(
                "the database is locked by another program ({message}); try again when that has ended"
            ),
            "25006" => {
                format!("the database: {message}; connect to the primary server, not to a standby")
            }
            "53100" => format!(
                "the database cannot grow: the disk is full; make room and try again: {message}"
            ),
            "53300" => {
                format!("the database: {message}; close connections, or raise max_connections")
            }
            "XX001" | "XX002" => format!("the database is damaged; restore a backup: {message}"),
            _ => format!("the database: {message}"),
        }
    }
}

impl PostgresError {
    /// No session could be opened.
    pub(super) fn connecting(server: &PostgresServer, e: sqlx::Error) -> PostgresError {
        let place = Location::of(server);
        let problem = match PostgresError::from(e) {
            PostgresError::Answer(answer) => {
                let message = &answer.message;
                match answer.code.as_str() {
                    "28P01" | "28000" => format!(
                        "{message}; check the user and the password, and pg_hba.conf on the server"
                    ),
                    "3D000" => format!(
                        "{message}; create it (`createdb`) and add the outbox with `acquire-outbox init`"
                    ),
                    "57P03" => format!("{message}; try again when it has started"),
                    _ => message.clone(),
                }
            }
            PostgresError::Lost(problem) => {
                format!("{problem}; check that the server is running, and host, port and sslmode")
            }
            PostgresError::Unreadable(problem) => problem,
            other => other.to_string(),
        };
        PostgresError::Connect { place, problem }
    }

    /// Every one of the hosts is a standby.
    pub(super) fn standby(server: &PostgresServer) -> PostgresError {
        let problem = "each of its hosts is a standby; name the primary server".to_owned();
        PostgresError::Connect { place: Location::of(server), problem }
    }

    /// The server did not answer in time.
    pub(super) fn silent(server: &PostgresServer) -> PostgresError {
        let problem =
            "no answer within 10 seconds; check host and port, and the network in between"
                .to_owned();
        PostgresError::Connect { place: Location::of(server), problem }
    }

    pub(super) fn migrating(server: &PostgresServer, e: MigrateError) -> PostgresError {
        let place = Location::of(server);
        match e {
            MigrateError::VersionMissing(_) => PostgresError::Newer(place),
            MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => {
                match PostgresError::from(e) {
                    PostgresError::Answer(answer) if answer.code == "42501" => {
                        PostgresError::MayNotCreate { place, refusal: answer.message }
                    }
                    PostgresError::Answer(answer) if !answer.is_busy() => {
                        PostgresError::Migrate { place, problem: answer.message }
                    }
                    other => other,
                }
            }
            e => PostgresError::Migrate { place, problem: e.to_string() },
        }
    }

    /// The server's SQLSTATE, where it answered.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            PostgresError::Answer(answer) => Some(&answer.code),
            _ => None,
        }
    }

    /// The sentence of the rule that refused a statement: the outbox's own, or that of an application's trigger.
    pub(super) fn rule(&self) -> Option<&str> {
        match self {
            PostgresError::Answer(answer) => answer.rule(),
            PostgresError::Rule(sentence) => Some(sentence),
            _ => None,
        }
    }

    /// The session cannot be used any more.
    pub(super) fn ends_the_session(&self) -> bool {
        match self {
            PostgresError::Lost(_) | PostgresError::TimeLimit(_) => true,
            PostgresError::Answer(answer) => answer.ends_the_session(),
            _ => false,
        }
    }
}

impl From<sqlx::Error> for PostgresError {
    fn from(e: sqlx::Error) -> PostgresError {
        match e {
            sqlx::Error::Database(answer) => {
                let code = answer.code().unwrap_or_default().into_owned();
                let message = answer.message().to_owned();
                let answer = answer.try_downcast_ref::<PgDatabaseError>();
                let constraint = answer.and_then(|answer| answer.constraint()).map(str::to_owned);
                PostgresError::Answer(Answer { code, message, constraint })
            }
            sqlx::Error::Io(e) => PostgresError::Lost(e.to_string()),
            sqlx::Error::Tls(e) => PostgresError::Lost(format!("TLS: {e}")),
            sqlx::Error::Configuration(sentence) => PostgresError::Unreadable(sentence.to_string()),
            sqlx::Error::Protocol(problem) => PostgresError::Lost(problem),
            e => PostgresError::Unreadable(e.to_string()),
        }
    }
}

impl From<PostgresError> for StoreError {
    fn from(e: PostgresError) -> StoreError {
        let sentence = e.to_string();
        match e {
            PostgresError::NoOutbox(_)
            | PostgresError::Older(_)
            | PostgresError::Newer(_)
            | PostgresError::Foreign(_)
            | PostgresError::MayNotCreate { .. }
            | PostgresError::OldServer(..)
            | PostgresError::Unrepaired { .. }
            | PostgresError::Migrate { .. } => StoreError::WrongVersion(sentence),
            PostgresError::ForSandbox(_)
            | PostgresError::NotForSandbox(_)
            | PostgresError::Pooled { .. }
            | PostgresError::Flawed { .. } => StoreError::Unusable(sentence),
            PostgresError::Rule(sentence) => StoreError::Refused { sentence, by_rule: true },
            PostgresError::Superseded => StoreError::Superseded,
            PostgresError::TimeLimit(_) => StoreError::TimeLimit(sentence),
            PostgresError::Answer(answer) => of_answer(&answer, sentence),
            PostgresError::Connect { .. }
            | PostgresError::Untouched { .. }
            | PostgresError::Lost(_)
            | PostgresError::Unreadable(_) => StoreError::Other(sentence),
        }
    }
}

fn of_answer(answer: &Answer, sentence: String) -> StoreError {
    if let Some(rule) = answer.rule() {
        return StoreError::Refused { sentence: rule.to_owned(), by_rule: true };
    }
    if answer.is_busy() {
        return StoreError::Busy(sentence);
    }
    if answer.is_of_a_row() {
        return StoreError::Refused { sentence: answer.message.clone(), by_rule: false };
    }
    match answer.code.as_str() {
        "57014" => StoreError::TimeLimit(sentence),
        "XX001" | "XX002" => StoreError::Damaged(sentence),
        _ => StoreError::Other(sentence),
    }
}
