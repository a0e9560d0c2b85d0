//! What keeps routes shut: each node publishes its own blocks, and the claim follows those of all nodes
//! that are alive. Also the accounts that a node has configured, and jobs of accounts that none has.

use super::{PostgresError, PostgresTenure};
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::{Channel, Failure};
use crate::queue::report::{Notice, Report};
use crate::store::StoreError;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tracing::Level;

const BLOCKS: &str = "\
SELECT account, channel, kind, reason, outbox_millis(since) AS since, outbox_millis(until) AS until
FROM outbox_holds WHERE node = $1 ORDER BY account, channel, kind";
/// One statement: nobody sees the node without its blocks. A node that was buried has none.
const PUBLISH: &str = "\
WITH new AS (
    SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
        AS b(account, channel, kind, reason, since, until)
    WHERE EXISTS (SELECT 1 FROM outbox_nodes n WHERE n.epoch = $1 AND n.buried_at IS NULL)),
gone AS (
    DELETE FROM outbox_holds h WHERE h.node = $2
        AND NOT EXISTS (SELECT 1 FROM new b WHERE (b.account, b.channel, b.kind) = (h.account, h.channel, h.kind)))
INSERT INTO outbox_holds (account, channel, kind, reason, since, until, node, epoch)
SELECT b.account, b.channel, b.kind, b.reason, timestamptz 'epoch' + b.since * interval '1 ms', timestamptz 'epoch' + b.until * interval '1 ms', $2, $1
FROM new b
ON CONFLICT (account, channel, kind, node)
DO UPDATE SET reason = excluded.reason, since = excluded.since, until = excluded.until, epoch = excluded.epoch";
const PUBLISH_ACCOUNTS: &str =
    "UPDATE outbox_nodes SET accounts = $2 WHERE epoch = $1 AND buried_at IS NULL";
const PUBLISH_RATES: &str = "\
INSERT INTO outbox_rates (account, channel) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING";
/// A node that has just started has not said yet which accounts it knows.
const FAIL_UNKNOWN: &str = "\
WITH x AS MATERIALIZED (
    SELECT o.id FROM outbox o
    WHERE o.wait IN ('ready', 'arrived') AND o.account = $1
        AND NOT EXISTS (SELECT 1 FROM outbox_pauses p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
        AND NOT EXISTS (SELECT 1 FROM outbox_set_aside s WHERE s.job_id = o.id)
        AND NOT EXISTS (SELECT 1 FROM outbox_nodes n WHERE n.epoch <> $3 AND n.buried_at IS NULL AND n.lease_until > clock_timestamp()
            AND (n.accounts IS NULL OR $1 = ANY (n.accounts)))
        AND EXISTS (SELECT 1 FROM outbox_nodes n WHERE n.epoch = $3 AND n.buried_at IS NULL)
    LIMIT 500 FOR UPDATE OF o SKIP LOCKED)
UPDATE outbox AS o SET status = 'failed', failure = 'invalid', error_code = 'unknown_account', error = $2, moves = o.moves + 1
FROM x WHERE o.id = x.id RETURNING o.channel";
const COUNT_FAILED: &str = "\
SELECT outbox_tally($1, clock_timestamp(), ARRAY(SELECT ROW ($2, c, 'failed', 0)::outbox_counted FROM unnest($3::text[]) c))";

impl PostgresTenure {
    /// See [`Tenure::blocks`](crate::store::Tenure::blocks).
    pub async fn blocks(&mut self) -> Result<Vec<Block>, StoreError> {
        let query = sqlx::query(BLOCKS).bind(&self.name);
        let rows = self.session.with(async move |conn| query.fetch_all(conn).await).await?;
        let blocks: Result<Vec<_>, sqlx::Error> = rows.iter().map(block).collect();
        Ok(blocks.map_err(PostgresError::from)?.into_iter().flatten().collect())
    }

