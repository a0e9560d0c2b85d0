//! What an answer means: the contract's table, from facts read to an `Outcome`.

use super::denial;
use super::error::{self, Said, cap};
use super::hint;
use super::odd_json;
use super::receipt::{self, ProviderError, Reading, Steps};
use super::redact::Redactor;
use super::statuses::{self, Sort};
use super::wrapping::{self, Unwrapped};
use crate::queue::outcome::{Fault, Outcome};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::SystemTime;

/// The most that is ever read of an answer, compressed or decompressed.
pub(super) const LIMIT_BYTES: usize = 1024 * 1024;

/// An answer, as far as it was read.
pub(super) struct Answer<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    /// At most `LIMIT_BYTES`.
    pub body: &'a [u8],
    pub end: End,
}

/// How the reading of a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// More than `LIMIT_BYTES`; the rest was not read.
    TooLong,
    /// The rest never came.
    Lost(Fault),
}

/// A body that is cut short does not change what a status means; a 2xx counts if its JSON is
/// complete.
pub(super) fn judge(
    steps: Steps,
    answer: Answer<'_>,
    redactor: impl FnOnce() -> Redactor,
    now: SystemTime,
) -> Outcome {
    let Answer { status, headers, body, end } = &answer;
    let status = *status;
    let sort = statuses::sort(status);
    if sort == Sort::Success {
        return match usual(steps, body, end) {
            Some(reading) => accepted(reading, *end == End::TooLong),
            None => patiently(steps, &answer, &redactor()),
        };
    }
    let redactor = redactor();
    let said = Said::of(body, headers, *end != End::Whole);
    let who = if statuses::is_gateways(status) { "a gateway" } else { "Acquire" };
    let fault = || said.fault(who, status, &redactor);
    match sort {
        Sort::Refused => Outcome::AccountRefused { fault: refused(status, &said, &redactor) },
        Sort::Unknown => {
            Outcome::Unknown { fault: Fault::new(format!("http_{status}"), fault().message) }
        }
        Sort::NotNow => {
            let retry_after = hint::pause(status, headers, now);
            Outcome::Unavailable { fault: fault(), retry_after }
        }
        Sort::Final if is_acquires(status, &said, end) => {
            Outcome::Rejected { fault: fault(), receipt: Default::default() }
        }
        Sort::Final => {
            let fault = not_acquires(status, &said, &redactor);
            Outcome::NotAcquires { fault, verdict: Default::default() }
        }
        Sort::Success | Sort::NoStatus => {
            unreadable(format!("the answer's status {status} is not one that Acquire uses"))
        }
    }
}

/// A 4xx of Acquire's is JSON, or the beginning of it. Where the body is empty only the status counts:
/// when it broke off before its first byte, and when the status is about this request itself, not about
/// where it went.
fn is_acquires(status: u16, said: &Said, end: &End) -> bool {
    let is_about_the_message = matches!(status, 400 | 413 | 415 | 422);
    said.json.is_some()
        || (said.text.trim().is_empty() && (is_about_the_message || matches!(end, End::Lost(_))))
}

fn not_acquires(status: u16, said: &Said, redactor: &Redactor) -> Fault {
    let page = said.line(redactor);
    let page = if page.is_empty() { "it is empty" } else { &page };
    let sentence =
        format!("the answer {status} is not from Acquire, which answers in JSON: {page}");
    Fault::new(format!("http_{status}"), cap(sentence))
}

fn refused(status: u16, said: &Said, redactor: &Redactor) -> Fault {
    match status {
        401 => said.fault("Acquire", status, redactor),
        407 => Fault::new(
            "http_407",
            "a proxy on the way to Acquire requires a user and a password (407)",
        ),
        _ => Fault::new(
            format!("http_{status}"),
            format!(
                "Acquire answered {status}, a redirect, which is never followed: is base_url right?"
            ),
        ),
    }
}

/// Reads nearly every 2xx: JSON with an id and nothing else.
fn usual(steps: Steps, body: &[u8], end: &End) -> Option<Reading> {
    let reading = receipt::read(steps, body, *end == End::TooLong)?;
    (reading.provider.is_none() && reading.has_id()).then_some(reading)
}

/// Reads any other 2xx. The request cannot be repeated, so everything that can be read counts.
fn patiently(steps: Steps, answer: &Answer<'_>, redactor: &Redactor) -> Outcome {
    let Answer { status, headers, body, end } = answer;
    let Unwrapped { text, too_long, cut } = wrapping::unwrap(body, headers, *end != End::Whole);
    let too_long = too_long || *end == End::TooLong;
    let mut reading = odd_json::ids(steps, &text, too_long);
    if let Some(provider) = reading.as_mut().and_then(|reading| reading.provider.take()) {
        let fault = refused_by_provider(provider, redactor);
        return Outcome::Rejected { fault, receipt: reading.unwrap_or_default().into_receipt() };
    }
    if let Some(reading) = reading.take_if(|reading| reading.has_id()) {
        return accepted(reading, too_long);
    }
    let json = odd_json::value(&text, cut, Value::is_object);
    let said = Said { json, text, cut };
    // An answer that was cut short may have been about to say more.
    if (too_long || !cut || reading.is_some())
        && let Some(denied) = denial::of(&said)
    {
        let fault = denied.fault("Acquire", *status, redactor);
        let receipt = reading.unwrap_or_default().into_receipt();
        return Outcome::Rejected { fault, receipt };
    }
    // Every beginning could be that of a number.
    match (reading.filter(|_| !too_long || said.begins_an_object()), end) {
        (Some(reading), _) if reading.has_data || too_long => accepted(reading, too_long),
        (_, End::Lost(fault)) => {
            let sentence = begun(fault.message.clone(), &said, redactor);
            Outcome::Unknown { fault: Fault::new(fault.code.clone(), sentence) }
        }
        (Some(_), _) => {
            let sentence = format!("the answer {status} is JSON without `data`");
            unreadable(begun(sentence, &said, redactor))
        }
        (None, _) => unreadable(begun(format!("the answer {status} is not JSON"), &said, redactor)),
    }
}

/// A sentence about an answer, and the answer's beginning for the reader.
fn begun(sentence: String, said: &Said, redactor: &Redactor) -> String {
    match said.line(redactor).as_str() {
        "" => sentence,
        line => cap(format!("{sentence}: {line}")),
    }
}

fn refused_by_provider(provider: ProviderError, redactor: &Redactor) -> Fault {
    let code = provider.code.filter(|code| !code.is_empty()).map_or_else(
        || "provider_error".to_owned(),
        |code| cap(error::code_of(code.trim(), redactor)),
    );
    let words = provider.words.map(|words| redactor.line(&words)).filter(|w| !w.is_empty());
    let sentence = match words {
        Some(words) => format!("the SMS provider refused it: {words}"),
        None => format!("the SMS provider refused it: {code}"),
    };
    Fault::new(code, cap(sentence))
}

fn accepted(reading: Reading, cut: bool) -> Outcome {
    let receipt = reading.into_receipt();
    let note = if cut {
        Some(Fault::new("answer_too_large", "accepted, with an answer of more than 1 MiB"))
    } else if receipt.message_id.is_none() {
        Some(Fault::new("no_message_id", "accepted, with an answer that has no id of the message"))
    } else {
        None
    };
    Outcome::Accepted { receipt, note }
}

fn unreadable(sentence: String) -> Outcome {
    Outcome::Unknown { fault: Fault::new("response_unreadable", sentence) }
}

#[cfg(test)]
mod tests;
