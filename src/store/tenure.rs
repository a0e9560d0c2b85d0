//! What a dispatcher has for as long as it works on an outbox: the contract that each engine keeps.
//!
//! Several dispatchers ("nodes") may work on one outbox where the engine allows it. So nothing here
//! speaks of all jobs that are `sending`, or of all blocks: each call is about this tenure's own. An
//! error of any call is one of three kinds: [`StoreError::is_final`] ends the tenure, [`is_busy`]
//! and others may pass. What the engine did to rows by itself comes as a [`Report`] with the next
//! answer, even if an error came first.
//!
//! [`is_busy`]: StoreError::is_busy

use super::postgres::PostgresTenure;
use super::sqlite::{SqliteTenure, neutral};
use super::{ALL, AnswerNote, StoreError};
use crate::acquire::Lease;
use crate::config::Database;
use crate::queue::block::Block;
use crate::queue::claim::{Agenda, Cycle, CycleResult};
use crate::queue::ended::{Ended, Recorded};
use crate::queue::job::{Channel, Job, Millis, Status};
use crate::queue::overview::{Backlog, Left};
use crate::queue::pause::Pause;
use crate::queue::policy::{Purpose, Rate};
use crate::queue::report::{Notice, Report};
use std::time::Duration;
use tokio::time::Instant;

/// A dispatcher's right to work on an outbox.
pub enum Tenure {
    Sqlite(Box<SqliteTenure>),
    Postgres(Box<PostgresTenure>),
}

/// What happens while an outbox is taken over.
#[derive(Debug)]
pub enum TakeOver<'a> {
    /// Another dispatcher works on it, and the engine allows only one: this one waits.
    StandingBy,
    /// The tenure has begun; what earlier ones left is put in order.
    Recovering,
    /// These jobs were `sending` under an earlier claim, and what was decided of them is on disk.
    /// `rows`: how many that are, with rows that are not jobs.
    Recovered {
        jobs: &'a [(Job, Millis)],
        ended: &'a [Ended],
        rows: usize,
    },
    Noticed(Notice),
}

/// What upkeep is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How long finished jobs of a state are kept; jobs of other states are kept forever.
    pub retention: Vec<(Status, Duration)>,
    /// How long after sending a message's text is removed, for the channels that scrub.
    pub scrub: Vec<(Channel, Duration)>,
    /// Every attempt of this node that ended before this time is recorded.
    pub recorded_until: Millis,
}

/// What [`Tenure::upkeep`] has done.
#[derive(Debug)]
pub struct Upkept {
    /// When to call it again at the latest.
    pub next: Instant,
    pub report: Report,
}

/// The wall clock was set by this much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    pub by: Millis,
    /// Times that were written since are by the clock as it is now.
    pub since: (Millis, Millis),
}

impl ClockStep {
    /// Whether a time that was written then is by the clock as it was before.
    pub fn is_before(&self, written_at: Millis) -> bool {
        written_at < self.since.0 || written_at > self.since.1
    }
}

