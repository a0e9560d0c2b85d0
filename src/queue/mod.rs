//! The nouns and rules of the queue, without I/O: what a job is, how an attempt can end, what follows
//! from that, and what callers exchange with the store.

pub mod job;
pub mod when;
pub mod outcome;
pub mod payload;
pub mod retry;
pub mod policy;
pub mod transition;
pub mod verification;
pub mod doubt;
pub mod follow_up;
pub mod unreadable;
pub mod role;
pub mod report;
pub mod ended;
pub mod outcome_counts;
pub mod examination;
pub mod claim;
pub mod pause;
pub mod block;
pub mod filter;
pub mod recipient;
pub mod node;
pub mod act;
pub mod story;
pub mod overview;
pub mod new_job;
pub mod change;
pub mod correction;
pub mod transfer;
pub mod carried;
