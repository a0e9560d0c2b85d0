//! One row never stops the rest. A row that cannot be read ends by itself; one that cannot be
//! recorded or moved is set aside and tried again each minute; one that was written without the
//! triggers is checked and queued.

use super::{Cycled, Dispatcher};
use crate::queue::claim::Unreadable;
use crate::queue::ended::Ended;
use crate::queue::job::{Channel, Failure};
use crate::queue::when::now;
use crate::store::{Mend, STRAYS, StoreError, Tryable, listed};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// Every producer's commit may leave a stray, but they are not looked for more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often jobs without a route are looked for: a seek for each account and channel.
const ROUTES_EVERY: Duration = Duration::from_secs(10);
/// How often what is set aside is tried again.
const TRY_EVERY: Duration = Duration::from_secs(60);
/// If this many rows in succession cannot be moved and none can, the error is not about one of
/// them.
const NOT_ONE: usize = 16;
/// An application's trigger has RAISE(IGNORE).
const IGNORED: &str = "the change was ignored without an error; look for a trigger with RAISE(IGNORE) on the table outbox";

/// When to look for strays, and when to try again what is set aside.
pub(super) struct AsideWatch {
    /// Another connection has committed since the last look.
    stale: bool,
    next_look: Instant,
    next_try: Instant,
    next_routes: Instant,
    /// The schema's version when it was last compared.
    cookie: Option<i64>,
    /// What the comparison found.
    has_rules: bool,
}

impl AsideWatch {
    pub(super) fn new() -> AsideWatch {
        let now = Instant::now();
        AsideWatch {
            stale: true,
            next_look: now,
            next_try: now,
            next_routes: now,
            cookie: None,
            has_rules: false,
        }
    }

    pub(super) fn may_have_changed(&mut self) {
        self.stale = true;
    }
}

impl Dispatcher {
    /// Ends claimed rows that cannot be read; no request was made for any of them.
    pub(super) async fn fail_unreadable(
        &mut self,
        rows: &[Unreadable],
        claimed: bool,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.store.fail_unreadable(rows, claimed).await?;
        for row in rows {
            error!(
                job = row.id,
                error = row.sentence,
                "this row cannot be read: it has failed and is set aside, the others go on"
            );
        }
        let channels: Vec<Channel> = rows.iter().filter_map(|row| row.channel).collect();
        self.sender.failed(&channels, Failure::Invalid);
        // Each may have held back another job.
        self.sender.routes.expect_jobs();
        Ok(())
    }

    /// Rows that are chosen and cannot be claimed would take the places of others, cycle after
    /// cycle.
    async fn free_places(&mut self) -> Result<(), StoreError> {
        let (left, ignored) = self.store.unclaimed().await?;
        for id in &ignored {
            self.store.set_aside(*id, IGNORED).await?;
            error!(job = id, error = IGNORED, "the claim of this row is ignored: it is set aside");
        }
        if left > 0 {
            warn!(
                rows = left,
                "rows that were ended without the triggers have been taken out of the queue"
            );
        }
        if left + ignored.len() > 0 {
            self.sender.routes.expect_jobs();
            self.aside.next_routes = Instant::now();
        }
        Ok(())
    }

    /// As [`Dispatcher::look_for_strays`]; a refusal of the database does not stop the rest.
    pub(super) async fn follow_strays(&mut self) -> Result<(), StoreError> {
        self.survive(Self::look_for_strays).await
    }

    /// Looks for strays if another connection has written since, and tries again what is set aside.
    async fn look_for_strays(&mut self) -> Result<(), StoreError> {
        let at = Instant::now();
        if self.aside.next_try <= at {
            self.aside.next_try = at + TRY_EVERY;
            self.try_aside().await?;
            self.aside.stale = true;
        }
        if self.aside.next_routes <= at {
            self.aside.next_routes = at + ROUTES_EVERY;
            let odd = self.store.without_a_route().await?;
            self.fail_unreadable(&odd, false).await?;
            self.free_places().await?;
        }
        if !self.aside.stale || self.aside.next_look > at {
            return Ok(());
        }
        self.aside.stale = false;
        self.aside.next_look = at + LOOK_EVERY;
        // The rules judge rows, so the rules must be there.
        if self.follow_schema().await? && self.store.is_any_stray().await? {
            let odd = self.store.lost_in_time().await?;
            self.fail_unreadable(&odd, false).await?;
            self.take_in().await?;
            // There may be more than one search finds.
            self.aside.stale = true;
        }
        Ok(())
    }

    /// Whether the rules are as they should be. Where somebody has changed the schema, what was
    /// removed is restored, if that is safe.
    async fn follow_schema(&mut self) -> Result<bool, StoreError> {
        let cookie = self.store.schema_cookie().await?;
        if self.aside.cookie == Some(cookie) {
            return Ok(self.aside.has_rules);
        }
        self.aside.has_rules = true;
        match self.store.repair(Mend::Rules).await {
            Ok(flaws) if flaws.is_empty() => {}
            Ok(flaws) => {
                warn!(
                    repaired = listed(&flaws),
                    "the rules of the outbox were changed: they have been restored"
                );
            }
            Err(e @ StoreError::Unusable(_)) => {
                error!(error = %e, "the schema was changed");
                self.aside.has_rules = false;
            }
            Err(e) => return Err(e),
        }
        // As it was before: a change since then is another one.
        self.aside.cookie = Some(cookie);
        Ok(self.aside.has_rules)
    }

