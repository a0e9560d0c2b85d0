//! What cannot be read back at Acquire, so that `status` can say so.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::job::Channel;
use crate::queue::outcome::Fault;
use crate::queue::unreadable::{ReadPurpose, UnreadableRoute};
use sqlx::sqlite::SqliteRow;

const ROUTES: &str = "\
SELECT account, channel, purpose, error_code, error, since FROM outbox_unreadable ORDER BY account, channel, purpose";
const NOTE: &str = "\
INSERT INTO outbox_unreadable (account, channel, purpose, error_code, error, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (account, channel, purpose) DO UPDATE SET error_code = excluded.error_code, error = excluded.error";
const FORGET: &str =
    "DELETE FROM outbox_unreadable WHERE account = ?1 AND channel = ?2 AND purpose = ?3";

impl SqliteStore {
    /// All of them.
    pub async fn unreadable(&mut self) -> Result<Vec<UnreadableRoute>, SqliteError> {
        let rows = sqlx::query(ROUTES).fetch_all(&mut self.conn).await?;
        Ok(rows.iter().filter_map(route).collect())
    }

    /// See [`Tenure::note_unreadable`](crate::store::Tenure::note_unreadable).
    pub async fn note_unreadable(&mut self, route: &UnreadableRoute) -> Result<(), SqliteError> {
        let note = sqlx::query(NOTE).bind(&route.account).bind(route.channel.as_str());
        let note = note.bind(route.purpose.as_str()).bind(&route.fault.code);
        note.bind(&route.fault.message).bind(route.since).execute(&mut self.conn).await?;
        Ok(())
    }

    /// See [`Tenure::note_readable`](crate::store::Tenure::note_readable).
    pub async fn note_readable(
        &mut self,
        account: &str,
        channel: Channel,
        purpose: ReadPurpose,
    ) -> Result<(), SqliteError> {
        let forget = sqlx::query(FORGET).bind(account).bind(channel.as_str());
        forget.bind(purpose.as_str()).execute(&mut self.conn).await?;
        Ok(())
    }
}

/// `None` for what a later version has written.
fn route(row: &SqliteRow) -> Option<UnreadableRoute> {
    Some(UnreadableRoute {
        account: row.text_or_empty(0),
        channel: row.text(1)?.parse().ok()?,
        purpose: row.text(2)?.parse().ok()?,
        fault: Fault::new(row.text_or_empty(3), row.text_or_empty(4)),
        since: row.whole(5).unwrap_or_default(),
    })
}
