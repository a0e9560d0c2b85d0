//! `send`: inserts one job, as any producer does, and may wait for what becomes of it.

mod fields;

use super::{Settings, duration, output};
use acquire_outbox::config::DEFAULT_ACCOUNT;
use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::new_job::{GivenTime, Inserted, NewJob};
use acquire_outbox::queue::story::Delivery;
use acquire_outbox::queue::when::now;
use acquire_outbox::queue::{payload, when};
use acquire_outbox::store::{Store, StoreError};
use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often `--wait` looks at the row.
const POLL: Duration = Duration::from_millis(50);
/// How long a dispatcher may have been missing before `--wait` says so: one that starts up, or
/// takes over, is not missing.
const MISSING: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  acquire-outbox send chat --case-id 2069 --message Hello --wait
  acquire-outbox send mail --json - < mail.json
  acquire-outbox send sms --help

It prints the new job's id. `acquire-outbox show ID` tells what became of it.";

const CHAT_EXAMPLES: &str = "\
Examples:
  acquire-outbox send chat --case-id 2069 --message Hello --wait
  acquire-outbox send chat --case-id 2069 --message 'See you' --send-at +10m
  acquire-outbox send chat --json '{\"caseId\": 2069, \"message\": \"Hello\"}'

The fields' names in Acquire's own spelling work too: --caseId.";

const MAIL_EXAMPLES: &str = "\
Examples:
  acquire-outbox send mail --case-id 1128 --contact-id 9156860 --from help@example.com \\
      --to ann@example.com --to bob@example.com --subject Invoice --text-body 'Here it is.'
  acquire-outbox send mail --json - < mail.json

The fields' names in Acquire's own spelling work too: --caseId, --htmlBody.";

const SMS_EXAMPLES: &str = "\
Examples:
  acquire-outbox send sms --from +12513188609 --to +919666929552 --body Hi \\
      --contact-id 751069 --thread-id 2219 --timeline-id 2108 --expires-at +1h
  acquire-outbox send sms --json - < sms.json

The fields' names in Acquire's own spelling work too: --From, --threadId.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    message: Message,
}

#[derive(Subcommand)]
#[command(subcommand_value_name = "CHANNEL", subcommand_help_heading = "Channels")]
enum Message {
    /// A chat message to a case
    #[command(after_help = CHAT_EXAMPLES)]
    Chat {
        #[command(flatten)]
        fields: fields::Chat,
        #[command(flatten)]
        common: Common,
    },
    /// A mail in a case
    #[command(after_help = MAIL_EXAMPLES)]
    #[command(group = clap::ArgGroup::new("text").arg("json").required(true).multiple(true))]
    Mail {
        #[command(flatten)]
        fields: fields::Mail,
        #[command(flatten)]
        common: Common,
    },
    /// A text message
    #[command(after_help = SMS_EXAMPLES)]
    Sms {
        #[command(flatten)]
        fields: fields::Sms,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(clap::Args)]
#[command(next_help_heading = "Job")]
struct Common {
    /// The whole payload as one JSON object, or - to read it from the standard input
    #[arg(long, value_name = "JSON", help_heading = "Message")]
    json: Option<String>,
    /// The configured account that sends it
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ACCOUNT)]
    account: String,
    /// Your own id of the message: the same key twice is one message
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Jobs with one key go out in order [default: the case]; '' for no order
    #[arg(long, value_name = "KEY")]
    ordering_key: Option<String>,
    /// 0 to 9, higher first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(0..=9))]
    priority: i64,
    /// Not before: +10m, or '2026-11-22T09:00:00+02:00'; UTC where no offset is given
    #[arg(long, value_name = "TIME", value_parser = given_time)]
    send_at: Option<GivenTime>,
    /// Not after, written like --send-at: then it fails as expired, unsent
    #[arg(long, value_name = "TIME", value_parser = given_time)]
    expires_at: Option<GivenTime>,
    /// Attempts before it fails, over the configured number
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    max_attempts: Option<i64>,
    /// A label of yours, for filters and metrics
    #[arg(long, value_name = "LABEL")]
    source: Option<String>,
    /// Wait for the outcome; exit status 0 only when it was sent
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "wait")]
    #[arg(value_parser = duration)]
    timeout: Duration,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let (channel, from_flags, common) = match args.message {
        Message::Chat { fields, common } => (Channel::Chat, fields.payload(), common),
        Message::Mail { fields, common } => (Channel::Mail, fields.payload(), common),
        Message::Sms { fields, common } => (Channel::Sms, fields.payload(), common),
    };
    let payload = match common.json.as_deref() {
        None => from_flags?,
        Some("-") => standard_input()?,
        Some(text) => text.to_owned(),
    };
    // The daemon would refuse it later; here its producer is still there to read why.
    payload::parse(channel, &payload)?;
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

