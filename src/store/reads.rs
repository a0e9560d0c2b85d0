//! What can be asked of an open outbox; nothing here changes a row.

use super::sqlite::{self, Flaw};
use super::{Store, StoreError, within};
use crate::queue::correction::EditDraft;
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Millis;
use crate::queue::node::{Nodes, Standing};
use crate::queue::outcome_counts::HistoryRow;
use crate::queue::overview::{Census, FailureGroup, Overview, Pulse, RouteBacklog, SourceRow};
use crate::queue::pause::Pause;
use crate::queue::story::{Delivery, Extent, Position, Story};
use crate::queue::transfer::{Export, ExportedJob};

/// What operators read.
impl Store {
    /// One job with its history and what goes before it; `None` for an id that does not exist.
    pub async fn story(&mut self, id: i64, extent: Extent) -> Result<Option<Story>, StoreError> {
        match self {
            Store::Sqlite(s) => s.story(id, extent).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.story(id, extent)),
        }
    }

    /// What goes before this job; `None` for one that is not ready.
    pub async fn position(&mut self, id: i64, now: Millis) -> Result<Option<Position>, StoreError> {
        match self {
            Store::Sqlite(s) => s.position(id, now).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.position(id, now)),
        }
    }

    /// The first `characters` of a job's payload, which contains message text: only for callers who
    /// ask for it explicitly.
    pub async fn payload(
        &mut self,
        id: i64,
        characters: u32,
    ) -> Result<Option<String>, StoreError> {
        match self {
            Store::Sqlite(s) => s.payload(id, characters).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.payload(id, characters)),
        }
    }

    /// The first `characters` of each payload that was corrected, with the id of its act. Message text, like
    /// [`Store::payload`].
    pub async fn earlier_payloads(
        &mut self,
        id: i64,
        characters: u32,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        match self {
            Store::Sqlite(s) => s.earlier_payloads(id, characters).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.earlier_payloads(id, characters)),
        }
    }

    /// The job as it is now, for a form, with its whole payload.
    pub async fn draft(&mut self, id: i64) -> Result<Option<EditDraft>, StoreError> {
        match self {
            Store::Sqlite(s) => s.draft(id).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.draft(id)),
        }
    }

    /// One job's row of `delivery_status`; `None` for an id that does not exist.
    pub async fn delivery(&mut self, id: i64) -> Result<Option<Delivery>, StoreError> {
        match self {
            Store::Sqlite(s) => s.delivery(id).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.delivery(id)),
        }
    }

    /// A page of the jobs that pass.
    pub async fn deliveries(
        &mut self,
        filter: &Filter,
        page: &Page,
    ) -> Result<Vec<Delivery>, StoreError> {
        match self {
            Store::Sqlite(s) => s.deliveries(filter, page).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.deliveries(filter, page)),
        }
    }

    /// How many jobs pass.
    pub async fn count(&mut self, filter: &Filter) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.count(filter).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.count(filter)),
        }
    }

    /// How many jobs pass, counted up to `limit`.
    pub async fn count_up_to(&mut self, filter: &Filter, limit: u64) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.count_up_to(filter, limit).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.count_up_to(filter, limit)),
        }
    }

    /// Whether jobs can be looked for by their recipients: who may read no payload may not.
    pub async fn may_see_recipients(&mut self) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(_) => Ok(true),
            Store::Postgres(s) => ask!(s.may_see_recipients()),
        }
    }

    /// The uncertain job with the lowest id above `after` that waits for a person, not for a lookup at Acquire.
    pub async fn next_undecided(&mut self, after: i64) -> Result<Option<i64>, StoreError> {
        match self {
            Store::Sqlite(s) => s.next_undecided(after).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.next_undecided(after)),
        }
    }

    /// The first `limit` ids above `after` that pass, ascending. Whoever asks batch by batch sees
    /// each job once, even one that returns to the filter's states in between.
    pub async fn ids(
        &mut self,
        filter: &Filter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, StoreError> {
        match self {
            Store::Sqlite(s) => s.ids(filter, after, limit).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.ids(filter, after, limit)),
        }
    }

    /// The id of the job that was inserted last; 0 where there is none.
    pub async fn last_id(&mut self) -> Result<i64, StoreError> {
        match self {
            Store::Sqlite(s) => s.last_id().await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.last_id()),
        }
    }

    /// Up to `limit` jobs above `after` and not above `last`, ascending. Each page is a separate
    /// read, so that an export never keeps the engine from clearing up behind it. A payload of more
    /// than 16 KiB is left out: [`Store::payload`] reads it.
    pub async fn export_page(
        &mut self,
        export: &Export,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<ExportedJob>, StoreError> {
        match self {
            Store::Sqlite(s) => {
                s.export_page(export, after, last, limit).await.map_err(|e| s.neutral(e))
            }
            Store::Postgres(s) => ask!(s.export_page(export, after, last, limit)),
        }
    }

    /// These jobs, by ascending id; a payload as in [`Store::export_page`].
    pub async fn export_ids(
        &mut self,
        ids: &[i64],
        with_payload: bool,
    ) -> Result<Vec<ExportedJob>, StoreError> {
        match self {
            Store::Sqlite(s) => s.export_ids(ids, with_payload).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.export_ids(ids, with_payload)),
        }
    }

    /// The first `limit` pauses, those of every account before all others.
    pub async fn pauses(&mut self, limit: u32) -> Result<Vec<Pause>, StoreError> {
        match self {
            Store::Sqlite(s) => s.pauses(limit).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.pauses(limit)),
        }
    }

    /// Counts, the oldest job that is due, rates, and what keeps jobs from being sent.
    pub async fn overview(&mut self, now: Millis) -> Result<Overview, StoreError> {
        match self {
            Store::Sqlite(s) => s.overview(now).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.overview(now)),
        }
    }

    /// What of the overview can be read without counting jobs; up to `limit` of each list.
    pub async fn pulse(&mut self, now: Millis, limit: u32) -> Result<Pulse, StoreError> {
        match self {
            Store::Sqlite(s) => s.pulse(now, limit).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.pulse(now, limit)),
        }
    }

    /// Counts all jobs; reads an index entry for each.
    pub async fn census(&mut self) -> Result<Census, StoreError> {
        match self {
            Store::Sqlite(s) => s.census().await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.census()),
        }
    }

    /// Counts the jobs that wait, by account and channel; reads an index entry for each.
    pub async fn backlogs(&mut self, now: Millis) -> Result<Vec<RouteBacklog>, StoreError> {
        match self {
            Store::Sqlite(s) => s.backlogs(now).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.backlogs(now)),
        }
    }

    /// What ended since then, by account, channel and steps of this many milliseconds, which begin at
    /// multiples of it. Minutes are known of the last three hours, hours of eight days, days of 400.
    pub async fn history(
        &mut self,
        since: Millis,
        step: Millis,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        match self {
            Store::Sqlite(s) => s.history(since, step).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.history(since, step)),
        }
    }

    /// The first `limit` sources, those with most jobs first, of the latest `looked_at` jobs of each state
    /// and channel that finished after `since`, and of as many that wait.
    pub async fn sources(
        &mut self,
        since: Millis,
        now: Millis,
        looked_at: u32,
        limit: u32,
    ) -> Result<Vec<SourceRow>, StoreError> {
        match self {
            Store::Sqlite(s) => {
                s.sources(since, now, looked_at, limit).await.map_err(|e| s.neutral(e))
            }
            Store::Postgres(s) => ask!(s.sources(since, now, looked_at, limit)),
        }
    }

    /// The errors that most jobs have, of the latest [`crate::queue::overview::LOOKED_AT`] of each
    /// kind.
    pub async fn failures(&mut self, limit: u32) -> Result<Vec<FailureGroup>, StoreError> {
        match self {
            Store::Sqlite(s) => s.failures(limit).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.failures(limit)),
        }
    }

    /// The dispatchers that work on the outbox or have left something to decide; `all`: also those
    /// that have ended, as far as they are known.
    pub async fn nodes(&mut self, all: bool) -> Result<Nodes, StoreError> {
        match self {
            Store::Sqlite(s) => {
                let is_held = sqlite::is_held(s.path())?;
                let mut nodes = s.nodes(is_held).await.map_err(|e| s.neutral(e))?;
                nodes.nodes.retain(|node| all || node.standing != Standing::Ended);
                Ok(nodes)
            }
            Store::Postgres(s) => ask!(s.nodes(all)),
        }
    }

    /// How the schema differs from what this program needs, a sentence each; empty if it does not.
    pub async fn flaws(&mut self) -> Result<Vec<String>, StoreError> {
        match self {
            Store::Sqlite(s) => {
                let flaws = s.flaws().await.map_err(|e| s.neutral(e))?;
                Ok(flaws.iter().map(Flaw::to_string).collect())
            }
            Store::Postgres(s) => ask!(s.flaws()),
        }
    }
}
