//! Repairs the schema: restores what a migration tool, a dump or a person removed from it.
//!
//! Triggers, views and indexes are recreated. A table that lost columns or constraints is rebuilt,
//! with all its rows and whatever an application added.

use super::lenient::Lenient;
use super::schema::{Flaw, Part, Rule, Schema, TableShape};
use super::{SqliteError, SqliteStore};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

/// How far a repair may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairScope {
    /// Triggers, views and indexes; no table is rebuilt.
    Rules,
    /// Tables as well: only `init` does this.
    Everything,
}

/// Jobs that finished while the triggers were missing must leave the queue.
const LEAVE_THE_QUEUE: &str = "\
UPDATE outbox SET wait = NULL, holds = NULL, claimed_by = NULL, verify_at = NULL, moves = moves + 1,
    finished_at = CASE WHEN status = 'uncertain' THEN finished_at
        ELSE ifnull(finished_at, (SELECT now FROM outbox_clock)) END
WHERE status IN ('sent', 'failed', 'cancelled', 'uncertain') AND (status <> 'uncertain' OR wait IS NOT 'verifying')
    AND (wait IS NOT NULL OR holds IS NOT NULL OR claimed_by IS NOT NULL
         OR (status <> 'uncertain' AND finished_at IS NULL))";

/// An unknown `wait` is treated like a missing one: the dispatcher queues these rows again.
const NO_SUCH_WAIT: &str = "\
UPDATE outbox SET wait = NULL, holds = NULL, moves = moves + 1
WHERE status = 'pending' AND wait NOT IN ('ready', 'scheduled', 'backoff', 'parked')";

/// A sending row without a claim counts as claimed by an earlier dispatcher: the next start decides it.
const NO_CLAIM: &str = "\
UPDATE outbox SET claimed_by = 0, moves = moves + 1 WHERE status = 'sending' AND claimed_by IS NULL";

/// Whether the statements above, or `ELECT`, have anything to do.
const NEEDS_RECONCILING: &str = "\
SELECT EXISTS (SELECT 1 FROM outbox WHERE CASE status
        WHEN 'pending' THEN wait NOT IN ('ready', 'scheduled', 'backoff', 'parked')
        WHEN 'sending' THEN claimed_by IS NULL
        WHEN 'uncertain' THEN wait IS NOT 'verifying' AND (wait IS NOT NULL OR holds IS NOT NULL OR claimed_by IS NOT NULL)
        ELSE wait IS NOT NULL OR holds IS NOT NULL OR claimed_by IS NOT NULL OR finished_at IS NULL END)
    OR EXISTS (SELECT 1 FROM outbox AS w WHERE w.wait = 'parked'
        AND NOT EXISTS (SELECT 1 FROM outbox AS h WHERE h.lane = w.lane AND h.holds = 1))";

/// If a lane has several heads, the one that is being sent stays, or else the first of them.
const ONE_HEAD: &str = "\
UPDATE outbox SET holds = NULL, wait = CASE WHEN status = 'pending' THEN 'parked' WHEN wait = 'verifying' THEN wait END, moves = moves + 1
WHERE holds = 1 AND id <> (SELECT h.id FROM outbox AS h NOT INDEXED WHERE h.lane = outbox.lane AND h.holds = 1
    ORDER BY h.status = 'sending' DESC, h.status = 'uncertain' DESC, h.due_at, h.id LIMIT 1)";

/// Lanes whose jobs wait for a head that does not exist.
const ELECT: &str = "\
INSERT INTO outbox_elect (lane) SELECT DISTINCT w.lane FROM outbox AS w WHERE w.wait = 'parked'
    AND NOT EXISTS (SELECT 1 FROM outbox AS h WHERE h.lane = w.lane AND h.holds = 1)";

/// The epoch continues from the last claim.
const DISPATCHER: &str = "\
INSERT OR IGNORE INTO outbox_dispatcher (one, epoch)
SELECT 1, ifnull(max(claimed_by), 0) FROM outbox WHERE claimed_by BETWEEN 0 AND 1000000000000";

