//! The payload's fields as flags, and the JSON object that they become.

use crate::cli::whole;
use crate::queue::payload::{Json, Object};
use anyhow::{Result, anyhow};
use clap::ArgAction;

#[derive(clap::Args)]
#[group(id = "fields", multiple = true, conflicts_with = "json")]
#[command(next_help_heading = "Message")]
pub struct ChatFlags {
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
pub struct MailFlags {
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
    /// A recipient; may be repeated
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append, required_unless_present = "json")]
    to: Vec<String>,
    /// A recipient of a copy; may be repeated
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    cc: Vec<String>,
    /// A recipient of a blind copy; may be repeated
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    bcc: Vec<String>,
    /// The subject
    #[arg(long, value_name = "TEXT", required_unless_present = "json", allow_hyphen_values = true)]
    subject: Option<String>,
    /// The text as HTML
    #[arg(long, alias = "htmlBody", value_name = "HTML", allow_hyphen_values = true)]
    #[arg(group = "text")]
    html_body: Option<String>,
    /// The text as plain text; in place of --html-body, or in addition to it
    #[arg(long, alias = "textBody", value_name = "TEXT", allow_hyphen_values = true)]
    #[arg(group = "text")]
    text_body: Option<String>,
    /// Attachments in Acquire's format: a JSON array of objects
    #[arg(long, value_name = "JSON")]
    attachments: Option<String>,
    /// message, the default
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// More fields for the request's body, a JSON object
    #[arg(long, value_name = "JSON")]
    extra: Option<String>,
}

#[derive(clap::Args)]
#[group(id = "fields", multiple = true, conflicts_with = "json")]
#[command(next_help_heading = "Message")]
pub struct SmsFlags {
    /// The sender's number with its country code: +12513188609
    #[arg(long, alias = "From", value_name = "NUMBER", required_unless_present = "json")]
    from: Option<String>,
    /// The recipient's number with its country code
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
    /// The thread, which is the case; may be left out if `fill_missing` is set
    #[arg(long, alias = "threadId", value_name = "ID")]
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    thread_id: Option<i64>,
    /// The timeline; may be left out if `fill_missing` is set
    #[arg(long, alias = "timelineId", value_name = "ID")]
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

impl ChatFlags {
    pub fn payload(self) -> Result<String> {
        let object = PayloadBuilder::default()
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

impl MailFlags {
    pub fn payload(self) -> Result<String> {
        let list = |addresses: Vec<String>| (!addresses.is_empty()).then_some(addresses);
        let object = PayloadBuilder::default()
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

impl SmsFlags {
    pub fn payload(self) -> Result<String> {
        let object = PayloadBuilder::default()
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

/// Leaves out the fields that have no value.
#[derive(Default)]
struct PayloadBuilder(Object);

impl PayloadBuilder {
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

/// A JSON value. Not parsed by clap, whose errors quote the value: this one is message text.
fn json(flag: &str, text: Option<String>) -> Result<Option<Json>> {
    let value = text.map(|text| Json::parse(&text)).transpose();
    value.map_err(|fault| anyhow!("{flag}: must be JSON; {fault}"))
}
