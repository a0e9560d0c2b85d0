//! The words for states, blocks, reasons to wait and changes, the same in commands and on pages.

use crate::queue::act::Act;
use crate::queue::block::BlockKind;
use crate::queue::change::{Change, Resolution};
use crate::queue::filter::WaitState;
use crate::queue::job::Millis;
use crate::queue::node::{Node, Nodes, Standing};
use crate::queue::pause::Pause;
use crate::queue::story::Delivery;
use crate::queue::when::{iso, relative};

pub const NO_DISPATCHER: &str = "no dispatcher is running; start one with `acquire-outbox run`";

/// Why a pending job waits, and the words for it.
pub const WAITS: [(WaitState, &str); 4] = [
    (WaitState::Ready, "ready"),
    (WaitState::Backoff, "in backoff"),
    (WaitState::Scheduled, "scheduled"),
    (WaitState::Parked, "parked"),
];

/// The state of a node, as the others see it.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Working => "at work",
        Standing::Overdue => "lease has run out",
        Standing::Dead => "dead; its jobs are being decided",
        Standing::Ended => "ended",
    }
}

/// The same for one node, with how it learns of new jobs where that is not the usual way.
pub fn node(node: &Node) -> String {
    match node.polls && node.standing == Standing::Working {
        true => "at work, polling (pooler in transaction mode)".to_owned(),
        false => standing(node.standing).to_owned(),
    }
}

/// `2 nodes at work; 1 node: lease has run out`
pub fn nodes(nodes: &Nodes) -> String {
    let shown = Standing::ALL.into_iter().filter_map(|standing| {
        let count = nodes.count(standing);
        let noun = if count == 1 { "node" } else { "nodes" };
        match (count, standing) {
            (0, _) => None,
            (count, Standing::Working) => Some(format!("{count} {noun} at work")),
            (count, other) => Some(format!("{count} {noun}: {}", self::standing(other))),
        }
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// The names of a change, and what it means.
#[derive(Debug, PartialEq, Eq)]
pub struct ChangeLabels {
    pub change: Change,
    /// In a form and in the log.
    pub name: &'static str,
    /// On a button.
    pub label: &'static str,
    /// What was done to the jobs.
    pub done: &'static str,
    /// What the change means, for the page that asks before it is made.
    pub meaning: &'static str,
}

static RETRY: ChangeLabels = ChangeLabels {
    change: Change::Retry,
    name: "retry",
    label: "Retry",
    done: "retried",
    meaning: "They become pending again, with a fresh budget of attempts and time.",
};

static TRY_NOW: ChangeLabels = ChangeLabels {
    change: Change::TryNow,
    name: "try_now",
    label: "Try now",
    done: "due now",
    meaning: "They are in backoff and become due at once, with the attempts and the time that they have \
              left. A pause or a refused account still holds them back.",
};

static CANCEL: ChangeLabels = ChangeLabels {
    change: Change::Cancel,
    name: "cancel",
    label: "Cancel",
    done: "cancelled",
    meaning: "They will not be sent unless somebody retries them. A job that is being sent is not \
              stopped.",
};

static RESOLVE_SENT: ChangeLabels = ChangeLabels {
    change: Change::Resolve(Resolution::Sent),
    name: "resolve_sent",
    label: "Resolve as sent",
    done: "resolved as sent",
    meaning: "You have checked their cases at Acquire and found the messages there. A job that is \
              sent stays sent.",
};

static RESOLVE_FAILED: ChangeLabels = ChangeLabels {
    change: Change::Resolve(Resolution::Failed),
    name: "resolve_failed",
    label: "Resolve as failed",
    done: "resolved as failed",
    meaning: "You have checked their cases at Acquire, and the messages are not there. They will not \
              be sent unless somebody retries them.",
};

static VERIFY: ChangeLabels = ChangeLabels {
    change: Change::Verify,
    name: "verify",
    label: "Verify at Acquire again",
    done: "to be verified at Acquire",
    meaning: "The dispatcher now looks for their messages at Acquire. What it finds is recorded as sent; \
              what is not there is sent again only where on_uncertain is verify.",
};

static PRUNE: ChangeLabels = ChangeLabels {
    change: Change::Prune,
    name: "prune",
    label: "Prune",
    done: "pruned",
    meaning: "They are deleted, with their history.",
};

/// What a change is called.
pub fn change_labels(change: Change) -> &'static ChangeLabels {
    match change {
        Change::Retry => &RETRY,
        Change::TryNow => &TRY_NOW,
        Change::Cancel => &CANCEL,
        Change::Resolve(Resolution::Sent) => &RESOLVE_SENT,
        Change::Resolve(Resolution::Failed) => &RESOLVE_FAILED,
        Change::Verify => &VERIFY,
        Change::Prune => &PRUNE,
    }
}

/// What a change does, for a button; `jobs` is their number, like `3 jobs`.
pub fn deed(change: Change, jobs: &str) -> String {
    match change {
        Change::Retry => format!("Retry {jobs}"),
        Change::TryNow => format!("Try {jobs} now"),
        Change::Cancel => format!("Cancel {jobs}"),
        Change::Resolve(Resolution::Sent) => format!("Resolve {jobs} as sent"),
        Change::Resolve(Resolution::Failed) => format!("Resolve {jobs} as failed"),
        Change::Verify => format!("Verify {jobs} at Acquire"),
        Change::Prune => format!("Delete {jobs} with their history"),
    }
}

/// What the other button says. "Cancel" alone would be taken for the change of that name.
pub fn decline(change: Change) -> &'static str {
    match change {
        Change::Cancel | Change::Prune => "Keep them",
        _ => "Leave them as they are",
    }
}

/// What somebody has done to a job: `retried`, `changed: payload`.
pub fn act(act: &Act) -> String {
    let changes = [&RETRY, &TRY_NOW, &CANCEL, &RESOLVE_SENT, &RESOLVE_FAILED, &VERIFY];
    let done = changes.into_iter().find(|labels| labels.name == act.deed);
    let done = done.map_or(act.deed.as_str(), |labels| labels.done);
    let done = match done {
        "change" => "changed",
        "fail" => "failed",
        "insert" => "inserted",
        done => done,
    };
    match &act.detail {
        Some(detail) => format!("{done}: {detail}"),
        None => done.to_owned(),
    }
}

/// What to ask before a change; `jobs` is their number, like `3 jobs`.
pub fn question(change: Change, jobs: &str) -> String {
    deed(change, jobs) + "?"
}

/// Why jobs are blocked.
pub fn block_reason(kind: BlockKind) -> &'static str {
    match kind {
        BlockKind::Refused => "the account is refused",
        BlockKind::RetryAfter => "Acquire said to wait",
        BlockKind::Breaker => "the breaker is open",
        BlockKind::Shortage => "this machine is short of a resource",
    }
}