impl Tenure {
    /// Takes the outbox over, and waits for that where another dispatcher has it. Afterwards the
    /// rules are complete, and no job is `sending` under a claim of a tenure that has ended: each
    /// was ended by `decide`, which gets the job without its payload and when it was claimed. A
    /// tenure that is still alive elsewhere keeps its claims.
    ///
    /// Dropping the future gives up; nothing is left half done.
    ///
    /// # Errors
    /// [`StoreError::WrongVersion`] where there is no outbox: only [`Store::init`](super::Store::init)
    /// creates one. [`StoreError::Unusable`] for an outbox that must not be used under this name or for
    /// this purpose.
    pub async fn take_over(
        database: &Database,
        purpose: Purpose,
        decide: impl FnMut(&Job, Millis) -> Ended,
        on_event: impl FnMut(TakeOver<'_>),
    ) -> Result<Tenure, StoreError> {
        match database {
            Database::File(path) => {
                let taken = SqliteTenure::take_over(path, purpose, decide, on_event).await;
                let tenure = taken.map_err(|e| neutral(e, Some(path)))?;
                Ok(Tenure::Sqlite(Box::new(tenure)))
            }
            Database::Postgres(server) => {
                let taken = PostgresTenure::take_over(server, purpose, decide, on_event).await;
                Ok(Tenure::Postgres(Box::new(taken?)))
            }
        }
    }

    /// The right to begin requests, which this tenure renews with its calls.
    pub fn lease(&self) -> Lease {
        match self {
            Tenure::Sqlite(_) => Lease::unlimited(),
            Tenure::Postgres(t) => t.lease(),
        }
    }

    /// From now on no request takes longer, from its first byte to its end: other nodes wait that long
    /// before they decide the jobs of this one when it has died.
    pub fn expect_requests(&mut self, longest: Duration) {
        match self {
            Tenure::Sqlite(_) => {}
            Tenure::Postgres(t) => t.expect_requests(longest),
        }
    }

    /// How many requests a route may begin per time. Where several nodes work on the outbox this is of all of
    /// them together; a single dispatcher paces its routes itself.
    pub fn pace(&mut self, rates: &[(String, Channel, Rate)]) {
        match self {
            Tenure::Sqlite(_) => {}
            Tenure::Postgres(t) => t.pace(rates),
        }
    }

    /// Decides the jobs of other nodes that have died since, as [`Tenure::take_over`] does; costs nothing
    /// if none has.
    pub async fn bury(
        &mut self,
        decide: impl FnMut(&Job, Millis) -> Ended,
        on_event: impl FnMut(TakeOver<'_>),
    ) -> Result<(), StoreError> {
        match self {
            Tenure::Sqlite(_) => Ok(()),
            Tenure::Postgres(t) => t.bury(decide, on_event).await,
        }
    }

    /// Records, moves what is due, claims: one transaction. A claim is durable when it is returned,
    /// and a job that is recorded here may be followed by the next of its key in the same answer.
    ///
    /// Rows that cannot be read, or that the database refuses to change, stop no others: the engine
    /// ends them or sets them aside, and says so in the report.
    ///
    /// # Errors
    /// On an error nothing happened, or all of it without an answer: give the same outcomes again
    /// (recording one twice is recording it once), and ask [`Tenure::claims`] for jobs that were
    /// claimed without the caller's knowledge. Nothing of an answer may be used after an error.
    pub async fn cycle(&mut self, work: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.cycle(work).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.cycle(work).await,
        }
    }

    /// Records outcomes without claiming; also where the outbox has been replaced by a copy of the
    /// one that this tenure has worked on.
    pub async fn record(&mut self, ended: &[Ended]) -> Result<Recorded, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.record(ended).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.record(ended).await,
        }
    }

    /// Reads what comes next; waits for no lock.
    pub async fn look(&mut self) -> Result<Agenda, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.look().await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.look().await,
        }
    }

    /// Where the dispatcher keeps answers until they are recorded, so that a kill of the process does not
    /// lose them: the next [`Tenure::take_over`] or [`Tenure::bury`] records them. `None` if this outbox has no
    /// such place at present, and on every call after the first.
    pub fn answer_note(&mut self) -> Option<AnswerNote> {
        match self {
            Tenure::Sqlite(t) => t.answer_note.take().map(AnswerNote::File),
            Tenure::Postgres(t) => t.answer_note().map(AnswerNote::Table),
        }
    }

    /// Resolves when another program may have written since the last call or cycle. Its commit may
    /// still be on its way: a cycle that is `expecting` waits for it. Cancel-safe.
    pub async fn changed(&mut self) {
        match self {
            Tenure::Sqlite(t) => t.changed().await,
            Tenure::Postgres(t) => t.changed().await,
        }
    }

    /// Whether the outbox is still this tenure's: an error that [is final](StoreError::is_final) if
    /// it is not.
    pub fn check(&self) -> Result<(), StoreError> {
        match self {
            Tenure::Sqlite(t) => t.check().map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.check(),
        }
    }

    /// Retention, scrubbing, the engine's own housekeeping, and rows that are set aside or have lost
    /// their place in the queue: in small steps, each as often as needed. Call it after every
    /// iteration of the loop and at [`Upkept::next`]; it costs almost nothing if nothing is due.
    pub async fn upkeep(&mut self, plan: &Plan) -> Result<Upkept, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.upkeep(plan).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.upkeep(plan).await,
        }
    }

    /// Fails some of the ready jobs of these accounts, which this node has not configured, unless
    /// they are paused. `known` are the accounts that it has. With several nodes the engine
    /// fails only jobs of accounts that none of them knows. [`Report::may_be_ready`]: there may be more.
    pub async fn fail_unknown_accounts(
        &mut self,
        accounts: &[String],
        known: &[&str],
    ) -> Result<Report, StoreError> {
        match self {
            Tenure::Sqlite(t) => {
                t.fail_unknown_accounts(accounts, known).await.map_err(|e| t.neutral(e))
            }
            Tenure::Postgres(t) => t.fail_unknown_accounts(accounts, known).await,
        }
    }

    /// As [`Store::fill_missing`](super::Store::fill_missing).
    pub async fn fill_missing(&mut self, channels: &[Channel]) -> Result<(), StoreError> {
        match self {
            Tenure::Sqlite(t) => t.fill_missing(channels).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.fill_missing(channels).await,
        }
    }

    /// Keeps the pauses of retries when the wall clock is set, for an engine whose times are this
    /// machine's. Call it until it gives `None`, and move what waits in memory by each step.
    pub async fn follow_clock(&mut self, now: Millis) -> Result<Option<ClockStep>, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.follow_clock(now).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.follow_clock(now).await,
        }
    }

    /// The jobs that are `sending` under this tenure and whose attempt of this number is not `known` to the
    /// caller, without their payloads, with when each was claimed: no request was made for them. The number
    /// is `None` for a row that cannot be read.
    pub async fn claims(
        &mut self,
        known: impl Fn(i64, Option<i64>) -> bool,
    ) -> Result<Vec<(Job, Millis)>, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.claims(known).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.claims(known).await,
        }
    }

    /// The blocks that this node published last, also before its start.
    pub async fn blocks(&mut self) -> Result<Vec<Block>, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.store.blocks().await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.blocks().await,
        }
    }

    /// Makes these this node's blocks; those of other nodes stay.
    pub async fn publish_blocks(&mut self, blocks: &[Block]) -> Result<(), StoreError> {
        match self {
            Tenure::Sqlite(t) => t.store.publish_blocks(blocks).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.publish_blocks(blocks).await,
        }
    }

    /// What people have paused; the claim itself leaves it alone.
    pub async fn pauses(&mut self) -> Result<Vec<Pause>, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.store.pauses(ALL).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.pauses(ALL).await,
        }
    }

    /// What waits, each kind counted up to [`Backlog::LIMIT`].
    pub async fn backlog(&mut self) -> Result<Backlog, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.store.backlog().await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.backlog().await,
        }
    }

    /// What remains when there is nothing more to send; `None` while any node is sending a job, or will
    /// send one without a person and by `now`.
    pub async fn left(&mut self, now: Millis) -> Result<Option<Left>, StoreError> {
        match self {
            Tenure::Sqlite(t) => t.left(now).await.map_err(|e| t.neutral(e)),
            Tenure::Postgres(t) => t.left(now).await,
        }
    }

    /// Ends the tenure: another dispatcher may take over at once.
    pub async fn close(self) -> Result<(), StoreError> {
        match self {
            Tenure::Sqlite(t) => t.close().await.map_err(|e| neutral(e, None)),
            Tenure::Postgres(t) => t.close().await,
        }
    }
}
