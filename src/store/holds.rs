//! What holds jobs back from outside, on disk so that `status` and `show` can say it.

use super::{Store, StoreError};
use crate::job::Millis;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row};
use std::str::FromStr;

/// Why jobs are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// Acquire refuses the account (401, or a redirect): single probes go out.
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
            HoldKind::Shortage => "this machine has run out of something",
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
}

/// A hold of a kind that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("outbox_holds.kind `{0}` is not known")]
pub struct UnknownKind(String);

impl FromStr for HoldKind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        HoldKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| UnknownKind(word.to_owned()))
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

impl Store {
    /// Makes `holds` all there are.
    pub async fn replace_holds(&mut self, holds: &[Hold]) -> Result<(), StoreError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM outbox_holds").execute(&mut *tx).await?;
        for hold in holds {
            sqlx::query("INSERT INTO outbox_holds VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
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
        rows.iter().map(hold_from).collect()
    }

    /// The first of them.
    pub async fn holds_up_to(&mut self, limit: u32) -> Result<Vec<Hold>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("{HOLDS} LIMIT ?1"));
        let rows = sqlx::query(sql).bind(limit).fetch_all(&mut self.conn).await?;
        rows.iter().map(hold_from).collect()
    }
}

pub(super) fn hold_from(row: &SqliteRow) -> Result<Hold, StoreError> {
    let kind: &str = row.try_get(2)?;
    Ok(Hold {
        account: row.try_get(0)?,
        channel: row.try_get(1)?,
        kind: kind.parse().map_err(|e: UnknownKind| sqlx::Error::Decode(Box::new(e)))?,
        reason: row.try_get(3)?,
        since: row.try_get(4)?,
        until: row.try_get(5)?,
    })
}
