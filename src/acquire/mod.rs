//! Acquire's "send a message" API over HTTP: one request, and every way it can end.
//!
//! `Endpoint::send` never fails: whatever comes back, or nothing at all, is an
//! [`Outcome`](crate::queue::outcome::Outcome). Reading order: `chat`, `mail`, `sms` (what goes out and
//! which ids come back), `client` (one exchange), `answer` (what it means: `statuses`, `receipt`,
//! `hint`), `wrapping` and `odd_json` (what is odd around it), `denial` and `error` (the vendor's
//! error messages), `redact` (what must not appear in them).

mod answer;
mod causes;
mod chat;
mod client;
mod clients;
mod denial;
mod error;
mod gate;
mod hint;
mod mail;
mod odd_json;
mod patience;
mod receipt;
mod redact;
mod request;
pub mod shortage;
mod sms;
mod trust;
mod statuses;
mod wrapping;

#[doc(hidden)]
pub use client::read_ids;
pub use client::{Connection, Endpoint, EndpointError, Probe, outcome_of};
pub use gate::Gate;
pub use hint::RETRY_AFTER_MAX;