impl Common {
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

/// Where there is a configuration with accounts: a producer's machine may have none, nor the key.
fn require_account(settings: &Settings, account: &str) -> Result<()> {
    let Ok(config) = settings.load() else { return Ok(()) };
    if config.accounts.contains_key(account) {
        return Ok(());
    }
    let known: Vec<_> = config.accounts.keys().map(String::as_str).collect();
    bail!("account `{account}` is not configured; name one of {} with --account", known.join(", "))
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the standard input")?;
    if text.trim().is_empty() {
        bail!("the standard input is empty; --json - reads the payload from it, one JSON object");
    }
    Ok(text)
}

/// A trigger's sentence by itself, with the time that it means.
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

/// `+10m` from now, Unix milliseconds, or a time as text.
fn given_time(text: &str) -> Result<GivenTime, String> {
    if let Some(ahead) = text.strip_prefix('+') {
        let ahead = humantime::parse_duration(ahead)
            .map_err(|e| format!("{e}; write a number and its unit after the +, like +10m"))?;
        let ahead = i64::try_from(ahead.as_millis()).map_err(|e| e.to_string())?;
        return Ok(GivenTime::Millis(now().saturating_add(ahead)));
    }
    if let Ok(millis) = text.parse() {
        return Ok(GivenTime::Millis(millis));
    }
    // The milliseconds of a year before 2000 would be taken for seconds.
    when::parse_time(text)
        .map(|at| GivenTime::Text(when::iso(at)))
        .map_err(|fault| fault.to_string())
}

/// Looks at the row until it leaves `pending` and `sending`.
async fn wait_for(store: &mut Store, id: i64, timeout: Duration) -> Result<ExitCode> {
    let start = Instant::now();
    let mut asked = false;
    loop {
        let job = store.delivery(id).await?;
        let job = job.with_context(|| format!("job {id} was deleted meanwhile"))?;
        if !matches!(job.status.as_str(), "pending" | "sending") {
            output::line(outcome(&job))?;
            let sent = job.status == "sent";
            return Ok(if sent { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if !asked && start.elapsed() >= MISSING.min(timeout) {
            asked = true;
            // Who may not read the lock file is not told.
            if matches!(Store::dispatcher_is_running(&store.database()), Ok(false)) {
                output::note("no dispatcher is running; start one with `acquire-outbox run`");
            }
        }
        if start.elapsed() >= timeout {
            output::note(format!(
                "job {id} is still {} after {}; it goes on, and `acquire-outbox show {id}` says why \
                 it waits",
                job.status,
                humantime::format_duration(timeout)
            ));
            return Ok(ExitCode::FAILURE);
        }
        sleep(POLL).await;
    }
}

/// `sent 8289`, `failed rejected ERROR_INVALID_INPUT: sentence`.
fn outcome(job: &Delivery) -> String {
    let why = if job.status == "sent" { &job.message_id } else { &job.failure };
    let mut words = vec![job.status.as_str()];
    words.extend(why.as_deref());
    if job.status != "sent" {
        words.extend(job.error_code.as_deref());
    }
    let words = words.join(" ");
    match &job.error {
        Some(error) if job.status != "sent" => output::plain(&format!("{words}: {error}")),
        _ => output::plain(&words),
    }
}
