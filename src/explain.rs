//! One sentence that says why a job waits. Pure.

use crate::job::Millis;
use crate::store::query::{Ahead, Detail, Story};
use crate::store::{Hold, HoldKind};
use crate::when::{iso, relative};

const NO_DISPATCHER: &str = "no dispatcher is running: start one with `acquire-outbox run`";

/// `None` for a job that waits for nothing: it is sent, failed or cancelled.
pub fn sentence(story: &Story, dispatcher: bool, now: Millis) -> Option<String> {
    match story.job.delivery.status.as_str() {
        "pending" => Some(pending(story, dispatcher, now)),
        "sending" => Some(sending(&story.job, dispatcher, now)),
        "uncertain" => Some(uncertain(story.job.delivery.id)),
        _ => None,
    }
}

fn pending(story: &Story, dispatcher: bool, now: Millis) -> String {
    let why = match story.job.wait.as_deref() {
        Some("scheduled") => scheduled(&story.job, now),
        Some("backoff") => backoff(&story.job, now),
        Some("parked") => parked(story.ahead.as_ref(), now),
        _ => ready(&story.holds, dispatcher, now),
    };
    if dispatcher { why } else { format!("{why}; {NO_DISPATCHER}") }
}

fn scheduled(job: &Detail, now: Millis) -> String {
    match job.due {
        Some(due) if due > now => format!("scheduled for {}", at(due, now)),
        Some(due) => format!("due since {}", at(due, now)),
        None => "scheduled".to_owned(),
    }
}

fn backoff(job: &Detail, now: Millis) -> String {
    let row = &job.delivery;
    let retry = match job.retry {
        Some(retry) if retry > now => format!("retry at {}", at(retry, now)),
        _ => "due for a retry".to_owned(),
    };
    match (&row.error_code, &row.error) {
        (Some(code), Some(error)) => format!("{retry}, after {code}: {error}"),
        (Some(text), None) | (None, Some(text)) => format!("{retry}, after {text}"),
        (None, None) => retry,
    }
}

fn parked(ahead: Option<&Ahead>, now: Millis) -> String {
    let Some(ahead) = ahead else { return "behind an earlier job of its ordering key".to_owned() };
    let holder = match (ahead.holder_status.as_str(), ahead.holder_retry) {
        ("pending", Some(retry)) if retry > now => format!("which retries at {}", at(retry, now)),
        ("pending", _) => "which waits its turn".to_owned(),
        (status, _) => format!("which is {status}"),
    };
    let count = match ahead.jobs {
        1 => String::new(),
        jobs => format!(", {jobs} jobs ahead in all"),
    };
    format!("behind job {} of its ordering key, {holder}{count}", ahead.holder)
}

/// The holds are the last dispatcher's: they say nothing once it has ended.
fn ready(holds: &[Hold], dispatcher: bool, now: Millis) -> String {
    let Some(hold) = holds.first().filter(|_| dispatcher) else {
        return if dispatcher { "ready, and waits its turn" } else { "ready" }.to_owned();
    };
    match (hold.kind, hold.until) {
        (HoldKind::Refused, Some(until)) => format!(
            "held: Acquire refuses the account {}: {}; it is tried again at {}",
            hold.account,
            hold.reason,
            at(until, now)
        ),
        (HoldKind::Refused, None) => {
            format!("held: Acquire refuses the account {}: {}", hold.account, hold.reason)
        }
        (HoldKind::RetryAfter, Some(until)) => {
            format!("held: Acquire asked for a pause until {}: {}", at(until, now), hold.reason)
        }
        (HoldKind::RetryAfter, None) => format!("held: Acquire asked for a pause: {}", hold.reason),
        (HoldKind::Breaker, until) => format!(
            "held: the breaker is open after failures in a row: {}; the next probe goes out {}",
            hold.reason,
            until.map_or("soon".to_owned(), |until| format!("at {}", at(until, now)))
        ),
    }
}

