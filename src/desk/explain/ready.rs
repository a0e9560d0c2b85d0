//! When a ready job that nothing holds back is likely to be sent. Pure.

use super::{Explained, Known, WaitReason};
use crate::desk::vocabulary::time;
use crate::queue::job::Millis;
use crate::queue::story::Position;
use crate::queue::when::iso;

/// What a ready job waits for.
pub(super) fn explain(known: &Known<'_>) -> Explained {
    let none = Position { ahead: 0, in_flight: 0, last_minute: 0 };
    let position = known.position.unwrap_or(none);
    let rate = known.policy.and_then(|policy| policy.rate);
    let likely = likely(known, position);
    let reason = WaitReason::Queue {
        jobs_ahead: position.ahead,
        rate: rate.map(|rate| rate.to_string()),
        in_flight: position.in_flight,
        likely_at: likely.map(iso),
    };
    let ahead = match position.ahead {
        0 => None,
        1 => Some("1 job is ahead of it".to_owned()),
        Position::LIMIT.. => Some(format!("more than {} jobs are ahead of it", Position::LIMIT)),
        ahead => Some(format!("{ahead} jobs are ahead of it")),
    };
    let rate = rate.map(|rate| format!("the rate is {rate}"));
    let full = known.policy.filter(|policy| position.in_flight >= u64::from(policy.max_in_flight));
    let full = full.map(|policy| match policy.max_in_flight {
        1 => "the one request that max_in_flight allows is in flight".to_owned(),
        most => format!("all {most} requests that max_in_flight allows are in flight"),
    });
    let likely = likely.map(|at| format!("likely at {}", time(at, known.now)));
    let why: Vec<_> = [ahead, rate, full, likely].into_iter().flatten().collect();
    let sentence = match why.is_empty() {
        true => "ready, waiting its turn".to_owned(),
        false => format!("ready, waiting its turn: {}", why.join(", ")),
    };
    (reason, sentence)
}

/// By the configured rate or by the channel's pace in the last minute, whichever is slower; `None`
/// if neither is known, or if more jobs are ahead than were counted.
fn likely(known: &Known<'_>, position: Position) -> Option<Millis> {
    let ahead = i64::try_from(position.ahead).ok().filter(|_| position.ahead < Position::LIMIT)?;
    let by_rate = known.policy.and_then(|policy| policy.rate).map(|rate| {
        let per = i64::try_from(rate.per.as_millis()).unwrap_or(i64::MAX);
        (ahead + 1).saturating_mul(per) / i64::from(rate.count.max(1))
    });
    let done = i64::try_from(position.last_minute).ok().filter(|done| *done > 0);
    let by_pace = done.filter(|_| ahead > 0).map(|done| (ahead + 1).saturating_mul(60_000) / done);
    by_rate.max(by_pace).map(|wait| known.now.saturating_add(wait))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, story};
    use super::*;
    use crate::config::ChannelPolicy;

    fn explained(position: Position, policy: &ChannelPolicy) -> String {
        let story = story("pending", "ready");
        let (head, position, policy) = (None, Some(position), Some(policy));
        let known = Known { story: &story, head, position, policy, dispatcher: true, now: NOW };
        super::explain(&known).1
    }

    #[test]
    fn a_rate_says_when_a_job_is_likely_sent() {
        let policy = ChannelPolicy { rate: Some("10/s".parse().unwrap()), ..Default::default() };
        let position = Position { ahead: 119, in_flight: 1, last_minute: 600 };
        assert_eq!(
            explained(position, &policy),
            "ready, waiting its turn: 119 jobs are ahead of it, the rate is 10/s, \
             likely at 2025-11-24T16:00:12.000Z (in 12s)"
        );
        let many = Position { ahead: 2 * Position::LIMIT, ..position };
        assert!(
            explained(many, &policy)
                .contains("more than 10000 jobs are ahead of it, the rate is 10/s")
        );
        assert!(!explained(many, &policy).contains("likely"));
    }

    #[test]
    fn a_full_channel_says_so_and_its_pace_is_that_of_the_last_minute() {
        let policy = ChannelPolicy { max_in_flight: 2, ..Default::default() };
        let position = Position { ahead: 1, in_flight: 2, last_minute: 60 };
        assert_eq!(
            explained(position, &policy),
            "ready, waiting its turn: 1 job is ahead of it, all 2 requests that max_in_flight allows are in flight, \
             likely at 2025-11-24T16:00:02.000Z (in 2s)"
        );
        let stuck = Position { last_minute: 0, ..position };
        assert!(!explained(stuck, &policy).contains("likely"), "its pace is unknown");
        let idle = Position { ahead: 0, in_flight: 0, last_minute: 9 };
        assert_eq!(explained(idle, &policy), "ready, waiting its turn");
    }
}
