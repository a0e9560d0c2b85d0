//! A cycle's work, row by row, for when the database refuses one of the rows; and the outcomes that are
//! kept because of it.

use super::cycle_call::CycleCall;
use super::ended_json;
use super::postgres_tenure::PostgresTenure;
use crate::queue::claim::{Agenda, Cycle, CycleDone};
use crate::queue::ended::{Ended, Recorded};
use crate::queue::report::Notice;
use crate::queue::when::now;
use crate::store::StoreError;
use serde_json::json;
use sqlx::Connection as _;
use tracing::Level;

/// How many rows of each route are tried; a cycle rarely chooses more.
const FIRST: i64 = 64;
/// If this many rows fail and none succeeds, the error is not about a single row.
const NOT_ONE: usize = 16;

const SET_ASIDE: &str = "\
INSERT INTO outbox_set_aside AS a (job_id, since, reason, record) VALUES ($1, date_trunc('milliseconds', clock_timestamp()), $2, $3)
ON CONFLICT (job_id) DO UPDATE SET reason = excluded.reason, record = coalesce(excluded.record, a.record)";
const CLAIMABLE: &str = "\
SELECT o.id FROM outbox o
WHERE o.wait IN ('ready', 'arrived') AND o.account = $1 AND o.channel = $2
    AND NOT EXISTS (SELECT 1 FROM outbox_set_aside s WHERE s.job_id = o.id)
ORDER BY o.priority DESC, o.due_at, o.id LIMIT $3";
const DUE: &str = "\
SELECT o.id FROM outbox o WHERE o.status = 'pending' AND (o.wait = 'backoff' AND o.next_attempt_at <= clock_timestamp()
    OR o.wait = 'scheduled' AND o.due_at <= clock_timestamp() OR o.expires_at < clock_timestamp())
    AND NOT EXISTS (SELECT 1 FROM outbox_set_aside s WHERE s.job_id = o.id)
ORDER BY o.id LIMIT 500";
/// The same change as a claim; it is rolled back at once.
pub(super) const WOULD_CLAIM: &str = "\
UPDATE outbox AS o SET status = 'sending', wait = NULL, attempts = o.attempts + 1, claimed_by = $2, next_attempt_at = NULL,
    updated_at = clock_timestamp(), moves = o.moves + 1
WHERE o.id = (SELECT l.id FROM outbox l WHERE l.id = $1 AND l.status = 'pending' FOR UPDATE SKIP LOCKED)";

impl PostgresTenure {
    /// Repeats a cycle that failed because of one of its rows. Rows that fail are set aside, and the next
    /// cycle claims.
    pub(super) async fn row_by_row(
        &mut self,
        e: StoreError,
        work: &Cycle<'_>,
    ) -> Result<CycleDone, StoreError> {
        let sentence = "the database refuses a row: looking for it; the others are not affected";
        self.report.notice(Notice::new(Level::WARN, sentence).reason(e.to_string()));
        let mut found = !work.record.is_empty();
        let recorded = self.record_or_keep(work.record).await?;
        let (mut passed, mut refused) = (0, Vec::new());
        for id in self.candidates(work.due).await? {
            match self.would_claim(id).await {
                Ok(()) => passed += 1,
                Err(e) if e.is_of_a_row() => refused.push((id, e.to_string())),
                Err(e) => return Err(e),
            }
            if passed == 0 && refused.len() == NOT_ONE {
                return Err(e);
            }
        }
        found |= !refused.is_empty();
        for (id, reason) in refused {
            self.set_aside(id, &reason, None).await?;
            let sentence =
                "the database refuses this row: it is set aside; the others are not affected";
            self.report.notice(Notice::new(Level::ERROR, sentence).job(id).reason(reason));
        }
        if !found {
            return Err(e);
        }
        // Nothing was claimed, and the others can be now.
        let agenda = Agenda { others_committed: true, ..self.look().await? };
        Ok(CycleDone { recorded, agenda, ..CycleDone::default() })
    }

    /// The first rows that a cycle would claim of each route or, if `due`, move.
    async fn candidates(&mut self, due: bool) -> Result<Vec<i64>, StoreError> {
        let mut ids = Vec::new();
        for (account, channel) in self.rooms.open() {
            let query =
                sqlx::query_scalar(CLAIMABLE).bind(account).bind(channel.as_str()).bind(FIRST);
            let found: Vec<i64> =
                self.session.with(async move |conn| query.fetch_all(conn).await).await?;
            ids.extend(found);
        }
        if due {
            let query = sqlx::query_scalar(DUE);
            let found: Vec<i64> =
                self.session.with(async move |conn| query.fetch_all(conn).await).await?;
            ids.extend(found);
        }
        Ok(ids)
    }

    /// # Errors
    /// If a claim would be refused.
    pub(super) async fn would_claim(&mut self, id: i64) -> Result<(), StoreError> {
        let epoch = self.session.epoch;
        let tried = async move |conn: &mut sqlx::PgConnection| {
            let mut tx = conn.begin().await?;
            sqlx::query(WOULD_CLAIM).bind(id).bind(epoch).execute(&mut *tx).await?;
            tx.rollback().await
        };
        Ok(self.session.with(tried).await?)
    }

    pub(super) async fn set_aside(
        &mut self,
        id: i64,
        reason: &str,
        record: Option<String>,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(SET_ASIDE).bind(id).bind(reason).bind(record);
        self.session.with(async move |conn| query.execute(conn).await).await?;
        Ok(())
    }

    /// Keeps an outcome that the database refuses to record, as [`ended_json`] writes it.
    pub(super) async fn keep_outcome(
        &mut self,
        id: i64,
        ended: String,
        refusal: &StoreError,
    ) -> Result<(), StoreError> {
        // When it was kept: the distances count from there.
        let kept = json!({ "kept_at": now(), "ended": ended }).to_string();
        let reason = refusal.to_string();
        self.set_aside(id, &reason, Some(kept)).await?;
        let sentence = "the outcome of this job cannot be recorded: it is kept, the job is set aside, and \
            recording is tried again";
        self.report.notice(Notice::new(Level::ERROR, sentence).job(id).reason(reason));
        Ok(())
    }

    /// Records each by itself; the outcome of one that the database refuses is kept.
    pub(super) async fn record_or_keep(&mut self, ended: &[Ended]) -> Result<Recorded, StoreError> {
        let (mut lost, mut locked) = (Vec::new(), Vec::new());
        for one in ended {
            match self.session.cycle(CycleCall::recording(std::slice::from_ref(one))).await {
                Ok(answer) => {
                    lost.extend(answer.lost);
                    locked.extend(answer.locked);
                }
                Err(e) if e.is_of_a_row() => {
                    self.keep_outcome(one.transition.id, ended_json::to_keep(one, now()), &e)
                        .await?;
                }
                Err(e) => return Err(e),
            }
        }
        self.report.may_be_ready |= !ended.is_empty();
        Ok(self.recorded(ended, lost, locked))
    }
}
