//! What holds jobs back from outside, on disk so that `status` and `show` can say it.

use super::lenient::Lenient;
use super::{Store, StoreError};
use crate::job::Millis;
use sqlx::Connection;
use sqlx::sqlite::SqliteRow;

/// Why jobs are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// Acquire refuses the account (401, or a redirect), or something else answers instead: single
    /// probes go out.
    Refused,
    /// Acquire asked for a pause.
    RetryAfter,
    /// Request after request found no usable answer: single probes go out.
    Breaker,
    /// This machine has no descriptors, memory, threads or ports for another connection.
    Shortage,
}

impl HoldKind {
    /// Every kind.
    pub const ALL: [HoldKind; 4] =
        [HoldKind::Refused, HoldKind::RetryAfter, HoldKind::Breaker, HoldKind::Shortage];

    /// For people: why the jobs wait.
    pub fn because(self) -> &'static str {
        match self {
            HoldKind::Refused => "the account is refused",
            HoldKind::RetryAfter => "Acquire asked for a pause",
            HoldKind::Breaker => "the breaker is open",
            HoldKind::Shortage => "this machine is short of a resource",
        }
    }

    /// The column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            HoldKind::Refused => "refused",
            HoldKind::RetryAfter => "retry_after",
            HoldKind::Breaker => "breaker",
            HoldKind::Shortage => "shortage",
        }
    }

    fn of(word: &str) -> Option<HoldKind> {
        HoldKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A row of `outbox_holds`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Hold {
    /// Empty: every account.
    pub account: String,
    /// Empty: every channel of the account.
    pub channel: String,
    pub kind: HoldKind,
    pub reason: String,
    pub since: Millis,
    /// When it ends, or when the next probe goes out.
    pub until: Option<Millis>,
}

pub(super) const HOLDS: &str = "\
SELECT account, channel, kind, reason, since, until FROM outbox_holds ORDER BY account, channel, kind";

/// Those of an account's jobs of a channel.
pub(super) const HOLDS_OF: &str = "\
SELECT account, channel, kind, reason, since, until FROM outbox_holds
WHERE account IN ('', ?1) AND channel IN ('', ?2) ORDER BY account, channel, kind";

const INSERT: &str = "\
INSERT INTO outbox_holds (account, channel, kind, reason, since, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

impl Store {
    /// Makes `holds` all there are.
    pub async fn replace_holds(&mut self, holds: &[Hold]) -> Result<(), StoreError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM outbox_holds").execute(&mut *tx).await?;
        for hold in holds {
            sqlx::query(INSERT)
                .bind(&hold.account)
                .bind(&hold.channel)
                .bind(hold.kind.as_str())
                .bind(&hold.reason)
                .bind(hold.since)
                .bind(hold.until)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    /// All holds.
    pub async fn holds(&mut self) -> Result<Vec<Hold>, StoreError> {
        let rows = sqlx::query(HOLDS).fetch_all(&mut self.conn).await?;
        Ok(rows.iter().filter_map(hold_from).collect())
    }

    /// The first of them.
    pub async fn holds_up_to(&mut self, limit: u32) -> Result<Vec<Hold>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{HOLDS} LIMIT ?1"));
        let rows = sqlx::query(sql).bind(limit).fetch_all(&mut self.conn).await?;
        Ok(rows.iter().filter_map(hold_from).collect())
    }
}

/// `None` for an unknown kind: the dispatcher writes all of them again at its next change.
pub(super) fn hold_from(row: &SqliteRow) -> Option<Hold> {
    Some(Hold {
        account: row.words(0),
        channel: row.words(1),
        kind: HoldKind::of(&row.words(2))?,
        reason: row.words(3),
        since: row.whole(4).unwrap_or_default(),
        until: row.whole(5),
    })
}
