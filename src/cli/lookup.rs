//! `lookup`: the ids that a payload needs, from Acquire.

use super::{GlobalFlags, WrongUsage, output};
use crate::acquire::read_back::{AccountReader, CaseFacts, CaseQuestion};
use crate::config::{Config, DEFAULT_ACCOUNT};
use crate::reload;
use anyhow::{Result, anyhow};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox lookup --contact 751069     a contact's cases, with their ids
  acquire-outbox lookup --case 2219 --account shop
  acquire-outbox lookup --contact 751069 --json

An SMS needs threadId and timelineId, an email needs caseId; only active cases
receive messages. The command uses the account's key and sends no messages.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("question").required(true))]
pub struct LookupArgs {
    /// All cases of a contact, by its id
    #[arg(long, value_name = "ID", group = "question", value_parser = super::whole)]
    contact: Option<i64>,
    /// One case, by its id
    #[arg(long, value_name = "ID", group = "question", value_parser = super::whole)]
    case: Option<i64>,
    #[command(flatten)]
    account: AccountFlag,
    /// A JSON array with the field names of a payload
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct AccountFlag {
    /// The account to ask [default: the only one, or `default`]
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

impl AccountFlag {
    /// Its name, and what reads it.
    pub(super) fn reader(&self, config: &Config) -> Result<(String, AccountReader)> {
        let only = match config.accounts.keys().collect::<Vec<_>>()[..] {
            [only] => only.as_str(),
            _ => DEFAULT_ACCOUNT,
        };
        let name = self.account.as_deref().unwrap_or(only);
        let account = config.accounts.get(name).ok_or_else(|| {
            let known: Vec<_> = config.accounts.keys().map(String::as_str).collect();
            WrongUsage(format!(
                "account `{name}` is not configured; name one of these with --account: {}",
                known.join(", ")
            ))
        })?;
        Ok((name.to_owned(), reload::reader(config, account)?))
    }
}

pub async fn run(settings: &GlobalFlags, args: LookupArgs) -> Result<ExitCode> {
    let config = settings.load()?;
    let (_, reader) = args.account.reader(&config)?;
    let question = match (args.case, args.contact) {
        (Some(case), _) => CaseQuestion::Case(case),
        (None, contact) => CaseQuestion::Contact(contact.unwrap_or_default()),
    };
    let cases = reader.cases(question).await.map_err(|unread| {
        anyhow!("the cases cannot be read: {}: {}", unread.fault.code, unread.fault.message)
    })?;
    if args.json {
        output::json(&cases)?;
    } else if cases.is_empty() {
        output::note(match question {
            CaseQuestion::Case(_) => "Acquire has no such case",
            CaseQuestion::Contact(_) => "Acquire shows no cases of this contact",
        });
    } else {
        table(&cases).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(cases: &[CaseFacts]) -> output::Table {
    let header = ["caseId", "status", "channel", "contactId", "threadId", "timelineId"];
    let mut table = output::Table::new(header);
    for case in cases {
        let id = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
        table.row([
            case.case_id.to_string(),
            case.status.clone().unwrap_or_default(),
            case.channel.clone().unwrap_or_default(),
            id(case.contact_id),
            id(case.thread_id),
            id(case.timeline_id),
        ]);
    }
    table
}
