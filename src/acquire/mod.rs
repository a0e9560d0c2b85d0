//! Acquire's "send a message" API over HTTP: one request, and every way it can end.
//!
//! `Endpoint::send` never fails: every answer, and the lack of one, is an
//! [`Outcome`](crate::queue::outcome::Outcome). Reading order: `client` (one request and its answer),
//! `request` with one file per channel (the body, and which ids come back), `classify` (what an answer
//! means), `receipt` (its ids), and what makes reading it lenient: `body_text`, `lenient_json`.
//! [`read_back`] asks what Acquire has, instead of sending.

mod account_check;
mod account_client;
mod awake_time_limit;
mod body_text;
mod chat_request;
mod classify;
mod client;
mod client_error;
mod curl_command;
mod error_answer;
mod id_filler;
mod lease;
mod lenient_json;
pub mod local_shortage;
mod mail_request;
pub mod read_back;
mod receipt;
mod redact;
mod reported_failure;
mod request;
mod retry_after;
mod sms_request;
mod status_class;
mod webhook;
mod write_gate;

pub use account_check::AccountCheck;
#[doc(hidden)]
pub use client::read_ids;
pub use client::{Connection, Endpoint, EndpointError, outcome_of};
pub use curl_command::curl_command;
pub use id_filler::IdFiller;
pub use lease::{BootTime, Lease};
pub use retry_after::RETRY_AFTER_MAX;
pub use webhook::Webhook;
pub use write_gate::WriteGate;
