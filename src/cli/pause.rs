//! `pause` and `resume`: a channel, an account, or everything, until a person says otherwise.

use super::{Settings, WrongUsage, output};
use acquire_outbox::desk::explain;
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::job::{Channel, Millis, Status};
use acquire_outbox::queue::pause::{Pause, subject};
use acquire_outbox::queue::when::now;
use acquire_outbox::store::{ALL, Store};
use anyhow::Result;
use std::process::ExitCode;
use tokio::time::{Instant, sleep};

const PAUSE_EXAMPLES: &str = "\
Examples:
  acquire-outbox pause sms --reason 'the provider is being changed'
  acquire-outbox pause --account shop
  acquire-outbox pause mail --account shop
  acquire-outbox pause --all

It holds from its commit on, also over restarts, until `acquire-outbox resume`. Producers go on
inserting; what is on the wire is finished; what expires while it waits fails as always. In SQL:
  INSERT INTO outbox_pauses (channel, reason) VALUES ('sms', 'why')";

const RESUME_EXAMPLES: &str = "\
Examples:
  acquire-outbox resume sms
  acquire-outbox resume --account shop
  acquire-outbox resume --all             ends `pause --all`; what is paused by itself stays so
  acquire-outbox resume --restored        after a restored backup: jobs that may have been sent since
                                          become uncertain, so that nothing goes out twice unnoticed

In SQL:
  DELETE FROM outbox_pauses WHERE channel = 'sms'";

#[derive(clap::Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub struct PauseArgs {
    #[command(flatten)]
    what: What,
    /// Why: shown wherever somebody asks why nothing is sent
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(clap::Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct ResumeArgs {
    #[command(flatten)]
    what: What,
    /// Everything, after a restored backup: jobs that were due when the pause began may have been
    /// sent already and become uncertain, for a person to resolve
    #[arg(long, conflicts_with_all = ["channel", "account", "all"])]
    restored: bool,
}

#[derive(clap::Args)]
struct What {
    /// The channel; of every account, where none is named
    #[arg(value_enum)]
    channel: Option<Channel>,
    /// The account; all its channels, where none is named
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Everything
    #[arg(long, conflicts_with_all = ["channel", "account"])]
    all: bool,
}

pub async fn pause(settings: &Settings, args: PauseArgs) -> Result<ExitCode> {
    let (account, channel) = args.what.named()?;
    warn_of_unknown(settings, account)?;
    let mut store = settings.open().await?;
    store.pause(account, channel, &args.reason).await?;
    let jobs = waiting(&mut store, account, channel).await?;
    let (subject, wait) = (subject(account, channel), if jobs == 1 { "waits" } else { "wait" });
    output::line(format!("{} is paused: {} {wait}", output::plain(&subject), output::jobs(jobs)))?;
    Ok(ExitCode::SUCCESS)
}

pub async fn resume(settings: &Settings, args: ResumeArgs) -> Result<ExitCode> {
    if args.restored {
        return resume_restored(settings).await;
    }
    let (account, channel) = args.what.named()?;
    let mut store = settings.open().await?;
    let subject = output::plain(&subject(account, channel));
    // Before it: a moment later the first of them are sent.
    let jobs = waiting(&mut store, account, channel).await?;
    let ended = store.resume(account, channel).await?;
    let left = store.pauses(ALL).await?;
    if !ended {
        output::note(format!("{subject} is not paused; {}", sentence(&left, now())));
        return Ok(ExitCode::FAILURE);
    }
    output::line(format!("{subject} is resumed: {} waited", output::jobs(jobs)))?;
    if !left.is_empty() {
        output::note(format!("still {}", sentence(&left, now())));
    }
    Ok(ExitCode::SUCCESS)
}

/// The pause ends last: after an error, the same command continues with the rest.
async fn resume_restored(settings: &Settings) -> Result<ExitCode> {
    let mut store = settings.open().await?;
    let pauses = store.pauses(ALL).await?;
    let whole = pauses.iter().find(|pause| pause.account.is_none() && pause.channel.is_none());
    let Some(whole) = whole else {
        output::note(format!(
            "there is no pause of everything, so no restored backup waits for a decision; {}",
            sentence(&pauses, now())
        ));
        return Ok(ExitCode::FAILURE);
    };
    let mut jobs = 0;
    loop {
        let begun = Instant::now();
        match store.resolve_restored(whole.since).await? {
            0 => break,
            some => jobs += some,
        }
        // Producers get their turn in between.
        sleep(begun.elapsed()).await;
    }
    store.resume(None, None).await?;
    let (verb, jobs) = (if jobs == 1 { "is" } else { "are" }, output::jobs(jobs));
    output::line(format!(
        "everything is resumed: {jobs} that may have been sent {verb} uncertain"
    ))?;
    output::note(
        "List them with `acquire-outbox list --error-code restored`, then `resolve` or `retry` them.",
    );
    Ok(ExitCode::SUCCESS)
}

impl What {
    fn named(&self) -> Result<(Option<&str>, Option<Channel>), WrongUsage> {
        if !self.all && self.channel.is_none() && self.account.is_none() {
            let sentence =
                "what? Name a channel (chat, mail, sms), an account with --account, or --all";
            return Err(WrongUsage(sentence.to_owned()));
        }
        if self.account.as_deref() == Some("") {
            return Err(WrongUsage("--account: a name is needed".to_owned()));
        }
        Ok((self.account.as_deref(), self.channel))
    }
}

/// The jobs that are pending in it.
async fn waiting(
    store: &mut Store,
    account: Option<&str>,
    channel: Option<Channel>,
) -> Result<u64> {
    let account = account.map(str::to_owned);
    let filter = Filter { statuses: vec![Status::Pending], channel, account, ..Filter::default() };
    Ok(store.count(&filter).await?)
}

/// A pause may come before its account does.
fn warn_of_unknown(settings: &Settings, account: Option<&str>) -> Result<()> {
    let known = settings.outline()?.accounts;
    if let Some(account) = account
        && !known.contains(account)
    {
        let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        let account = output::plain(account);
        output::note(format!("account `{account}` is not configured; configured: {known}"));
    }
    Ok(())
}

/// What is paused, in one sentence.
pub(super) fn sentence(pauses: &[Pause], now: Millis) -> String {
    if pauses.is_empty() {
        return "nothing is paused".to_owned();
    }
    let all: Vec<_> = pauses.iter().map(|pause| one(pause, now)).collect();
    format!("paused: {}", all.join("; "))
}

/// A pause on one line.
pub(super) fn one(pause: &Pause, now: Millis) -> String {
    output::plain(&explain::pause(pause, now))
}
