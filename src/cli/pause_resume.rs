//! `pause` and `resume`: a channel, an account or everything.

use super::{GlobalFlags, WrongUsage, output, possible_values};
use crate::desk::pausing::{self, PauseScope, Restored, Resumed};
use crate::desk::vocabulary;
use crate::queue::job::Channel;
use crate::queue::pause::Pause;
use crate::queue::when::now;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;

const PAUSE_EXAMPLES: &str = "\
Examples:
  acquire-outbox pause sms --reason 'we are changing the provider'
  acquire-outbox pause sms --for 1h       ends by itself
  acquire-outbox pause --account shop
  acquire-outbox pause mail --account shop
  acquire-outbox pause --all

A pause takes effect as soon as it is committed and lasts, across restarts,
until `acquire-outbox resume` or, with --for, until its time is over. Pausing
again replaces the reason and the end. Producers can still insert; requests in
flight are finished; jobs that expire while they wait fail as usual. In SQL:
  INSERT INTO outbox_pauses (channel, reason) VALUES ('sms', 'why')
The column `until` sets its end: datetime('now', '+1 hour'), or on PostgreSQL
now() + interval '1 hour'.";

const RESUME_EXAMPLES: &str = "\
Examples:
  acquire-outbox resume sms
  acquire-outbox resume --account shop
  acquire-outbox resume --all          ends `pause --all`, but no other pause
  acquire-outbox resume --restored

--restored is for a restored backup: jobs that may have been sent since it was
made become uncertain, so that nothing is sent twice unnoticed. In SQL:
  DELETE FROM outbox_pauses WHERE channel = 'sms'";

#[derive(clap::Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub struct PauseArgs {
    #[command(flatten)]
    scope: PauseScopeFlags,
    /// Why; shown wherever the program says why nothing is sent
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// End the pause automatically after this time, like 30m, 1h or 2d
    #[arg(long = "for", value_name = "TIME", value_parser = pausing::parse_length)]
    length: Option<Duration>,
}

#[derive(clap::Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct ResumeArgs {
    #[command(flatten)]
    scope: PauseScopeFlags,
    /// Everything, after a restored backup: jobs that were due when the pause began may have been
    /// sent already and become uncertain, for a person to resolve
    #[arg(long, conflicts_with_all = ["channel", "account", "all"])]
    restored: bool,
}

#[derive(clap::Args)]
struct PauseScopeFlags {
    /// The channel; without --account, for every account
    #[arg(value_parser = possible_values::channel())]
    channel: Option<Channel>,
    /// The account; without a channel, all its channels
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Everything
    #[arg(long, conflicts_with_all = ["channel", "account"])]
    all: bool,
}

pub async fn pause(settings: &GlobalFlags, args: PauseArgs) -> Result<ExitCode> {
    let scope = args.scope.read()?;
    warn_if_unknown(settings, &scope)?;
    let mut store = settings.open().await?;
    let earlier = scope.pause(&mut store, &args.reason, args.length).await?;
    let jobs = scope.count_pending(&mut store).await?;
    let (subject, wait) = (scope.subject(), if jobs == 1 { "waits" } else { "wait" });
    let length = args.length.map(|length| format!(" for {}", humantime::format_duration(length)));
    let length = length.unwrap_or_default();
    let subject = output::plain(&subject);
    output::line(format!("{subject} is paused{length}: {} {wait}", output::jobs(jobs)))?;
    if let Some(earlier) = earlier {
        let earlier = output::plain(&vocabulary::pause(&earlier, now()));
        output::note(format!("it was already paused: {earlier}"));
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn resume(settings: &GlobalFlags, args: ResumeArgs) -> Result<ExitCode> {
    if args.restored {
        return resume_restored(settings).await;
    }
    let scope = args.scope.read()?;
    let mut store = settings.open().await?;
    let subject = output::plain(&scope.subject());
    // Counted first: a moment later some of them are being sent.
    let jobs = scope.count_pending(&mut store).await?;
    let Resumed { was_paused, others } = scope.resume(&mut store).await?;
    if !was_paused {
        output::note(format!("{subject} is not paused; {}", sentence(&others)));
        return Ok(ExitCode::FAILURE);
    }
    output::line(format!("{subject} is resumed: {} waited", output::jobs(jobs)))?;
    if !others.is_empty() {
        output::note(format!("still {}", sentence(&others)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn resume_restored(settings: &GlobalFlags) -> Result<ExitCode> {
    let uncertain = match pausing::resume_restored(&mut settings.open().await?).await? {
        Restored::Resumed { uncertain } => uncertain,
        Restored::NotPaused(pauses) => {
            output::note(format!(
                "no pause covers everything, so no restored backup waits for a decision; {}",
                sentence(&pauses)
            ));
            return Ok(ExitCode::FAILURE);
        }
    };
    let (verb, jobs) = (if uncertain == 1 { "is" } else { "are" }, output::jobs(uncertain));
    output::line(format!(
        "everything is resumed: {jobs} that may have been sent {verb} now uncertain"
    ))?;
    output::note(
        "List them with `acquire-outbox list --error-code restored`, then `resolve` or `retry` them.",
    );
    Ok(ExitCode::SUCCESS)
}

impl PauseScopeFlags {
    fn read(self) -> Result<PauseScope, WrongUsage> {
        if !self.all && self.channel.is_none() && self.account.is_none() {
            let sentence = "name a channel (chat, mail, sms), an account with --account, or --all";
            return Err(WrongUsage(sentence.to_owned()));
        }
        if self.account.as_deref() == Some("") {
            return Err(WrongUsage("--account: must be a name".to_owned()));
        }
        Ok(PauseScope { account: self.account, channel: self.channel })
    }
}

fn warn_if_unknown(settings: &GlobalFlags, scope: &PauseScope) -> Result<()> {
    let known = settings.outline()?.accounts;
    if let Some(account) = scope.account.as_deref().filter(|_| scope.is_of_unknown(known.keys())) {
        let known = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        let account = output::plain(account);
        output::note(format!("account `{account}` is not configured; configured: {known}"));
    }
    Ok(())
}

fn sentence(pauses: &[Pause]) -> String {
    output::plain(&vocabulary::pauses(pauses, now()))
}
