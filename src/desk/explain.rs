//! Why a job has not been sent yet, and when it will be tried. Pure.

mod ready;

use super::vocabulary::{NO_DISPATCHER, last_error, pause, resume_command, time};
use crate::config::ChannelPolicy;
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::Millis;
use crate::queue::overview::SetAside;
use crate::queue::pause::Pause;
use crate::queue::story::{Ahead, Position, Story};
use crate::queue::when::iso;
use serde::Serialize;

const UNTOUCHED: &str = "not in the queue yet: it was written while the triggers of the table outbox were missing \
                         or disabled; the dispatcher checks and queues it";

/// What is known about a job and what is ahead of it, as of one moment.
pub struct Known<'a> {
    pub story: &'a Story,
    /// For a parked job: the head of its ordering key.
    pub head: Option<&'a Story>,
    /// For a ready job.
    pub position: Option<Position>,
    /// Its channel's, where the configuration is at hand.
    pub policy: Option<&'a ChannelPolicy>,
    pub dispatcher: bool,
    pub now: Millis,
}

/// Everything that a job waits for, all of which must end before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// For people.
    #[serde(skip)]
    pub sentence: String,
    pub waits_for: Vec<WaitReason>,
}

/// One thing that a job waits for. Times are ISO 8601; null is unknown, or all of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WaitReason {
    /// Its `send_at`.
    Time { at: Option<String> },
    /// The end of the backoff after a failed attempt.
    #[serde(rename = "retry")]
    Backoff { at: Option<String> },
    /// An earlier job of its ordering key.
    Job {
        id: Option<i64>,
        status: Option<String>,
        jobs_ahead: Option<i64>,
        waits_for: Vec<WaitReason>,
    },
    /// An operator's pause.
    Pause { account: Option<String>, channel: Option<String>, reason: String, since: String },
    /// A refused account, a Retry-After, an open breaker or a shortage.
    #[serde(rename = "hold")]
    Block {
        #[serde(rename = "hold")]
        block: BlockKind,
        reason: String,
        since: String,
        until: Option<String>,
    },
    /// Jobs of its account and channel that are claimed before it, the rate, or `max_in_flight`.
    #[serde(rename = "turn")]
    Queue { jobs_ahead: u64, rate: Option<String>, in_flight: u64, likely_at: Option<String> },
    /// The database refused to change its row.
    SetAside { reason: String, since: String },
    /// It was written without the triggers, and must be checked and queued first.
    Rules,
    /// The answer to its request.
    Answer { since: Option<String> },
    /// A running dispatcher.
    Dispatcher,
    /// The next lookup of its message at Acquire.
    Verification { at: Option<String>, looks: i64 },
    /// An operator, who resolves or retries it.
    Person,
}

/// A reason, and the words for it.
type Explained = (WaitReason, String);

/// `None` for a job that waits for nothing: it is sent, failed or cancelled.
pub fn next(known: &Known<'_>) -> Option<Next> {
    let explained = match (known.story.job.delivery.status.as_str(), &known.story.set_aside) {
        ("pending" | "sending", Some(aside)) => vec![set_aside(aside, known.now)],
        ("pending", None) => pending(known),
        ("sending", None) => vec![sending(known)],
        ("uncertain", None) if known.story.job.wait.as_deref() == Some("verifying") => {
            verifying(known)
        }
        ("uncertain", _) => vec![(WaitReason::Person, uncertain(known.story))],
        _ => return None,
    };
    let (waits_for, sentences): (Vec<_>, Vec<_>) = explained.into_iter().unzip();
    Some(Next { sentence: sentences.join("; "), waits_for })
}

fn set_aside(aside: &SetAside, now: Millis) -> Explained {
    let SetAside { since, reason, .. } = aside;
    let sentence = format!(
        "set aside since {}: {reason}; the dispatcher tries it again every minute",
        time(*since, now)
    );
    (WaitReason::SetAside { reason: reason.clone(), since: iso(*since) }, sentence)
}