impl SqliteStore {
    /// Corrects rows that were changed while the rules were missing or turned off; reads all rows.
    pub(super) async fn reconcile(&mut self) -> Result<(), SqliteError> {
        // Producers need the write lock, so it is not taken if there is nothing to write.
        let row = sqlx::query(NEEDS_RECONCILING).fetch_one(&mut self.conn).await?;
        if row.whole(0) == Some(0) {
            return Ok(());
        }
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        for statement in [LEAVE_THE_QUEUE, NO_SUCH_WAIT, NO_CLAIM, ELECT] {
            execute(&mut tx, statement).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Repairs what `scope` allows, in one transaction, and returns what was wrong.
    ///
    /// # Errors
    /// [`SqliteError::Flawed`] if `scope` does not allow the repair, [`SqliteError::Unrepaired`] if it
    /// is not possible.
    pub async fn repair(&mut self, scope: RepairScope) -> Result<Vec<Flaw>, SqliteError> {
        if self.flaws().await?.is_empty() {
            return Ok(Vec::new());
        }
        // Other tables must not follow the renames of a rebuilt one. SQLite ignores these pragmas
        // inside a transaction.
        execute(&mut self.conn, "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON")
            .await?;
        let done = self.repair_now(scope).await;
        execute(&mut self.conn, "PRAGMA foreign_keys = ON; PRAGMA legacy_alter_table = OFF")
            .await?;
        done
    }

    async fn repair_now(&mut self, scope: RepairScope) -> Result<Vec<Flaw>, SqliteError> {
        let path = self.path().to_owned();
        let wanted = Schema::wanted().await?;
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        // Compared again, because another program may have repaired it since.
        let found = Schema::read(&mut tx).await?.flaws(wanted);
        let beyond: Vec<_> = found.iter().filter(|flaw| flaw.part != Part::Rule).cloned().collect();
        if scope == RepairScope::Rules && !beyond.is_empty() {
            return Err(SqliteError::Flawed { path, flaws: found });
        }
        drop_rules(&mut tx, wanted, &found).await?;
        for table in &wanted.tables {
            let object = format!("table {}", table.name);
            let part = beyond.iter().find(|flaw| flaw.object == object).map(|flaw| flaw.part);
            match part {
                Some(Part::Table) => execute(&mut tx, &table.sql).await?,
                Some(_) => rebuild(&mut tx, table).await?,
                None => {}
            }
        }
        make_rules(&mut tx, wanted).await?;
        execute(&mut tx, DISPATCHER).await?;
        tx.commit().await?;
        Ok(found)
    }
}

/// Drops all triggers, because they fire in the order of their creation, and the views and indexes that
/// were changed.
async fn drop_rules(
    conn: &mut SqliteConnection,
    wanted: &Schema,
    flaws: &[Flaw],
) -> Result<(), SqliteError> {
    let drops = |rule: &&Rule| {
        let object = format!("{} {}", rule.kind, rule.name);
        rule.kind == "trigger" || flaws.iter().any(|flaw| flaw.object == object)
    };
    for rule in wanted.rules.iter().filter(drops) {
        execute(conn, &format!("DROP {} IF EXISTS {}", rule.kind, rule.name)).await?;
    }
    Ok(())
}

/// Creates what is missing, and corrects the rows before the triggers exist again.
async fn make_rules(conn: &mut SqliteConnection, wanted: &Schema) -> Result<(), SqliteError> {
    let there = Schema::read(conn).await?.rules;
    let is_there =
        |rule: &Rule| there.iter().any(|is| is.kind == rule.kind && is.name == rule.name);
    let missing = |kind: &str| {
        let kind = kind.to_owned();
        wanted.rules.iter().filter(move |rule| rule.kind == kind && !is_there(rule))
    };
    for view in missing("view") {
        execute(conn, &view.sql).await?;
    }
    for statement in [LEAVE_THE_QUEUE, NO_SUCH_WAIT, NO_CLAIM] {
        execute(conn, statement).await?;
    }
    if !is_there(&Rule {
        kind: "index".to_owned(),
        name: "outbox_holder".to_owned(),
        sql: String::new(),
    }) {
        execute(conn, ONE_HEAD).await?;
    }
    for rule in missing("index").chain(missing("trigger")) {
        execute(conn, &rule.sql).await?;
    }
    execute(conn, ELECT).await
}

/// As SQLite recommends: <https://www.sqlite.org/lang_altertable.html#otheralter>.
async fn rebuild(conn: &mut SqliteConnection, wanted: &TableShape) -> Result<(), SqliteError> {
    let name = wanted.name.as_str();
    let is = Schema::read(conn).await?;
    let is = is.table(name).expect("a table with flaws in its columns is there");
    let own = "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL";
    let own = sqlx::query(own).bind(name).fetch_all(&mut *conn).await?;
    let made = wanted.sql.replacen(name, &format!("{name}_rebuilt"), 1);
    execute(conn, &made).await?;
    for column in is.columns.iter().filter(|column| wanted.column(&column.name).is_none()) {
        let default =
            column.default.as_ref().map(|d| format!(" DEFAULT ({d})")).unwrap_or_default();
        let required = if column.required { " NOT NULL" } else { "" };
        let add = format!(
            "ALTER TABLE {name}_rebuilt ADD COLUMN {} {}{required}{default}",
            quoted(&column.name),
            column.kind
        );
        execute(conn, &add).await?;
    }
    let columns: Vec<_> = is.columns.iter().map(|column| quoted(&column.name)).collect();
    let values = is.columns.iter().map(|column| {
        let default =
            wanted.column(&column.name).and_then(|c| c.default.as_ref().filter(|_| c.required));
        match default {
            Some(default) => format!("ifnull({}, {default})", quoted(&column.name)),
            None => quoted(&column.name),
        }
    });
    let copy = format!(
        "INSERT INTO {name}_rebuilt ({}) SELECT {} FROM {name}",
        columns.join(", "),
        values.collect::<Vec<_>>().join(", ")
    );
    let unrepaired = |e: SqliteError| SqliteError::Unrepaired {
        table: name.to_owned(),
        problem: e.refusal().unwrap_or_else(|| e.to_string()),
    };
    execute(conn, &copy).await.map_err(unrepaired)?;
    // So that no id is given twice.
    let counted = format!(
        "UPDATE sqlite_sequence SET seq = max(seq, ifnull((SELECT max(s.seq) FROM sqlite_sequence AS s
            WHERE s.name = '{name}'), 0)) WHERE name = '{name}_rebuilt';
         DELETE FROM sqlite_sequence WHERE name = '{name}'"
    );
    if name == "outbox" {
        execute(conn, &counted).await?;
    }
    execute(conn, &format!("DROP TABLE {name}; ALTER TABLE {name}_rebuilt RENAME TO {name}"))
        .await?;
    for own in own {
        execute(conn, &own.text_or_empty(0)).await?;
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn execute(conn: &mut SqliteConnection, sql: &str) -> Result<(), SqliteError> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await?;
    Ok(())
}
