//! The page for a failed request: one sentence about what went wrong.

use super::layout;
use super::reader::ReadError;
use crate::store::StoreError;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

/// The sentence never contains message text.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    status: StatusCode,
    sentence: String,
}

impl ErrorPage {
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> ErrorPage {
        ErrorPage { status, sentence: sentence.into() }
    }

    /// The request is not valid.
    pub fn bad(sentence: impl Into<String>) -> ErrorPage {
        ErrorPage::new(StatusCode::BAD_REQUEST, sentence)
    }

    pub fn missing(sentence: impl Into<String>) -> ErrorPage {
        ErrorPage::new(StatusCode::NOT_FOUND, sentence)
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn sentence(&self) -> &str {
        &self.sentence
    }
}

impl From<ReadError> for ErrorPage {
    fn from(e: ReadError) -> ErrorPage {
        ErrorPage::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string())
    }
}

impl From<StoreError> for ErrorPage {
    fn from(e: StoreError) -> ErrorPage {
        let busy = "the database is busy: another program is writing. Nothing was changed";
        let sentence = if e.is_busy() { busy.to_owned() } else { ReadError::from(e).to_string() };
        ErrorPage::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }
}

impl From<getrandom::Error> for ErrorPage {
    fn from(e: getrandom::Error) -> ErrorPage {
        let sentence = format!("the operating system provides no random numbers: {e}");
        ErrorPage::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let page = layout::bare(
            title,
            &html! {
                h1 { (title) }
                p .sentence { (sentence_case(&self.sentence)) }
                p { a href="/" { "Go to the overview" } }
            },
        );
        (self.status, page).into_response()
    }
}

/// Adds a capital letter and a full stop.
fn sentence_case(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if sentence.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