fn pending(known: &Known<'_>) -> Vec<Explained> {
    let mut explained = held_back_by(known);
    if explained.is_empty() && known.dispatcher {
        explained.push(ready::explain(known));
    }
    if !known.dispatcher {
        let ready = if explained.is_empty() { "ready; " } else { "" };
        explained.push((WaitReason::Dispatcher, format!("{ready}{NO_DISPATCHER}")));
    }
    explained
}

/// What keeps it from being ready to claim.
fn held_back_by(known: &Known<'_>) -> Vec<Explained> {
    let Known { story, dispatcher, now, .. } = known;
    let mut explained = Vec::new();
    match story.job.wait.as_deref() {
        Some("scheduled") => explained.push(scheduled(story.job.due, *now)),
        Some("backoff") => explained.push(backoff(story, *now)),
        Some("parked") => explained.push(parked(known)),
        Some("ready") => {}
        _ => explained.push((WaitReason::Rules, UNTOUCHED.to_owned())),
    }
    explained.extend(story.pauses.iter().map(|pause| paused(pause, *now)));
    // Blocks are those of the last dispatcher, and mean nothing once it has ended.
    let blocks = story.blocks.iter().filter(|block| *dispatcher && outlasts(block, story));
    explained.extend(blocks.map(|block| blocked(block, *now)));
    explained
}

/// Whether the block still matters when the job itself is due.
fn outlasts(block: &Block, story: &Story) -> bool {
    match story.job.wait.as_deref() {
        Some("backoff") => block.until.is_none_or(|until| Some(until) > story.job.retry),
        Some("scheduled" | "parked") => false,
        _ => true,
    }
}

fn scheduled(due: Option<Millis>, now: Millis) -> Explained {
    let sentence = match due {
        Some(due) if due > now => format!("scheduled for {}", time(due, now)),
        Some(due) => format!("due since {}", time(due, now)),
        None => "scheduled".to_owned(),
    };
    (WaitReason::Time { at: due.map(iso) }, sentence)
}

fn backoff(story: &Story, now: Millis) -> Explained {
    let next = match story.job.retry {
        Some(at) if at > now => format!("next attempt at {}", time(at, now)),
        _ => "due for its next attempt".to_owned(),
    };
    let sentence = match last_error(&story.job.delivery) {
        Some(error) => format!("{next}, after {error}"),
        None => next,
    };
    (WaitReason::Backoff { at: story.job.retry.map(iso) }, sentence)
}

fn parked(known: &Known<'_>) -> Explained {
    let Some(ahead) = &known.story.ahead else {
        let reason =
            WaitReason::Job { id: None, status: None, jobs_ahead: None, waits_for: vec![] };
        return (reason, "behind an earlier job of its ordering key".to_owned());
    };
    let (waits_for, why) = known.head.map_or((vec![], String::new()), |head| {
        let of_head = Known { story: head, head: None, position: None, ..*known };
        let explained = match head.job.wait.as_deref() {
            Some("verifying") => verifying(&of_head),
            _ => held_back_by(&of_head),
        };
        let (reasons, sentences): (Vec<_>, Vec<_>) = explained.into_iter().unzip();
        (reasons, sentences.join("; "))
    });
    let reason = WaitReason::Job {
        id: Some(ahead.holder),
        status: Some(ahead.holder_status.clone()),
        jobs_ahead: Some(ahead.jobs),
        waits_for,
    };
    (reason, behind(ahead, &why))
}

/// `why` is what the head itself waits for, if anything.
fn behind(ahead: &Ahead, why: &str) -> String {
    let head = ahead.holder;
    let count = match ahead.jobs {
        1 => String::new(),
        jobs => format!(" ({jobs} jobs are ahead of it)"),
    };
    match (ahead.holder_status.as_str(), why) {
        ("pending", "") => {
            format!("behind job {head} of its ordering key, which is waiting its turn{count}")
        }
        ("pending", why) => {
            format!("behind job {head} of its ordering key{count}; job {head} itself waits: {why}")
        }
        ("uncertain", why) => {
            format!("behind job {head} of its ordering key{count}; job {head}: {why}")
        }
        (status, _) => format!("behind job {head} of its ordering key, which is {status}{count}"),
    }
}

