//! `find`: every reading of a text that has jobs.

use super::{GlobalFlags, list, output};
use crate::desk::finding::{COUNTED, FindResult, TextReading, either, find};
use crate::desk::job_json::{ListedJson, listed};
use anyhow::Result;
use serde::Serialize;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox find 2069  the job, the case or the contact with this number
  acquire-outbox find +12513183181  messages to this phone number
  acquire-outbox find anne@example.com  emails to this address
  acquire-outbox find order-17 --json

Text in the form of a phone number (+1..., or in groups) is searched for as
one, #17 as a job, and a plain number as anything that it could be. Numbers
and addresses can be found until the message is scrubbed, its contact and case
for as long as the job exists. The search is fast however many jobs there are.
To search in errors, use `list --error`.

Exit status: 1 if nothing was found.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct FindArgs {
    /// A case, a contact, a phone number, an email address, a message id, an idempotency key or a source
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: String,
    /// At most this many jobs for each meaning of the text, newest first
    #[arg(long, value_name = "N", default_value_t = 20, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// A JSON array: an object for each meaning of the text, with its jobs as in `list --json`
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    /// job, case, contact, phone, address, message_id, idempotency_key or source
    reading: &'a str,
    count: u64,
    /// There may be more than were counted.
    more: bool,
    jobs: Vec<ListedJson<'a>>,
}

pub async fn run(settings: &GlobalFlags, args: FindArgs) -> Result<ExitCode> {
    let mut store = settings.open().await?;
    let found = find(&mut store, &args.text, args.limit).await?;
    let nothing = found.findings.is_empty();
    if args.json {
        output::json(&json(&found, store.is_sandbox()))?;
    } else {
        print(&found)?;
    }
    if !found.withheld.is_empty() {
        let nouns = either(&found.withheld);
        output::note(format!("not searched as {nouns}: this role may not read messages"));
    }
    if nothing && !args.json {
        let nouns = either(&found.tried);
        output::note(format!("no such jobs; searched for it as {nouns}"));
    }
    Ok(if nothing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn json(found: &FindResult, sandbox: bool) -> Vec<FindingJson<'_>> {
    let findings = found.findings.iter().map(|finding| FindingJson {
        reading: finding.reading.name(),
        count: finding.count,
        more: finding.count >= COUNTED,
        jobs: listed(&finding.jobs, sandbox),
    });
    findings.collect()
}

fn print(found: &FindResult) -> Result<()> {
    for (at, finding) in found.findings.iter().enumerate() {
        if at > 0 {
            output::line("")?;
        }
        output::line(match (finding.reading, finding.count) {
            (TextReading::Job, _) => "job:".to_owned(),
            (reading, count) if count >= COUNTED => {
                format!("{}: {COUNTED} jobs or more", reading.noun())
            }
            (reading, count) => format!("{}: {}", reading.noun(), output::jobs(count)),
        })?;
        list::print(&finding.jobs)?;
        let shown = finding.jobs.len() as u64;
        if finding.count > shown && output::to_people() {
            output::note(format!("the newest {shown} are shown; see --limit"));
        }
    }
    Ok(())
}
