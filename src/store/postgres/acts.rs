//! What people and programs have done to jobs. The triggers note it; a command or a page names
//! itself in a setting of its transaction.

use super::rows::millis;
use super::{PostgresError, PostgresStore};
use crate::queue::act::{Act, ActOrigin, Actor};
use crate::queue::correction::{Corrected, DraftFence, EditDraft};
use crate::queue::when;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection, Row};
use std::sync::LazyLock;

pub(super) static ACTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT id, {} AS at, deed, origin, name, detail, keeps_payload FROM outbox_acts
         WHERE job_id = $1 ORDER BY id",
        millis("at")
    )
});

const EARLIER_PAYLOADS: &str = "\
SELECT id, left(payload::text, $2) FROM outbox_acts WHERE job_id = $1 AND payload IS NOT NULL ORDER BY id";

const ACTOR: &str = "SELECT set_config('outbox.actor', $1, true)";

const KEEP_PAYLOAD: &str = "SELECT set_config('outbox.keep_payload', 'on', true)";

const NOTE_INSERT: &str =
    "INSERT INTO outbox_acts (job_id, deed, origin, name) VALUES ($1, 'insert', $2, $3)";

const DRAFT: &str = "\
SELECT id, channel, account, status, moves::bigint AS moves, payload::text AS payload FROM outbox WHERE id = $1";

const CORRECT: &str = "\
UPDATE outbox SET payload = $2::jsonb, status = 'pending' WHERE id = $1 AND status = $3 AND moves = $4";

/// For this transaction.
pub(super) async fn name_actor(
    tx: &mut PgConnection,
    actor: Option<&Actor>,
) -> Result<(), PostgresError> {
    if let Some(actor) = actor {
        sqlx::query(ACTOR).bind(actor.to_string()).execute(tx).await?;
    }
    Ok(())
}

/// Notes a page's insert. What a command inserts counts as a producer's.
pub(super) async fn note_insert(
    tx: &mut PgConnection,
    id: i64,
    actor: &Actor,
) -> Result<(), PostgresError> {
    if actor.origin == ActOrigin::Page {
        let note = sqlx::query(NOTE_INSERT).bind(id).bind(actor.origin.as_str());
        note.bind(&actor.name).execute(tx).await?;
    }
    Ok(())
}

impl PostgresStore {
    /// From now on acts are noted as done by this actor.
    pub fn act_as(&mut self, actor: Actor) {
        self.actor = Some(actor);
    }

    /// The first `characters` of the job's earlier payloads, each with the id of its act.
    pub async fn earlier_payloads(
        &mut self,
        id: i64,
        characters: u32,
    ) -> Result<Vec<(i64, String)>, PostgresError> {
        self.take_time().await?;
        let characters = i32::try_from(characters).unwrap_or(i32::MAX);
        let rows = sqlx::query_as(EARLIER_PAYLOADS).bind(id).bind(characters);
        Ok(rows.fetch_all(&mut self.conn).await?)
    }

    /// The job as it is now, for a form.
    pub async fn draft(&mut self, id: i64) -> Result<Option<EditDraft>, PostgresError> {
        self.take_time().await?;
        Ok(sqlx::query_as(DRAFT).bind(id).fetch_optional(&mut self.conn).await?)
    }

    /// Gives a job another payload and retries it, if it is still as it was drafted.
    pub async fn correct(
        &mut self,
        drafted: &DraftFence,
        payload: &str,
    ) -> Result<Corrected, PostgresError> {
        let mut tx = self.conn.begin().await?;
        name_actor(&mut tx, self.actor.as_ref()).await?;
        sqlx::query(KEEP_PAYLOAD).execute(&mut *tx).await?;
        let found = sqlx::query_as(AssertSqlSafe(format!("{DRAFT} FOR UPDATE"))).bind(drafted.id);
        let found: Option<EditDraft> = found.fetch_optional(&mut *tx).await?;
        let Some(found) = found else { return Ok(Corrected::Missing) };
        if !drafted.is_correctable() || found.fence != *drafted {
            return Ok(Corrected::LeftAlone(found.fence.status));
        }
        let correct = sqlx::query(CORRECT).bind(found.fence.id).bind(payload);
        correct.bind(&found.fence.status).bind(found.fence.moves).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Corrected::Done)
    }
}

impl FromRow<'_, PgRow> for Act {
    fn from_row(row: &PgRow) -> sqlx::Result<Act> {
        Ok(Act {
            id: row.try_get("id")?,
            at: when::iso(row.try_get("at")?),
            deed: row.try_get("deed")?,
            origin: row.try_get("origin")?,
            name: row.try_get("name")?,
            detail: row.try_get("detail")?,
            keeps_payload: row.try_get("keeps_payload")?,
            payload: None,
        })
    }
}

impl FromRow<'_, PgRow> for EditDraft {
    fn from_row(row: &PgRow) -> sqlx::Result<EditDraft> {
        Ok(EditDraft {
            fence: DraftFence {
                id: row.try_get("id")?,
                status: row.try_get("status")?,
                moves: row.try_get("moves")?,
            },
            channel: row.try_get("channel")?,
            account: row.try_get("account")?,
            payload: row.try_get("payload")?,
        })
    }
}
