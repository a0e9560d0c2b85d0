//! The filters that name jobs, the same for every command that takes them.

use super::{duration, possible_values};
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::follow_up::DeliveryState;
use acquire_outbox::queue::job::{Channel, Failure, Millis, Status};
use acquire_outbox::queue::when::now;
use std::time::Duration;

/// Repeated at each flag: clap would apply a heading of the struct to the flags after it, too.
const HEADING: &str = "Filters";

/// Which jobs; a job must pass every filter.
#[derive(Debug, Default, Clone, PartialEq, Eq, clap::Args)]
pub struct FilterFlags {
    /// Only jobs in this state; separate several with commas
    #[arg(long, help_heading = HEADING, value_parser = possible_values::status(), value_delimiter = ',')]
    pub status: Vec<Status>,
    /// Only jobs of this channel
    #[arg(long, help_heading = HEADING, value_parser = possible_values::channel())]
    pub channel: Option<Channel>,
    /// Only jobs of this account
    #[arg(long, help_heading = HEADING, value_name = "NAME")]
    pub account: Option<String>,
    /// Only jobs with this source label
    #[arg(long, help_heading = HEADING, value_name = "LABEL")]
    pub source: Option<String>,
    /// Only jobs that failed for this reason
    #[arg(long, help_heading = HEADING, value_parser = possible_values::failure())]
    pub failure: Option<Failure>,
    /// Only jobs whose last error has this code, like http_503
    #[arg(long, help_heading = HEADING, value_name = "CODE")]
    pub error_code: Option<String>,
    /// Only messages of which this became; separate several with commas
    #[arg(long, help_heading = HEADING, value_parser = possible_values::delivery(), value_delimiter = ',')]
    pub delivery: Vec<DeliveryState>,
    /// Only messages that were returned: --delivery bounced
    #[arg(long, help_heading = HEADING, conflicts_with = "delivery")]
    pub bounced: bool,
    /// Only jobs of this case at Acquire; for an SMS, its thread
    #[arg(long, help_heading = HEADING, value_name = "ID")]
    pub case: Option<String>,
    /// Only the job with this idempotency key
    #[arg(long, help_heading = HEADING, value_name = "KEY")]
    pub key: Option<String>,
    /// Only jobs whose last error contains this text, in upper or lower case
    #[arg(long, help_heading = HEADING, value_name = "TEXT")]
    pub error: Option<String>,
    /// Only jobs that were inserted longer ago than this, like 2h or 30d
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = duration)]
    pub older_than: Option<Duration>,
    /// Only jobs that were inserted within this time, like 30m
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = duration)]
    pub newer_than: Option<Duration>,
}

impl FilterFlags {
    pub fn filter(self) -> Filter {
        Filter {
            statuses: self.status,
            channel: self.channel,
            account: self.account,
            source: self.source,
            failure: self.failure,
            error_code: self.error_code,
            deliveries: if self.bounced { vec![DeliveryState::Bounced] } else { self.delivery },
            case: self.case,
            idempotency_key: self.key,
            error: self.error,
            created_before: self.older_than.map(ago),
            created_since: self.newer_than.map(ago),
            finished_before: None,
            up_to_id: None,
            in_backoff: false,
        }
    }
}

/// The time this long before now.
pub fn ago(age: Duration) -> Millis {
    before(now(), age)
}

fn before(now: Millis, age: Duration) -> Millis {
    now.saturating_sub(Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_time_before_now_and_never_overflows() {
        assert_eq!(before(10_000, Duration::from_secs(3)), 7_000);
        assert!(before(10_000, Duration::MAX) < 0);
        let flags = FilterFlags { older_than: Some(Duration::from_secs(60)), ..Default::default() };
        let earliest = now() - 60_000;
        let before = flags.filter().created_before.unwrap();
        assert!((earliest..=now() - 60_000).contains(&before), "{before}");
        assert!(FilterFlags::default().filter().is_empty());
    }
}
