//! What cannot be read back at Acquire, so that `status` can say so. Nodes have the same accounts: what one
//! has found out holds for all.

use super::{PostgresError, PostgresStore, PostgresTenure};
use crate::queue::job::Channel;
use crate::queue::outcome::Fault;
use crate::queue::unreadable::{ReadPurpose, UnreadableRoute};
use crate::store::StoreError;
use sqlx::Row;
use sqlx::postgres::PgRow;

const ROUTES: &str = "\
SELECT account, channel, purpose, error_code, error, outbox_millis(since) AS since FROM outbox_unreadable
ORDER BY account, channel, purpose";
const NOTE: &str = "\
INSERT INTO outbox_unreadable (account, channel, purpose, error_code, error, since)
VALUES ($1, $2, $3, $4, $5, date_trunc('milliseconds', clock_timestamp()))
ON CONFLICT (account, channel, purpose) DO UPDATE SET error_code = excluded.error_code, error = excluded.error";
const FORGET: &str =
    "DELETE FROM outbox_unreadable WHERE account = $1 AND channel = $2 AND purpose = $3";

impl PostgresStore {
    /// All of them.
    pub(super) async fn unreadable(&mut self) -> Result<Vec<UnreadableRoute>, PostgresError> {
        let rows = sqlx::query(ROUTES).fetch_all(&mut self.conn).await?;
        let routes: Result<Vec<_>, sqlx::Error> = rows.iter().map(route).collect();
        Ok(routes?.into_iter().flatten().collect())
    }
}

impl PostgresTenure {
    /// See [`Tenure::unreadable`](crate::store::Tenure::unreadable).
    pub async fn unreadable(&mut self) -> Result<Vec<UnreadableRoute>, StoreError> {
        Ok(self.session.with_store(async move |store| store.unreadable().await).await?)
    }

    /// See [`Tenure::note_unreadable`](crate::store::Tenure::note_unreadable).
    pub async fn note_unreadable(&mut self, route: &UnreadableRoute) -> Result<(), StoreError> {
        let readable = |text: &str| text.replace('\0', "\u{fffd}");
        let note = sqlx::query(NOTE).bind(&route.account).bind(route.channel.as_str());
        let note = note.bind(route.purpose.as_str()).bind(readable(&route.fault.code));
        let note = note.bind(readable(&route.fault.message));
        self.session.with(async move |conn| note.execute(conn).await).await?;
        Ok(())
    }

    /// See [`Tenure::note_readable`](crate::store::Tenure::note_readable).
    pub async fn note_readable(
        &mut self,
        account: &str,
        channel: Channel,
        purpose: ReadPurpose,
    ) -> Result<(), StoreError> {
        let forget = sqlx::query(FORGET).bind(account).bind(channel.as_str());
        let forget = forget.bind(purpose.as_str());
        self.session.with(async move |conn| forget.execute(conn).await).await?;
        Ok(())
    }
}

/// `None` for what a later version has written.
fn route(row: &PgRow) -> Result<Option<UnreadableRoute>, sqlx::Error> {
    let (channel, purpose): (&str, &str) = (row.try_get("channel")?, row.try_get("purpose")?);
    let (Ok(channel), Ok(purpose)) = (channel.parse(), purpose.parse()) else { return Ok(None) };
    Ok(Some(UnreadableRoute {
        account: row.try_get("account")?,
        channel,
        purpose,
        fault: Fault::new(
            row.try_get::<String, _>("error_code")?,
            row.try_get::<String, _>("error")?,
        ),
        since: row.try_get("since")?,
    }))
}
