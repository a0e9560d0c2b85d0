//! Why a job has not been sent yet, and when it will be tried. Pure.

mod position;

use crate::config::ChannelPolicy;
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::Millis;
use crate::queue::overview::SetAside;
use crate::queue::pause::Pause;
use crate::queue::story::Position;
use crate::queue::story::{Ahead, Story};
use crate::queue::when::{iso, relative};
use serde::Serialize;

const NO_DISPATCHER: &str = "no dispatcher is running: start one with `acquire-outbox run`";

const UNTOUCHED: &str = "not in the queue yet: it was written while the triggers of the table outbox were missing \
                         or turned off; the dispatcher checks and queues it";

/// What is known of a job and of what stands before it, as of one moment.
pub struct Known<'a> {
    pub story: &'a Story,
    /// Where it is parked: the job that holds its ordering key.
    pub holder: Option<&'a Story>,
    /// Where it is ready.
    pub position: Option<Position>,
    /// Its channel's, where the configuration can be read.
    pub policy: Option<&'a ChannelPolicy>,
    pub dispatcher: bool,
    pub now: Millis,
}

/// Everything that a job waits for; all of it must pass before it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// For people.
    #[serde(skip)]
    pub sentence: String,
    pub waits_for: Vec<Cause>,
}

/// One thing that a job waits for. Times are ISO 8601; what is null is not known, or is all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// Its `send_at`.
    Time { at: Option<String> },
    /// The end of the pause after a failed attempt.
    Retry { at: Option<String> },
    /// An earlier job of its ordering key.
    Job { id: Option<i64>, status: Option<String>, jobs_ahead: Option<i64>, waits_for: Vec<Cause> },
    /// A person's pause.
    Pause { account: Option<String>, channel: Option<String>, reason: String, since: String },
    /// A refused account, a Retry-After or an open breaker.
    Hold { hold: BlockKind, reason: String, since: String, until: Option<String> },
    /// Jobs of its account and channel that are claimed before it, the rate, or room on the wire.
    Turn { jobs_ahead: u64, rate: Option<String>, in_flight: u64, likely_at: Option<String> },
    /// The database refused to move its row: it waits until that works.
    SetAside { reason: String, since: String },
    /// It was written without the triggers: it waits until it is checked and queued.
    Rules,
    /// The answer to its request.
    Answer { since: Option<String> },
    /// Somebody who runs the dispatcher.
    Dispatcher,
    /// Somebody who decides what became of it.
    Person,
}

/// A cause and its words.
type Told = (Cause, String);

/// What is paused, since when and why: `sms since 2026-11-22T08:00:00.000Z (5m ago): a reason`.
pub fn pause(pause: &Pause, now: Millis) -> String {
    let reason =
        if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
    format!("{} since {}{reason}", pause.subject(), at(pause.since, now))
}

/// What ends a pause.
pub fn resume_command(pause: &Pause) -> String {
    if pause.is_of_restored() {
        return "acquire-outbox resume --restored".to_owned();
    }
    let words = match (&pause.account, pause.channel) {
        (None, None) => "--all".to_owned(),
        (None, Some(channel)) => channel.to_string(),
        (Some(account), None) => format!("--account {account}"),
        (Some(account), Some(channel)) => format!("{channel} --account {account}"),
    };
    format!("acquire-outbox resume {words}")
}

/// `None` for a job that waits for nothing: it is sent, failed or cancelled.
pub fn next(known: &Known<'_>) -> Option<Next> {
    let told = match (known.story.job.delivery.status.as_str(), &known.story.aside) {
        ("pending" | "sending", Some(of)) => vec![aside(of, known.now)],
        ("pending", None) => pending(known),
        ("sending", None) => vec![sending(known)],
        ("uncertain", _) => vec![(Cause::Person, uncertain(known.story.job.delivery.id))],
        _ => return None,
    };
    let (waits_for, words): (Vec<_>, Vec<_>) = told.into_iter().unzip();
    Some(Next { sentence: words.join("; "), waits_for })
}

/// The dispatcher tries it again each minute.
fn aside(of: &SetAside, now: Millis) -> Told {
    let cause = Cause::SetAside { reason: of.reason.clone(), since: iso(of.since) };
    let words = format!(
        "set aside since {}: {}; the dispatcher tries it again each minute",
        at(of.since, now),
        of.reason
    );
    (cause, words)
}

fn pending(known: &Known<'_>) -> Vec<Told> {
    let mut told = causes(known);
    if told.is_empty() && known.dispatcher {
        told.push(position::position(known));
    }
    if !known.dispatcher {
        let ready = if told.is_empty() { "ready; " } else { "" };
        told.push((Cause::Dispatcher, format!("{ready}{NO_DISPATCHER}")));
    }
    told
}

/// What keeps it from being claimed, but for its turn.
fn causes(known: &Known<'_>) -> Vec<Told> {
    let Known { story, dispatcher, now, .. } = known;
    let mut told = Vec::new();
    match story.job.wait.as_deref() {
        Some("scheduled") => told.push(scheduled(story.job.due, *now)),
        Some("backoff") => told.push(backoff(story, *now)),
        Some("parked") => told.push(parked(known)),
        Some("ready") => {}
        _ => told.push((Cause::Rules, UNTOUCHED.to_owned())),
    }
    told.extend(story.pauses.iter().map(|of| paused(of, *now)));
    // The holds are the last dispatcher's: they say nothing once it has ended.
    let holds = story.holds.iter().filter(|hold| *dispatcher && outlasts(hold, story));
    told.extend(holds.map(|hold| held(hold, *now)));
    told
}

