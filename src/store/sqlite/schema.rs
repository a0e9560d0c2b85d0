//! The schema as the migrations make it, the schema of a file, and how they differ. An
//! application's own triggers, indexes and columns are not compared.

use super::lenient::Lenient;
use super::versions::migrator;
use super::{SqliteError, SqliteStore};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use std::fmt;
use tokio::sync::OnceCell;

/// Our objects, by their names. `outbox_migrations` is compared by its rows (`versions.rs`).
const OBJECTS: &str = "\
SELECT type, name, tbl_name, sql FROM sqlite_schema
WHERE (name GLOB 'outbox*' OR name = 'delivery_status') AND name <> 'outbox_migrations' AND sql IS NOT NULL
ORDER BY rowid";
const COLUMNS: &str =
    "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo(?1) ORDER BY cid";
const UNIQUE: &str = "\
SELECT (SELECT group_concat(name) FROM pragma_index_info(i.name)) FROM pragma_index_list(?1) AS i
WHERE i.\"unique\" AND NOT i.partial AND i.origin <> 'pk'";

/// An object of ours that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Flaw {
    /// `trigger outbox_inserted`, `table outbox`
    pub object: String,
    /// `is missing`
    pub problem: String,
    #[serde(skip)]
    pub(super) part: Part,
}

/// The part of the schema that a flaw is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A trigger, a view or an index: it can be recreated without changing a row.
    Rule,
    /// A table that is missing.
    Table,
    /// A table's columns or constraints.
    Columns,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.object, self.problem)
    }
}

/// A list that names the first of them and counts the rest.
pub fn listed<T: fmt::Display>(flaws: &[T]) -> String {
    const NAMED: usize = 8;
    let named: Vec<_> = flaws.iter().take(NAMED).map(T::to_string).collect();
    match flaws.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        others => format!("{} and {others} more", named.join(", ")),
    }
}

/// A trigger, a view or an index.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub kind: String,
    pub name: String,
    pub sql: String,
}

#[derive(Debug, Clone)]
pub(super) struct TableShape {
    pub name: String,
    pub sql: String,
    pub columns: Vec<ColumnShape>,
    /// The columns of each unique index other than the primary key's, separated by commas.
    unique: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnShape {
    pub name: String,
    pub kind: String,
    pub required: bool,
    pub default: Option<String>,
    key: i64,
}

/// Tables and rules, each in the order of creation.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub tables: Vec<TableShape>,
    pub rules: Vec<Rule>,
}

impl Schema {
    /// As the migrations of this program make it.
    pub async fn wanted() -> Result<&'static Schema, SqliteError> {
        static WANTED: OnceCell<Schema> = OnceCell::const_new();
        let read = async {
            let mut made = SqliteStore::in_memory().await?;
            Schema::read(&mut made.conn).await
        };
        WANTED.get_or_try_init(|| read).await
    }

    pub async fn read(conn: &mut SqliteConnection) -> Result<Schema, SqliteError> {
        let (mut tables, mut rules) = (Vec::new(), Vec::new());
        for row in sqlx::query(OBJECTS).fetch_all(&mut *conn).await? {
            let (kind, name, sql) =
                (row.text_or_empty("type"), row.text_or_empty("name"), row.text_or_empty("sql"));
            if kind != "table" {
                rules.push(Rule { kind, name, sql });
                continue;
            }
            let columns = sqlx::query(COLUMNS).bind(&name).fetch_all(&mut *conn).await?;
            let unique = sqlx::query(UNIQUE).bind(&name).fetch_all(&mut *conn).await?;
            tables.push(TableShape {
                columns: columns.iter().map(column).collect(),
                unique: unique.iter().map(|row| row.text_or_empty(0)).collect(),
                name,
                sql,
            });
        }
        Ok(Schema { tables, rules })
    }

    pub fn table(&self, name: &str) -> Option<&TableShape> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// How `self`, the schema of a file, differs from the wanted one.
    pub fn flaws(&self, wanted: &Schema) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for table in &wanted.tables {
            let object = format!("table {}", table.name);
            match self.table(&table.name) {
                None => {
                    flaws.push(Flaw { object, problem: "is missing".to_owned(), part: Part::Table })
                }
                Some(is) => flaws.extend(is.lacks(table).into_iter().map(|problem| Flaw {
                    object: object.clone(),
                    problem,
                    part: Part::Columns,
                })),
            }
        }
        for rule in &wanted.rules {
            let is = self.rules.iter().find(|is| is.kind == rule.kind && is.name == rule.name);
            let problem = match is {
                None => "is missing",
                Some(is) if normalized(&is.sql) != normalized(&rule.sql) => "was changed",
                Some(_) => continue,
            };
            let object = format!("{} {}", rule.kind, rule.name);
            flaws.push(Flaw { object, problem: problem.to_owned(), part: Part::Rule });
        }
        flaws
    }
}

