//! `/pauses`: what is paused, and pausing and resuming.

use super::Shared;
use super::error_page::Problem;
use super::guard::Caller;
use super::layout::{Frame, Tab};
use super::overview::LISTED;
use super::posted::Posted;
use super::words::{short, time};
use crate::queue::job::{Channel, Millis};
use crate::queue::pause::Pause;
use crate::queue::when::now;
use crate::store::Store;
use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use std::sync::Arc;

/// A reason is a sentence, not a story.
const REASON_LENGTH: usize = 500;

pub async fn show(State(shared): State<Arc<Shared>>, frame: Frame) -> Result<Markup, Problem> {
    let mut reading = shared.reader.read().await?;
    let mut pauses = reading.pauses(LISTED + 1).await?;
    reading.done();
    let more = pauses.len() > LISTED as usize;
    pauses.truncate(LISTED as usize);
    let content = html! {
        h1 { "Pauses" }
        p { "Nothing of what is paused is sent; what is on the wire goes on. A pause outlives a restart." }
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
            button type="submit" aria-label={ "Resume " (named(pause.account.as_deref(), pause.channel)) } { "Resume" }
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
                    input name="reason" maxlength=(REASON_LENGTH) placeholder="why, for whoever looks next";
                }
                button .primary type="submit" { "Pause" }
            }
        }
    }
}

pub async fn pause(State(shared): State<Arc<Shared>>, posted: Posted) -> Result<Redirect, Problem> {
    let (account, channel) = what(&posted)?;
    let reason = posted.fields.get("reason").unwrap_or_default();
    if reason.chars().count() > REASON_LENGTH {
        return Err(Problem::bad(format!(
            "reason: at most {REASON_LENGTH} characters are allowed"
        )));
    }
    let mut store = Store::open(shared.reader.database()).await?;
    store.pause(account, channel, reason).await?;
    store.close().await?;
    let unknown = account.filter(|account| !shared.accounts.iter().any(|known| known == account));
    let note = unknown
        .map_or("", |_| " No account of that name was configured when this program started.");
    tell(&shared, &posted, format!("Paused: {}.{note}", named(account, channel)));
    Ok(Redirect::to("/pauses"))
}

pub async fn resume(
    State(shared): State<Arc<Shared>>,
    posted: Posted,
) -> Result<Redirect, Problem> {
    let (account, channel) = what(&posted)?;
    let mut store = Store::open(shared.reader.database()).await?;
    let was_paused = store.resume(account, channel).await?;
    store.close().await?;
    let named = named(account, channel);
    let told =
        if was_paused { format!("Resumed: {named}.") } else { format!("{named}: was not paused.") };
    tell(&shared, &posted, told);
    Ok(Redirect::to("/pauses"))
}

fn what(posted: &Posted) -> Result<(Option<&str>, Option<Channel>), Problem> {
    let channel = posted.fields.get("channel").map(str::parse).transpose();
    let channel = channel
        .map_err(|e: crate::queue::job::UnknownValue| Problem::bad(format!("channel: {e}")))?;
    Ok((posted.fields.get("account"), channel))
}

fn tell(shared: &Shared, posted: &Posted, words: String) {
    if let Caller::Person { key, .. } = &posted.caller {
        shared.sessions.set_flash(key, words);
    }
}

fn named(account: Option<&str>, channel: Option<Channel>) -> String {
    match (account, channel) {
        (None, None) => "everything".to_owned(),
        (None, Some(channel)) => format!("{channel} of every account"),
        (Some(account), None) => format!("every channel of {account}"),
        (Some(account), Some(channel)) => format!("{channel} of {account}"),
    }
}
