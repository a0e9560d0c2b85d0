//! The filters that name jobs, the same at every command that takes them.

use super::duration;
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::job::{Channel, Failure, Millis, Status};
use acquire_outbox::queue::when::now;
use std::time::Duration;

/// Apart from a command's own options. Said at each: a heading of the struct would go on after it.
const HEADING: &str = "Filters";

/// Which jobs; each filter leaves fewer of them.
#[derive(Debug, Default, Clone, PartialEq, Eq, clap::Args)]
pub struct FilterArgs {
    /// Only jobs in this state; several between commas
    #[arg(long, help_heading = HEADING, value_enum, value_delimiter = ',')]
    pub status: Vec<Status>,
    /// Only jobs of this channel
    #[arg(long, help_heading = HEADING, value_enum)]
    pub channel: Option<Channel>,
    /// Only jobs of this account
    #[arg(long, help_heading = HEADING, value_name = "NAME")]
    pub account: Option<String>,
    /// Only jobs with this source label
    #[arg(long, help_heading = HEADING, value_name = "LABEL")]
    pub source: Option<String>,
    /// Only jobs that failed for this reason
    #[arg(long, help_heading = HEADING, value_enum)]
    pub failure: Option<Failure>,
    /// Only jobs whose last error has this code, like http_503
    #[arg(long, help_heading = HEADING, value_name = "CODE")]
    pub error_code: Option<String>,
    /// Only jobs of this case at Acquire; of an SMS, its thread
    #[arg(long, help_heading = HEADING, value_name = "ID")]
    pub case: Option<String>,
    /// Only the job with this idempotency key
    #[arg(long, help_heading = HEADING, value_name = "KEY")]
    pub key: Option<String>,
    /// Only jobs whose last error has these words, in upper or lower case
    #[arg(long, help_heading = HEADING, value_name = "TEXT")]
    pub error: Option<String>,
    /// Only jobs inserted longer ago than this, like 2h or 30d
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = duration)]
    pub older_than: Option<Duration>,
    /// Only jobs inserted since then, like 30m
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = duration)]
    pub newer_than: Option<Duration>,
}

impl FilterArgs {
    /// As the store takes it; ages count from now.
    pub fn filter(self) -> Filter {
        let now = now();
        Filter {
            statuses: self.status,
            channel: self.channel,
            account: self.account,
            source: self.source,
            failure: self.failure,
            error_code: self.error_code,
            case: self.case,
            idempotency_key: self.key,
            error: self.error,
            created_before: self.older_than.map(|age| before(now, age)),
            created_since: self.newer_than.map(|age| before(now, age)),
            finished_before: None,
            up_to_id: None,
        }
    }
}

/// So long before `now`; longer than there was time is the beginning of time.
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
        let args = FilterArgs { older_than: Some(Duration::from_secs(60)), ..Default::default() };
        let age = now() - args.filter().created_before.unwrap();
        assert!((60_000..70_000).contains(&age), "{age}");
        assert!(FilterArgs::default().filter().is_empty());
    }
}