impl TableShape {
    pub fn column(&self, name: &str) -> Option<&ColumnShape> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// What it lacks of `wanted`; an application may have added others.
    fn lacks(&self, wanted: &TableShape) -> Vec<String> {
        let mut lacks = Vec::new();
        for column in &wanted.columns {
            let name = &column.name;
            let Some(is) = self.column(name) else {
                lacks.push(format!("has no column {name}"));
                continue;
            };
            if affinity(&is.kind) != affinity(&column.kind) {
                lacks.push(format!("has a column {name} that is not {}", column.kind));
            }
            match (is.required, column.required) {
                (false, true) => lacks.push(format!("has a column {name} that may be NULL")),
                (true, false) => lacks.push(format!("has a column {name} that may not be NULL")),
                _ => {}
            }
            if is.default.as_deref().map(normalized) != column.default.as_deref().map(normalized) {
                lacks.push(format!("has a column {name} with another default"));
            }
            if is.key != column.key {
                lacks.push(format!("has a column {name} with another part in the primary key"));
            }
        }
        let lost = wanted.unique.iter().filter(|columns| !self.unique.contains(columns));
        lacks.extend(lost.map(|columns| format!("does not keep {columns} UNIQUE")));
        if wanted.counts_up() && !self.counts_up() {
            lacks.push("has lost AUTOINCREMENT".to_owned());
        }
        // A STRICT table would refuse time text, which the triggers convert to a number only after the
        // insert.
        if normalized(&self.sql).to_ascii_uppercase().ends_with("STRICT") {
            lacks.push("is STRICT".to_owned());
        }
        lacks
    }

    fn counts_up(&self) -> bool {
        normalized(&self.sql).to_ascii_uppercase().contains("AUTOINCREMENT")
    }
}

fn column(row: &SqliteRow) -> ColumnShape {
    ColumnShape {
        name: row.text_or_empty(0),
        kind: row.text_or_empty(1),
        required: row.whole(2) == Some(1),
        default: row.text(3),
        key: row.whole(4).unwrap_or_default(),
    }
}

/// How SQLite treats a declared type: <https://www.sqlite.org/datatype3.html>.
fn affinity(kind: &str) -> &'static str {
    let kind = kind.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    if has(&["INT"]) {
        "INTEGER"
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        "TEXT"
    } else if kind.is_empty() || has(&["BLOB"]) {
        "BLOB"
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        "REAL"
    } else {
        "NUMERIC"
    }
}

