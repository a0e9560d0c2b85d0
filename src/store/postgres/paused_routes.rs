//! What people have paused. The claim itself reads it, so no paused job is claimed once the pause is
//! committed.

use super::rows::millis;
use super::{PostgresError, PostgresStore};
use crate::queue::job::Channel;
use crate::queue::pause::Pause;
use sqlx::{AssertSqlSafe, PgConnection};
use std::sync::LazyLock;
use std::time::Duration;

// An unknown channel pauses nothing, because the claim compares names. It is not shown either. By
// bytes, as on SQLite.
static PAUSES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT account, channel, reason, {} AS since, {} AS until FROM outbox_pauses
         WHERE channel IN ('', 'chat', 'mail', 'sms')
         ORDER BY account COLLATE \"C\", channel COLLATE \"C\" LIMIT $1",
        millis("since"),
        millis("until")
    )
});

const PAUSE: &str = "\
INSERT INTO outbox_pauses (account, channel, reason, until) VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 ms')
ON CONFLICT (account, channel) DO UPDATE SET reason = excluded.reason, until = excluded.until";

const RESUME: &str = "DELETE FROM outbox_pauses WHERE account = $1 AND channel = $2";

/// The first `limit` pauses, those of every account before all others.
pub(super) async fn pauses(
    conn: &mut PgConnection,
    limit: u32,
) -> Result<Vec<Pause>, PostgresError> {
    let query = sqlx::query_as(AssertSqlSafe(PAUSES.as_str())).bind(i64::from(limit));
    Ok(query.fetch_all(conn).await?)
}

impl PostgresStore {
    /// The first `limit` pauses, those of every account before all others.
    pub async fn pauses(&mut self, limit: u32) -> Result<Vec<Pause>, PostgresError> {
        self.take_time().await?;
        pauses(&mut self.conn, limit).await
    }

    /// Pauses a channel, an account, a channel of an account, or (neither given) everything. What is
    /// paused already keeps its beginning, and takes the new reason and end.
    pub async fn pause(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
        reason: &str,
        length: Option<Duration>,
    ) -> Result<(), PostgresError> {
        sqlx::query(PAUSE)
            .bind(account.unwrap_or_default())
            .bind(channel.map_or("", Channel::as_str))
            .bind(reason)
            .bind(length.map(super::node_session::millis))
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    /// Ends exactly this pause; false if there is none. A wider pause still keeps its jobs back.
    pub async fn resume(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<bool, PostgresError> {
        let done = sqlx::query(RESUME)
            .bind(account.unwrap_or_default())
            .bind(channel.map_or("", Channel::as_str))
            .execute(&mut self.conn)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