/// A job's state and what else there is to say about it: `failed: rejected`, `uncertain: verifying`, `sent: bounced`.
pub fn state(job: &Delivery) -> String {
    match remark(job) {
        Some(remark) => format!("{}: {remark}", job.status),
        None => job.status.clone(),
    }
}

/// Why it failed, that it is being verified, or what became of a message after it was sent.
pub fn remark(job: &Delivery) -> Option<&str> {
    let verifying = job.verifying.then_some("verifying");
    job.failure.as_deref().or(verifying).or(job.delivery.as_deref())
}

/// A job's last error: `http_503: a sentence`, or whichever of the two there is.
pub fn last_error(job: &Delivery) -> Option<String> {
    match (&job.error_code, &job.error) {
        (Some(code), Some(error)) => Some(format!("{code}: {error}")),
        (code, error) => code.as_ref().or(error.as_ref()).cloned(),
    }
}

/// A time, and how far away it is: `2026-11-22T08:00:00.000Z (5m ago)`.
pub fn time(at: Millis, now: Millis) -> String {
    format!("{} ({})", iso(at), relative(at, now))
}

/// What is paused, since when, until when and why: `sms since 2026-11-22T08:00:00.000Z (5m ago): a reason`.
pub fn pause(pause: &Pause, now: Millis) -> String {
    let reason =
        if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
    let until = pause.until.map(|at| format!(" until {}", time(at, now))).unwrap_or_default();
    format!("{} since {}{until}{reason}", pause.subject(), time(pause.since, now))
}

/// Everything that is paused, in one sentence.
pub fn pauses(all: &[Pause], now: Millis) -> String {
    if all.is_empty() {
        return "nothing is paused".to_owned();
    }
    let all: Vec<_> = all.iter().map(|one| pause(one, now)).collect();
    format!("paused: {}", all.join("; "))
}

/// The command that ends a pause.
pub fn resume_command(pause: &Pause) -> String {
    if pause.is_of_restored() {
        return "acquire-outbox resume --restored".to_owned();
    }
    let flags = match (&pause.account, pause.channel) {
        (None, None) => "--all".to_owned(),
        (None, Some(channel)) => channel.to_string(),
        (Some(account), None) => format!("--account {account}"),
        (Some(account), Some(channel)) => format!("{channel} --account {account}"),
    };
    format!("acquire-outbox resume {flags}")
}
