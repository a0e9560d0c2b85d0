//! `/api`: jobs and the status for programs, in the JSON of `list`, `show` and `status`, with the filters of the list.
//!
//! It only reads. Everything is described in `assets/openapi.json`, which it serves too.

use super::Shared;
use super::error_page::ErrorPage;
use super::guard::Caller;
use super::job_page;
use super::parameters::{JobQuery, parsed, wrong};
use super::posted::FormFields;
use super::reader::ReadError;
use crate::config::PathPrefix;
use crate::desk::job_json::{self, JobJson};
use crate::desk::outbox_status::OutboxStatus;
use crate::desk::status_json;
use crate::queue::filter::Page;
use axum::body::Bytes;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;

/// The beginning of every address here.
pub const ROOT: &str = "/api/";
/// Jobs in an answer, unless `limit` says otherwise, and at most.
const LIMIT: u32 = 50;
const MOST: u32 = 500;

/// In the description: where the paths begin.
const SERVER: &str = "\"url\": \"/\"";

const DESCRIPTION: &str = include_str!("assets/openapi.json");

/// An error as JSON: `{"error": "a sentence"}`.
pub struct ApiError(ErrorPage);

impl<E: Into<ErrorPage>> From<E> for ApiError {
    fn from(e: E) -> ApiError {
        ApiError(e.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0.status(), Json(json!({"error": self.0.sentence()}))).into_response()
    }
}

pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/jobs", get(jobs))
        .route("/api/jobs/{id}", get(job))
        .route("/api/status", get(status))
        .route("/api/openapi.json", get(description))
        .route("/api/{*other}", get(unknown))
}

/// `GET /api/jobs`: those that match, an array. `Link` leads to the next page while there is one.
async fn jobs(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let fields = FormFields::parse(query.unwrap_or_default().as_bytes());
    let query = JobQuery::read(&fields)?;
    let limit = fields.get("limit").map_or(Ok(LIMIT), |given| parsed("limit", given))?;
    if !(1..=MOST).contains(&limit) {
        return Err(wrong("limit", &format!("must be 1 to {MOST}")).into());
    }
    let offset = query.page * u64::from(limit);
    let page = Page { limit: limit + 1, offset, ..query.page() };
    let mut reading = shared.reader.read().await?;
    let mut rows = reading.deliveries(&query.filter, &page).await?;
    let sandbox = reading.is_sandbox();
    reading.done();
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let mut answer = Json(job_json::listed(&rows, sandbox)).into_response();
    if more {
        let next = query.at_page(query.page + 1);
        let limit = (limit != LIMIT).then(|| ("limit", limit.to_string()));
        let address = next.address("/api/jobs", limit);
        let link = format!("<{address}>; rel=\"next\"");
        answer.headers_mut().insert(header::LINK, link.parse().map_err(not_a_header)?);
    }
    Ok(answer)
}

/// `GET /api/jobs/ID`: one job with its history; with `payload=true` and the token, with its payload.
async fn job(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let fields = FormFields::parse(query.unwrap_or_default().as_bytes());
    let with_payload = fields.get("payload").map_or(Ok(false), |given| parsed("payload", given))?;
    if with_payload && !caller.may_act() {
        let sentence = "A payload is shown only if a token is configured and sent";
        return Err(ErrorPage::new(StatusCode::FORBIDDEN, sentence).into());
    }
    let (job, sandbox) = job_page::inspect_whole(&shared, &id, with_payload).await?;
    Ok(Json(JobJson::of(&job, sandbox)).into_response())
}

/// `GET /api/status`: the verdict, its reasons, counts, ages, rates, pauses and blocks. `Age` says how old they
/// are, in seconds: only what is counted quickly is counted for each request.
async fn status(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    shared.statuses.invalidate();
    let count = async {
        let mut reading = shared.counter.read().await?;
        let status = OutboxStatus::read(&mut reading).await?;
        reading.done();
        let text = serde_json::to_vec(&status_json::json(&status));
        Ok(Bytes::from(text.expect("text and numbers are always JSON")))
    };
    let counted = shared.statuses.get(count).await?;
    let text = counted.value.ok_or(ReadError::TooLong)?;
    let age = counted.age.as_secs().to_string();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::AGE, age.as_str())];
    Ok((headers, text).into_response())
}

/// `GET /api/openapi.json`: what there is, for programs and for people.
async fn description(State(shared): State<Arc<Shared>>) -> Response {
    let root = shared.settings.path_prefix.as_ref().map_or("/", PathPrefix::as_str);
    let text = DESCRIPTION.replacen(SERVER, &format!("\"url\": \"{root}\""), 1);
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn unknown(Path(other): Path<String>) -> ApiError {
    ErrorPage::missing(format!("There is no {ROOT}{other}; see {ROOT}openapi.json")).into()
}

fn not_a_header(_: header::InvalidHeaderValue) -> ErrorPage {
    ErrorPage::new(StatusCode::INTERNAL_SERVER_ERROR, "the address of the next page is not valid")
}
