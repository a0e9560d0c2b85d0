//! What each account, or each source, has sent, how much of it failed, and what waits.

use crate::queue::job::Millis;
use crate::queue::outcome_counts::{HistoryRow, OutcomeCounts};
use crate::queue::overview::{RouteBacklog, SourceRow};
use std::collections::BTreeMap;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// `None`: jobs without a source, or of all others.
    pub name: Option<String>,
    /// All that have no row of their own, together.
    pub is_of_others: bool,
    pub tally: OutcomeCounts,
    /// Jobs that wait to be sent and are not for a later time.
    pub waiting: u64,
    pub oldest_due: Option<Millis>,
}

impl Share {
    fn add(&mut self, other: &Share) {
        self.tally.add(&other.tally);
        self.waiting += other.waiting;
        self.oldest_due = self.oldest_due.into_iter().chain(other.oldest_due).min();
    }
}

/// The shares of accounts, those with most jobs first; at most `rows` have a name.
pub fn by_account(history: &[HistoryRow], backlogs: &[RouteBacklog], rows: usize) -> Vec<Share> {
    let mut shares = BTreeMap::<&str, Share>::new();
    for row in history {
        shares.entry(&row.account).or_default().tally.add(&row.tally);
    }
    for route in backlogs {
        let (waiting, oldest_due) = (route.jobs, route.oldest_due);
        let added = Share { waiting, oldest_due, ..Share::default() };
        shares.entry(&route.account).or_default().add(&added);
    }
    let named = |(name, share): (&str, Share)| Share { name: Some(name.to_owned()), ..share };
    bounded(shares.into_iter().map(named).collect(), rows)
}

/// The shares of sources.
pub fn by_source(sources: Vec<SourceRow>, rows: usize) -> Vec<Share> {
    let share = |row: SourceRow| {
        let SourceRow { source, tally, waiting, oldest_due } = row;
        Share { name: source, is_of_others: false, tally, waiting, oldest_due }
    };
    bounded(sources.into_iter().map(share).collect(), rows)
}

/// Those with most jobs first; what is too many becomes one share without a name.
pub fn bounded(mut shares: Vec<Share>, rows: usize) -> Vec<Share> {
    let jobs = |share: &Share| share.tally.ended().saturating_add(share.waiting);
    shares.sort_by_key(|share| std::cmp::Reverse(jobs(share)));
    if shares.len() > rows {
        let mut others = Share { is_of_others: true, ..Share::default() };
        shares.split_off(rows).iter().for_each(|share| others.add(share));
        shares.push(others);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(account: &str, sent: u64, failed: u64) -> HistoryRow {
        let tally = OutcomeCounts { sent, failed, ..OutcomeCounts::default() };
        HistoryRow { begins_at: 0, account: account.into(), channel: "sms".into(), tally }
    }

    fn backlog(account: &str, jobs: u64, due: Millis) -> RouteBacklog {
        let (account, channel, oldest_due) = (account.into(), "sms".into(), Some(due));
        RouteBacklog { account, channel, jobs, oldest_due, oldest_ready: oldest_due }
    }

    #[test]
    fn accounts_are_added_up_and_the_smallest_ones_together() {
        let history = [row("a", 5, 0), row("b", 1, 1), row("a", 5, 2), row("c", 1, 0)];
        let backlogs = [backlog("a", 2, 70), backlog("a", 1, 50), backlog("d", 9, 60)];
        let shares = by_account(&history, &backlogs, 2);
        let seen: Vec<_> = shares
            .iter()
            .map(|s| (s.name.as_deref(), s.tally.sent, s.tally.failed, s.waiting, s.oldest_due))
            .collect();
        assert_eq!(
            seen,
            [
                (Some("a"), 10, 2, 3, Some(50)),
                (Some("d"), 0, 0, 9, Some(60)),
                (None, 2, 1, 0, None)
            ]
        );
        assert_eq!(by_account(&history, &backlogs, 4).len(), 4);
    }
}
