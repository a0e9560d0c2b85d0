//! How the schema differs from what this program needs, and its repair.

use super::postgres_error::Location;
use super::wanted_schema::{ObjectKind, WANTED, WantedObject};
use super::{PostgresError, PostgresStore};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use std::collections::HashMap;

const FOUND: &str = include_str!("found_schema.sql");

/// An object that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    Missing,
    /// A trigger that does not fire.
    Off,
    /// A function with another body.
    Changed,
    /// An index whose creation was broken off.
    Unfinished,
    /// A table without one of its columns.
    Incomplete,
}

/// An object, and what is wrong with it.
struct Flaw {
    object: &'static WantedObject,
    fault: Defect,
    sentence: String,
}

impl PostgresStore {
    /// How the schema differs from what this program needs, a sentence each; empty if it does not.
    pub async fn flaws(&mut self) -> Result<Vec<String>, PostgresError> {
        self.take_time().await?;
        let flaws = find(&mut self.conn).await?;
        Ok(flaws.into_iter().map(|flaw| flaw.sentence).collect())
    }

    /// Creates what is missing and restores what was changed; gives what was wrong, a sentence each.
    ///
    /// # Errors
    /// [`PostgresError::Unrepaired`] for a table that lacks a column: what was in it is lost.
    pub(super) async fn repair(&mut self) -> Result<Vec<String>, PostgresError> {
        let flaws = find(&mut self.conn).await?;
        if flaws.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(flaw) = flaws.iter().find(|flaw| flaw.fault == Defect::Incomplete) {
            let (place, flaw) = (Location::of(self.server()), flaw.sentence.clone());
            return Err(PostgresError::Unrepaired { place, flaw });
        }
        let server = self.server().clone();
        let denied = |e: sqlx::Error| PostgresError::migrating(&server, e.into());
        let is_index = |flaw: &&Flaw| flaw.object.kind == ObjectKind::Index;
        let mut tx = self.conn.begin().await?;
        for flaw in flaws.iter().filter(|flaw| !is_index(flaw)) {
            let sql = correction(flaw);
            tx.execute(AssertSqlSafe(sql)).await.map_err(denied)?;
        }
        tx.commit().await?;
        // Not within a transaction, so that producers can write meanwhile.
        for flaw in flaws.iter().filter(is_index) {
            if flaw.fault == Defect::Unfinished {
                let drop = format!("DROP INDEX CONCURRENTLY {}", flaw.object.name);
                self.conn.execute(AssertSqlSafe(drop)).await?;
            }
            self.conn.execute(AssertSqlSafe(correction(flaw))).await?;
        }
        Ok(flaws.into_iter().map(|flaw| flaw.sentence).collect())
    }
}

async fn find(conn: &mut PgConnection) -> Result<Vec<Flaw>, PostgresError> {
    let rows = sqlx::query(FOUND).fetch_all(conn).await?;
    let mut found: HashMap<(ObjectKind, String), String> = HashMap::new();
    for row in rows {
        let kind: String = row.try_get(0)?;
        let detail: Option<String> = row.try_get(2)?;
        if let Some(kind) = ObjectKind::of(&kind) {
            found.insert((kind, row.try_get(1)?), detail.unwrap_or_default());
        }
    }
    Ok(WANTED.iter().filter_map(|object| flaw_of(object, &found)).collect())
}

fn flaw_of(
    object: &'static WantedObject,
    found: &HashMap<(ObjectKind, String), String>,
) -> Option<Flaw> {
    let (fault, problem) = match found.get(&(object.kind, object.name.clone())) {
        None => (Defect::Missing, "is missing".to_owned()),
        Some(detail) => match object.kind {
            ObjectKind::Table => {
                let there: Vec<_> = detail.split(',').collect();
                let missing =
                    object.details.iter().find(|wanted| !there.contains(&wanted.as_str()));
                (Defect::Incomplete, format!("lacks the column {}", missing?))
            }
            ObjectKind::Index if detail == "false" => {
                (Defect::Unfinished, "is not complete".to_owned())
            }
            ObjectKind::Function if object.details.first() != Some(detail) => {
                (Defect::Changed, "was changed".to_owned())
            }
            ObjectKind::Trigger if detail == "D" || detail == "R" => {
                (Defect::Off, "is turned off".to_owned())
            }
            _ => return None,
        },
    };
    let sentence = format!("{} {} {problem}", object.kind.as_str(), object.name);
    Some(Flaw { object, fault, sentence })
}

/// The statement that corrects it.
fn correction(flaw: &Flaw) -> String {
    let WantedObject { kind, name, sql, details } = flaw.object;
    match (kind, flaw.fault) {
        (ObjectKind::Function, _) => {
            sql.replacen("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
        }
        (ObjectKind::Index, _) => sql.replacen(" INDEX ", " INDEX CONCURRENTLY ", 1),
        (ObjectKind::Trigger, Defect::Off) => {
            format!("ALTER TABLE {} ENABLE TRIGGER {name}", details.join(", "))
        }
        _ => sql.clone(),
    }
}
