//! Whether the outbox is well: one verdict, with its reasons and what to do about each. The pages,
//! `status`, the metrics and the notifications all show this one.

mod reasons;

use crate::queue::block::Block;
use crate::queue::filter::Filter;
use crate::queue::job::Millis;
use crate::queue::outcome_counts::{HOUR_MS, HistoryRow, OutcomeCounts};
use crate::queue::overview::RouteBacklog;
use crate::queue::pause::Pause;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Failures of an hour are above the usual from this many on, if they are three times the usual and more
/// than a twentieth of what ended.
const FAILURES: u64 = 5;
const TIMES_THE_USUAL: f64 = 3.0;
const SHARE: f64 = 0.05;
/// The usual is that of this many hours before the last one.
pub const USUAL_HOURS: Millis = 7 * 24;
/// How the outbox is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Well,
    Attention,
    Down,
}

impl Condition {
    pub const ALL: [Condition; 3] = [Condition::Well, Condition::Attention, Condition::Down];

    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Well => "well",
            Condition::Attention => "attention",
            Condition::Down => "down",
        }
    }
}

/// What is known of the dispatchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatching {
    /// One works on the outbox.
    Running,
    /// Another process does, and the one that asks stands by.
    Elsewhere,
    /// The one that asks is starting, or stopping.
    Starting,
    Stopping,
    /// It works, and cannot use the database.
    Trouble,
    /// Its loop has not turned for this many seconds.
    Stuck(u64),
    /// None works.
    Nobody,
}

/// Failures of the last hour, and what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Failures {
    pub last_hour: OutcomeCounts,
    /// How many fail in an hour, on average.
    pub usual: f64,
}

impl Failures {
    /// `last` is the history of the last hour, and `before` that of [`USUAL_HOURS`] before it and of the last
    /// hour, by hours. Only the hours since the history began count.
    pub fn of(last: &[HistoryRow], before: &[HistoryRow], now: Millis) -> Failures {
        let mut failures = Failures::default();
        last.iter().for_each(|row| failures.last_hour.add(&row.tally));
        let all: u64 = before.iter().map(|row| row.tally.failed).sum();
        let first = before.iter().map(|row| row.begins_at).min().unwrap_or(now);
        let hours = ((now - HOUR_MS - first) / HOUR_MS).max(1);
        failures.usual = all.saturating_sub(failures.last_hour.failed) as f64 / hours as f64;
        failures
    }

    fn are_above_the_usual(&self) -> bool {
        let failed = self.last_hour.failed;
        failed >= FAILURES
            && failed as f64 > self.usual * TIMES_THE_USUAL
            && self.last_hour.failed_share() > SHARE
    }
}

/// Everything that the verdict depends on.
#[derive(Debug)]
pub struct Vitals<'a> {
    pub now: Millis,
    pub dispatching: Dispatching,
    pub sandbox: bool,
    pub pauses: &'a [Pause],
    pub blocks: &'a [Block],
    /// `None`: counting takes too long.
    pub backlogs: Option<&'a [RouteBacklog]>,
    /// Those that wait for a person.
    pub uncertain: u64,
    pub set_aside: u64,
    /// Rows that no trigger has seen, and rules of the schema that are missing.
    pub untouched: u64,
    pub flaws: usize,
    pub last_sent: &'a BTreeMap<String, Millis>,
    pub failures: Failures,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// A command; may be empty.
    pub command: String,
    /// What else; may be empty.
    pub advice: &'static str,
}

impl Remedy {
    fn command(command: impl Into<String>) -> Remedy {
        Remedy { command: command.into(), advice: "" }
    }

    fn advice(advice: &'static str) -> Remedy {
        Remedy { command: String::new(), advice }
    }

    fn and(self, advice: &'static str) -> Remedy {
        Remedy { advice, ..self }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joint = if self.command.is_empty() || self.advice.is_empty() { "" } else { "; " };
        write!(f, "{}{joint}{}", self.command, self.advice)
    }
}

impl Serialize for Remedy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A reason for the verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Concern {
    /// For programs; one of [`CODES`].
    pub code: &'static str,
    /// What it makes of the outbox. `well`: a note.
    pub level: Condition,
    /// For people; nothing of any message.
    pub text: String,
    /// How many jobs wait for it; `None` where that is not known or makes no sense.
    pub jobs: Option<u64>,
    #[serde(rename = "do")]
    pub remedy: Remedy,
    /// Those jobs.
    #[serde(skip)]
    pub filter: Option<Filter>,
    /// The pause that is the reason.
    #[serde(skip)]
    pub pause: Option<Pause>,
}

impl Concern {
    /// How many jobs wait for it, where its text does not say so already.
    pub fn waiting(&self) -> Option<u64> {
        let says = ["uncertain", "set_aside", "failures", "untouched"].contains(&self.code);
        self.jobs.filter(|jobs| *jobs > 0 && !says)
    }
}

/// The codes that reasons can have.
pub const CODES: [&str; 19] = [
    "no_dispatcher",
    "trouble",
    "stuck",
    "unreadable",
    "nothing_sent",
    "restored_backup",
    "paused",
    "refused",
    "breaker",
    "shortage",
    "uncertain",
    "set_aside",
    "failures",
    "schema",
    "untouched",
    "starting",
    "stopping",
    "standby",
    "sandbox",
];

/// The verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    pub condition: Condition,
    /// The worst first.
    pub concerns: Vec<Concern>,
}

impl Serialize for Assessment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct VerdictJson<'a> {
            verdict: Condition,
            reasons: &'a [Concern],
        }
        VerdictJson { verdict: self.condition, reasons: &self.concerns }.serialize(to)
    }
}

impl Assessment {
    fn of(mut concerns: Vec<Concern>) -> Assessment {
        concerns.sort_by_key(|concern| std::cmp::Reverse(concern.level));
        let condition = concerns.iter().map(|concern| concern.level).max();
        Assessment { condition: condition.unwrap_or(Condition::Well), concerns }
    }

    /// Nothing can be read.
    pub fn unreadable() -> Assessment {
        let text = "the database cannot be read: nothing is known about the jobs".to_owned();
        let remedy = Remedy::command("acquire-outbox check");
        Assessment::of(vec![concern("unreadable", Condition::Down, text, None, remedy)])
    }

    /// Those that are more than notes.
    pub fn problems(&self) -> impl Iterator<Item = &Concern> {
        self.concerns.iter().filter(|concern| concern.level > Condition::Well)
    }
}

/// Gives the verdict.
pub fn assess(vitals: &Vitals<'_>) -> Assessment {
    let mut concerns = reasons::pauses(vitals);
    concerns.extend(reasons::blocks(vitals));
    let others = [
        reasons::dispatching(vitals),
        reasons::silence(vitals),
        reasons::uncertain(vitals),
        reasons::set_aside(vitals),
        reasons::failures(vitals),
        reasons::schema(vitals),
        reasons::sandbox(vitals),
    ];
    concerns.extend(others.into_iter().flatten());
    Assessment::of(concerns)
}

fn concern(
    code: &'static str,
    level: Condition,
    text: String,
    jobs: Option<u64>,
    remedy: Remedy,
) -> Concern {
    Concern { code, level, text, jobs, remedy, filter: None, pause: None }
}

#[cfg(test)]
mod tests;
