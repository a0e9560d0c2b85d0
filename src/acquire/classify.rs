//! What an answer means: the table in the contract, from what was read to an `Outcome`.

use super::body_text::BodyText;
use super::error_answer::{self, AnswerText, cap};
use super::lenient_json;
use super::receipt::{self, AnswerFields, FieldMap, ProviderError};
use super::redact::Redactor;
use super::reported_failure::reported_failure;
use super::retry_after;
use super::status_class::{self, StatusClass};
use crate::queue::outcome::{Fault, Outcome};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::SystemTime;

/// The most that is read of an answer, both before and after decompression.
pub(super) const LIMIT_BYTES: usize = 1024 * 1024;

/// An answer, as far as it was read.
pub(super) struct RawAnswer<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    /// At most `LIMIT_BYTES`.
    pub body: &'a [u8],
    pub end: BodyEnd,
}

/// How the reading of a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyEnd {
    Complete,
    /// More than `LIMIT_BYTES`; the rest was not read.
    TooLong,
    /// The connection failed before the end.
    Lost(Fault),
}

/// A truncated body does not change what a status means; a 2xx counts if its JSON is complete.
pub(super) fn classify(
    map: FieldMap,
    answer: RawAnswer<'_>,
    redactor: impl FnOnce() -> Redactor,
    now: SystemTime,
) -> Outcome {
    let RawAnswer { status, headers, body, end } = &answer;
    let status = *status;
    let class = StatusClass::of(status);
    if class == StatusClass::Success {
        return match read_common(map, body, end) {
            Some(fields) => accepted(fields, *end == BodyEnd::TooLong),
            None => classify_uncommon_2xx(map, &answer, &redactor()),
        };
    }
    let redactor = redactor();
    let text = AnswerText::of(body, headers, *end != BodyEnd::Complete);
    let who = if status_class::is_from_gateway(status) { "a gateway" } else { "Acquire" };
    let fault = || text.fault(who, status, &redactor);
    match class {
        StatusClass::AccountRefused => {
            Outcome::AccountRefused { fault: account_refused(status, &text, &redactor) }
        }
        StatusClass::Unknown => {
            Outcome::Unknown { fault: Fault::new(format!("http_{status}"), fault().message) }
        }
        StatusClass::Unavailable => {
            let retry_after = retry_after::requested_delay(status, headers, now);
            Outcome::Unavailable { fault: fault(), retry_after }
        }
        StatusClass::ClientError if is_from_acquire(status, &text, end) => {
            Outcome::Rejected { fault: fault(), receipt: Default::default() }
        }
        StatusClass::ClientError => {
            let fault = foreign_page(status, &text, &redactor);
            Outcome::NotAcquires { fault, verdict: Default::default() }
        }
        StatusClass::Success | StatusClass::Invalid => {
            unreadable(format!("{status} is not a status that Acquire uses"))
        }
    }
}

/// Acquire's own 4xx are JSON, or the beginning of it. An empty body is taken for Acquire's if the
/// connection failed before its first byte, or if the status is about the request's content rather
/// than about where it was sent.
fn is_from_acquire(status: u16, text: &AnswerText, end: &BodyEnd) -> bool {
    let is_about_content = matches!(status, 400 | 413 | 415 | 422);
    text.json.is_some()
        || (text.raw.trim().is_empty() && (is_about_content || matches!(end, BodyEnd::Lost(_))))
}

fn foreign_page(status: u16, text: &AnswerText, redactor: &Redactor) -> Fault {
    let quote = text.quote(redactor);
    let quote = if quote.is_empty() { "the body is empty" } else { &quote };
    let sentence =
        format!("the {status} answer is not from Acquire, which answers in JSON: {quote}");
    Fault::new(format!("http_{status}"), cap(sentence))
}

