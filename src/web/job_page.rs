//! `/jobs/ID`: one job.

use super::Shared;
use super::act_table;
use super::display::{LINE, length, number, short, spoken, status, time, time_of};
use super::error_page::ErrorPage;
use super::layout::{Frame, Tab};
use super::parameters::JobQuery;
use super::posted::{FormFields, Posted};
use crate::acquire::curl_command;
use crate::desk::inspect::{Inspection, Scope, inspect};
use crate::desk::vocabulary::{self, change_labels, remark};
use crate::queue::change::{Change, Resolution};
use crate::queue::filter::Filter;
use crate::queue::job::{Millis, Status};
use crate::queue::payload::{Json, parse};
use crate::queue::story::{AttemptRow, Detail, Extent, Story};
use crate::store::{ALL, Store};
use axum::extract::{Path, RawQuery, State};
use axum::response::Redirect;
use maud::{Markup, html};
use std::sync::Arc;
use std::time::Duration;

const DECIDE: &str = "It may have been delivered. Check its case at Acquire, then choose.";

/// More of a payload or a receipt than this is not shown: an email may carry its attachments.
const SHOWN_BYTES: usize = 64 * 1024;
/// How many names of fields are shown.
const NAMES: usize = 50;
/// How much is read of a job of any size: one more than is shown, to know whether there are others.
const READ: Extent = Extent {
    attempts: 200,
    fields: NAMES as i64 + 1,
    line: LINE as i64 + 1,
    text: SHOWN_BYTES as i64,
};

pub async fn show(
    State(shared): State<Arc<Shared>>,
    frame: Frame,
    Path(id): Path<String>,
) -> Result<Markup, ErrorPage> {
    let job = read(&shared, &id, false).await?;
    Ok(frame.live(Tab::Jobs, &title(&job), &content(&job, &frame, &shared)))
}

