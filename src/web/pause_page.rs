//! `/pauses`: what is paused, with buttons to pause and resume.

use super::Shared;
use super::display::{number, short, time};
use super::error_page::ErrorPage;
use super::front_page::LISTED;
use super::guard::Caller;
use super::layout::{Frame, Tab};
use super::posted::Posted;
use crate::desk::pausing::{PauseScope, Resumed, parse_length};
use crate::desk::vocabulary;
use crate::queue::job::{Channel, Millis, UnknownValue};
use crate::queue::pause::Pause;
use crate::queue::when::now;
use crate::store::Store;
use axum::extract::State;
use axum::response::Redirect;
use maud::{Markup, html};
use std::sync::Arc;
use std::time::Duration;

/// In characters.
const REASON_LENGTH: usize = 500;
/// In a form: all of its kind.
const EVERY: &str = "all";
/// How long a pause may last by the form; the command takes any time.
const LENGTHS: [(&str, &str); 6] = [
    ("15m", "15 minutes"),
    ("1h", "an hour"),
    ("4h", "4 hours"),
    ("12h", "12 hours"),
    ("1d", "a day"),
    ("7d", "a week"),
];

pub async fn show(State(shared): State<Arc<Shared>>, frame: Frame) -> Result<Markup, ErrorPage> {
    let mut reading = shared.reader.read().await?;
    let mut pauses = reading.pauses(LISTED + 1).await?;
    reading.done();
    let more = pauses.len() > LISTED as usize;
    pauses.truncate(LISTED as usize);
    let content = html! {
        h1 { "Pauses" }
        p { "Jobs that are paused are not sent; requests in flight are finished. A pause survives a restart." }
        @if pauses.is_empty() { p .calm { "Nothing is paused." } } @else { (table(&pauses, now(), &frame)) }
        @if more { p .hint { "There are more; " code { "acquire-outbox status" } " lists all of them." } }
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
                    th scope="col" { "since" } th scope="col" { "until" } @if frame.may_act() { th scope="col" { span .visually-hidden { "Resume" } } }
                } }
                tbody {
                    @for pause in pauses {
                        tr {
                            td data-label="account" { (short(pause.account.as_deref().unwrap_or("all"))) }
                            td data-label="channel" { (pause.channel.map_or("all", Channel::as_str)) }
                            td data-label="reason" { (if pause.reason.is_empty() { "–".into() } else { short(&pause.reason) }) }
                            td data-label="since" { (time(pause.since, now)) }
                            td data-label="until" {
                                @match pause.until { Some(until) => (time(until, now)), None => "resumed" }
                            }
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

/// Chooses nothing by itself, and leads to a page that asks.
fn form(accounts: &[String], frame: &Frame) -> Markup {
    html! {
        section aria-labelledby="pause" {
            h2 #pause { "Pause" }
            form .stack method="post" action="/pauses/ask" {
                (frame.csrf())
                label { "Channel"
                    select name="channel" required {
                        option value="" selected { "choose" }
                        @for channel in Channel::ALL { option value=(channel) { (channel) } }
                        option value=(EVERY) { "every channel" }
                    }
                }
                label { "Account"
                    select name="account" required {
                        option value="" selected { "choose" }
                        @for account in accounts { option value=(account) { (account) } }
                        option value=(EVERY) { "every account" }
                    }
                }
                label { "Ends"
                    select name="for" {
                        option value="" { "when somebody resumes it" }
                        @for (length, words) in LENGTHS { option value=(length) { "after " (words) } }
                    }
                }
                label { "Reason"
                    input name="reason" required maxlength=(REASON_LENGTH) placeholder="so that others know why";
                }
                button .primary type="submit" { "Continue" }
            }
        }
    }
}

/// What a form asks for.
struct PauseRequest {
    scope: PauseScope,
    reason: String,
    length: Option<Duration>,
}

impl PauseRequest {
    fn read(posted: &Posted) -> Result<PauseRequest, ErrorPage> {
        let field = |name| posted.fields.get(name).filter(|value| !value.is_empty());
        if field("channel").is_none() && field("account").is_none() {
            let sentence = format!(
                "choose a channel, an account, or `{EVERY}` for every one; nothing was paused"
            );
            return Err(ErrorPage::bad(sentence));
        }
        let named = |name| field(name).filter(|value| *value != EVERY);
        let channel = named("channel").map(str::parse).transpose();
        let channel = channel.map_err(|e: UnknownValue| ErrorPage::bad(format!("channel: {e}")))?;
        let scope = PauseScope { account: named("account").map(str::to_owned), channel };
        let reason = posted.fields.get("reason").unwrap_or_default().trim().to_owned();
        if reason.is_empty() {
            return Err(ErrorPage::bad("reason: required, so that others know why"));
        }
        if reason.chars().count() > REASON_LENGTH {
            let sentence = format!("reason: at most {REASON_LENGTH} characters are allowed");
            return Err(ErrorPage::bad(sentence));
        }
        let length = posted.fields.get("for").filter(|text| !text.is_empty());
        let length = length.map(parse_length).transpose();
        let length = length.map_err(|problem| ErrorPage::bad(format!("for: {problem}")))?;
        Ok(PauseRequest { scope, reason, length })
    }

    fn ends(&self) -> String {
        match self.length {
            Some(length) => {
                format!("It ends automatically after {}.", humantime::format_duration(length))
            }
            None => "It lasts until somebody resumes it.".to_owned(),
        }
    }
}

/// `POST /pauses/ask`: says how many jobs it concerns, and changes nothing.
pub async fn ask(State(shared): State<Arc<Shared>>, posted: Posted) -> Result<Markup, ErrorPage> {
    let request = PauseRequest::read(&posted)?;
    let mut reading = shared.reader.read().await?;
    let count = request.scope.count_pending(&mut reading).await?;
    let pauses = reading.pauses(LISTED).await?;
    reading.done();
    let earlier = pauses.iter().find(|pause| request.scope.is_of(pause));
    let wider: Vec<_> = pauses.iter().filter(|pause| request.scope.is_within(pause)).collect();
    let frame = Frame::of(&shared, posted.caller).await;
    let subject = request.scope.subject();
    let content = html! {
        h1 { "Pause " (subject) "?" }
        p .sentence { (waits(count)) " " (request.ends()) }
        p { "Reason: " span .said { (short(&request.reason)) } }
        @if let Some(earlier) = earlier {
            p .notice.busy {
                "It is already paused: " (short(&vocabulary::pause(earlier, now())))
                ". The new reason and end will replace these."
            }
        }
        @for pause in &wider {
            p .notice.busy { "A wider pause holds these jobs, too: " (short(&vocabulary::pause(pause, now()))) "." }
        }
        form .buttons method="post" action="/pauses/pause" {
            (frame.csrf())
            input type="hidden" name="channel" value=(request.scope.channel.map_or(EVERY, Channel::as_str));
            input type="hidden" name="account" value=(request.scope.account.as_deref().unwrap_or(EVERY));
            input type="hidden" name="reason" value=(request.reason);
            @if let Some(length) = request.length {
                input type="hidden" name="for" value=(humantime::format_duration(length));
            }
            button .primary type="submit" { "Pause " (subject) }
            a .button href="/pauses" { "Keep sending" }
        }
    };
    Ok(frame.still(Tab::Pauses, "Pause", &content))
}

fn waits(count: u64) -> String {
    match count {
        0 => "No job is pending now; new ones will wait.".to_owned(),
        1 => "1 pending job will wait.".to_owned(),
        count => format!("{} pending jobs will wait.", number(count)),
    }
}

pub async fn pause(
    State(shared): State<Arc<Shared>>,
    posted: Posted,
) -> Result<Redirect, ErrorPage> {
    let request = PauseRequest::read(&posted)?;
    let mut store = Store::open(shared.reader.database()).await?;
    let PauseRequest { scope, reason, length } = &request;
    let earlier = scope.pause(&mut store, reason, *length).await?;
    store.close().await?;
    let earlier = match earlier {
        Some(earlier) => format!(" It was already paused: {}.", vocabulary::pause(&earlier, now())),
        None => String::new(),
    };
    let note = match scope.is_of_unknown(&shared.accounts) {
        true => " No account of that name was configured when this program started.",
        false => "",
    };
    let sentence = format!("Paused: {}. {}{earlier}{note}", scope.subject(), request.ends());
    report(&shared, &posted, sentence).await;
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
    report(&shared, &posted, sentence).await;
    Ok(Redirect::to("/pauses"))
}

fn scope(posted: &Posted) -> Result<PauseScope, ErrorPage> {
    let channel = posted.fields.get("channel").map(str::parse).transpose();
    let channel = channel.map_err(|e: UnknownValue| ErrorPage::bad(format!("channel: {e}")))?;
    Ok(PauseScope { account: posted.fields.get("account").map(str::to_owned), channel })
}

async fn report(shared: &Shared, posted: &Posted, sentence: String) {
    shared.changed().await;
    if let Caller::Person { key, .. } = &posted.caller {
        shared.sessions.set_flash(key, sentence);
    }
}