fn sending(job: &Detail, dispatcher: bool, now: Millis) -> String {
    let attempt = job.delivery.attempts;
    let since = job.updated.map_or(String::new(), |claimed| format!(" since {}", at(claimed, now)));
    if dispatcher {
        format!("attempt {attempt} is on its way{since}")
    } else {
        format!(
            "attempt {attempt} was on its way{since} when its dispatcher ended; the next \
             `acquire-outbox run` decides by the channel's on_uncertain"
        )
    }
}

fn uncertain(id: i64) -> String {
    format!(
        "a person decides: it may have arrived; look into its case at Acquire, then send it again \
         with `acquire-outbox retry {id}`, or settle it with UPDATE outbox SET status = 'sent' \
         (or 'failed') WHERE id = {id}"
    )
}

fn at(time: Millis, now: Millis) -> String {
    format!("{} ({})", iso(time), relative(time, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::query::Delivery;

    const NOW: Millis = 1_764_000_000_000;

    fn story(status: &str, wait: &str) -> Story {
        let delivery = Delivery {
            id: 7,
            channel: "chat".to_owned(),
            account: "default".to_owned(),
            source: None,
            idempotency_key: None,
            status: status.to_owned(),
            attempts: 2,
            message_id: None,
            failure: None,
            error_code: Some("http_503".to_owned()),
            error: Some("down".to_owned()),
            created_at: iso(NOW),
            send_at: None,
            next_attempt_at: None,
            finished_at: None,
        };
        let job = Detail {
            delivery,
            payload_bytes: 2,
            payload_fields: "[]".to_owned(),
            receipt: None,
            priority: 0,
            ordering_key: None,
            max_attempts: None,
            expires: None,
            wait: Some(wait.to_owned()),
            due: Some(NOW + 3_600_000),
            retry: Some(NOW + 12_000),
            updated: Some(NOW - 5_000),
        };
        Story { job, history: vec![], ahead: None, holds: vec![], pauses: vec![] }
    }

    fn running(story: &Story) -> String {
        sentence(story, true, NOW).unwrap()
    }

    #[test]
    fn a_time_that_is_waited_for_is_named() {
        let scheduled = running(&story("pending", "scheduled"));
        assert_eq!(scheduled, "scheduled for 2025-11-24T17:00:00.000Z (in 1h)");
        let backoff = running(&story("pending", "backoff"));
        assert_eq!(backoff, "retry at 2025-11-24T16:00:12.000Z (in 12s), after http_503: down");
    }

    #[test]
    fn a_parked_job_names_the_one_before_it() {
        let mut parked = story("pending", "parked");
        let holder_status = "sending".to_owned();
        parked.ahead = Some(Ahead { holder: 3, holder_status, holder_retry: None, jobs: 2 });
        let sentence = running(&parked);
        assert_eq!(
            sentence,
            "behind job 3 of its ordering key, which is sending, 2 jobs ahead in all"
        );
    }

    #[test]
    fn a_hold_is_told_with_its_end_while_its_dispatcher_runs() {
        let mut held = story("pending", "ready");
        assert_eq!(running(&held), "ready, and waits its turn");
        held.holds = vec![Hold {
            account: "default".to_owned(),
            channel: String::new(),
            kind: HoldKind::Refused,
            reason: "http_401: no".to_owned(),
            since: NOW,
            until: Some(NOW + 1_000),
        }];
        let sentence_held = running(&held);
        assert!(sentence_held.contains("refuses the account default: http_401: no"));
        assert!(sentence_held.ends_with("2025-11-24T16:00:01.000Z (in 1s)"), "{sentence_held}");
        assert_eq!(sentence(&held, false, NOW).unwrap(), format!("ready; {NO_DISPATCHER}"));
    }

    #[test]
    fn what_has_ended_waits_for_nothing() {
        for status in ["sent", "failed", "cancelled"] {
            assert_eq!(sentence(&story(status, ""), true, NOW), None);
        }
        assert!(running(&story("uncertain", "")).contains("acquire-outbox retry 7"));
        assert!(sentence(&story("sending", ""), false, NOW).unwrap().contains("on_uncertain"));
    }
}
