//! The reasons of a verdict, one function for each kind.

use super::{Concern, Condition, Dispatching, Remedy, Vitals, concern};
use crate::desk::vocabulary::{block_reason, resume_command};
use crate::queue::block::{Block, BlockKind};
use crate::queue::filter::Filter;
use crate::queue::job::{Channel, Millis, Status};
use crate::queue::outcome_counts::MINUTE_MS;
use crate::queue::overview::RouteBacklog;
use crate::queue::pause::subject;
use crate::queue::when::span;

/// If jobs are due and none has been sent for this long, something is wrong.
pub(super) const SILENCE: Millis = 10 * MINUTE_MS;
/// More pauses, and more blocks, are counted in one reason.
pub(super) const NAMED: usize = 20;

fn pending() -> Filter {
    Filter::of_states(&[Status::Pending])
}

/// How many jobs wait on the routes that pass.
fn waiting(vitals: &Vitals<'_>, passes: impl Fn(&RouteBacklog) -> bool) -> Option<u64> {
    let routes = vitals.backlogs?.iter().filter(|route| passes(route));
    Some(routes.map(|route| route.jobs).sum())
}

pub(super) fn dispatching(vitals: &Vitals<'_>) -> Option<Concern> {
    let jobs = waiting(vitals, |_| true);
    let (code, level, text, remedy) = match vitals.dispatching {
        Dispatching::Running => return None,
        Dispatching::Elsewhere => {
            let text = "this process is a standby; another one dispatches".to_owned();
            let remedy =
                Remedy::advice("no action is needed: it takes over when the other one ends");
            return Some(concern("standby", Condition::Well, text, None, remedy));
        }
        Dispatching::Starting => (
            "starting",
            Condition::Attention,
            "the dispatcher is starting".to_owned(),
            Remedy::advice("wait a moment"),
        ),
        Dispatching::Stopping => (
            "stopping",
            Condition::Attention,
            "the dispatcher is stopping".to_owned(),
            Remedy::command("acquire-outbox run"),
        ),
        Dispatching::Trouble => (
            "trouble",
            Condition::Down,
            "the dispatcher cannot use the database; results wait in memory".to_owned(),
            Remedy::command("acquire-outbox check"),
        ),
        Dispatching::Stuck(seconds) => (
            "stuck",
            Condition::Down,
            format!("the dispatcher's loop has not run for {seconds} s"),
            Remedy::advice("check the disk, then restart the service"),
        ),
        Dispatching::Nobody => {
            let (level, text) = match jobs {
                Some(0) => (Condition::Attention, "no dispatcher is running; no job waits for one"),
                _ => (Condition::Down, "no dispatcher is running: nothing is sent"),
            };
            ("no_dispatcher", level, text.to_owned(), Remedy::command("acquire-outbox run"))
        }
    };
    Some(Concern { filter: Some(pending()), ..concern(code, level, text, jobs, remedy) })
}

/// For the channels that nothing keeps shut.
pub(super) fn silence(vitals: &Vitals<'_>) -> Option<Concern> {
    if !matches!(vitals.dispatching, Dispatching::Running | Dispatching::Elsewhere) {
        return None;
    }
    let is_open = |route: &&RouteBacklog| {
        let (account, channel) = (route.account.as_str(), route.channel.as_str());
        !vitals.pauses.iter().any(|pause| pause.concerns(account, channel))
            && !vitals.blocks.iter().any(|block| covers(block, account, channel))
    };
    let is_late = |route: &&RouteBacklog| {
        let sent = vitals.last_sent.get(&route.channel).copied().unwrap_or(0);
        route.oldest_ready.is_some_and(|due| due < vitals.now - SILENCE)
            && sent < vitals.now - SILENCE
    };
    let late: Vec<_> = vitals.backlogs?.iter().filter(is_open).filter(is_late).collect();
    let oldest = late.iter().filter_map(|route| route.oldest_ready).min()?;
    let mut channels: Vec<_> = late.iter().map(|route| route.channel.as_str()).collect();
    channels.sort_unstable();
    channels.dedup();
    let jobs = late.iter().map(|route| route.jobs).sum();
    let text = format!(
        "nothing has been sent for 10 minutes although {} jobs are due, the oldest for {}",
        channels.join(" and "),
        span(vitals.now - oldest)
    );
    let remedy = Remedy::command("acquire-outbox list --status pending")
        .and("`show ID` says why a job waits");
    let made = concern("nothing_sent", Condition::Down, text, Some(jobs), remedy);
    let channel = channels.first().filter(|_| channels.len() == 1);
    let channel: Option<Channel> = channel.and_then(|channel| channel.parse().ok());
    Some(Concern { filter: Some(Filter { channel, ..pending() }), ..made })
}

fn covers(block: &Block, account: &str, channel: &str) -> bool {
    (block.account.is_empty() || block.account == account)
        && (block.channel.is_empty() || block.channel == channel)
}

pub(super) fn pauses(vitals: &Vitals<'_>) -> Vec<Concern> {
    let mut concerns = Vec::new();
    for pause in vitals.pauses.iter().take(NAMED) {
        let jobs = waiting(vitals, |route| pause.concerns(&route.account, &route.channel));
        let ends = match pause.until {
            Some(until) => format!("; it resumes in {}", span(until - vitals.now)),
            None => String::new(),
        };
        let since = span(vitals.now - pause.since);
        let (code, text) = match pause.is_of_restored() {
            true => (
                "restored_backup",
                "a restored backup is paused: its jobs may have been sent already".to_owned(),
            ),
            false => ("paused", format!("{} has been paused for {since}{ends}", pause.subject())),
        };
        let remedy = Remedy::command(resume_command(pause));
        let made = concern(code, Condition::Attention, text, jobs, remedy);
        let (account, channel) = (pause.account.clone(), pause.channel);
        let filter = Some(Filter { account, channel, ..pending() });
        concerns.push(Concern { filter, pause: Some(pause.clone()), ..made });
    }
    if let Some(more @ 1..) = vitals.pauses.len().checked_sub(NAMED) {
        concerns.push(more_of("paused", format!("{more} more accounts and channels are paused")));
    }
    concerns
}