    /// See [`Tenure::publish_blocks`](crate::store::Tenure::publish_blocks).
    pub async fn publish_blocks(&mut self, blocks: &[Block]) -> Result<(), StoreError> {
        let texts = |of: fn(&Block) -> &str| blocks.iter().map(of).collect::<Vec<_>>();
        let query = sqlx::query(PUBLISH)
            .bind(self.session.epoch)
            .bind(&self.name)
            .bind(texts(|b| &b.account))
            .bind(texts(|b| &b.channel))
            .bind(texts(|b| b.kind.as_str()))
            .bind(blocks.iter().map(|b| b.reason.replace('\0', "\u{fffd}")).collect::<Vec<_>>())
            .bind(blocks.iter().map(|b| b.since).collect::<Vec<_>>())
            .bind(blocks.iter().map(|b| b.until).collect::<Vec<_>>());
        self.session.with(async move |conn| query.execute(conn).await).await?;
        Ok(())
    }

    /// Tells the other nodes which accounts this one has, if that has changed.
    pub(super) async fn publish_accounts(&mut self) -> Result<(), StoreError> {
        let accounts = self.rooms.accounts();
        if accounts.iter().copied().eq(self.accounts.iter().map(String::as_str)) {
            return Ok(());
        }
        let accounts: Vec<String> = accounts.into_iter().map(str::to_owned).collect();
        let query = sqlx::query(PUBLISH_ACCOUNTS).bind(self.session.epoch).bind(accounts.clone());
        self.session.with(async move |conn| query.execute(conn).await).await?;
        self.accounts = accounts;
        Ok(())
    }

    /// Makes sure that each route with a rate has its row: within a cycle nothing is waited for, and an INSERT
    /// may wait for another node's.
    pub(super) async fn publish_rates(&mut self) -> Result<(), StoreError> {
        let rates = self.rooms.take_new_rates();
        if rates.is_empty() {
            return Ok(());
        }
        let (accounts, channels): (Vec<_>, Vec<_>) =
            rates.into_iter().map(|(account, channel)| (account, channel.as_str())).unzip();
        let query = sqlx::query(PUBLISH_RATES).bind(accounts).bind(channels);
        let published = self.session.with(async move |conn| query.execute(conn).await).await;
        if published.is_err() {
            self.rooms.rates_are_new();
        }
        Ok(published.map(|_| ())?)
    }

    /// See [`Tenure::fail_unknown_accounts`](crate::store::Tenure::fail_unknown_accounts).
    pub async fn fail_unknown_accounts(
        &mut self,
        accounts: &[String],
        known: &[&str],
    ) -> Result<Report, StoreError> {
        for account in accounts {
            let known = known.join(", ");
            let sentence = format!("account: `{account}` is not configured; configured: {known}");
            let query = sqlx::query_scalar(FAIL_UNKNOWN);
            let query = query.bind(account).bind(sentence).bind(self.session.epoch);
            let failed: Vec<String> =
                self.session.with(async move |conn| query.fetch_all(conn).await).await?;
            if failed.is_empty() {
                continue;
            }
            let count = sqlx::query(COUNT_FAILED).bind(self.session.epoch).bind(account);
            let count = count.bind(failed.clone());
            self.session.with(async move |conn| count.execute(conn).await).await?;
            let sentence = format!(
                "jobs for the account `{account}`, which is not configured, failed as invalid"
            );
            self.report.notice(Notice::new(Level::WARN, sentence).rows(failed.len()));
            let channels = failed.iter().filter_map(|channel| channel.parse::<Channel>().ok());
            self.report.failures.extend(channels.map(|channel| (channel, Failure::Invalid)));
            // Each may have held back a job of another account.
            self.report.may_be_ready = true;
        }
        Ok(std::mem::take(&mut self.report))
    }
}

/// `None` for a kind of another version.
fn block(row: &PgRow) -> Result<Option<Block>, sqlx::Error> {
    let Some(kind) = BlockKind::of(row.try_get("kind")?) else { return Ok(None) };
    Ok(Some(Block {
        account: row.try_get("account")?,
        channel: row.try_get("channel")?,
        kind,
        reason: row.try_get("reason")?,
        since: row.try_get("since")?,
        until: row.try_get("until")?,
    }))
}
