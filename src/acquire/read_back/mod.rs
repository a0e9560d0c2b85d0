//! Asks Acquire what it has: whether a message of unknown outcome is there, which cases a contact has, and
//! what became of a message.
//!
//! The calls are documented by pages of 2021, so every answer is read as evidence, not as a promise: what
//! is not understood is a fault, an empty list counts only if something else confirms it, and a message is
//! the same only if nothing about it differs. Reading order: `read_answer` (one question), `seen_message`
//! and `server_clock` (what an answer has), `case_messages` and `mail_thread` (all of it, page by page),
//! `expected` with `text_forms` (whether it is the message). `capability` finds out which calls an account
//! has, `cases` which ids it knows, `fate` what became of a message that was sent.
//!
//! No text that was read is in an error or in the `Debug` of anything here.

mod capability;
mod case_messages;
mod cases;
mod expected;
mod fate;
mod mail_thread;
mod read_answer;
mod seen_message;
mod server_clock;
mod text_forms;

pub use capability::{Capability, Way};
pub use cases::{CaseFacts, CaseQuestion, CasesUnread};
use expected::Expected;
use read_answer::{ReadAnswer, ReadFailure, ask};
use seen_message::SeenMessage;

use super::client::{Connection, Endpoint, EndpointError};
use crate::queue::follow_up::DeliveryEvent;
use crate::queue::job::{Channel, Millis};
use crate::queue::outcome::Fault;
use crate::queue::payload::missing_ids::MissingIds;
use crate::queue::payload::{self, Payload, PayloadError};
use crate::queue::verification::{Candidate, Reading, Sought};
use std::fmt;

/// Reads what one account has at Acquire. It sends nothing.
pub struct AccountReader {
    endpoint: Endpoint,
}

impl fmt::Debug for AccountReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountReader").finish_non_exhaustive()
    }
}

/// The messages that were read, and what could not be.
struct FoundMessages {
    messages: Vec<SeenMessage>,
    /// Why there may be more.
    gap: Option<Fault>,
}

/// A message of a case or a thread, as `probe` shows it. Its `Debug` shows no text.
#[derive(Clone, PartialEq)]
pub struct ShownMessage {
    pub id: String,
    pub channel: Option<String>,
    pub kind: Option<String>,
    pub sender: String,
    /// By our clock, in the middle of what is possible.
    pub created: Option<Millis>,
    pub subject: Option<String>,
    pub text: Option<String>,
    /// What became of it.
    pub fate: Vec<DeliveryEvent>,
}

impl fmt::Debug for ShownMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownMessage").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What one way of reading a case gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownCase {
    pub way: Way,
    pub messages: Vec<ShownMessage>,
    /// Why it may not be everything.
    pub gap: Option<Fault>,
}

impl AccountReader {
    /// Requires that the process has installed a default rustls provider.
    ///
    /// # Errors
    /// As [`Endpoint::new`].
    pub fn new(connection: &Connection<'_>) -> Result<AccountReader, EndpointError> {
        Ok(AccountReader { endpoint: Endpoint::new(Channel::Chat, connection)? })
    }

    /// Looks for one message. Reads as many pages as the attempt's time needs, up to a limit.
    pub async fn look_for(&self, sought: &Sought) -> Reading {
        let payload = match payload::parse(sought.channel, &sought.payload) {
            Ok(payload) => payload,
            Err(error) => return Reading::Nowhere { fault: nowhere(sought, error) },
        };
        let expected = Expected { payload: &payload, since: sought.since, until: sought.until };
        let texts = payload.texts();
        let from = expected.needed_from();
        let found = match &payload {
            Payload::Chat(chat) => self.messages_of_case(chat.case_id, from, &texts).await,
            Payload::Sms(sms) => self.messages_of_case(sms.thread_id, from, &texts).await,
            Payload::Mail(mail) => self.mails_of_case(mail.case_id, &expected, &texts).await,
        };
        match found {
            Ok(found) => reading(found, &expected),
            Err(ReadFailure::Later { fault, account_refused, retry_after }) => {
                Reading::Later { fault, account_refused, retry_after }
            }
            Err(ReadFailure::NotOffered(fault)) => Reading::Impossible { fault },
            Err(ReadFailure::Broken(fault)) => Reading::Partial { candidates: Vec::new(), fault },
        }
    }

    /// The messages of a case by every way that answers, for people; and the faults of the others.
    pub async fn show(&self, case: i64) -> Vec<Result<ShownCase, (Way, Fault)>> {
        let shown = |way: Way, found: Result<FoundMessages, ReadFailure>| match found {
            Ok(FoundMessages { messages, gap }) => {
                Ok(ShownCase { way, messages: messages.iter().map(shown).collect(), gap })
            }
            Err(failure) => Err((way, failure.fault().clone())),
        };
        vec![
            shown(Way::CaseMessage, self.list_of_case(case, Millis::MIN, &[]).await),
            shown(Way::CaseRelation, self.messages_in_case(case, &[]).await),
            shown(Way::MailThread, self.thread_of_case(case, Millis::MIN, &[]).await),
        ]
    }

    async fn ask(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        texts: &[&str],
    ) -> Result<ReadAnswer, ReadFailure> {
        ask(&self.endpoint, path, parameters, texts).await
    }
}

/// A payload that [`parse`](payload::parse) refuses was sent only after its ids had been filled in.
fn nowhere(sought: &Sought, error: PayloadError) -> Fault {
    match MissingIds::of(sought.channel, sought.payload.as_bytes()) {
        Some(_) => Fault::new(
            "verify_no_case",
            "the payload leaves its case out, so it is not known where to look for the message",
        ),
        None => error.into(),
    }
}

fn reading(found: FoundMessages, expected: &Expected<'_>) -> Reading {
    let is_sms = matches!(expected.payload, Payload::Sms(_));
    let candidates = found.messages.iter().filter_map(|seen| {
        let likeness = expected.likeness(seen)?;
        let receipt = seen.receipt(is_sms);
        Some(Candidate {
            message_id: seen.id.clone(),
            receipt,
            created: seen.created.map(|span| span.middle()),
            sender: sender(seen),
            likeness,
        })
    });
    let candidates = candidates.collect();
    match found.gap {
        None => Reading::Complete { candidates },
        Some(fault) => Reading::Partial { candidates, fault },
    }
}

/// `user Anne`, as far as it is known.
fn sender(seen: &SeenMessage) -> String {
    let parts = [seen.sender_type.as_deref(), seen.sender_name.as_deref()];
    let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

fn shown(seen: &SeenMessage) -> ShownMessage {
    let mail = seen.mail.as_ref();
    ShownMessage {
        id: seen.id.clone(),
        channel: seen.channel.clone(),
        kind: seen.kind.clone(),
        sender: sender(seen),
        created: seen.created.map(|span| span.middle()).or(seen.created_theirs),
        subject: mail.and_then(|mail| mail.subject.clone()),
        text: seen
            .text
            .clone()
            .or_else(|| mail.and_then(|mail| mail.text_body.clone().or(mail.html_body.clone()))),
        fate: seen.fate.clone(),
    }
}
