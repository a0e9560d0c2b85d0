//! `send`: inserts one job, as any producer does, and can wait for its outcome.

mod payload_flags;

use super::{GlobalFlags, duration, output};
use crate::config::DEFAULT_ACCOUNT;
use crate::desk::vocabulary::NO_DISPATCHER;
use crate::queue::job::Channel;
use crate::queue::new_job::{GivenTime, Inserted, NewJob};
use crate::queue::payload;
use crate::queue::story::Delivery;
use crate::queue::when::now;
use crate::store::{Store, StoreError};
use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often `--wait` reads the row.
const POLL: Duration = Duration::from_millis(50);
/// How long `--wait` waits for a dispatcher before it says that none is running: one may be starting
/// or taking over.
const MISSING: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  acquire-outbox send chat --case-id 2069 --message Hello --wait
  acquire-outbox send mail --json - < mail.json
  acquire-outbox send sms --help

It prints the new job's id; `acquire-outbox show ID` shows its outcome.";

const CHAT_EXAMPLES: &str = "\
Examples:
  acquire-outbox send chat --case-id 2069 --message Hello --wait
  acquire-outbox send chat --case-id 2069 --message 'See you' --send-at +10m
  acquire-outbox send chat --json '{\"caseId\": 2069, \"message\": \"Hello\"}'

Acquire's own spelling of the names works too: --caseId.";

const MAIL_EXAMPLES: &str = "\
Examples:
  acquire-outbox send mail --case-id 1128 --contact-id 9156860 \\
      --from help@example.com --to ann@example.com --to bob@example.com \\
      --subject Invoice --text-body 'Here it is.'
  acquire-outbox send mail --json - < mail.json

Acquire's own spelling of the names works too: --caseId, --htmlBody.";

const SMS_EXAMPLES: &str = "\
Examples:
  acquire-outbox send sms --from +12513188609 --to +919666929552 --body Hi \\
      --contact-id 751069 --thread-id 2219 --timeline-id 2108 --expires-at +1h
  acquire-outbox send sms --json - < sms.json

Acquire's own spelling of the names works too: --From, --threadId.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SendArgs {
    #[command(subcommand)]
    message: MessageFlags,
}

#[derive(Subcommand)]
#[command(subcommand_value_name = "CHANNEL", subcommand_help_heading = "Channels")]
enum MessageFlags {
    /// A chat message to a case
    #[command(after_help = CHAT_EXAMPLES)]
    Chat {
        #[command(flatten)]
        fields: payload_flags::ChatFlags,
        #[command(flatten)]
        common: JobFlags,
    },
    /// An email in a case
    #[command(after_help = MAIL_EXAMPLES)]
    #[command(group = clap::ArgGroup::new("text").arg("json").required(true).multiple(true))]
    Mail {
        #[command(flatten)]
        fields: payload_flags::MailFlags,
        #[command(flatten)]
        common: JobFlags,
    },
    /// A text message
    #[command(after_help = SMS_EXAMPLES)]
    Sms {
        #[command(flatten)]
        fields: payload_flags::SmsFlags,
        #[command(flatten)]
        common: JobFlags,
    },
}

#[derive(clap::Args)]
#[command(next_help_heading = "Job")]
struct JobFlags {
    /// The whole payload as one JSON object, or - to read it from standard input
    #[arg(long, value_name = "JSON", help_heading = "Message")]
    json: Option<String>,
    /// The configured account that sends it
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ACCOUNT)]
    account: String,
    /// Your own id for the message: jobs with the same key are sent once
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Jobs with the same key are sent in order [default: the case]; '' for no order
    #[arg(long, value_name = "KEY")]
    ordering_key: Option<String>,
    /// 0 to 9, higher first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(0..=9))]
    priority: i64,
    /// Do not send before this time: +10m, or '2026-11-22T09:00:00+02:00'; UTC if it has no offset
    #[arg(long, value_name = "TIME", value_parser = given_time)]
    send_at: Option<GivenTime>,
    /// Do not send after this time, written like --send-at; the job then fails as expired
    #[arg(long, value_name = "TIME", value_parser = given_time)]
    expires_at: Option<GivenTime>,
    /// Attempts before it fails, instead of the configured number
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    max_attempts: Option<i64>,
    /// Your own label, for filters and metrics
    #[arg(long, value_name = "LABEL")]
    source: Option<String>,
    /// Wait for the outcome; exit status 0 only if it was sent
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "wait")]
    #[arg(value_parser = duration)]
    timeout: Duration,
}

