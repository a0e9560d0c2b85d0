//! Takes the outbox over as one of its nodes, and decides the jobs of those that have died.

use super::bell::Bell;
use super::cycle_call::CycleCall;
use super::node_process::{self, NodeProcess};
use super::node_session::{LEASE, NodeSession, millis, set_up};
use super::{PostgresError, PostgresStore, PostgresTenure};
use crate::acquire::BootTime;
use crate::config::PostgresServer;
use crate::queue::ended::Ended;
use crate::queue::job::{Job, Millis};
use crate::queue::policy::Purpose;
use crate::queue::report::Notice;
use crate::store::StoreError;
use crate::store::tenure::TakeOver;
use sqlx::Row;
use std::time::Duration;
use tokio::time::Instant;
use tracing::Level;

/// How many rows one transaction decides at most.
const BATCH: i64 = 500;
/// How long to wait before rows that somebody has locked are tried again.
const LOCKED_PAUSE: Duration = Duration::from_millis(250);
/// How long to wait after an error: meanwhile messages go out.
const ERROR_PAUSE: Duration = Duration::from_secs(2);
/// Until the caller has said how long its requests may take: the defaults of `connect_timeout` and
/// `request_timeout`.
const LONGEST_REQUEST: Duration = Duration::from_secs(40);

const UNSETTLED: &str = "SELECT epoch, process FROM outbox_nodes WHERE settled_at IS NULL";
const JOIN: &str = "\
SELECT epoch, name, cycle FROM outbox_join($1, $2, $3, $4 * interval '1 ms', $5 * interval '1 ms', $6, $7)";
const BURY: &str = "SELECT outbox_bury($1, $2)";
/// Only where nothing that can be decided is left: an outcome that is kept is recorded later.
const SETTLE: &str = "\
UPDATE outbox_nodes AS n SET settled_at = clock_timestamp()
WHERE n.epoch = ANY ($1) AND n.buried_by = $2 AND NOT EXISTS (
    SELECT 1 FROM outbox o WHERE o.claimed_by = n.epoch AND o.status = 'sending'
        AND NOT EXISTS (SELECT 1 FROM outbox_set_aside s WHERE s.job_id = o.id AND s.record IS NOT NULL))";

