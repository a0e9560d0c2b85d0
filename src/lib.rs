//! # acquire-outbox: the tour
//!
//! Any program INSERTs a row into the table `outbox` of a SQLite file; this program sends the
//! message through Acquire and records in the same row what became of it.
//!
//! ```text
//! producer --INSERT--> outbox --claim--> request --answer--> outcome --record--> outbox
//!                      (SQLite)   |                                       |
//!                                 '------- one transaction, one fsync ----'
//! ```
//!
//! # The path of a job
//!
//! 1. A producer inserts it. The triggers of `migrations/` check it, turn time text into
//!    milliseconds and give it its place: `ready`, `scheduled` (its `send_at` is to come) or
//!    `parked` (an earlier job of its ordering key goes first).
//! 2. `wake` tells the loop of [`dispatcher`] that the file is being written to; it claims at once,
//!    and gets the write lock when that commit is there.
//! 3. [`store`]'s cycle claims it: `sending`, one attempt more, the dispatcher's epoch on it. A cycle
//!    is one statement; what it does stands in `src/store/sqlite/cycle.sql`. Only when that is on disk, its
//!    route sends it: at once, or, claimed ahead of a free place, as soon as another has ended.
//!    `send` gives it a task of its own.
//! 4. `payload` reads it strictly, [`acquire`] makes the request; whatever happens is an
//!    `outcome::Outcome`.
//! 5. `transition::decide` turns the outcome into a state, purely.
//! 6. The next cycle records it, with its row in `outbox_attempts`, in the transaction that also
//!    claims what there is room for by then.
//!
//! # The states
//!
//! ```text
//! pending --claim--> sending --accepted------------> sent
//!    ^                  |------not delivered, again--> pending (next_attempt_at set)
//!    |                  |------refused / used up-----> failed
//!    |                  '------outcome unknown-------> uncertain   (policy `hold`, or retried enough)
//!    |--cancelled, or expired/invalid --> cancelled / failed
//!    '--re-drive-- failed | cancelled | uncertain
//! uncertain --resolved by a person--> sent | failed
//! ```
//!
//! The triggers keep this machine, whoever writes. The helper column `wait` says why a job is
//! pending, and `holds` marks the one job of a lane (an effective ordering key) that goes first;
//! a unique index proves that there is one. So what is parked costs the claim nothing: the index
//! of the claim holds only what can be claimed.
//!
//! # What is never lost, and why
//!
//! * A claim is durable before the first byte leaves, so after any crash the rows that may have
//!   been sent are exactly those `sending`; [`daemon`] decides them at the start, from disk alone.
//! * What was sent from a file is noted next to it ([`store::Progress`]): a file that is behind its
//!   note is a restored backup, and is paused until a person decides.
//! * Every write of a result is fenced by id, attempt and epoch. `lock` lets one dispatcher
//!   work on a file; the epoch in `outbox_dispatcher` fences one that thinks it still does.
//! * [`acquire::WriteGate`] knows, without a race, whether a byte of a request may have left: only
//!   then is an attempt without an answer of unknown outcome.
//! * One row never stops the rest. A row that cannot be read ends by itself, an outcome that the
//!   database refuses to record is kept in `outbox_set_aside` and recorded later, and rows that
//!   were written without the triggers are checked and queued. The schema itself is compared with
//!   the one that the migrations make.
//! * When the database cannot be written, nothing is claimed, and results wait in memory. When
//!   its files were deleted, replaced or damaged, the dispatcher ends: [`store::Files`].
//! * `docs/reliability.md` has what was done to it to find out.
//!
//! # What it costs
//!
//! All requests run on one thread, the database has one of its own, and neither waits for the other:
//! while a cycle runs, what ends is taken and what was claimed ahead goes out. While most of what is
//! out is on the wire the loop rests, so that one transaction and one fsync record many jobs. What
//! waits stands in indexes that no claim reads. `docs/performance.md` has the figures, what each job
//! costs, and what was tried; `cargo bench --bench dispatch` measures them again.
//!
//! What all routes share is limited: the requests that are out, by the descriptors that this
//! process may have ([`limits`]), and their payloads by `max_in_flight_bytes`. If this machine
//! runs out of something all the same, that costs no attempt (`outcome::Outcome::Shortage`).
//!
//! # As a service
//!
//! [`service`] tells the service manager how things are; the watchdog's pings come from the loop
//! itself, one for so many turns, so a loop that is stuck is found out. [`reload`] reads a new
//! configuration beside the loop, which takes it over between two turns.
//!
//! Slow readers never hold it up: log lines go through a [`spool`], and the service manager's
//! socket is written to without waiting.
//!
//! # What people see of it
//!
//! `store::query` and its neighbours read what `list`, `show` and the pages show, `explain` says in
//! a sentence why a job waits, [`metrics`] counts what the loop does. [`web`] serves the dashboard,
//! `/metrics` and the health on the same thread as the requests, with connections of its own whose
//! queries are bounded: it must never hold up a message.
//!
//! # Reading order, and what may depend on what
//!
//! Dependencies point up this list. The first seven know no tokio, sqlx or reqwest; `acquire`
//! never sees SQL; `store` never sees HTTP.

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
