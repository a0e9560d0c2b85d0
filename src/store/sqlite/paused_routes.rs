//! What people have paused. The claim itself reads it (`cycle.sql`), so no paused job is claimed once
//! the pause is committed.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::job::Channel;
use crate::queue::pause::Pause;
use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;

// An unknown channel pauses nothing, because the claim compares names. It is not shown either.
pub(super) const PAUSES: &str = "\
SELECT account, channel, reason, since, until FROM outbox_pauses
WHERE channel IN ('', 'chat', 'mail', 'sms') ORDER BY account, channel LIMIT ?1";

/// The pauses of one account and channel.
pub(super) const PAUSES_OF: &str = "\
SELECT account, channel, reason, since, until FROM outbox_pauses WHERE account IN ('', ?1) AND channel IN ('', ?2) ORDER BY account, channel";

impl FromRow<'_, SqliteRow> for Pause {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Pause> {
        Ok(Pause {
            account: row.text("account").filter(|account| !account.is_empty()),
            channel: row.text_or_empty("channel").parse().ok(),
            reason: row.text_or_empty("reason"),
            since: row.whole("since").unwrap_or_default(),
            until: row.whole("until"),
        })
    }
}

const PAUSE: &str = "\
INSERT INTO outbox_pauses (account, channel, reason, until) VALUES (?1, ?2, ?3, (SELECT now FROM outbox_clock) + ?4)
ON CONFLICT (account, channel) DO UPDATE SET reason = excluded.reason, until = excluded.until";

const RESUME: &str = "DELETE FROM outbox_pauses WHERE account = ?1 AND channel = ?2";

impl SqliteStore {
    /// The first `limit` pauses, those of every account before all others.
    pub async fn pauses(&mut self, limit: u32) -> Result<Vec<Pause>, SqliteError> {
        Ok(sqlx::query_as(PAUSES).bind(limit).fetch_all(&mut self.conn).await?)
    }

    /// Pauses a channel, an account, a channel of an account, or (neither given) everything. What is
    /// paused already keeps its beginning, and takes the new reason and end.
    pub async fn pause(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
        reason: &str,
        length: Option<Duration>,
    ) -> Result<(), SqliteError> {
        sqlx::query(PAUSE)
            .bind(account.unwrap_or_default())
            .bind(channel.map_or("", Channel::as_str))
            .bind(reason)
            .bind(length.map(millis))
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    /// Ends exactly this pause; false if there is none. A wider pause still holds its jobs back.
    pub async fn resume(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<bool, SqliteError> {
        let done = sqlx::query(RESUME)
            .bind(account.unwrap_or_default())
            .bind(channel.map_or("", Channel::as_str))
            .execute(&mut self.conn)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ALL;
    use crate::store::sqlite::fixture::outbox;

    fn chat(account: &str, ordering_key: &str, send_at: &str) -> String {
        format!(
            "INSERT INTO outbox (channel, payload, account, ordering_key, send_at)
             VALUES ('chat', '{{\"caseId\": 1, \"message\": \"hi\"}}', '{account}', '{ordering_key}', {send_at});"
        )
    }

    #[tokio::test]
    async fn a_pause_is_named_after_its_routes() {
        let (_folder, mut store) = outbox("").await;
        store.pause(Some("shop"), Some(Channel::Sms), "why", None).await.unwrap();
        store.pause(Some("shop"), None, "", None).await.unwrap();
        store.pause(None, Some(Channel::Mail), "", None).await.unwrap();
        store.pause(None, None, "", None).await.unwrap();
        let subjects: Vec<_> =
            store.pauses(ALL).await.unwrap().iter().map(Pause::subject).collect();
        assert_eq!(subjects, ["everything", "mail", "account shop", "sms of account shop"]);
        assert!(store.resume(Some("shop"), None).await.unwrap());
        assert!(!store.resume(Some("shop"), None).await.unwrap());
        assert_eq!(store.pauses(ALL).await.unwrap().len(), 3);
    }

    /// The account may be configured soon, and the daemon's list of pauses may be a second old.
    #[tokio::test]
    async fn what_is_paused_does_not_fail_for_an_account_that_nobody_has_configured() {
        let jobs = [chat("gone", "", "NULL"), chat("lost", "", "NULL")].concat();
        let (_folder, mut store) = outbox(&jobs).await;
        store.pause(Some("gone"), None, "", None).await.unwrap();
        assert_eq!(store.fail_unknown_account("gone", "why").await.unwrap(), []);
        assert_eq!(store.fail_unknown_account("lost", "why").await.unwrap(), [Channel::Chat]);
        store.resume(Some("gone"), None).await.unwrap();
        assert_eq!(store.fail_unknown_account("gone", "why").await.unwrap(), [Channel::Chat]);
    }

    #[tokio::test]
    async fn a_reason_and_a_time_of_the_wrong_type_are_read_all_the_same() {
        let (_folder, mut store) = outbox("").await;
        store.pause(None, Some(Channel::Sms), "why", None).await.unwrap();
        store.execute_sql("DROP TRIGGER outbox_pauses_changed; UPDATE outbox_pauses SET reason = x'ff41', since = 'soon'").await.unwrap();
        let pauses = store.pauses(ALL).await.unwrap();
        assert_eq!((pauses[0].reason.as_str(), pauses[0].since), ("\u{fffd}A", 0));
        assert_eq!(pauses[0].channel, Some(Channel::Sms));
    }
}
