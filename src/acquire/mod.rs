//! Acquire's "send a message" API over HTTP: one request, and every way it can end.
//!
//! `Endpoint::send` never fails: whatever comes back, or nothing at all, is an
//! [`Outcome`](crate::outcome::Outcome). Reading order: `chat`, `mail`, `sms` (what goes out
//! and which ids come back), `client` (one exchange), `answer` (what it means), `error`
//! (the vendor's words), `redact` (what must not stand in them).

mod answer;
mod chat;
mod client;
mod error;
mod gate;
mod mail;
mod patience;
mod receipt;
mod redact;
mod request;
pub mod shortage;
mod sms;

pub use answer::RETRY_AFTER_MAX;
#[doc(hidden)]
pub use client::read_ids;
pub use client::{Connection, Endpoint, EndpointError, Probe, outcome_of};
pub use gate::Gate;