fn paused(of: &Pause, now: Millis) -> Explained {
    let reason = WaitReason::Pause {
        account: of.account.clone(),
        channel: of.channel.map(|channel| channel.to_string()),
        reason: of.reason.clone(),
        since: iso(of.since),
    };
    let sentence = format!("paused: {}; resume it with `{}`", pause(of, now), resume_command(of));
    (reason, sentence)
}

fn blocked(block: &Block, now: Millis) -> Explained {
    let (reason, until) = (&block.reason, block.until.map(|until| time(until, now)));
    let at_or_soon = |until: Option<String>| match until {
        Some(until) => format!("at {until}"),
        None => "soon".to_owned(),
    };
    let sentence = match (block.kind, until) {
        (BlockKind::Refused, until) => {
            let again = until.map(|until| format!("; the next probe goes out at {until}"));
            format!(
                "blocked: the account {} is refused or misconfigured: {reason}{}",
                block.account,
                again.unwrap_or_default()
            )
        }
        (BlockKind::RetryAfter, Some(until)) => {
            format!("blocked: Acquire said to wait until {until}: {reason}")
        }
        (BlockKind::RetryAfter, None) => format!("blocked: Acquire said to wait: {reason}"),
        (BlockKind::Breaker, until) => format!(
            "blocked: the breaker is open after repeated failures: {reason}; the next probe goes out {}",
            at_or_soon(until)
        ),
        (BlockKind::Shortage, until) => format!(
            "blocked: {reason}; it is tried again {}, and no attempt is spent",
            at_or_soon(until)
        ),
    };
    let (since, until) = (iso(block.since), block.until.map(iso));
    (WaitReason::Block { block: block.kind, reason: reason.clone(), since, until }, sentence)
}

fn sending(known: &Known<'_>) -> Explained {
    let job = &known.story.job;
    let (attempt, since) = (job.delivery.attempts, job.updated.map(|at| time(at, known.now)));
    if known.dispatcher {
        let sentence = match since {
            Some(since) => format!("attempt {attempt} has been in flight since {since}"),
            None => format!("attempt {attempt} is in flight"),
        };
        return (WaitReason::Answer { since: job.updated.map(iso) }, sentence);
    }
    let begun = since.map(|since| format!(", begun at {since},")).unwrap_or_default();
    let sentence = format!(
        "attempt {attempt}{begun} was in flight when its dispatcher ended; the next \
         `acquire-outbox run` decides by the channel's on_uncertain"
    );
    (WaitReason::Dispatcher, sentence)
}

fn verifying(known: &Known<'_>) -> Vec<Explained> {
    let Known { story, dispatcher, now, .. } = known;
    let job = &story.job;
    let next = match job.next_look {
        Some(at) if at > *now => format!("next lookup at {}", time(at, *now)),
        _ => "the next lookup is due".to_owned(),
    };
    let seen = job.seen_at_acquire().map(|seen| format!("; seen so far: {seen}"));
    let sentence = format!(
        "it may have been delivered, and is being verified at Acquire: {next}{}",
        seen.unwrap_or_default()
    );
    let reason = WaitReason::Verification { at: job.next_look.map(iso), looks: job.looks };
    let mut explained = vec![(reason, sentence)];
    explained.extend(story.pauses.iter().map(|pause| paused(pause, *now)));
    if !dispatcher {
        explained.push((WaitReason::Dispatcher, NO_DISPATCHER.to_owned()));
    }
    explained
}

fn uncertain(story: &Story) -> String {
    let id = story.job.delivery.id;
    let seen = story.job.seen_at_acquire().map(|seen| format!(" (seen there: {seen})"));
    format!(
        "it may have been delivered: check its case at Acquire{}, then resolve it with \
         `acquire-outbox resolve {id} --sent|--failed`, or send it again with `acquire-outbox retry {id}`",
        seen.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests;
