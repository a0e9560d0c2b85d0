//! One question to Acquire and what its answer means: data, not offered, or not now.

use super::server_clock::ServerClock;
use crate::acquire::account_check::GetAnswer;
use crate::acquire::body_text::BodyText;
use crate::acquire::classify::BodyEnd;
use crate::acquire::client::{Endpoint, join};
use crate::acquire::error_answer::{AnswerText, find_message};
use crate::acquire::lenient_json;
use crate::acquire::reported_failure::reported_failure;
use crate::acquire::retry_after;
use crate::acquire::status_class::StatusClass;
use crate::queue::outcome::Fault;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// An answer's `data`. It has message text, so it has no `Debug`.
pub(super) struct ReadAnswer {
    pub data: Value,
    /// `None`: the answer has no `Date`.
    pub clock: Option<ServerClock>,
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ReadFailure {
    /// Nothing can be read now: the account is refused, Acquire is down or asks to wait.
    Later { fault: Fault, account_refused: bool, retry_after: Option<Duration> },
    /// This account has no such call: refused, unknown, or in a shape that is not known.
    NotOffered(Fault),
    /// It may be answered another time: an error under a success status, an answer that was cut.
    Broken(Fault),
}

impl ReadFailure {
    pub fn fault(&self) -> &Fault {
        match self {
            ReadFailure::Later { fault, .. }
            | ReadFailure::NotOffered(fault)
            | ReadFailure::Broken(fault) => fault,
        }
    }

    /// The answer is well-formed, but it is not what the vendor documents.
    pub fn shape(what: &str) -> ReadFailure {
        ReadFailure::NotOffered(Fault::new(
            "read_shape",
            format!("Acquire's answer has an unknown shape: {what}"),
        ))
    }
}

/// Asks for `path` with these parameters. `texts` are redacted in what an error says.
pub(super) async fn ask(
    endpoint: &Endpoint,
    path: &str,
    parameters: &[(&str, &str)],
    texts: &[&str],
) -> Result<ReadAnswer, ReadFailure> {
    let mut url = join(&endpoint.base, path);
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    match endpoint.get(url).await {
        Ok(answer) => read(endpoint, answer, texts),
        Err(fault) => Err(ReadFailure::Later { fault, account_refused: false, retry_after: None }),
    }
}

fn read(endpoint: &Endpoint, answer: GetAnswer, texts: &[&str]) -> Result<ReadAnswer, ReadFailure> {
    let GetAnswer { status, headers, body, end, asked, answered } = answer;
    let redactor = endpoint.redactor(texts);
    let class = StatusClass::of(status);
    if class != StatusClass::Success {
        let text = AnswerText::of(&body, &headers, end != BodyEnd::Complete);
        let from_acquire = text.json.is_some();
        let fault = without_quote(text).fault("Acquire", status, &redactor);
        let retry_after = retry_after::requested_delay(status, &headers, SystemTime::now());
        return Err(match class {
            StatusClass::ClientError if from_acquire => ReadFailure::NotOffered(fault),
            StatusClass::ClientError => ReadFailure::Broken(fault),
            class => {
                let account_refused = class == StatusClass::AccountRefused;
                ReadFailure::Later { fault, account_refused, retry_after }
            }
        });
    }
    match end {
        BodyEnd::Complete => {}
        BodyEnd::TooLong => {
            let sentence = "Acquire's answer is longer than 1 MiB";
            return Err(ReadFailure::Broken(Fault::new("answer_too_large", sentence)));
        }
        BodyEnd::Lost(fault) => {
            return Err(ReadFailure::Later { fault, account_refused: false, retry_after: None });
        }
    }
    let BodyText { text, cut, .. } = BodyText::decode(&body, &headers, false);
    let json = lenient_json::parse(&text, false, |json| json.get("data").is_some());
    let Some(json) = json.filter(|_| !cut) else {
        let sentence = format!("Acquire's answer ({status}) is not JSON");
        return Err(ReadFailure::Broken(Fault::new("response_unreadable", sentence)));
    };
    let text = AnswerText { json: Some(json), raw: String::new(), cut };
    if let Some(failure) = reported_failure(&text) {
        let fault = without_quote(failure).fault("Acquire", status, &redactor);
        return Err(ReadFailure::Broken(fault));
    }
    match text.json {
        Some(Value::Object(mut fields)) if fields.contains_key("data") => {
            let data = fields.remove("data").unwrap_or_default();
            Ok(ReadAnswer { data, clock: ServerClock::read(&headers, asked, answered) })
        }
        _ => Err(ReadFailure::shape("it has no `data`")),
    }
}

/// What was read is other people's text: an error may repeat a server's sentence, but no body.
fn without_quote(mut text: AnswerText) -> AnswerText {
    text.raw.clear();
    text.json = text.json.filter(|json| find_message(json).is_some());
    text
}
