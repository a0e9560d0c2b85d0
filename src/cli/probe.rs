//! `probe`: what can be read of a case, and by which calls.

use super::lookup::AccountFlag;
use super::{GlobalFlags, output};
use crate::acquire::read_back::{ShownCase, ShownMessage};
use crate::queue::follow_up::{DeliveryEvent, DeliveryState};
use crate::queue::when::now;
use anyhow::Result;
use serde_json::{Value, json};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox probe --case 2069
  acquire-outbox probe --case 2069 --texts  with subjects and message text
  acquire-outbox probe --case 2069 --account shop --json

The command uses the account's key and sends no messages. If one of the calls
returns all messages of the case, `on_uncertain = \"verify\"` can find out
whether a message is there.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ProbeArgs {
    /// The case, by its id
    #[arg(long, value_name = "ID", value_parser = super::whole)]
    case: i64,
    #[command(flatten)]
    account: AccountFlag,
    /// Show subjects and message text
    #[arg(long)]
    texts: bool,
    /// A JSON array with an object for each call
    #[arg(long)]
    json: bool,
}

/// The longest part of a text that a table shows.
const TEXT_CHARS: usize = 60;

pub async fn run(settings: &GlobalFlags, args: ProbeArgs) -> Result<ExitCode> {
    let config = settings.load()?;
    let (_, reader) = args.account.reader(&config)?;
    let ways = reader.show(args.case).await;
    let any = ways.iter().any(Result::is_ok);
    if args.json {
        let ways: Vec<Value> = ways
            .iter()
            .map(|way| match way {
                Ok(case) => case_json(case, args.texts),
                Err((way, fault)) => json!({"by": way.to_string(), "error_code": fault.code,
                    "error": fault.message}),
            })
            .collect();
        output::json(&ways)?;
    } else {
        for way in &ways {
            match way {
                Ok(case) => print(case, args.texts)?,
                Err((way, fault)) => {
                    let sentence = format!("by {way}: {}: {}", fault.code, fault.message);
                    output::line(output::plain(&sentence))?;
                }
            }
        }
    }
    Ok(if any { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(case: &ShownCase, texts: bool) -> Result<()> {
    let gap = case.gap.as_ref().map(|gap| format!("; not everything: {}", gap.message));
    let count = case.messages.len();
    let noun = if count == 1 { "message" } else { "messages" };
    let sentence = format!("by {}: {count} {noun}{}", case.way, gap.unwrap_or_default());
    output::line(output::plain(&sentence))?;
    if case.messages.is_empty() {
        return Ok(());
    }
    let header = ["id", "created", "sender", "channel", "type", "became", "text"];
    let mut table = output::Table::new(header);
    for message in &case.messages {
        let created = message.created.map(|at| output::when(&output::iso(at), now()));
        table.row([
            message.id.clone(),
            created.unwrap_or_default(),
            message.sender.clone(),
            message.channel.clone().unwrap_or_default(),
            message.kind.clone().unwrap_or_default(),
            became(message).map_or_else(String::new, |state| state.to_string()),
            text_of(message, texts),
        ]);
    }
    table.print()
}

fn became(message: &ShownMessage) -> Option<DeliveryState> {
    DeliveryEvent::of_all(&message.fate).map(|event| event.state)
}

fn text_of(message: &ShownMessage, texts: bool) -> String {
    let parts: Vec<&str> =
        [&message.subject, &message.text].into_iter().flatten().map(String::as_str).collect();
    let text = parts.join(": ");
    match texts {
        true => text.chars().take(TEXT_CHARS).collect(),
        false if parts.is_empty() => "none".to_owned(),
        false => format!("{} characters", text.chars().count()),
    }
}

fn case_json(case: &ShownCase, texts: bool) -> Value {
    let messages: Vec<Value> = case
        .messages
        .iter()
        .map(|message| {
            let mut shown = json!({
                "id": message.id, "created": message.created.map(output::iso),
                "sender": message.sender, "channel": message.channel, "type": message.kind,
                "became": became(message).map(DeliveryState::as_str),
            });
            if texts {
                shown["subject"] = json!(message.subject);
                shown["text"] = json!(message.text);
            }
            shown
        })
        .collect();
    json!({"by": case.way.to_string(), "complete": case.gap.is_none(),
        "gap": case.gap.as_ref().map(|gap| &gap.message), "messages": messages})
}