impl PostgresTenure {
    /// See [`Tenure::take_over`](crate::store::Tenure::take_over).
    pub async fn take_over(
        server: &PostgresServer,
        purpose: Purpose,
        mut decide: impl FnMut(&Job, Millis) -> Ended,
        mut on_event: impl FnMut(TakeOver<'_>),
    ) -> Result<PostgresTenure, StoreError> {
        let (mut store, repaired) = PostgresStore::init_existing(purpose, server).await?;
        on_event(TakeOver::Recovering);
        if !repaired.is_empty() {
            let sentence = "triggers, views or indexes of the outbox were missing or changed and have been restored";
            let notice = Notice::new(Level::WARN, sentence).reason(crate::store::listed(&repaired));
            on_event(TakeOver::Noticed(notice));
        }
        let polls = store.units.is_some();
        if polls {
            let sentence = "the database is reached through a pooler that gives each transaction another session \
                (transaction mode): nobody can notify this node, so it looks for new jobs itself, four times a \
                second, and each cycle is several messages; connect nodes to the server itself, or through a \
                pooler in session mode";
            on_event(TakeOver::Noticed(Notice::new(Level::WARN, sentence)));
        }
        set_up(&mut store, 0).await?;
        let process = NodeProcess::new();
        let mut session = NodeSession::new(store, LONGEST_REQUEST);
        let gone = session.gone().await?;
        let name = session.join(process.name(), &gone, polls).await?;
        let bell = Bell::of(server, session.epoch, polls);
        let mut tenure = PostgresTenure::new(session, name, bell, process);
        tenure.bury_these(&gone, &mut decide, &mut on_event).await?;
        Ok(tenure)
    }

    /// See [`Tenure::bury`](crate::store::Tenure::bury).
    pub async fn bury(
        &mut self,
        mut decide: impl FnMut(&Job, Millis) -> Ended,
        mut on_event: impl FnMut(TakeOver<'_>),
    ) -> Result<(), StoreError> {
        if !self.dead || Instant::now() < self.next_burial {
            return Ok(());
        }
        self.bury_these(&[], &mut decide, &mut on_event).await
    }

    /// Buries these, and those whose time has come; decides what they have left. Another node may die in the
    /// middle of it: then a third one continues.
    async fn bury_these(
        &mut self,
        gone: &[i64],
        decide: &mut impl FnMut(&Job, Millis) -> Ended,
        on_event: &mut impl FnMut(TakeOver<'_>),
    ) -> Result<(), StoreError> {
        self.dead = false;
        self.next_burial = Instant::now() + ERROR_PAUSE;
        let query = sqlx::query_scalar(BURY).bind(self.session.epoch).bind(gone);
        let buried: Vec<i64> =
            self.session.with(async move |conn| query.fetch_all(conn).await).await?;
        if buried.is_empty() {
            self.next_burial = Instant::now();
            return Ok(());
        }
        // Nobody else may decide a job whose answer is known. What somebody has locked is left to the next call.
        let mut locked = self.record_noted(&buried).await?;
        loop {
            let jobs = self.session.sending(&buried, BATCH, &locked).await?;
            if jobs.is_empty() {
                break;
            }
            let ended: Vec<_> = jobs.iter().map(|(job, at)| decide(job, *at)).collect();
            let answer = self.session.cycle(CycleCall::recording(&ended)).await;
            let done = match answer {
                Err(e) if e.is_of_a_row() => self.record_or_keep(&ended).await?,
                answer => {
                    let answer = answer?;
                    self.recorded(&ended, answer.lost, answer.locked)
                }
            };
            for notice in done.report.notices {
                on_event(TakeOver::Noticed(notice));
            }
            let is_done = |id: i64| done.ids.contains(&id);
            let left = jobs.iter().map(|(job, _)| job.id);
            let left: Vec<_> = left.filter(|id| !is_done(*id) && !done.lost.contains(id)).collect();
            if done.ids.is_empty() && left.is_empty() {
                break;
            }
            locked.extend(left);
            if !done.ids.is_empty() {
                let jobs: Vec<_> = jobs.into_iter().filter(|(job, _)| is_done(job.id)).collect();
                let ended: Vec<_> =
                    ended.into_iter().filter(|ended| is_done(ended.transition.id)).collect();
                let rows = done.ids.len();
                on_event(TakeOver::Recovered { jobs: &jobs, ended: &ended, rows });
                self.report.may_be_ready = true;
            }
        }
        self.dead = !locked.is_empty();
        let pause = if self.dead { LOCKED_PAUSE } else { Duration::ZERO };
        self.next_burial = Instant::now() + pause;
        let query = sqlx::query(SETTLE).bind(&buried).bind(self.session.epoch);
        self.session.with(async move |conn| query.execute(conn).await).await?;
        Ok(())
    }
}

impl NodeSession {
    /// The nodes that have surely ended, although their time has not come: those of this machine whose
    /// processes are no longer there.
    async fn gone(&mut self) -> Result<Vec<i64>, PostgresError> {
        let query = sqlx::query(UNSETTLED);
        let nodes = self.with(async move |conn| query.fetch_all(conn).await).await?;
        let mut gone = Vec::new();
        for node in nodes {
            if node_process::has_ended(node.try_get("process")?) {
                gone.push(node.try_get("epoch")?);
            }
        }
        Ok(gone)
    }

    /// Begins an epoch; gives the node's name.
    async fn join(
        &mut self,
        process: &str,
        gone: &[i64],
        polls: bool,
    ) -> Result<String, PostgresError> {
        let asked = BootTime::now();
        let query = sqlx::query(JOIN)
            .bind(node_process::host())
            .bind(process)
            .bind(env!("CARGO_PKG_VERSION"))
            .bind(millis(LEASE))
            .bind(self.request_ms())
            .bind(gone)
            .bind(polls);
        let row = self.with(async move |conn| query.fetch_one(conn).await).await?;
        self.joined(row.try_get("epoch")?, row.try_get("cycle")?, asked);
        let epoch = self.epoch;
        self.with_store(async move |store| set_up(store, epoch).await).await?;
        Ok(row.try_get("name")?)
    }
}