/// SQL without comments and quotes around names, and with single spaces: `.schema`, a dump and ALTER
/// TABLE change these without changing the meaning.
fn normalized(sql: &str) -> String {
    let (mut normalized, mut rest) = (String::with_capacity(sql.len()), sql);
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '-' if rest.starts_with("--") => rest.find('\n'),
            '/' if rest.starts_with("/*") => rest.find("*/").map(|at| at + 2),
            '\'' => {
                let end = rest[1..].find('\'').map_or(rest.len(), |at| at + 2);
                normalized.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            '"' => Some(1),
            c if c.is_whitespace() => Some(c.len_utf8()),
            c => {
                normalized.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        if c != '"' && !normalized.is_empty() && !normalized.ends_with(' ') {
            normalized.push(' ');
        }
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    normalized.truncate(normalized.trim_end().len());
    normalized
}

/// Whether every object was made by these statements, and none is missing. Each begins at the start of a line.
fn is_as_written(objects: &[String], statements: &str) -> bool {
    let mut at = 0;
    objects.len() == statements.matches("\nCREATE ").count()
        && objects.iter().all(|sql| {
            let statement = format!("\n{sql};");
            // They are in the order of their creation, unless VACUUM has changed it.
            let next = statements[at..].find(&statement).map(|after| at + after);
            let found = next.or_else(|| statements.find(&statement));
            at = found.unwrap_or(at);
            found.is_some()
        })
}

impl SqliteStore {
    /// How the schema differs from what this program needs.
    pub async fn flaws(&mut self) -> Result<Vec<Flaw>, SqliteError> {
        // Nearly every file is. To make the wanted schema takes as long as the rest of a start.
        if self.is_as_written().await? {
            return Ok(Vec::new());
        }
        Ok(Schema::read(&mut self.conn).await?.flaws(Schema::wanted().await?))
    }

    /// Whether every object has the text of the migrations.
    async fn is_as_written(&mut self) -> Result<bool, SqliteError> {
        let rows = sqlx::query(OBJECTS).fetch_all(&mut self.conn).await?;
        let objects: Vec<_> = rows.iter().map(|row| row.text_or_empty("sql")).collect();
        let written: String = migrator().iter().map(|m| m.sql.as_str().to_owned() + "\n").collect();
        Ok(is_as_written(&objects, &written))
    }

    /// Changes whenever anything of the schema does.
    pub async fn schema_cookie(&mut self) -> Result<i64, SqliteError> {
        let row = sqlx::query("PRAGMA schema_version").fetch_one(&mut self.conn).await?;
        Ok(row.whole(0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::fixture::outbox;

    #[test]
    fn what_means_the_same_is_the_same() {
        let one = "CREATE VIEW v AS\n  SELECT a, 'x  --y' -- why\n FROM \"t\"\n/* v(a) */";
        assert_eq!(normalized(one), "CREATE VIEW v AS SELECT a, 'x  --y' FROM t");
        assert_eq!(normalized("a /* never ends"), "a");
        assert_eq!(normalized("'it''s'"), "'it''s'");
    }

    #[tokio::test]
    async fn a_file_is_as_written_until_an_object_is_changed_or_missing() {
        let (_folder, mut store) = outbox("").await;
        assert!(store.is_as_written().await.unwrap());
        store.execute_sql("VACUUM").await.unwrap();
        assert!(store.is_as_written().await.unwrap(), "in another order");
        for change in [
            "DROP VIEW outbox_clock",
            "CREATE VIEW outbox_clock AS SELECT 1 AS now",
            "ALTER TABLE outbox ADD COLUMN tenant TEXT",
        ] {
            store.execute_sql(change).await.unwrap();
            assert!(!store.is_as_written().await.unwrap(), "{change}");
        }
    }

    #[tokio::test]
    async fn a_new_file_has_no_flaw_and_what_an_application_adds_is_none() {
        let (_folder, mut store) = outbox("").await;
        assert_eq!(store.flaws().await.unwrap(), []);
        let own = "ALTER TABLE outbox ADD COLUMN tenant TEXT; CREATE INDEX own ON outbox (tenant);
                   CREATE TRIGGER outbox_own AFTER UPDATE ON outbox BEGIN SELECT 1; END";
        store.execute_sql(own).await.unwrap();
        assert_eq!(store.flaws().await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_was_lost_or_changed_is_named() {
        let (_folder, mut store) = outbox("").await;
        let change =
            "DROP TRIGGER outbox_inserted; DROP INDEX outbox_ready; DROP TABLE outbox_pauses;
                      DROP VIEW outbox_clock; CREATE VIEW outbox_clock AS SELECT 1 AS now";
        store.execute_sql(change).await.unwrap();
        let named = listed(&store.flaws().await.unwrap());
        for part in [
            "trigger outbox_inserted is missing",
            "index outbox_ready is missing",
            "table outbox_pauses is missing",
            "view outbox_clock was changed",
        ] {
            assert!(named.contains(part), "{named}");
        }
    }
}
