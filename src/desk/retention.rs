//! What the retention settings delete when an operator prunes by them.

use crate::config::Retention;
use crate::queue::filter::Filter;
use crate::queue::job::{Millis, Status};
use std::time::Duration;

fn ages(kept: &Retention) -> [(Status, Option<Duration>); 3] {
    [(Status::Sent, kept.sent), (Status::Failed, kept.failed), (Status::Cancelled, kept.cancelled)]
}

/// A filter for each state that is not kept forever.
pub fn expired(kept: &Retention, now: Millis) -> Vec<Filter> {
    let of = |(status, age): (Status, Option<Duration>)| {
        let age = Millis::try_from(age?.as_millis()).unwrap_or(Millis::MAX);
        let finished_before = Some(now.saturating_sub(age));
        Some(Filter { finished_before, ..Filter::of_states(&[status]) })
    };
    ages(kept).into_iter().filter_map(of).collect()
}

/// `sent jobs for 30days, failed jobs forever, cancelled jobs forever`: what is kept.
pub fn sentence(kept: &Retention) -> String {
    let of = |(status, age): (Status, Option<Duration>)| match age {
        Some(age) => format!("{status} jobs for {}", humantime::format_duration(age)),
        None => format!("{status} jobs forever"),
    };
    ages(kept).map(of).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_kept_forever_has_no_filter() {
        let kept = Retention::default();
        assert_eq!(
            sentence(&kept),
            "sent jobs for 30days, failed jobs forever, cancelled jobs forever"
        );
        let now = 1_764_000_000_000;
        let filters = expired(&kept, now);
        assert_eq!(filters.len(), 1);
        assert_eq!(filters[0].statuses, [Status::Sent]);
        assert_eq!(filters[0].finished_before, Some(now - 30 * 86_400_000));
        let forever = Retention { sent: None, failed: None, cancelled: None };
        assert!(expired(&forever, now).is_empty());
    }
}