    /// An error about a row is logged, and there is another try later.
    async fn survive(
        &mut self,
        step: impl AsyncFnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match step(self).await {
            Err(e) if e.is_of_a_row() => {
                warn!(error = %e, "the database refuses to repair odd rows; this is tried again, and messages go out");
                Ok(())
            }
            done => done,
        }
    }

    /// Rows that were written while the triggers were missing or turned off.
    async fn take_in(&mut self) -> Result<(), StoreError> {
        let taken = self.store.take_in().await?;
        let all = taken.queued.len() + taken.failed.len() + taken.aside.len();
        if all == 0 {
            return Ok(());
        }
        let first =
            taken.queued.iter().copied().chain(taken.failed.iter().map(|(id, _)| *id)).min();
        warn!(
            rows = all,
            queued = taken.queued.len(),
            failed = taken.failed.len(),
            first,
            "rows were written while the triggers of the table outbox were missing or turned off: they are \
             checked and queued now"
        );
        for (id, sentence) in &taken.failed {
            warn!(job = id, error = sentence, "this row breaks a rule: it has failed");
        }
        for (id, sentence) in &taken.aside {
            error!(
                job = id,
                error = sentence,
                "this row can be neither queued nor failed: it is set aside"
            );
        }
        self.sender.routes.expect_jobs();
        if all as i64 == STRAYS {
            self.aside.next_look = Instant::now();
        }
        let agenda = self.store.look().await?;
        self.saw(agenda);
        Ok(())
    }

    /// After a cycle that failed for one of its rows: each row by itself; those that fail are set
    /// aside.
    pub(super) async fn one_by_one(
        &mut self,
        e: StoreError,
        record: Vec<Ended>,
        due: bool,
    ) -> Result<Cycled, StoreError> {
        warn!(error = %e, "the database refuses a row: looking for it, the others go on");
        let kept = match self.store.record_or_keep(&record, self.epoch).await {
            Ok(kept) => kept,
            Err(e) => {
                self.sender.jobs.not_recorded(record);
                return Err(e);
            }
        };
        self.sender.recorded(&record, &kept.settled());
        self.tell_kept(&kept.aside);
        self.file.recorded(&record);
        let mut found = !record.is_empty();
        if due {
            let moved = self.store.move_due_each(now()).await?;
            self.sender.failed(&moved.expired, Failure::Expired);
            found |= self.put_aside(moved.moved, moved.refused, &e).await?;
        }
        let jobs = self.store.claimable(now()).await?;
        let (mut passed, mut refused) = (0, Vec::new());
        for id in jobs {
            match self.store.would_claim(id, self.epoch).await {
                Ok(()) => passed += 1,
                Err(e) if e.is_of_a_row() => refused.push((id, e.to_string())),
                Err(e) => return Err(e),
            }
            if passed == 0 && refused.len() == NOT_ONE {
                break;
            }
        }
        found |= self.put_aside(passed, refused, &e).await?;
        if !found {
            return Err(e);
        }
        self.sender.routes.expect_jobs();
        let agenda = self.store.look().await?;
        self.saw(agenda);
        Ok(Cycled::Wrote)
    }

    /// Sets aside the rows that were refused while others passed; where none did, the error is
    /// about all of them.
    async fn put_aside(
        &mut self,
        passed: usize,
        refused: Vec<(i64, String)>,
        e: &StoreError,
    ) -> Result<bool, StoreError> {
        if passed == 0 && refused.len() >= NOT_ONE {
            return Err(StoreError::Other(format!("the database refuses every change: {e}")));
        }
        for (id, reason) in &refused {
            self.store.set_aside(*id, reason).await?;
            error!(
                job = id,
                error = reason,
                "the database refuses this row: it is set aside, the others go on"
            );
        }
        Ok(!refused.is_empty())
    }

    pub(super) fn tell_kept(&self, aside: &[(i64, String)]) {
        for (id, reason) in aside {
            error!(
                job = id,
                error = reason,
                "the outcome of this job cannot be recorded: it is kept, the job is set aside, and recording is tried again"
            );
        }
    }

    /// Some of the rows that a cycle did not record still belong to this claim: a trigger ignores
    /// the change.
    pub(super) async fn keep_ignored(&mut self, record: Vec<Ended>, mut recorded: Vec<i64>) {
        let (mut settled, mut again) = (Vec::new(), Vec::new());
        for ended in record {
            let id = ended.transition.id;
            match recorded.contains(&id)
                || !self.store.is_still_claimed(&ended).await.unwrap_or(true)
            {
                true => settled.push(ended),
                false => match self.store.keep_outcome(&ended, IGNORED).await {
                    Ok(()) => {
                        self.tell_kept(&[(id, IGNORED.to_owned())]);
                        recorded.push(id);
                        settled.push(ended);
                    }
                    // The next cycle tries it again.
                    Err(_) => again.push(ended),
                },
            }
        }
        self.sender.jobs.not_recorded(again);
        self.sender.recorded(&settled, &recorded);
    }

    /// Jobs whose outcome can now be recorded, or that can now be claimed, are no longer set aside.
    async fn try_aside(&mut self) -> Result<(), StoreError> {
        if !self.store.is_any_aside().await? {
            return Ok(());
        }
        for Tryable { id, record } in self.store.tryable().await? {
            let done = match &record {
                Some(record) => self.store.record_kept(id, record, self.epoch).await,
                None => self.store.try_move(id, self.epoch).await.map(|()| true),
            };
            match done {
                Ok(true) => info!(job = id, "this row is no longer set aside"),
                Ok(false) => {}
                Err(e) if e.is_of_a_row() => {}
                Err(e) => return Err(e),
            }
        }
        self.sender.routes.expect_jobs();
        Ok(())
    }
}
