//! The payload's fields as flags, and how they become the JSON object of the row.

use crate::cli::whole;
use acquire_outbox::queue::payload::{Json, Object};
use anyhow::{Result, anyhow};
use clap::ArgAction;

#[derive(clap::Args)]
#[group(id = "fields", multiple = true, conflicts_with = "json")]
#[command(next_help_heading = "Message")]
pub struct Chat {
    /// The case to write to
    #[arg(long, alias = "caseId", value_name = "ID", required_unless_present = "json")]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    case_id: Option<i64>,
    /// The text
    #[arg(long, value_name = "TEXT", required_unless_present = "json", allow_hyphen_values = true)]
    message: Option<String>,
    /// message (Acquire's default), note or event
    #[arg(long = "type", value_name = "TYPE", value_parser = ["message", "note", "event"])]
    kind: Option<String>,
    /// The ISO code of the language to translate into
    #[arg(long, alias = "translateLangKey", value_name = "CODE")]
    translate_lang_key: Option<String>,
    /// Who writes: user (an agent, the default) or contact (the customer)
    #[arg(long, alias = "userType", value_name = "WHO", value_parser = ["user", "contact"])]
    user_type: Option<String>,
    /// The contact; needed with --user-type contact
    #[arg(long, alias = "contactId", value_name = "ID", required_if_eq("user_type", "contact"))]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    contact_id: Option<i64>,
    /// More fields for the request's body, a JSON object
    #[arg(long, value_name = "JSON")]
    extra: Option<String>,
}

#[derive(clap::Args)]
#[group(id = "fields", multiple = true, conflicts_with = "json")]
#[command(next_help_heading = "Message")]
pub struct Mail {
    /// The case to write to
    #[arg(long, alias = "caseId", value_name = "ID", required_unless_present = "json")]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    case_id: Option<i64>,
    /// The contact
    #[arg(long, alias = "contactId", value_name = "ID", required_unless_present = "json")]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    contact_id: Option<i64>,
    /// The sender: an inbox that is connected to Acquire
    #[arg(long, value_name = "ADDRESS", required_unless_present = "json")]
    from: Option<String>,
    /// A receiver; may be given again
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append, required_unless_present = "json")]
    to: Vec<String>,
    /// A receiver of a copy; may be given again
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    cc: Vec<String>,
    /// A receiver of a blind copy; may be given again
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    bcc: Vec<String>,
    /// The subject
    #[arg(long, value_name = "TEXT", required_unless_present = "json", allow_hyphen_values = true)]
    subject: Option<String>,
    /// The text as HTML
    #[arg(long, alias = "htmlBody", value_name = "HTML", allow_hyphen_values = true)]
    #[arg(group = "text")]
    html_body: Option<String>,
    /// The text as plain text; instead of --html-body, or beside it
    #[arg(long, alias = "textBody", value_name = "TEXT", allow_hyphen_values = true)]
    #[arg(group = "text")]
    text_body: Option<String>,
    /// Attachments as Acquire has them: a JSON array of objects
    #[arg(long, value_name = "JSON")]
    attachments: Option<String>,
    /// message, which is the default
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// More fields for the request's body, a JSON object
    #[arg(long, value_name = "JSON")]
    extra: Option<String>,
}

