//! Rows as they are read. Times cross as Unix milliseconds; payload and receipt, as text.

use crate::queue::block::{Block, BlockKind};
use crate::queue::job::Millis;
use crate::queue::overview::{CensusRow, FailureGroup, SetAside};
use crate::queue::pause::Pause;
use crate::queue::story::{AttemptRow, Delivery, Detail};
use crate::queue::when;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use std::sync::LazyLock;

/// A column of type `timestamptz` as milliseconds. `infinity`, which no rule lets in, is none. Rounded,
/// because PostgreSQL 13 gives the epoch as a float.
pub(super) fn millis(column: &str) -> String {
    format!(
        "CASE WHEN isfinite({column}) THEN round(extract(epoch FROM {column}) * 1000)::bigint END"
    )
}

/// The columns of a [`Delivery`], of `outbox AS o`.
pub(super) static DELIVERY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "o.id, o.channel, o.account, o.source, o.idempotency_key, o.status, o.attempts, o.message_id, \
         o.failure, o.error_code, o.error, {} AS created_at, {} AS send_at, {} AS next_attempt_at, \
         {} AS finished_at, o.delivery, {} AS delivery_at, \
         (o.status = 'uncertain' AND coalesce(o.wait, '') = 'verifying') AS verifying, \
         coalesce(o.case_id, outbox_whole(o.receipt -> 'caseId')) AS case_id, o.contact_id",
        millis("o.created_at"),
        millis("o.send_at"),
        millis("o.next_attempt_at"),
        millis("o.finished_at"),
        millis("o.delivery_at")
    )
});

impl FromRow<'_, PgRow> for Delivery {
    fn from_row(row: &PgRow) -> sqlx::Result<Delivery> {
        let time =
            |column: &str| row.try_get::<Option<Millis>, _>(column).map(|at| at.map(when::iso));
        Ok(Delivery {
            id: row.try_get("id")?,
            channel: row.try_get("channel")?,
            account: row.try_get("account")?,
            source: row.try_get("source")?,
            idempotency_key: row.try_get("idempotency_key")?,
            status: row.try_get("status")?,
            attempts: row.try_get::<i32, _>("attempts")?.into(),
            message_id: row.try_get("message_id")?,
            failure: row.try_get("failure")?,
            error_code: row.try_get("error_code")?,
            error: row.try_get("error")?,
            created_at: time("created_at")?.unwrap_or_default(),
            send_at: time("send_at")?,
            next_attempt_at: time("next_attempt_at")?,
            finished_at: time("finished_at")?,
            delivery: row.try_get("delivery")?,
            delivery_at: time("delivery_at")?,
            verifying: row.try_get("verifying")?,
            case_id: row.try_get("case_id")?,
            contact_id: row.try_get("contact_id")?,
        })
    }
}

impl FromRow<'_, PgRow> for AttemptRow {
    fn from_row(row: &PgRow) -> sqlx::Result<AttemptRow> {
        Ok(AttemptRow {
            attempt: row.try_get::<i32, _>("attempt")?.into(),
            started_at: when::iso(row.try_get::<Option<_>, _>("started_at")?.unwrap_or_default()),
            duration_ms: row.try_get::<i32, _>("duration_ms")?.into(),
            outcome: row.try_get("outcome")?,
            http_status: row.try_get::<Option<i32>, _>("http_status")?.map(i64::from),
            error_code: row.try_get("error_code")?,
            error: row.try_get("error")?,
        })
    }
}

impl FromRow<'_, PgRow> for Detail {
    fn from_row(row: &PgRow) -> sqlx::Result<Detail> {
        Ok(Detail {
            delivery: Delivery::from_row(row)?,
            payload_bytes: row.try_get::<i32, _>("payload_bytes")?.into(),
            payload_fields: row.try_get("payload_fields")?,
            receipt: row.try_get("receipt")?,
            receipt_bytes: row.try_get::<Option<i32>, _>("receipt_bytes")?.map(i64::from),
            priority: row.try_get::<i16, _>("priority")?.into(),
            ordering_key: row.try_get("ordering_key")?,
            max_attempts: row.try_get::<Option<i32>, _>("max_attempts")?.map(i64::from),
            expires: row.try_get("expires")?,
            wait: row.try_get("wait")?,
            due: row.try_get("due")?,
            retry: row.try_get("retry")?,
            updated: row.try_get("updated")?,
            next_look: row.try_get("next_look")?,
            looks: row.try_get::<i32, _>("looks")?.into(),
            seen: row.try_get("seen")?,
            next_follow_up: row.try_get("next_follow_up")?,
            followed: row.try_get("followed")?,
        })
    }
}

impl FromRow<'_, PgRow> for CensusRow {
    fn from_row(row: &PgRow) -> sqlx::Result<CensusRow> {
        Ok(CensusRow {
            channel: row.try_get("channel")?,
            status: row.try_get("status")?,
            wait: row.try_get("wait")?,
            count: row.try_get("count")?,
        })
    }
}

impl FromRow<'_, PgRow> for FailureGroup {
    fn from_row(row: &PgRow) -> sqlx::Result<FailureGroup> {
        Ok(FailureGroup {
            status: row.try_get("status")?,
            channels: row.try_get("channels")?,
            error_code: row.try_get("error_code")?,
            error: row.try_get("error")?,
            count: row.try_get("count")?,
            last: row.try_get::<Option<_>, _>("last")?.unwrap_or_default(),
        })
    }
}

impl FromRow<'_, PgRow> for Pause {
    fn from_row(row: &PgRow) -> sqlx::Result<Pause> {
        let account: String = row.try_get("account")?;
        let channel: String = row.try_get("channel")?;
        Ok(Pause {
            account: Some(account).filter(|account| !account.is_empty()),
            channel: channel.parse().ok(),
            reason: row.try_get("reason")?,
            since: row.try_get::<Option<_>, _>("since")?.unwrap_or_default(),
            until: row.try_get("until")?,
        })
    }
}

impl FromRow<'_, PgRow> for SetAside {
    fn from_row(row: &PgRow) -> sqlx::Result<SetAside> {
        Ok(SetAside {
            id: row.try_get("job_id")?,
            status: row.try_get::<Option<_>, _>("status")?.unwrap_or_default(),
            since: row.try_get::<Option<_>, _>("since")?.unwrap_or_default(),
            reason: row.try_get("reason")?,
        })
    }
}

/// `None` for an unknown kind: a node of a later version wrote it.
pub(super) fn block_from(row: &PgRow) -> sqlx::Result<Option<Block>> {
    let kind: String = row.try_get("kind")?;
    let Some(kind) = BlockKind::of(&kind) else { return Ok(None) };
    Ok(Some(Block {
        account: row.try_get("account")?,
        channel: row.try_get("channel")?,
        kind,
        reason: row.try_get("reason")?,
        since: row.try_get::<Option<_>, _>("since")?.unwrap_or_default(),
        until: row.try_get("until")?,
    }))
}
