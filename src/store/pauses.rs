//! What a person has paused. It outlives every process; the claim itself looks (`cycle.sql`), so
//! from its commit on nothing of it is claimed.

use super::{Store, StoreError};
use crate::job::{Channel, Millis};
use sqlx::{FromRow, Row};

/// A row of `outbox_pauses`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pause {
    /// `None`: every account.
    pub account: Option<String>,
    /// `None`: every channel.
    pub channel: Option<Channel>,
    /// A person's words; may be empty.
    pub reason: String,
    pub since: Millis,
}

impl Pause {
    /// Whether it keeps a job of this account and channel from being claimed.
    pub fn concerns(&self, account: &str, channel: &str) -> bool {
        self.account.as_deref().is_none_or(|own| own == account)
            && self.channel.is_none_or(|own| own.as_str() == channel)
    }
}

impl FromRow<'_, sqlx::sqlite::SqliteRow> for Pause {
    fn from_row(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Pause> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let channel = given(row.try_get("channel")?).map(|word| word.parse()).transpose();
        Ok(Pause {
            account: given(row.try_get("account")?),
            channel: channel
                .map_err(|e: crate::job::UnknownWord| sqlx::Error::Decode(Box::new(e)))?,
            reason: row.try_get("reason")?,
            since: row.try_get("since")?,
        })
    }
}

pub(super) const PAUSES: &str =
    "SELECT account, channel, reason, since FROM outbox_pauses ORDER BY account, channel";

const PAUSE: &str = "\
INSERT INTO outbox_pauses (account, channel, reason) VALUES (?1, ?2, ?3)
ON CONFLICT (account, channel) DO UPDATE SET reason = excluded.reason";

const RESUME: &str = "DELETE FROM outbox_pauses WHERE account = ?1 AND channel = ?2";

impl Store {
    /// Everything that is paused.
    pub async fn pauses(&mut self) -> Result<Vec<Pause>, StoreError> {
        Ok(sqlx::query_as(PAUSES).fetch_all(&mut self.conn).await?)
    }

    /// Pauses a channel, an account, a channel of an account, or (neither given) everything. What is
    /// paused already keeps its time and takes the new reason.
    pub async fn pause(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
        reason: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(PAUSE)
            .bind(account.unwrap_or_default())
            .bind(channel.map_or("", Channel::as_str))
            .bind(reason)
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    /// Ends exactly this pause; false: there is none. A wider one still holds its jobs.
    pub async fn resume(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(RESUME)
            .bind(account.unwrap_or_default())
            .bind(channel.map_or("", Channel::as_str))
            .execute(&mut self.conn)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
