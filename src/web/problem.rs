//! A page that could not be made, or an action that could not be done: one sentence on it.

use super::layout;
use super::reader::ReadError;
use crate::store::StoreError;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

/// The sentence is for people and never has their messages' words.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    sentence: String,
}

impl Problem {
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> Problem {
        Problem { status, sentence: sentence.into() }
    }

    /// What was asked for is not as it must be.
    pub fn bad(sentence: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, sentence)
    }

    pub fn missing(sentence: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, sentence)
    }
}

impl From<ReadError> for Problem {
    fn from(e: ReadError) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Problem {
        let busy = "the database is busy just now: others are writing; nothing was changed";
        let sentence = if e.is_busy() { busy.to_owned() } else { ReadError::from(e).to_string() };
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }
}

impl From<getrandom::Error> for Problem {
    fn from(e: getrandom::Error) -> Problem {
        let sentence = format!("the system gives no random numbers: {e}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("This did not work");
        let page = layout::bare(
            title,
            &html! {
                h1 { (title) }
                p .sentence { (upper(&self.sentence)) }
                p { a href="/" { "To the overview" } }
            },
        );
        (self.status, page).into_response()
    }
}

/// With a capital letter and a full stop, as a sentence that stands alone.
fn upper(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if sentence.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
