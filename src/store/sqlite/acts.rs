//! What people and programs have done to jobs. The triggers note it; a command or a page then adds, in the
//! same transaction, who it was.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::act::{Act, Actor};
use crate::queue::correction::{Corrected, DraftFence, EditDraft};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, FromRow, SqliteConnection};

pub(super) const ACTS: &str = "\
SELECT id, at, deed, origin, name, detail, payload IS NOT NULL AS keeps_payload FROM outbox_acts
WHERE job_id = ?1 ORDER BY id";

const EARLIER_PAYLOADS: &str = "\
SELECT id, substr(payload, 1, ?2) AS payload FROM outbox_acts WHERE job_id = ?1 AND payload IS NOT NULL ORDER BY id";

const LAST: &str = "SELECT ifnull(max(id), 0) FROM outbox_acts";

/// These are this transaction's own: it has the write lock, so nobody else has noted an act since.
const NAME: &str = "UPDATE outbox_acts SET origin = ?2, name = ?3 WHERE id > ?1";

const KEEP_PAYLOAD: &str =
    "UPDATE outbox_acts SET payload = ?3 WHERE id > ?1 AND job_id = ?2 AND deed = 'change'";

const NOTE: &str = "INSERT INTO outbox_act (job_id, deed) VALUES (?1, ?2)";

const DRAFT: &str = "SELECT id, channel, account, status, moves, payload FROM outbox WHERE id = ?1";

/// Which acts of a transaction get the actor's name: those after this id.
pub(super) struct NamedActs<'a> {
    actor: Option<&'a Actor>,
    after: i64,
}

impl<'a> NamedActs<'a> {
    /// At the beginning of a transaction that has the write lock.
    pub async fn since(
        tx: &mut SqliteConnection,
        actor: Option<&'a Actor>,
    ) -> Result<NamedActs<'a>, SqliteError> {
        let after = match actor {
            Some(_) => sqlx::query_scalar(LAST).fetch_one(tx).await?,
            None => 0,
        };
        Ok(NamedActs { actor, after })
    }

    /// Before its end.
    pub async fn name(&self, tx: &mut SqliteConnection) -> Result<(), SqliteError> {
        if let Some(Actor { origin, name }) = self.actor {
            let name = sqlx::query(NAME).bind(self.after).bind(origin.as_str()).bind(name);
            name.execute(tx).await?;
        }
        Ok(())
    }
}

/// Notes what no trigger can recognise.
pub(super) async fn note(
    tx: &mut SqliteConnection,
    id: i64,
    deed: &str,
) -> Result<(), SqliteError> {
    sqlx::query(NOTE).bind(id).bind(deed).execute(tx).await?;
    Ok(())
}

impl SqliteStore {
    /// From now on acts are noted as done by this actor.
    pub fn act_as(&mut self, actor: Actor) {
        self.actor = Some(actor);
    }

    /// The first `characters` of the job's earlier payloads, each with the id of its act.
    pub async fn earlier_payloads(
        &mut self,
        id: i64,
        characters: u32,
    ) -> Result<Vec<(i64, String)>, SqliteError> {
        let rows = sqlx::query(EARLIER_PAYLOADS).bind(id).bind(characters);
        let rows = rows.fetch_all(&mut self.conn).await?;
        Ok(rows.iter().map(|row| (row.whole(0).unwrap_or(0), row.text_or_empty(1))).collect())
    }

    /// The job as it is now, for a form.
    pub async fn draft(&mut self, id: i64) -> Result<Option<EditDraft>, SqliteError> {
        draft(&mut self.conn, id).await
    }

    /// Gives a job another payload and retries it, if it is still as it was drafted.
    pub async fn correct(
        &mut self,
        drafted: &DraftFence,
        payload: &str,
    ) -> Result<Corrected, SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let Some(found) = draft(&mut tx, drafted.id).await? else { return Ok(Corrected::Missing) };
        if !drafted.is_correctable() || found.fence != *drafted {
            return Ok(Corrected::LeftAlone(found.fence.status));
        }
        let acts = NamedActs::since(&mut tx, self.actor.as_ref()).await?;
        let after = sqlx::query_scalar::<_, i64>(LAST).fetch_one(&mut *tx).await?;
        let update = sqlx::query("UPDATE outbox SET payload = ?2 WHERE id = ?1 AND status = ?3");
        let update = update.bind(found.fence.id).bind(payload).bind(&found.fence.status);
        update.execute(&mut *tx).await?;
        let keep = sqlx::query(KEEP_PAYLOAD).bind(after).bind(found.fence.id).bind(&found.payload);
        keep.execute(&mut *tx).await?;
        let retry =
            sqlx::query("UPDATE outbox SET status = 'pending' WHERE id = ?1 AND status = ?2");
        retry.bind(found.fence.id).bind(&found.fence.status).execute(&mut *tx).await?;
        acts.name(&mut tx).await?;
        tx.commit().await?;
        Ok(Corrected::Done)
    }
}

async fn draft(conn: &mut SqliteConnection, id: i64) -> Result<Option<EditDraft>, SqliteError> {
    let row = sqlx::query(DRAFT).bind(id).fetch_optional(conn).await?;
    Ok(row.map(|row| EditDraft {
        fence: DraftFence {
            id: row.whole("id").unwrap_or_default(),
            status: row.text_or_empty("status"),
            moves: row.whole("moves").unwrap_or_default(),
        },
        channel: row.text_or_empty("channel"),
        account: row.text_or_empty("account"),
        payload: row.text_or_empty("payload"),
    }))
}

impl FromRow<'_, SqliteRow> for Act {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Act> {
        Ok(Act {
            id: row.whole("id").unwrap_or_default(),
            at: row.time("at").unwrap_or_default(),
            deed: row.text_or_empty("deed"),
            origin: row.text_or_empty("origin"),
            name: row.text("name"),
            detail: row.text("detail"),
            keeps_payload: row.whole("keeps_payload") == Some(1),
            payload: None,
        })
    }
}