/// Whether a hold still matters when the job's own time has come.
fn outlasts(hold: &Block, story: &Story) -> bool {
    match story.job.wait.as_deref() {
        Some("backoff") => hold.until.is_none_or(|until| Some(until) > story.job.retry),
        Some("scheduled" | "parked") => false,
        _ => true,
    }
}

fn scheduled(due: Option<Millis>, now: Millis) -> Told {
    let words = match due {
        Some(due) if due > now => format!("scheduled for {}", at(due, now)),
        Some(due) => format!("due since {}", at(due, now)),
        None => "scheduled".to_owned(),
    };
    (Cause::Time { at: due.map(iso) }, words)
}

fn backoff(story: &Story, now: Millis) -> Told {
    let row = &story.job.delivery;
    let retry = match story.job.retry {
        Some(retry) if retry > now => format!("retry at {}", at(retry, now)),
        _ => "due for a retry".to_owned(),
    };
    let words = match (&row.error_code, &row.error) {
        (Some(code), Some(error)) => format!("{retry}, after {code}: {error}"),
        (Some(text), None) | (None, Some(text)) => format!("{retry}, after {text}"),
        (None, None) => retry,
    };
    (Cause::Retry { at: story.job.retry.map(iso) }, words)
}

fn parked(known: &Known<'_>) -> Told {
    let Some(ahead) = &known.story.ahead else {
        let cause = Cause::Job { id: None, status: None, jobs_ahead: None, waits_for: vec![] };
        return (cause, "behind an earlier job of its ordering key".to_owned());
    };
    let (waits_for, why) = known.holder.map_or((vec![], String::new()), |holder| {
        let of_holder = Known { story: holder, holder: None, position: None, ..*known };
        let (waits_for, words): (Vec<_>, Vec<_>) = causes(&of_holder).into_iter().unzip();
        (waits_for, words.join("; "))
    });
    let cause = Cause::Job {
        id: Some(ahead.holder),
        status: Some(ahead.holder_status.clone()),
        jobs_ahead: Some(ahead.jobs),
        waits_for,
    };
    (cause, behind(ahead, &why))
}

/// `why` says what the job before it waits for, if anything.
fn behind(ahead: &Ahead, why: &str) -> String {
    let holder = ahead.holder;
    let count = match ahead.jobs {
        1 => String::new(),
        jobs => format!(", {jobs} jobs ahead in all"),
    };
    match (ahead.holder_status.as_str(), why) {
        ("pending", "") => {
            format!("behind job {holder} of its ordering key, which waits its turn{count}")
        }
        ("pending", why) => format!(
            "behind job {holder} of its ordering key{count}; job {holder} itself waits: {why}"
        ),
        (status, _) => {
            format!("behind job {holder} of its ordering key, which is {status}{count}")
        }
    }
}

fn paused(of: &Pause, now: Millis) -> Told {
    let cause = Cause::Pause {
        account: of.account.clone(),
        channel: of.channel.map(|channel| channel.to_string()),
        reason: of.reason.clone(),
        since: iso(of.since),
    };
    let words = format!("paused: {}; resume it with `{}`", pause(of, now), resume_command(of));
    (cause, words)
}

fn held(hold: &Block, now: Millis) -> Told {
    let (reason, until) = (&hold.reason, hold.until.map(|until| at(until, now)));
    let words = match (hold.kind, until) {
        (BlockKind::Refused, until) => {
            let again = until.map(|until| format!("; it is tried again at {until}"));
            let again = again.unwrap_or_default();
            format!(
                "held: the account {} is refused or misconfigured: {reason}{again}",
                hold.account
            )
        }
        (BlockKind::RetryAfter, Some(until)) => {
            format!("held: Acquire asked for a pause until {until}: {reason}")
        }
        (BlockKind::RetryAfter, None) => format!("held: Acquire asked for a pause: {reason}"),
        (BlockKind::Breaker, until) => format!(
            "held: the breaker is open after failures in a row: {reason}; the next probe goes out {}",
            until.map_or("soon".to_owned(), |until| format!("at {until}"))
        ),
        (BlockKind::Shortage, until) => format!(
            "held: {reason}; it is tried again {}, and no attempt is spent",
            until.map_or("soon".to_owned(), |until| format!("at {until}"))
        ),
    };
    let (since, until) = (iso(hold.since), hold.until.map(iso));
    (Cause::Hold { hold: hold.kind, reason: reason.clone(), since, until }, words)
}

fn sending(known: &Known<'_>) -> Told {
    let job = &known.story.job;
    let attempt = job.delivery.attempts;
    let since = job.updated.map(|claimed| format!(" since {}", at(claimed, known.now)));
    let since = since.unwrap_or_default();
    if known.dispatcher {
        let cause = Cause::Answer { since: job.updated.map(iso) };
        return (cause, format!("attempt {attempt} is on its way{since}"));
    }
    let words = format!(
        "attempt {attempt} was on its way{since} when its dispatcher ended; the next \
         `acquire-outbox run` decides by the channel's on_uncertain"
    );
    (Cause::Dispatcher, words)
}

fn uncertain(id: i64) -> String {
    format!(
        "a person decides: it may have arrived; look into its case at Acquire, then settle it with \
         `acquire-outbox resolve {id} --sent|--failed`, or send it again with `acquire-outbox retry {id}`"
    )
}

fn at(time: Millis, now: Millis) -> String {
    format!("{} ({})", iso(time), relative(time, now))
}

#[cfg(test)]
mod tests;
