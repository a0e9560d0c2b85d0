//! `/send`: a new job, for trying things out.

use super::Shared;
use super::error_page::ErrorPage;
use super::guard::Caller;
use super::layout::{Frame, Tab};
use super::message_fields::{entries, fill};
use super::posted::{FormFields, Posted};
use super::session::random;
use crate::config::DEFAULT_ACCOUNT;
use crate::desk::message_form::MessageForm;
use crate::queue::job::Channel;
use crate::queue::new_job::{GivenTime, Inserted, NewJob};
use crate::queue::when::now;
use crate::store::{Store, StoreError};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::sync::Arc;
use tracing::info;

/// The label of jobs that are sent from the page.
const SOURCE: &str = "dashboard";
/// How many digits of a random number an idempotency key has.
const KEY_DIGITS: usize = 16;

/// The whole form: the message, and what belongs to the job.
struct SendForm {
    form: MessageForm,
    account: String,
    /// As it was typed; empty: now.
    send_at: String,
    key: String,
    /// What is wrong with the time or the account.
    time_fault: Option<String>,
    account_fault: Option<String>,
}

/// `GET /send?channel=sms`: an empty form.
pub async fn show(
    State(shared): State<Arc<Shared>>,
    frame: Frame,
    RawQuery(query): RawQuery,
) -> Result<Markup, ErrorPage> {
    let fields = FormFields::parse(query.unwrap_or_default().as_bytes());
    let channel = fields.get("channel").map_or(Ok(Channel::Chat), str::parse);
    let channel = channel.map_err(|e| ErrorPage::bad(format!("channel: {e}")))?;
    if !frame.may_act() {
        let sentence = "This dashboard is read-only: to send a message here it needs a token";
        return Err(ErrorPage::new(StatusCode::FORBIDDEN, sentence));
    }
    let accounts = &shared.accounts;
    let usual = accounts.iter().find(|name| *name == DEFAULT_ACCOUNT).or(accounts.first());
    let sending = SendForm {
        form: MessageForm::empty(channel),
        account: usual.cloned().unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned()),
        send_at: String::new(),
        key: new_key()?,
        time_fault: None,
        account_fault: None,
    };
    Ok(page(&frame, &shared, &sending))
}

/// `POST /send`: inserts the job, once however often the same form is sent.
pub async fn send(
    State(shared): State<Arc<Shared>>,
    posted: Posted,
) -> Result<Response, ErrorPage> {
    let Posted { caller, fields } = posted;
    let mut sending = SendForm::read(&fields)?;
    if !shared.accounts.contains(&sending.account) {
        sending.account_fault = Some("no account of this name is configured".to_owned());
    }
    if let Some(job) = sending.job() {
        let mut store = Store::open(shared.reader.database()).await?;
        store.act_as(caller.actor());
        match store.insert(&job).await {
            Ok(inserted) => {
                store.close().await?;
                return Ok(done(&shared, &caller, inserted).await.into_response());
            }
            Err(e) => sending.refused(e)?,
        }
    }
    let frame = Frame::of(&shared, caller).await;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&frame, &shared, &sending)).into_response())
}

/// The new job's page, which says what was done.
async fn done(shared: &Shared, caller: &Caller, inserted: Inserted) -> Redirect {
    let said = match inserted {
        Inserted::New(_) => "The message is in the queue.",
        Inserted::Existing(_) => {
            "This form had already been sent; its message is in the queue once."
        }
    };
    info!(job = inserted.id(), "inserted a job from the dashboard");
    shared.changed().await;
    if let Caller::Person { key, .. } = caller {
        shared.sessions.set_flash(key, said.to_owned());
    }
    Redirect::to(&format!("/jobs/{}", inserted.id()))
}

fn new_key() -> Result<String, getrandom::Error> {
    Ok(format!("{SOURCE}-{}", &random()?[..KEY_DIGITS]))
}