fn account_refused(status: u16, text: &AnswerText, redactor: &Redactor) -> Fault {
    match status {
        401 => text.fault("Acquire", status, redactor),
        407 => Fault::new(
            "http_407",
            "a proxy on the way to Acquire requires a user name and a password (407)",
        ),
        _ => Fault::new(
            format!("http_{status}"),
            format!(
                "Acquire answered {status}, a redirect, and redirects are not followed: check base_url"
            ),
        ),
    }
}

/// Reads nearly every 2xx: strict JSON with a message id and no provider error.
fn read_common(map: FieldMap, body: &[u8], end: &BodyEnd) -> Option<AnswerFields> {
    let fields = receipt::read(map, body, *end == BodyEnd::TooLong)?;
    (fields.provider.is_none() && fields.has_message_id()).then_some(fields)
}

/// Reads every other 2xx. The message may have been sent, so everything that can be read counts.
fn classify_uncommon_2xx(map: FieldMap, answer: &RawAnswer<'_>, redactor: &Redactor) -> Outcome {
    let RawAnswer { status, headers, body, end } = answer;
    let BodyText { text, too_long, cut } =
        BodyText::decode(body, headers, *end != BodyEnd::Complete);
    let too_long = too_long || *end == BodyEnd::TooLong;
    let mut fields = lenient_json::read_fields(map, &text, too_long);
    if let Some(provider) = fields.as_mut().and_then(|fields| fields.provider.take()) {
        let fault = refused_by_provider(provider, redactor);
        return Outcome::Rejected { fault, receipt: fields.unwrap_or_default().into_receipt() };
    }
    if let Some(fields) = fields.take_if(|fields| fields.has_message_id()) {
        return accepted(fields, too_long);
    }
    let json = lenient_json::parse(&text, cut, Value::is_object);
    let text = AnswerText { json, raw: text, cut };
    // An answer that broke off may have gone on to report success.
    if (too_long || !cut || fields.is_some())
        && let Some(failure) = reported_failure(&text)
    {
        let fault = failure.fault("Acquire", *status, redactor);
        let receipt = fields.unwrap_or_default().into_receipt();
        return Outcome::Rejected { fault, receipt };
    }
    // Of a body that is too long, anything can be the beginning of JSON: only an object counts.
    match (fields.filter(|_| !too_long || text.begins_an_object()), end) {
        (Some(fields), _) if fields.has_data || too_long => accepted(fields, too_long),
        (_, BodyEnd::Lost(fault)) => {
            let sentence = with_quote(fault.message.clone(), &text, redactor);
            Outcome::Unknown { fault: Fault::new(fault.code.clone(), sentence) }
        }
        (Some(_), _) => {
            let sentence = format!("the {status} answer is JSON without `data`");
            unreadable(with_quote(sentence, &text, redactor))
        }
        (None, _) => {
            let sentence = format!("the {status} answer is not JSON");
            unreadable(with_quote(sentence, &text, redactor))
        }
    }
}

/// A sentence about an answer, followed by the answer's beginning.
fn with_quote(sentence: String, text: &AnswerText, redactor: &Redactor) -> String {
    match text.quote(redactor).as_str() {
        "" => sentence,
        quote => cap(format!("{sentence}: {quote}")),
    }
}

fn refused_by_provider(provider: ProviderError, redactor: &Redactor) -> Fault {
    let code = provider.code.filter(|code| !code.is_empty()).map_or_else(
        || "provider_error".to_owned(),
        |code| cap(error_answer::redacted_code(code.trim(), redactor)),
    );
    let message = provider.message.map(|text| redactor.line(&text)).filter(|m| !m.is_empty());
    let reason = message.as_ref().unwrap_or(&code);
    let sentence = cap(format!("the SMS provider refused it: {reason}"));
    Fault::new(code, sentence)
}

fn accepted(fields: AnswerFields, cut: bool) -> Outcome {
    let receipt = fields.into_receipt();
    let note = if cut {
        Some(Fault::new("answer_too_large", "accepted; the answer was longer than 1 MiB"))
    } else if receipt.message_id.is_none() {
        Some(Fault::new("no_message_id", "accepted; the answer had no message id"))
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