/// Leaves out a Retry-After, which is normal and soon ends by itself.
pub(super) fn blocks(vitals: &Vitals<'_>) -> Vec<Concern> {
    let lasting: Vec<_> =
        vitals.blocks.iter().filter(|block| block.kind != BlockKind::RetryAfter).collect();
    let mut concerns = Vec::new();
    for block in lasting.iter().take(NAMED) {
        let account = Some(block.account.clone()).filter(|account| !account.is_empty());
        let channel: Option<Channel> = block.channel.parse().ok();
        let jobs = waiting(vitals, |route| covers(block, &route.account, &route.channel));
        let text = format!(
            "{}: {}, for {}",
            subject(account.as_deref(), channel),
            block_reason(block.kind),
            span(vitals.now - block.since)
        );
        let remedy = match block.kind {
            BlockKind::Refused => Remedy::command("acquire-outbox check")
                .and("put the right key in place and reload (SIGHUP)"),
            BlockKind::Breaker => Remedy::command("acquire-outbox status")
                .and("it shows the last error; single probes go out"),
            BlockKind::Shortage | BlockKind::RetryAfter => Remedy::command("acquire-outbox status")
                .and("it shows the error; raise the limits of this machine"),
        };
        let made = concern(block.kind.as_str(), Condition::Attention, text, jobs, remedy);
        concerns.push(Concern { filter: Some(Filter { account, channel, ..pending() }), ..made });
    }
    if let Some(more @ 1..) = lasting.len().checked_sub(NAMED) {
        concerns.push(more_of("refused", format!("{more} more accounts and channels are blocked")));
    }
    concerns
}

fn more_of(code: &'static str, text: String) -> Concern {
    concern(code, Condition::Attention, text, None, Remedy::command("acquire-outbox status"))
}

pub(super) fn uncertain(vitals: &Vitals<'_>) -> Option<Concern> {
    let jobs = Some(vitals.uncertain).filter(|jobs| *jobs > 0)?;
    let text = match jobs {
        1 => "1 uncertain job waits for a person".to_owned(),
        jobs => format!("{jobs} uncertain jobs wait for a person"),
    };
    let remedy = Remedy::command("acquire-outbox list --status uncertain")
        .and("check their cases at Acquire, then `resolve` or `retry` them");
    let made = concern("uncertain", Condition::Attention, text, Some(jobs), remedy);
    Some(Concern { filter: Some(Filter::of_states(&[Status::Uncertain])), ..made })
}

pub(super) fn set_aside(vitals: &Vitals<'_>) -> Option<Concern> {
    let jobs = Some(vitals.set_aside).filter(|jobs| *jobs > 0)?;
    let text = match jobs {
        1 => "1 job is set aside: it cannot be read, recorded or changed".to_owned(),
        jobs => format!("{jobs} jobs are set aside: they cannot be read, recorded or changed"),
    };
    let remedy = Remedy::command("acquire-outbox status").and("it names them and says why");
    Some(concern("set_aside", Condition::Attention, text, Some(jobs), remedy))
}

pub(super) fn failures(vitals: &Vitals<'_>) -> Option<Concern> {
    let failures = vitals.failures;
    if !failures.are_above_the_usual() {
        return None;
    }
    let failed = failures.last_hour.failed;
    let text = format!(
        "{failed} of {} jobs failed in the last hour; the usual rate is {:.1} per hour",
        failures.last_hour.ended(),
        failures.usual
    );
    let remedy = Remedy::command("acquire-outbox list --status failed").and("it shows the reasons");
    let made = concern("failures", Condition::Attention, text, Some(failed), remedy);
    Some(Concern { filter: Some(Filter::of_states(&[Status::Failed])), ..made })
}

pub(super) fn schema(vitals: &Vitals<'_>) -> Option<Concern> {
    let text = match (vitals.flaws, vitals.untouched) {
        (0, 0) => return None,
        (0, 1) => "1 row was written without the outbox's triggers".to_owned(),
        (0, rows) => format!("{rows} rows were written without the outbox's triggers"),
        (1, _) => "1 part of the schema is not as it should be".to_owned(),
        (parts, _) => format!("{parts} parts of the schema are not as they should be"),
    };
    let (code, remedy) = match vitals.flaws {
        0 => (
            "untouched",
            Remedy::command("acquire-outbox run").and("it checks them and puts them in the queue"),
        ),
        _ => ("schema", Remedy::command("acquire-outbox init")),
    };
    let jobs = Some(vitals.untouched).filter(|rows| *rows > 0);
    Some(concern(code, Condition::Attention, text, jobs, remedy))
}

pub(super) fn sandbox(vitals: &Vitals<'_>) -> Option<Concern> {
    let text = "sandbox: a stand-in answers, and nothing reaches Acquire".to_owned();
    let remedy = Remedy::advice("for real messages, use an outbox made without --sandbox");
    vitals.sandbox.then(|| concern("sandbox", Condition::Well, text, None, remedy))
}
