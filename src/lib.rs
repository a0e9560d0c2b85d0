//! # acquire-outbox: a tour
//!
//! Any program inserts a row into the table `outbox`. This program sends the message through Acquire
//! and records the result in the same row.
//!
//! ```text
//! producer --INSERT--> outbox --claim--> request --answer--> outcome --record--> outbox
//!                                |                                       |
//!            the record of one job and the claim of the next: one transaction, one fsync
//! ```
//!
//! # The path of a job
//!
//! 1. A producer inserts it. The database itself checks it, turns time text into milliseconds and
//!    gives it its place in the queue: `ready`, `scheduled` (its `send_at` has not come yet) or
//!    `parked` (an earlier job of its ordering key goes first). All of that is in
//!    `migrations/sqlite/0001_outbox.sql`.
//! 2. [`Tenure::changed`](store::Tenure::changed) wakes the loop in [`dispatcher`].
//! 3. [`routes`](dispatcher::routes) say how many jobs each account and channel may have now: free
//!    places, rates, the breaker, Retry-After, refused accounts. They count; they hold no job.
//! 4. [`Tenure::cycle`](store::Tenure::cycle) claims that many: `sending`, one more attempt, marked
//!    with the dispatcher's epoch. What operators have paused, it leaves out. Once the claim is on
//!    disk, `dispatcher/jobs.rs`, the one map of jobs in memory, has each job until its outcome is
//!    recorded. Where answers come quickly, some jobs are claimed ahead and wait there for a place.
//! 5. `dispatcher/sender.rs` starts a task for it, which runs `dispatcher/attempt.rs`:
//!    [`payload`](queue::payload) reads the message strictly, [`acquire`] makes the request, and
//!    whatever happens is an [`Outcome`](queue::outcome::Outcome).
//! 6. [`transition::decide`](queue::transition::decide) turns the outcome into the next state. It
//!    does no I/O; apart from the jitter of the backoff, its result depends only on its arguments.
//! 7. An [`AnswerNote`](store::AnswerNote) keeps the outcome where a kill does not lose it, and its place is
//!    free. The next cycle records it, with a row in `outbox_attempts`, and the same transaction claims new
//!    jobs for the free places.
//!
//! # The states
//!
//! ```text
//! pending --claim--> sending --accepted------------> sent
//!    ^                  |------not delivered, again--> pending (next_attempt_at set)
//!    |                  |------never sent------------> pending (as if it had not been claimed)
//!    |                  |------refused / used up / invalid --> failed
//!    |                  '------outcome unknown-------> uncertain   (policy `hold` or `verify`, or retried enough)
//!    '--cancelled, or expired --> cancelled / failed
//!
//! failed | cancelled | uncertain --retry--> pending
//! uncertain --resolve--> sent | failed
//! uncertain --looked for at Acquire (policy `verify`)--> sent | pending | uncertain
//! ```
//!
//! What became of a message after it was `sent` (`follow_up`) changes no state: `dispatcher/follow_ups.rs` asks Acquire
//! and records it in the columns `delivery` and `delivery_at`.
//!
//! The triggers note in `outbox_acts` what people and programs do to a job, by a command, a page or SQL.
//!
//! The database's triggers enforce these transitions, whoever writes. The helper column `wait` says
//! why a job is pending, or that an uncertain one is `verifying`: then it is still the head of its lane. A lane is the jobs that must be sent in order: those with the same
//! `ordering_key` or, without one, of the same conversation. `holds` marks its head; a unique index
//! allows only one per lane. The claim's index contains only jobs that are `ready`, so parked jobs
//! cost the claim nothing.
//!
//! # Why nothing is lost
//!
//! * A claim is durable before the first byte of its request leaves. So after any crash, the jobs
//!   that may have been sent and have no recorded outcome are exactly those in `sending`, and the
//!   next start decides them ([`Tenure::take_over`](store::Tenure::take_over)).
//! * An answer that a killed process had noted but not recorded is recorded by the next start, or by the
//!   node that buries it. An answer that is not noted holds its place until it is recorded. So at most
//!   `max_in_flight` messages of a route arrive twice after a kill.
//! * Every claimed job is in one map until its outcome is on disk. A row that is `sending` under our
//!   own claim and not in the map was claimed by a commit whose answer was lost, unless it is set
//!   aside; it goes back.
//! * Every write of an outcome is fenced by id, attempt and claim. A dispatcher that has been
//!   superseded claims nothing and changes no outcome.
//! * [`acquire::WriteGate`] knows, without a race, whether a byte of a request may have left. Only
//!   then, or if the program itself failed, is an attempt without an answer of unknown outcome.
//! * One row never stops the others: the engine ends rows that cannot be read, sets aside those that
//!   the database refuses to change, and reports both.
//! * While the database cannot be used, nothing is claimed and outcomes wait in memory. If the
//!   outbox was deleted, replaced or damaged, the dispatcher stops.
//! * Under the policy `verify` a message of unknown outcome is looked for at Acquire
//!   (`dispatcher/verifier.rs`), and [`judge`](queue::verification::judge) never guesses.
//! * `docs/reliability.md` lists how these guarantees were tested.
//!
//! # What it costs
//!
//! All requests run on one thread; the database has its own, and requests continue while a transaction
//! runs. `docs/performance.md` has the figures, what each mechanism costs in lines and what it
//! gains; `cargo bench --bench dispatch` measures them again.
//!
//! # Where a change belongs
//!
//! | to change | look in |
//! |---|---|
//! | the backoff, or when a job gives up | `src/queue/retry.rs`, `src/queue/transition.rs`; their settings: `src/config/raw.rs` |
//! | what an answer of Acquire means | `src/acquire/classify.rs` |
//! | when a message of unknown outcome is looked for, and what follows | `src/queue/doubt.rs`, `src/queue/transition/after_look.rs` |
//! | when Acquire is asked what became of a message, and what its answer means | `src/queue/follow_up.rs`, `src/acquire/read_back/fate.rs` |
//! | how many requests run, breaker, Retry-After, rates | `src/dispatcher/routes/` |
//! | when to run a cycle | `src/dispatcher/reason.rs` |
//! | the order of the claim | every `ORDER BY priority` in `src/store/sqlite/`, and a new migration for the index `outbox_ready` |
//! | the order within a lane | `outbox_elect` in the migration, and the end of `outbox_cycle_send_sent` in `cycle.sql` |
//! | which changes of a row are allowed, and the sentences that refuse others | the migration, `migrations/sqlite/0001_outbox.sql` |
//! | what a person may do with a job, and how it is worded | `src/queue/change.rs`, `src/desk/` |
//! | the fields of a message in a form | `src/desk/message_form.rs` |
//! | a page, or a button on it | `src/web/` (a job's buttons: `job_page.rs`, and `OFFERED` in `actions.rs`); links are written from the root, `below_prefix.rs` puts a prefix before them |
//! | a command or a flag | `src/cli/` |
//! | files, locks, wake-ups, housekeeping of the database | `src/store/sqlite/` |
//!
//! # Reading order
//!
//! A module depends only on those that are declared before it; `tests/layering.rs` checks it, with
//! one exception (`reload` builds the dispatcher's routes). [`queue`] defines the types and the
//! rules, without database or network; [`config`] validates the settings. [`acquire`] never sees
//! SQL. [`store`] hides the engine behind two enums, [`Store`](store::Store) for producers and
//! operators and [`Tenure`](store::Tenure) for the dispatcher, and one error type; the
//! engines are in `store/sqlite/` and `store/postgres/`. [`spool`], [`metrics`], [`limits`],
//! [`service`] and [`reload`] serve the loop in [`dispatcher`]. [`desk`] is what operators do, which [`web`] and the
//! commands only present. [`notifier`] tells somebody when the verdict changes. [`daemon`] is the service around the loop, [`sandbox`] the stand-in for
//! Acquire. The commands in `cli` present the [`desk`] on a terminal; [`program`] is what `main.rs` calls.

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
pub mod notifier;
pub mod daemon;
pub mod sandbox;
mod log;
mod cli;
pub mod program;