#[derive(clap::Args)]
#[group(id = "fields", multiple = true, conflicts_with = "json")]
#[command(next_help_heading = "Message")]
pub struct Sms {
    /// The sender's number with its country code: +12513188609
    #[arg(long, alias = "From", value_name = "NUMBER", required_unless_present = "json")]
    from: Option<String>,
    /// The receiver's number with its country code
    #[arg(long, alias = "To", value_name = "NUMBER", required_unless_present = "json")]
    to: Option<String>,
    /// The text
    #[arg(long, alias = "Body", value_name = "TEXT", required_unless_present = "json")]
    #[arg(allow_hyphen_values = true)]
    body: Option<String>,
    /// The contact
    #[arg(long, alias = "contactId", value_name = "ID", required_unless_present = "json")]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    contact_id: Option<i64>,
    /// The thread, which is the case
    #[arg(long, alias = "threadId", value_name = "ID", required_unless_present = "json")]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    thread_id: Option<i64>,
    /// The timeline
    #[arg(long, alias = "timelineId", value_name = "ID", required_unless_present = "json")]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    timeline_id: Option<i64>,
    /// Who writes: user (an agent, the default) or contact (the customer)
    #[arg(long, alias = "userType", value_name = "WHO", value_parser = ["user", "contact"])]
    user_type: Option<String>,
    /// A title
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    title: Option<String>,
    /// Acquire's `id` field [default: the thread]
    #[arg(long, value_name = "ID")]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    id: Option<i64>,
    /// Acquire's `isClosed` field [default: false]
    #[arg(long, alias = "isClosed", value_name = "BOOL")]
    is_closed: Option<bool>,
    /// Acquire's `isMultiChannel` field [default: false]
    #[arg(long, alias = "isMultiChannel", value_name = "BOOL")]
    is_multi_channel: Option<bool>,
    /// The text as HTML [default: from --body]
    #[arg(long, alias = "markValue", value_name = "HTML", allow_hyphen_values = true)]
    mark_value: Option<String>,
    /// Acquire's `msgType` field [default: message]
    #[arg(long, alias = "msgType", value_name = "TYPE")]
    msg_type: Option<String>,
    /// More fields for the request's body, a JSON object
    #[arg(long, value_name = "JSON")]
    extra: Option<String>,
}

impl Chat {
    pub fn payload(self) -> Result<String> {
        let object = Given::default()
            .set("caseId", self.case_id)
            .set("message", self.message)
            .set("type", self.kind)
            .set("translateLangKey", self.translate_lang_key)
            .set("userType", self.user_type)
            .set("contactId", self.contact_id)
            .set("extra", json("--extra", self.extra)?);
        Ok(object.text())
    }
}

impl Mail {
    pub fn payload(self) -> Result<String> {
        let list = |addresses: Vec<String>| (!addresses.is_empty()).then_some(addresses);
        let object = Given::default()
            .set("caseId", self.case_id)
            .set("contactId", self.contact_id)
            .set("from", self.from)
            .set("to", list(self.to))
            .set("cc", list(self.cc))
            .set("bcc", list(self.bcc))
            .set("subject", self.subject)
            .set("htmlBody", self.html_body)
            .set("textBody", self.text_body)
            .set("attachments", json("--attachments", self.attachments)?)
            .set("type", self.kind)
            .set("extra", json("--extra", self.extra)?);
        Ok(object.text())
    }
}

impl Sms {
    pub fn payload(self) -> Result<String> {
        let object = Given::default()
            .set("From", self.from)
            .set("To", self.to)
            .set("Body", self.body)
            .set("contactId", self.contact_id)
            .set("threadId", self.thread_id)
            .set("timelineId", self.timeline_id)
            .set("userType", self.user_type)
            .set("title", self.title)
            .set("id", self.id)
            .set("isClosed", self.is_closed)
            .set("isMultiChannel", self.is_multi_channel)
            .set("markValue", self.mark_value)
            .set("msgType", self.msg_type)
            .set("extra", json("--extra", self.extra)?);
        Ok(object.text())
    }
}

/// The payload as it grows; a field that is not given is left out.
#[derive(Default)]
struct Given(Object);

impl Given {
    fn set(mut self, name: &str, value: Option<impl Into<Json>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    fn text(self) -> String {
        Json::Object(self.0).to_string()
    }
}

/// A value of another shape than text or number. Not by clap: its errors quote the value, and
/// this one is people's words.
fn json(flag: &str, text: Option<String>) -> Result<Option<Json>> {
    let value = text.map(|text| Json::parse(&text)).transpose();
    value.map_err(|fault| anyhow!("{flag}: must be JSON; {fault}"))
}