impl SendForm {
    fn read(fields: &FormFields) -> Result<SendForm, ErrorPage> {
        let channel = fields.get("channel").unwrap_or_default().parse();
        let channel = channel.map_err(|e| ErrorPage::bad(format!("channel: {e}")))?;
        let mut form = MessageForm::empty(channel);
        fill(&mut form, fields);
        let text = |name: &str| fields.get(name).unwrap_or_default().to_owned();
        let key = match fields.get("idempotency_key") {
            Some(key) => key.to_owned(),
            None => new_key()?,
        };
        Ok(SendForm {
            form,
            account: text("account"),
            send_at: text("send_at"),
            key,
            time_fault: None,
            account_fault: None,
        })
    }

    /// `None`: the fields say what is wrong.
    fn job(&mut self) -> Option<NewJob> {
        let given = (!self.send_at.is_empty()).then(|| GivenTime::read(&self.send_at, now()));
        let send_at = match given.transpose() {
            Ok(send_at) => send_at,
            Err(sentence) => {
                self.time_fault = Some(sentence);
                None
            }
        };
        let payload = self.form.payload()?;
        if self.time_fault.is_some() || self.account_fault.is_some() {
            return None;
        }
        Some(NewJob {
            channel: self.form.channel,
            payload,
            account: self.account.clone(),
            idempotency_key: Some(self.key.clone()),
            ordering_key: None,
            priority: 0,
            send_at,
            expires_at: None,
            max_attempts: None,
            source: Some(SOURCE.to_owned()),
        })
    }

    /// Shows a rule's sentence next to its field.
    fn refused(&mut self, error: StoreError) -> Result<(), ErrorPage> {
        match error.rule().map(str::to_owned) {
            None => Err(error.into()),
            Some(sentence) => {
                match sentence.strip_prefix("outbox.send_at: ") {
                    Some(rule) => self.time_fault = Some(rule.to_owned()),
                    None => self.form.blame_rule(&sentence),
                }
                Ok(())
            }
        }
    }
}

fn page(frame: &Frame, shared: &Shared, sending: &SendForm) -> Markup {
    let SendForm { form, account, send_at, key, time_fault, account_fault } = sending;
    let content = html! {
        h1 { "Send a message" }
        p .sentence { "It is inserted like a producer's message, with the source " code { (SOURCE) } "." }
        nav .tabs aria-label="Channel" {
            @for channel in Channel::ALL {
                a href={ "/send?channel=" (channel) } aria-current=[(channel == form.channel).then_some("page")] { (channel) }
            }
        }
        form .stack.message method="post" action="/send" {
            (frame.csrf())
            input type="hidden" name="channel" value=(form.channel);
            input type="hidden" name="idempotency_key" value=(key);
            div .entry {
                label for="account" { "account" }
                select #account name="account" aria-describedby="account-about" {
                    @for name in &shared.accounts { option value=(name) selected[name == account] { (name) } }
                    @if !shared.accounts.contains(account) { option value=(account) selected { (account) } }
                }
                p #account-about .hint { @if let Some(fault) = account_fault { strong .fault { (fault) } } }
            }
            (entries(form))
            div .entry {
                label for="send_at" { "send at " small { "(optional; empty means now)" } }
                input #send_at name="send_at" type="text" value=(send_at) placeholder="+10m" aria-describedby="send_at-about"
                    aria-invalid=[time_fault.is_some().then_some("true")];
                p #send_at-about .hint {
                    @if let Some(fault) = time_fault { strong .fault { (fault) } " " }
                    "+10m, or a time like 2026-11-22T09:00:00+02:00; UTC if it has no offset."
                }
            }
            div .buttons {
                button #send .primary type="submit" { "Send" }
                a .button href="/jobs" { "Back to the jobs" }
            }
        }
        p .hint { "If this form is sent twice, there is still only one message: its idempotency key is " code { (key) } "." }
    };
    frame.still(Tab::Jobs, "Send a message", &content)
}
