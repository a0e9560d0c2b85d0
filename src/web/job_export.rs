//! `/jobs/export`: what passes the filter of a list, as a file.

use super::Shared;
use super::display::number;
use super::error_page::ErrorPage;
use super::parameters::JobQuery;
use super::posted::FormFields;
use crate::desk::export_rows::{ExportRows, RowFormat};
use crate::store::{ALL, BATCH};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// At most this many jobs, because the file is built in memory; `acquire-outbox export` has no limit.
const MOST: u64 = 20_000;

/// How long it may take.
pub const WRITING: Duration = Duration::from_secs(60);

/// By ascending id, without the messages.
pub async fn export(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ErrorPage> {
    let fields = FormFields::parse(query.unwrap_or_default().as_bytes());
    let (format, name, kind) = match fields.get("format") {
        Some("csv") => {
            (RowFormat::Csv, "attachment; filename=\"jobs.csv\"", "text/csv; charset=utf-8")
        }
        Some("jsonl") => {
            (RowFormat::Jsonl, "attachment; filename=\"jobs.jsonl\"", "application/jsonl")
        }
        _ => return Err(ErrorPage::bad("format: must be csv or jsonl")),
    };
    let filter = JobQuery::read(&fields)?.filter;
    let mut reading = shared.exporter.read().await?;
    if reading.count_up_to(&filter, MOST + 1).await? > MOST {
        reading.done();
        return Err(ErrorPage::bad(format!(
            "more than {} jobs match; narrow the filter, or use `acquire-outbox export`",
            number(MOST)
        )));
    }
    let ids = reading.ids(&filter, 0, ALL).await?;
    let mut out = Vec::new();
    let mut rows = ExportRows::new(&mut out, format, false);
    rows.header().map_err(wrong)?;
    for batch in ids.chunks(BATCH as usize) {
        for job in reading.export_ids(batch, false).await? {
            rows.row(job).map_err(wrong)?;
        }
    }
    rows.end().map_err(wrong)?;
    drop(rows);
    reading.done();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static(name)),
    ];
    Ok((headers, out).into_response())
}

/// Writing into memory.
fn wrong(e: io::Error) -> ErrorPage {
    ErrorPage::bad(format!("the jobs cannot be written as a file: {e}"))
}
