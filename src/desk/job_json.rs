//! Jobs as JSON: what `list --json` and `show --json` print, and `/api` answers.

use super::explain::WaitReason;
use super::inspect::{Inspection, json_or_text};
use crate::queue::act::Act;
use crate::queue::payload::Json;
use crate::queue::story::{AttemptRow, Delivery};
use crate::queue::when::iso;
use serde::Serialize;

/// A job in a list: the columns of `delivery_status`.
#[derive(Serialize)]
pub struct ListedJson<'a> {
    #[serde(flatten)]
    delivery: &'a Delivery,
    /// The outbox is for the sandbox: nothing in it was delivered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sandbox: bool,
}

/// These jobs, in their order.
pub fn listed(jobs: &[Delivery], sandbox: bool) -> Vec<ListedJson<'_>> {
    jobs.iter().map(|delivery| ListedJson { delivery, sandbox }).collect()
}

/// One job, with its history and why it waits.
#[derive(Serialize)]
pub struct JobJson<'a> {
    #[serde(flatten)]
    delivery: &'a Delivery,
    payload_bytes: i64,
    /// The outbox is for the sandbox: nothing in it was delivered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sandbox: bool,
    receipt: Option<Json>,
    /// What was found at Acquire, if it was looked for.
    seen: Option<Json>,
    /// When Acquire is asked what became of it, and when it last answered that.
    next_follow_up_at: Option<String>,
    followed_up_at: Option<String>,
    /// Why it waits; null where it waits for nothing.
    next: Option<&'a str>,
    /// The same for programs; empty where it waits for nothing.
    waits_for: &'a [WaitReason],
    history: &'a [AttemptRow],
    /// What people and programs have done to it, oldest first.
    acts: &'a [Act],
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Json>,
}

impl<'a> JobJson<'a> {
    pub fn of(job: &'a Inspection, sandbox: bool) -> Self {
        let Inspection { story, next, payload, .. } = job;
        JobJson {
            delivery: &story.job.delivery,
            payload_bytes: story.job.payload_bytes,
            sandbox,
            receipt: story.job.receipt.as_deref().map(json_or_text),
            seen: story.job.seen.as_deref().map(json_or_text),
            next_follow_up_at: story.job.next_follow_up.map(iso),
            followed_up_at: story.job.followed.map(iso),
            next: next.as_ref().map(|next| next.sentence.as_str()),
            waits_for: next.as_ref().map(|next| next.waits_for.as_slice()).unwrap_or_default(),
            history: &story.history,
            acts: &story.acts,
            payload: payload.as_deref().map(json_or_text),
        }
    }
}