/// `POST /jobs/ID/text`: the same page with the message's text, for those who ask for it.
pub async fn show_text(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Markup, ErrorPage> {
    let job = read(&shared, &id, true).await?;
    let frame = Frame::of(&shared, posted.caller).await;
    Ok(frame.still(Tab::Jobs, &title(&job), &content(&job, &frame, &shared)))
}

fn title(job: &Inspection) -> String {
    format!("Job {}", job.story.job.delivery.id)
}

async fn read(shared: &Shared, id: &str, with_text: bool) -> Result<Inspection, ErrorPage> {
    let payload_characters = with_text.then_some(SHOWN_BYTES as u32);
    Ok(read_as_far(shared, id, READ, payload_characters).await?.0)
}

/// The whole job, for programs, and whether its outbox is for the sandbox.
pub async fn inspect_whole(
    shared: &Shared,
    id: &str,
    with_payload: bool,
) -> Result<(Inspection, bool), ErrorPage> {
    read_as_far(shared, id, Extent::ALL, with_payload.then_some(ALL)).await
}

async fn read_as_far(
    shared: &Shared,
    id: &str,
    extent: Extent,
    payload_characters: Option<u32>,
) -> Result<(Inspection, bool), ErrorPage> {
    let id = id.parse().map_err(|_| ErrorPage::missing("A job’s id is a whole number"))?;
    let mut reading = shared.reader.read().await?;
    let dispatcher = Store::dispatcher_is_running(&reading.database()).await.unwrap_or(false);
    // The channels' policies may have been reloaded since this process started.
    let scope = Scope { extent, payload_characters, policies: None, dispatcher };
    let job = inspect(&mut reading, id, &scope).await?;
    let sandbox = reading.is_sandbox();
    reading.done();
    let job = job.ok_or_else(|| ErrorPage::missing(format!("There is no job {id}")))?;
    Ok((job, sandbox))
}

/// A button that only the script can make work.
fn copy(what: &str, text: &str) -> Markup {
    html! { button .quiet type="button" data-copy=(text) hidden { "Copy " (what) } }
}

/// `/jobs/next-uncertain?after=ID`: the next job that a person has to decide about; after the last one, the first.
pub async fn next_uncertain(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Result<Redirect, ErrorPage> {
    let fields = FormFields::parse(query.unwrap_or_default().as_bytes());
    let after = fields.get("after").map_or(Ok(0), str::parse);
    let after: i64 = after.map_err(|_| ErrorPage::bad("after: must be a whole number"))?;
    let mut reading = shared.reader.read().await?;
    let next = match reading.next_undecided(after).await? {
        None => reading.next_undecided(0).await?,
        next => next,
    };
    reading.done();
    Ok(match next {
        Some(id) => Redirect::to(&format!("/jobs/{id}")),
        None => Redirect::to(&JobQuery::of_status(Status::Uncertain).path()),
    })
}

fn content(shown: &Inspection, frame: &Frame, shared: &Shared) -> Markup {
    let inbox = shared.inbox(&shown.story.job.delivery);
    let job = &shown.story.job;
    let row = &job.delivery;
    // Next to the buttons, the commands that the sentence names are of no use.
    let decides = row.status == "uncertain" && frame.may_act();
    let sentence = shown.next.as_ref().map(|next| next.sentence.as_str());
    let is_verified = job.wait.as_deref() == Some("verifying");
    let next = if decides && !is_verified { Some(DECIDE) } else { sentence };
    html! {
        h1 { "Job " (row.id) }
        div #now data-live {
            p .headline {
                (status(&row.status, remark(row)))
                span { (row.channel) ", account " (short(&row.account)) }
            }
            @if let Some(next) = next { p .next { (short(&capital(next))) } }
            @if row.error.is_some() || row.error_code.is_some() {
                p .error { @if let Some(code) = &row.error_code { code { (short(code)) } " " } (short(row.error.as_deref().unwrap_or_default())) }
            }
            p .copies {
                (copy("the id", &row.id.to_string()))
                @if let Some(error) = vocabulary::last_error(row) { (copy("the error", &short(&error))) }
            }
            @if frame.may_act() { (actions(job, frame)) }
            @if frame.may_act() && matches!(row.status.as_str(), "failed" | "cancelled") { (edit(row.id, frame)) }
            @if row.status == "uncertain" {
                p .more { a #next-uncertain href={ "/jobs/next-uncertain?after=" (row.id) } { "Next uncertain job →" } }
            }
            (fields(job, inbox, shown.now))
        }
        section aria-labelledby="attempts" {
            h2 #attempts { "Attempts" }
            div #history data-live { (history(&shown.story, shown.now)) }
        }
        div #acts-of data-live { (act_table::acts(&shown.story, shown.now)) }
        @if let Some(receipt) = &job.receipt {
            section aria-labelledby="receipt" {
                h2 #receipt { "Receipt" }
                (json(None, receipt, job.receipt_bytes.unwrap_or_default()))
            }
        }
        section aria-labelledby="message" {
            h2 #message { "Message" }
            (message(shown, frame, shared))
        }
    }
}

/// Leads to the form, which shows the message's text: so it is posted.
fn edit(id: i64, frame: &Frame) -> Markup {
    html! {
        form .buttons method="post" action={ "/jobs/" (id) "/edit" } {
            (frame.csrf())
            button #edit type="submit" { "Edit and send again" }
        }
    }
}

/// The changes that its state allows. A page asks before those that can do harm.
fn actions(job: &Detail, frame: &Frame) -> Markup {
    let (id, in_backoff) = (job.delivery.id, job.wait.as_deref() == Some("backoff"));
    let (changes, asks): (&[Change], bool) = match job.delivery.status.as_str() {
        "failed" | "cancelled" => (&[Change::Retry], false),
        "pending" if in_backoff => (&[Change::TryNow, Change::Cancel], true),
        "pending" => (&[Change::Cancel], true),
        "uncertain" => {
            const CHANGES: [Change; 4] = [
                Change::Verify,
                Change::Retry,
                Change::Resolve(Resolution::Sent),
                Change::Resolve(Resolution::Failed),
            ];
            (&CHANGES, true)
        }
        _ => return html! {},
    };
    // Whoever decides about one gets the next.
    let back = match job.delivery.status.as_str() {
        "uncertain" => format!("/jobs/next-uncertain?after={id}"),
        _ => format!("/jobs/{id}"),
    };
    html! {
        form .buttons method="post" action=(if asks { "/jobs/confirm" } else { "/jobs/change" }) {
            (frame.csrf())
            input type="hidden" name="id" value=(id);
            input type="hidden" name="back" value=(back);
            @for labels in changes.iter().map(|change| change_labels(*change)) {
                button #{ "do-" (labels.name) } type="submit" name="change" value=(labels.name)
                    formaction=[(labels.change == Change::TryNow).then_some("/jobs/change")] { (labels.label) }
            }
        }
    }
}

fn fields(job: &Detail, inbox: Option<String>, now: Millis) -> Markup {
    let row = &job.delivery;
    let due = job.due.filter(|_| row.status == "pending");
    html! {
        dl .fields-of {
            (field("Case", row.case_id.map(|case| html! {
                (list_of(case, Filter { case: Some(case.to_string()), ..Filter::default() }))
                @if let Some(inbox) = inbox { " " a #inbox href=(inbox) rel="noreferrer" { "in Acquire’s inbox ↗" } }
            })))
            (field("Contact", row.contact_id.map(|contact| {
                list_of(contact, Filter { contact: Some(contact.to_string()), ..Filter::default() })
            })))
            (field("Message id", row.message_id.as_ref().map(|id| html! { (short(id)) })))
            (field("Attempts", Some(html! {
                (row.attempts) @if let Some(max) = job.max_attempts { " of at most " (max) }
            })))
            (field("Created", Some(exact(&row.created_at, now))))
            (field("Send at", row.send_at.as_ref().map(|at| exact(at, now))))
            (field("Due", due.map(|at| time(at, now))))
            (field("Next attempt", row.next_attempt_at.as_ref().map(|at| exact(at, now))))
            (field("Expires", job.expires.map(|at| time(at, now))))
            (field("Seen at Acquire", job.seen_at_acquire().map(|seen| html! { (short(&seen)) })))
            (field("Finished", row.finished_at.as_ref().map(|at| exact(at, now))))
            (field("Delivery", job.what_became_of_it().map(|event| html! { (short(&event)) })))
            (field("Last updated", job.updated.map(|at| time(at, now))))
            (field("Priority", (job.priority != 0).then(|| html! { (job.priority) })))
            (field("Source", row.source.as_ref().map(|source| html! { (short(source)) })))
            (field("Idempotency key", row.idempotency_key.as_ref().map(|key| html! { code { (short(key)) } })))
            (field("Ordering key", job.ordering_key.as_ref().map(|key| html! { code { (format!("{:?}", short(key))) } })))
        }
    }
}

/// A number that leads to all of its jobs.
fn list_of(id: i64, filter: Filter) -> Markup {
    html! { a href=(JobQuery::of_filter(filter).path()) { (id) } }
}

fn field(name: &str, value: Option<Markup>) -> Markup {
    html! { @if let Some(value) = value { div { dt { (name) } dd { (value) } } } }
}

fn exact(iso: &str, now: Millis) -> Markup {
    html! { (time_of(iso, now)) " " small { (spoken(iso)) } }
}

fn history(story: &Story, now: Millis) -> Markup {
    let history = &story.history;
    html! {
        @if history.is_empty() {
            p .calm { "No request has been made yet." }
        } @else {
            div .wide {
                table .cards {
                    thead { tr {
                        th scope="col" .num { "attempt" } th scope="col" { "started" } th scope="col" .num { "took" }
                        th scope="col" { "outcome" } th scope="col" .num { "http" } th scope="col" { "error" }
                    } }
                    tbody { @for row in history { (attempt(row, now)) } }
                }
            }
            @if story.attempts > history.len() as i64 {
                p .hint {
                    "The newest " (number(history.len() as u64)) " of " (number(story.attempts.unsigned_abs())) " attempts; "
                    code { "acquire-outbox show " (story.job.delivery.id) } " shows all of them."
                }
            }
        }
    }
}

fn attempt(row: &AttemptRow, now: Millis) -> Markup {
    let took = Duration::from_millis(u64::try_from(row.duration_ms).unwrap_or(0));
    let class = match row.outcome.as_str() {
        "accepted" | "verified" => "good",
        "retry" => "busy",
        _ => "bad",
    };
    html! {
        tr {
            th scope="row" .num { (row.attempt) }
            td data-label="started" { (time_of(&row.started_at, now)) }
            td .num data-label="took" { (length(took)) }
            td data-label="outcome" { span .mark.(class) { (row.outcome) } }
            td .num data-label="http" { @match row.http_status { Some(status) => (status), None => "–" } }
            td .error data-label="error" {
                @if let Some(code) = &row.error_code { code { (short(code)) } " " }
                (short(row.error.as_deref().unwrap_or("–")))
            }
        }
    }
}

/// Its size and the names of its fields; its text only if that was requested.
fn message(shown: &Inspection, frame: &Frame, shared: &Shared) -> Markup {
    let job = &shown.story.job;
    let names: Vec<String> = serde_json::from_str(&job.payload_fields).unwrap_or_default();
    let bytes = number(job.payload_bytes.unsigned_abs());
    html! {
        p {
            (bytes) " bytes: "
            @for (at, name) in names.iter().take(NAMES).enumerate() { @if at > 0 { ", " } code { (short(name)) } }
            @if names.len() > NAMES { " and others" }
        }
        @if let Some(text) = &shown.payload {
            (json(Some("text"), text, job.payload_bytes))
            @if job.payload_bytes <= SHOWN_BYTES as i64 {
                p .copies { button .quiet type="button" data-copy-from="text" hidden { "Copy the payload" } }
                (request(job, text, shared))
            }
            p { a .button href={ "/jobs/" (job.delivery.id) } { "Hide the text" } }
        } @else if frame.may_act() {
            form method="post" action={ "/jobs/" (job.delivery.id) "/text" } {
                (frame.csrf())
                button #show-text type="submit" { "Show the text" }
            }
            p .hint { "It is shown only to you and is not cached." }
        } @else {
            p .hint { "The text is shown only after logging in, and this dashboard has no token." }
        }
    }
}

/// What would be sent, for trying it out by hand; without the key.
fn request(job: &Detail, text: &str, shared: &Shared) -> Markup {
    let command = shared.addresses.get(&job.delivery.account).and_then(|address| {
        let payload = parse(job.delivery.channel.parse().ok()?, text).ok()?;
        Some(curl_command(address.base_url.as_ref()?, &address.user_type_parameter, &payload))
    });
    html! {
        @if let Some(command) = command {
            details #request {
                summary { "The request as curl" }
                p .hint { "Running it sends the message. Your shell inserts the key from ACQUIRE_API_KEY." }
                pre #curl tabindex="0" { (command) }
                p .copies { button .quiet type="button" data-copy-from="curl" hidden { "Copy the command" } }
            }
        }
    }
}

/// Indented if all of it was read and fits; otherwise as it was written, as far as it fits.
pub fn json(id: Option<&str>, read: &str, bytes: i64) -> Markup {
    let whole = bytes <= SHOWN_BYTES as i64;
    let laid_out = whole.then(|| pretty(read)).filter(|text| text.len() <= SHOWN_BYTES);
    html! {
        pre id=[id] tabindex="0" { (laid_out.as_deref().unwrap_or_else(|| cut(read))) }
        @if !whole { p .hint { "The rest is not shown: " (number(bytes.unsigned_abs())) " bytes in total." } }
    }
}

fn pretty(json: &str) -> String {
    let laid_out = Json::parse(json).ok().and_then(|json| serde_json::to_string_pretty(&json).ok());
    laid_out.unwrap_or_else(|| json.to_owned())
}

fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(SHOWN_BYTES)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "é".repeat(SHOWN_BYTES);
        assert_eq!(cut(&long).len(), SHOWN_BYTES);
        let odd = format!("x{long}");
        assert_eq!(cut(&odd).len(), SHOWN_BYTES - 1);
    }
}
