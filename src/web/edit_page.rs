//! `/jobs/ID/edit`: a failed or cancelled job, corrected and sent again.

use super::Shared;
use super::display::short;
use super::error_page::ErrorPage;
use super::guard::Caller;
use super::layout::{Frame, Tab};
use super::message_fields::{entries, fill};
use super::posted::{FormFields, Posted};
use crate::desk::correcting::{changed_since, correct, not_correctable};
use crate::desk::message_form::MessageForm;
use crate::queue::correction::{DraftFence, EditDraft};
use crate::queue::job::Channel;
use crate::store::Store;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::sync::Arc;
use tracing::info;

/// A posted form may have 64 KiB, and encoding can turn one byte into three.
const MOST_BYTES: usize = 20 * 1024;

/// A job's form, and the state in which the job was read.
struct Editing {
    fence: DraftFence,
    account: String,
    form: MessageForm,
}

/// `POST /jobs/ID/edit`: the form; posted, like everything that shows a message's text.
pub async fn edit(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Markup, ErrorPage> {
    let editing = read(&shared, &id).await?;
    if !editing.fence.is_correctable() {
        let sentence = format!("job {id} {}", not_correctable(&editing.fence.status));
        return Err(ErrorPage::new(StatusCode::CONFLICT, sentence));
    }
    let frame = Frame::of(&shared, posted.caller).await;
    Ok(page(&frame, &editing, None))
}

/// `POST /jobs/ID/correct`: sends it again, if nobody has changed it since. Otherwise the form again, with what was
/// typed.
pub async fn send_again(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, ErrorPage> {
    let mut editing = read(&shared, &id).await?;
    let Posted { caller, fields } = posted;
    let drafted = fence(&fields, editing.fence.id)?;
    fill(&mut editing.form, &fields);
    let is_current = drafted == editing.fence;
    let mut changed = (!is_current).then(|| changed_since(&drafted, &editing.fence.status));
    if changed.is_none()
        && let Some(payload) = editing.form.payload()
    {
        let mut store = Store::open(shared.reader.database()).await?;
        store.act_as(caller.actor());
        match correct(&mut store, &drafted, &payload).await {
            Ok(None) => {
                store.close().await?;
                info!(
                    job = drafted.id,
                    "sent a job again with another payload, from the dashboard"
                );
                shared.changed().await;
                if let Caller::Person { key, .. } = &caller {
                    shared.sessions.set_flash(key, "Corrected, and sent again.".to_owned());
                }
                return Ok(Redirect::to(&format!("/jobs/{}", drafted.id)).into_response());
            }
            Ok(Some(sentence)) => {
                editing.fence = read(&shared, &id).await?.fence;
                changed = Some(sentence);
            }
            Err(e) => match e.rule() {
                Some(sentence) => editing.form.blame_rule(sentence),
                None => return Err(e.into()),
            },
        }
    }
    let status =
        if changed.is_some() { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = Frame::of(&shared, caller).await;
    Ok((status, page(&frame, &editing, changed)).into_response())
}

async fn read(shared: &Shared, id: &str) -> Result<Editing, ErrorPage> {
    let number: i64 = id.parse().map_err(|_| ErrorPage::missing("A job’s id is a whole number"))?;
    let mut reading = shared.reader.read().await?;
    let draft = reading.draft(number).await?;
    reading.done();
    let EditDraft { fence, channel, account, payload } =
        draft.ok_or_else(|| ErrorPage::missing(format!("There is no job {id}")))?;
    if payload.len() > MOST_BYTES {
        return Err(ErrorPage::bad(format!(
            "This message is too long for a form; correct it in a file, with `acquire-outbox retry {id} --payload FILE`"
        )));
    }
    let channel: Channel =
        channel.parse().map_err(|_| ErrorPage::bad("The channel of this job is unknown"))?;
    Ok(Editing { fence, account, form: MessageForm::of(channel, &payload) })
}

fn fence(fields: &FormFields, id: i64) -> Result<DraftFence, ErrorPage> {
    let moves = fields.get("moves").and_then(|moves| moves.parse().ok());
    let moves = moves.ok_or_else(|| ErrorPage::bad("moves: must be a whole number"))?;
    let status = fields.get("status").unwrap_or_default().to_owned();
    Ok(DraftFence { id, status, moves })
}

fn page(frame: &Frame, editing: &Editing, changed: Option<String>) -> Markup {
    let Editing { fence, account, form } = editing;
    let back = format!("/jobs/{}", fence.id);
    let content = html! {
        h1 { "Edit job " (fence.id) " and send it again" }
        p .sentence {
            (form.channel) ", account " (short(account)) ". It becomes pending again, with a fresh budget of attempts and time; the "
            "earlier text is kept with the job."
        }
        @if let Some(changed) = &changed {
            p #changed .notice.bad role="alert" {
                "Nothing was sent: the job " (changed) ". What you typed is still below. "
                a href=(back) target="_blank" { "See the job" }
                @if fence.is_correctable() { ", then send it again here, if that is still right." } @else { "." }
            }
        }
        form .stack.message method="post" action={ (back) "/correct" } {
            (frame.csrf())
            input type="hidden" name="moves" value=(fence.moves);
            input type="hidden" name="status" value=(fence.status);
            (entries(form))
            div .buttons {
                @if fence.is_correctable() { button #send-again .primary type="submit" { "Send again" } }
                a .button href=(back) { "Leave it as it is" }
            }
        }
    };
    frame.still(Tab::Jobs, &format!("Edit job {}", fence.id), &content)
}