pub async fn run(settings: &GlobalFlags, args: SendArgs) -> Result<ExitCode> {
    let (channel, from_flags, common) = match args.message {
        MessageFlags::Chat { fields, common } => (Channel::Chat, fields.payload(), common),
        MessageFlags::Mail { fields, common } => (Channel::Mail, fields.payload(), common),
        MessageFlags::Sms { fields, common } => (Channel::Sms, fields.payload(), common),
    };
    let payload = match common.json.as_deref() {
        None => from_flags?,
        Some("-") => standard_input()?,
        Some(text) => text.to_owned(),
    };
    // The daemon would refuse it later, when nobody is there to read why.
    payload::check(channel, &payload)?;
    require_account(settings, &common.account)?;

    let mut store = settings.open().await?;
    let (wait, timeout) = (common.wait, common.timeout);
    let job = common.job(channel, payload);
    let inserted = store.insert(&job).await.map_err(|e| refusal(e, &job))?;
    output::line(inserted.id().to_string())?;
    if let Inserted::Existing(id) = inserted {
        output::note(format!("job {id} has this idempotency key already; nothing was inserted"));
    }
    if wait { wait_for(&mut store, inserted.id(), timeout).await } else { Ok(ExitCode::SUCCESS) }
}

impl JobFlags {
    fn job(self, channel: Channel, payload: String) -> NewJob {
        NewJob {
            channel,
            payload,
            account: self.account,
            idempotency_key: self.idempotency_key,
            ordering_key: self.ordering_key,
            priority: self.priority,
            send_at: self.send_at,
            expires_at: self.expires_at,
            max_attempts: self.max_attempts,
            source: self.source,
        }
    }
}

/// Only where the accounts are configured: a producer's machine may have no configuration.
fn require_account(settings: &GlobalFlags, account: &str) -> Result<()> {
    match settings.accounts()? {
        Some(known) if !known.iter().any(|name| name == account) => bail!(
            "account `{account}` is not configured; name one of these with --account: {}",
            known.join(", ")
        ),
        _ => Ok(()),
    }
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    if text.trim().is_empty() {
        bail!("standard input is empty; --json - reads the payload from it, one JSON object");
    }
    Ok(text)
}

/// Only the trigger's sentence, and the time that it is about.
fn refusal(error: StoreError, job: &NewJob) -> anyhow::Error {
    let Some(sentence) = error.rule().map(str::to_owned) else { return error.into() };
    let times = [("outbox.send_at: ", &job.send_at), ("outbox.expires_at: ", &job.expires_at)];
    for (column, time) in times {
        if let (true, Some(time)) = (sentence.starts_with(column), time) {
            return anyhow!("{sentence}; it was {time}");
        }
    }
    anyhow!(sentence)
}

fn given_time(text: &str) -> Result<GivenTime, String> {
    GivenTime::read(text, now())
}

/// Reads the row until the job has ended.
async fn wait_for(store: &mut Store, id: i64, timeout: Duration) -> Result<ExitCode> {
    let start = Instant::now();
    let mut asked = false;
    loop {
        let job = store.delivery(id).await?;
        let job = job.with_context(|| format!("job {id} was deleted while waiting for it"))?;
        if !matches!(job.status.as_str(), "pending" | "sending") {
            output::line(outcome(&job))?;
            let sent = job.status == "sent";
            return Ok(if sent { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if !asked && start.elapsed() >= MISSING.min(timeout) {
            asked = true;
            // Without permission to read the lock file, this is unknown.
            if matches!(Store::dispatcher_is_running(&store.database()).await, Ok(false)) {
                output::note(NO_DISPATCHER);
            }
        }
        if start.elapsed() >= timeout {
            output::note(format!(
                "job {id} is still {} after {}; it stays in the queue, and `acquire-outbox show {id}` \
                 says why it waits",
                job.status,
                humantime::format_duration(timeout)
            ));
            return Ok(ExitCode::FAILURE);
        }
        sleep(POLL).await;
    }
}

/// `sent 8289`, `failed rejected ERROR_INVALID_INPUT: a sentence`.
fn outcome(job: &Delivery) -> String {
    let is_sent = job.status == "sent";
    let details = match is_sent {
        true => [&job.message_id, &None],
        false => [&job.failure, &job.error_code],
    };
    let details = details.into_iter().flatten().map(String::as_str);
    let text = [job.status.as_str()].into_iter().chain(details).collect::<Vec<_>>().join(" ");
    match &job.error {
        Some(error) if !is_sent => output::plain(&format!("{text}: {error}")),
        _ => output::plain(&text),
    }
}
