//! # acquire-outbox: a tour
//!
//! Any program inserts a row into the table `outbox`. This program sends the message through Acquire
//! and records the result in the same row.
//!
//! ```text
//! producer --INSERT--> outbox --claim--> request --answer--> outcome --record--> outbox
//!                               |                                       |
//!                               '------- one transaction, one fsync ----'
//! ```
//!
//! # The path of a job
//!
//! 1. A producer inserts it. The database itself checks it, turns time text into milliseconds and
//!    gives it its place in the queue: `ready`, `scheduled` (its `send_at` has not come yet) or
//!    `parked` (an earlier job of its ordering key goes first). All of that is in
//!    `migrations/sqlite/0001_outbox.sql`.
//! 2. [`Tenure::changed`](store::Tenure::changed) wakes the loop in [`dispatcher`].
//! 3. [`Tenure::cycle`](store::Tenure::cycle) claims it: `sending`, one more attempt, with the
//!    dispatcher's mark. Only after that is on disk is the job in memory, in `dispatcher/jobs.rs`,
//!    the one map that owns every claimed job until its outcome is recorded.
//! 4. [`routes`](dispatcher::routes) decide whether it may be sent now: places, rates, pauses that
//!    Acquire asked for, accounts that are refused. They count; they hold no job.
//! 5. `dispatcher/attempt.rs` gives it a task: [`payload`](queue::payload) reads it strictly,
//!    [`acquire`] makes the request, and whatever happens is an
//!    [`Outcome`](queue::outcome::Outcome).
//! 6. [`transition::decide`](queue::transition::decide) turns the outcome into the next state. It is
//!    a pure function.
//! 7. The next cycle records it, with a row in `outbox_attempts`, in the same transaction that claims
//!    what there is room for by then.
//!
//! # The states
//!
//! ```text
//! pending --claim--> sending --accepted------------> sent
//!    ^                  |------not delivered, again--> pending (next_attempt_at set)
//!    |                  |------refused / used up-----> failed
//!    |                  '------outcome unknown-------> uncertain   (policy `hold`, or retried enough)
//!    |--cancelled, or expired/invalid --> cancelled / failed
//!    '--retry-- failed | cancelled | uncertain
//! uncertain --resolve--> sent | failed
//! ```
//!
//! The database's triggers enforce these transitions, whoever writes. The helper column `wait` says
//! why a job is pending. `holds` marks the head of a lane (an effective ordering key); a unique index
//! makes sure that there is only one. The claim's index contains only jobs that can be claimed, so
//! parked jobs cost the claim nothing.
//!
//! # Why nothing is lost
//!
//! * A claim is durable before the first byte of its request leaves. So after any crash, the jobs
//!   that may have been sent are exactly those in `sending`, and the next start decides them
//!   ([`Tenure::take_over`](store::Tenure::take_over)).
//! * Every claimed job is in one map until its outcome is on disk. A row that is `sending` under our
//!   own claim and not in the map was claimed by a commit whose answer was lost, and goes back.
//! * Every write of an outcome is fenced by id, attempt and claim. A dispatcher that has been
//!   superseded writes nothing.
//! * [`acquire::WriteGate`] knows, without a race, whether a byte of a request may have left. Only
//!   then is an attempt without an answer of unknown outcome.
//! * One row never stops the others: the engine ends rows that cannot be read, sets aside those that
//!   the database refuses to change, and reports both.
//! * While the database cannot be used, nothing is claimed and outcomes wait in memory. If the
//!   outbox was deleted, replaced or damaged, the dispatcher stops.
//! * `docs/reliability.md` lists what was tried against these promises.
//!
//! # What it costs
//!
//! All requests run on one thread; the database has its own, and neither waits for the other.
//! `docs/performance.md` has the figures, what each mechanism costs in lines and what it buys;
//! `cargo bench --bench dispatch` measures them again.
//!
//! # Where a change belongs
//!
//! | to change | look in |
//! |---|---|
//! | the backoff, or when a job gives up | [`queue::retry`], [`queue::transition`] |
//! | what an answer of Acquire means | [`acquire`] |
//! | how many requests run, breaker, Retry-After, rates | [`dispatcher::routes`] |
//! | when a cycle is worth making | `dispatcher/reason.rs` |
//! | the order of the claim | `store/sqlite/cycle.sql`, and the index `outbox_ready` of the migration |
//! | which changes of a row are allowed, and the sentences that refuse others | the migration |
//! | what a person may do with a job, and in which words it is shown | [`desk`], [`queue::change`] |
//! | a button or a page | [`web`]; a command or a flag: `cli/` |
//! | files, locks, wake-ups, housekeeping of the database | `store/sqlite/` |
//!
//! # Reading order
//!
//! A module depends only on those that are declared before it (`tests/layering.rs` checks it).
//! [`queue`] has the nouns and the rules, without I/O. [`store`] is a door: one closed enum over
//! engines and one error, and only the folder of an engine knows whether there is a file or a
//! server. [`acquire`] never sees SQL, and `store` never sees HTTP. [`dispatcher`] is the loop;
//! [`desk`] is what operators do, which [`web`] and the commands only present; [`daemon`] is the
//! service around the loop.

pub mod queue;
pub mod config;
pub mod links;
pub mod acquire;
pub mod store;
pub mod spool;
pub mod metrics;
pub mod limits;
pub mod service;
pub mod reload;
pub mod dispatcher;
pub mod desk;
mod http_server;
pub mod web;
pub mod daemon;
pub mod sandbox;
