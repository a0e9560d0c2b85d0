//! `/pauses`: what is paused, with buttons to pause and resume.

use super::Shared;
use super::display::{short, time};
use super::error_page::ErrorPage;
use super::front_page::LISTED;
use super::guard::Caller;
use super::layout::{Frame, Tab};
use super::posted::Posted;
use crate::desk::pausing::{PauseScope, Resumed};
use crate::queue::job::{Channel, Millis, UnknownValue};
use crate::queue::pause::Pause;
use crate::queue::when::now;
use crate::store::Store;
use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use std::sync::Arc;

/// In characters.
const REASON_LENGTH: usize = 500;

pub async fn show(State(shared): State<Arc<Shared>>, frame: Frame) -> Result<Markup, ErrorPage> {
    let mut reading = shared.reader.read().await?;
    let mut pauses = reading.pauses(LISTED + 1).await?;
    reading.done();
    let more = pauses.len() > LISTED as usize;
    pauses.truncate(LISTED as usize);
    let content = html! {
        h1 { "Pauses" }
        p { "Paused jobs are not sent; requests in flight are finished. A pause outlives a restart." }
        @if pauses.is_empty() { p .calm { "Nothing is paused." } } @else { (table(&pauses, now(), &frame)) }
        @if more { p .hint { "There are more; " code { "acquire-outbox status" } " has all of them." } }
        @if frame.may_act() { (form(&shared.accounts, &frame)) }
    };
    Ok(frame.still(Tab::Pauses, "Pauses", &content))
}

fn table(pauses: &[Pause], now: Millis, frame: &Frame) -> Markup {
    html! {
        div .wide {
            table .cards {
                thead { tr {
                    th scope="col" { "account" } th scope="col" { "channel" } th scope="col" { "reason" }
                    th scope="col" { "since" } @if frame.may_act() { th scope="col" { span .visually-hidden { "Resume" } } }
                } }
                tbody {
                    @for pause in pauses {
                        tr {
                            td data-label="account" { (short(pause.account.as_deref().unwrap_or("all"))) }
                            td data-label="channel" { (pause.channel.map_or("all", Channel::as_str)) }
                            td data-label="reason" { (if pause.reason.is_empty() { "–".into() } else { short(&pause.reason) }) }
                            td data-label="since" { (time(pause.since, now)) }
                            @if frame.may_act() { td .do { (resume_form(pause, frame)) } }
                        }
                    }
                }
            }
        }
    }
}

fn resume_form(pause: &Pause, frame: &Frame) -> Markup {
    html! {
        form method="post" action="/pauses/resume" {
            (frame.csrf())
            input type="hidden" name="account" value=(pause.account.as_deref().unwrap_or_default());
            input type="hidden" name="channel" value=(pause.channel.map_or("", Channel::as_str));
            button type="submit" aria-label={ "Resume " (pause.subject()) } { "Resume" }
        }
    }
}

fn form(accounts: &[String], frame: &Frame) -> Markup {
    html! {
        section aria-labelledby="pause" {
            h2 #pause { "Pause" }
            form .stack method="post" action="/pauses/pause" {
                (frame.csrf())
                label { "Channel"
                    select name="channel" {
                        option value="" { "every channel" }
                        @for channel in Channel::ALL { option value=(channel) { (channel) } }
                    }
                }
                label { "Account"
                    input name="account" list="accounts" placeholder="every account" autocomplete="off" spellcheck="false";
                }
                datalist #accounts { @for account in accounts { option value=(account) {} } }
                label { "Reason"
                    input name="reason" maxlength=(REASON_LENGTH) placeholder="why, for others who see the pause";
                }
                button .primary type="submit" { "Pause" }
            }
        }
    }
}

pub async fn pause(
    State(shared): State<Arc<Shared>>,
    posted: Posted,
) -> Result<Redirect, ErrorPage> {
    let scope = scope(&posted)?;
    let reason = posted.fields.get("reason").unwrap_or_default();
    if reason.chars().count() > REASON_LENGTH {
        return Err(ErrorPage::bad(format!(
            "reason: at most {REASON_LENGTH} characters are allowed"
        )));
    }
    let mut store = Store::open(shared.reader.database()).await?;
    scope.pause(&mut store, reason).await?;
    store.close().await?;
    let note = match scope.is_of_unknown(&shared.accounts) {
        true => " No account of that name was configured when this program started.",
        false => "",
    };
    report(&shared, &posted, format!("Paused: {}.{note}", scope.subject()));
    Ok(Redirect::to("/pauses"))
}

pub async fn resume(
    State(shared): State<Arc<Shared>>,
    posted: Posted,
) -> Result<Redirect, ErrorPage> {
    let scope = scope(&posted)?;
    let mut store = Store::open(shared.reader.database()).await?;
    let Resumed { was_paused, .. } = scope.resume(&mut store).await?;
    store.close().await?;
    let subject = scope.subject();
    let sentence = match was_paused {
        true => format!("Resumed: {subject}."),
        false => format!("Not paused: {subject}."),
    };
    report(&shared, &posted, sentence);
    Ok(Redirect::to("/pauses"))
}

fn scope(posted: &Posted) -> Result<PauseScope, ErrorPage> {
    let channel = posted.fields.get("channel").map(str::parse).transpose();
    let channel = channel.map_err(|e: UnknownValue| ErrorPage::bad(format!("channel: {e}")))?;
    Ok(PauseScope { account: posted.fields.get("account").map(str::to_owned), channel })
}

fn report(shared: &Shared, posted: &Posted, sentence: String) {
    if let Caller::Person { key, .. } = &posted.caller {
        shared.sessions.set_flash(key, sentence);
    }
}
