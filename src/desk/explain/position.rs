//! When the turn of a ready job comes, by what goes before it and how quickly. Pure.

use super::{Cause, Known, at};
use crate::queue::job::Millis;
use crate::queue::story::Position;
use crate::queue::when::iso;

/// What a job waits for that nothing holds back, and its words.
pub(super) fn position(known: &Known<'_>) -> (Cause, String) {
    let none = Position { ahead: 0, in_flight: 0, last_minute: 0 };
    let turn = known.position.unwrap_or(none);
    let rate = known.policy.and_then(|policy| policy.rate);
    let likely = likely(known, turn);
    let cause = Cause::Turn {
        jobs_ahead: turn.ahead,
        rate: rate.map(|rate| rate.to_string()),
        in_flight: turn.in_flight,
        likely_at: likely.map(iso),
    };
    let before = match turn.ahead {
        0 => None,
        1 => Some("1 job goes before it".to_owned()),
        Position::LIMIT.. => Some(format!("more than {} jobs go before it", Position::LIMIT)),
        ahead => Some(format!("{ahead} jobs go before it")),
    };
    let rate = rate.map(|rate| format!("the rate is {rate}"));
    let full = known.policy.filter(|policy| turn.in_flight >= u64::from(policy.max_in_flight));
    let full = full.map(|policy| match policy.max_in_flight {
        1 => "the one place on the wire is taken".to_owned(),
        places => format!("all {places} places on the wire are taken"),
    });
    let likely = likely.map(|time| format!("likely at {}", at(time, known.now)));
    let why: Vec<_> = [before, rate, full, likely].into_iter().flatten().collect();
    let words = match why.is_empty() {
        true => "ready, and waits its turn".to_owned(),
        false => format!("ready, and waits its turn: {}", why.join(", ")),
    };
    (cause, words)
}

/// By the configured rate, or by what the channel got done in the last minute, whichever is slower;
/// `None` where neither is known, or there is more before it than was counted.
fn likely(known: &Known<'_>, turn: Position) -> Option<Millis> {
    let ahead = i64::try_from(turn.ahead).ok().filter(|_| turn.ahead < Position::LIMIT)?;
    let by_rate = known.policy.and_then(|policy| policy.rate).map(|rate| {
        let per = i64::try_from(rate.per.as_millis()).unwrap_or(i64::MAX);
        (ahead + 1).saturating_mul(per) / i64::from(rate.count.max(1))
    });
    let done = i64::try_from(turn.last_minute).ok().filter(|done| *done > 0);
    let by_pace = done.filter(|_| ahead > 0).map(|done| (ahead + 1).saturating_mul(60_000) / done);
    by_rate.max(by_pace).map(|wait| known.now.saturating_add(wait))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, story};
    use super::*;
    use crate::config::ChannelPolicy;

    fn told(turn: Position, policy: &ChannelPolicy) -> String {
        let story = story("pending", "ready");
        let (holder, position, policy) = (None, Some(turn), Some(policy));
        let known = Known { story: &story, holder, position, policy, dispatcher: true, now: NOW };
        super::position(&known).1
    }

    #[test]
    fn a_rate_says_when_the_turn_comes() {
        let policy = ChannelPolicy { rate: Some("10/s".parse().unwrap()), ..Default::default() };
        let turn = Position { ahead: 119, in_flight: 1, last_minute: 600 };
        assert_eq!(
            told(turn, &policy),
            "ready, and waits its turn: 119 jobs go before it, the rate is 10/s, \
             likely at 2025-11-24T16:00:12.000Z (in 12s)"
        );
        let many = Position { ahead: 2 * Position::LIMIT, ..turn };
        assert!(
            told(many, &policy).contains("more than 10000 jobs go before it, the rate is 10/s")
        );
        assert!(!told(many, &policy).contains("likely"));
    }

    #[test]
    fn a_full_channel_says_so_and_goes_by_the_last_minutes_pace() {
        let policy = ChannelPolicy { max_in_flight: 2, ..Default::default() };
        let turn = Position { ahead: 1, in_flight: 2, last_minute: 60 };
        assert_eq!(
            told(turn, &policy),
            "ready, and waits its turn: 1 job goes before it, all 2 places on the wire are taken, \
             likely at 2025-11-24T16:00:02.000Z (in 2s)"
        );
        let stuck = Position { last_minute: 0, ..turn };
        assert!(!told(stuck, &policy).contains("likely"), "nothing is known of its pace");
        let idle = Position { ahead: 0, in_flight: 0, last_minute: 9 };
        assert_eq!(told(idle, &policy), "ready, and waits its turn");
    }
}
