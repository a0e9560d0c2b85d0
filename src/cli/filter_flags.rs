//! The filters that name jobs, the same for every command that takes them.

use super::{duration, possible_values};
use crate::queue::filter::{Filter, WaitState};
use crate::queue::follow_up::DeliveryState;
use crate::queue::job::{Channel, Failure, Millis, Status};
use crate::queue::recipient;
use crate::queue::when::{now, parse_time};
use std::time::Duration;

/// Repeated at each flag: clap would apply a heading of the struct to the flags after it, too.
const HEADING: &str = "Filters";

/// Which jobs; a job must pass every filter.
#[derive(Debug, Default, Clone, PartialEq, Eq, clap::Args)]
pub struct FilterFlags {
    /// Only jobs in this state; separate several with commas
    #[arg(long, help_heading = HEADING, value_parser = possible_values::status(), value_delimiter = ',')]
    pub status: Vec<Status>,
    /// Only pending jobs in this situation
    #[arg(long, help_heading = HEADING, value_parser = possible_values::waits())]
    pub waits: Option<WaitState>,
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
    /// Only messages that Acquire reports as this; separate several with commas
    #[arg(long, help_heading = HEADING, value_parser = possible_values::delivery(), value_delimiter = ',')]
    pub delivery: Vec<DeliveryState>,
    /// Only messages that were returned: --delivery bounced
    #[arg(long, help_heading = HEADING, conflicts_with = "delivery")]
    pub bounced: bool,
    /// Only jobs of this case at Acquire; for an SMS, its thread
    #[arg(long, help_heading = HEADING, value_name = "ID")]
    pub case: Option<String>,
    /// Only jobs of this contact at Acquire
    #[arg(long, help_heading = HEADING, value_name = "ID")]
    pub contact: Option<String>,
    /// Only jobs to this phone number or email address
    #[arg(long, help_heading = HEADING, value_name = "NUMBER|ADDRESS", value_parser = recipient)]
    pub to: Option<String>,
    /// Only the job whose message has this id at Acquire
    #[arg(long, help_heading = HEADING, value_name = "ID")]
    pub message_id: Option<String>,
    /// Only the job with this idempotency key
    #[arg(long, help_heading = HEADING, value_name = "KEY")]
    pub key: Option<String>,
    /// Only jobs whose last error contains this text (case-insensitive)
    #[arg(long, help_heading = HEADING, value_name = "TEXT")]
    pub error: Option<String>,
    /// Only jobs that were inserted longer ago than this, like 2h or 30d
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = duration)]
    pub older_than: Option<Duration>,
    /// Only jobs that were inserted within this time, like 30m
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = duration)]
    pub newer_than: Option<Duration>,
    /// Only jobs that finished since then: 24h, today, yesterday, 2026-11-22, 2026-11-22T09:00Z
    #[arg(long, help_heading = HEADING, value_name = "WHEN", value_parser = moment)]
    pub finished_since: Option<Millis>,
    /// Only jobs that finished before then
    #[arg(long, help_heading = HEADING, value_name = "WHEN", value_parser = moment)]
    pub finished_before: Option<Millis>,
    /// Only jobs that finished on this day (UTC): today, yesterday, 2026-11-22
    #[arg(long, help_heading = HEADING, value_name = "DAY", value_parser = day)]
    #[arg(conflicts_with_all = ["finished_since", "finished_before"])]
    pub finished: Option<Millis>,
}

impl FilterFlags {
    pub fn filter(self) -> Filter {
        Filter {
            statuses: self.status,
            wait: self.waits,
            channel: self.channel,
            account: self.account,
            source: self.source,
            failure: self.failure,
            error_code: self.error_code,
            deliveries: if self.bounced { vec![DeliveryState::Bounced] } else { self.delivery },
            case: self.case,
            contact: self.contact,
            recipient: self.to,
            message_id: self.message_id,
            idempotency_key: self.key,
            error: self.error,
            created_before: self.older_than.map(ago),
            created_since: self.newer_than.map(ago),
            finished_since: self.finished_since.or(self.finished),
            finished_before: self.finished_before.or(self.finished.map(|start| start + DAY)),
            up_to_id: None,
            in_backoff: false,
        }
    }
}

const DAY: Millis = 24 * 60 * 60 * 1000;

fn recipient(text: &str) -> Result<String, String> {
    let wrong = "must be a phone number like +12513183181 or an email address";
    recipient::recipient(text).ok_or_else(|| wrong.to_owned())
}

/// A length of time before now, a day, or a time.
fn moment(text: &str) -> Result<Millis, String> {
    match duration(text) {
        Ok(age) => Ok(ago(age)),
        Err(_) => day(text).or_else(|_| parse_time(text)).map_err(|_| {
            "must be a length of time like 24h, a day like yesterday or 2026-11-22, or a time like \
             2026-11-22T09:00:00+02:00"
                .to_owned()
        }),
    }
}

/// When a day begins, in UTC.
fn day(text: &str) -> Result<Millis, String> {
    let today = now() - now().rem_euclid(DAY);
    match text {
        "today" => Ok(today),
        "yesterday" => Ok(today - DAY),
        date if date.len() == 10 => parse_time(date).map_err(|e| e.to_string()),
        _ => Err("must be a day: today, yesterday, or a date like 2026-11-22".to_owned()),
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

    #[test]
    fn a_day_begins_at_midnight_and_is_a_day_long() {
        let (today, yesterday) = (day("today").unwrap(), day("yesterday").unwrap());
        assert_eq!((today % DAY, today - yesterday), (0, DAY));
        assert_eq!(day("2026-11-22"), moment("2026-11-22T00:00:00Z"));
        assert!(day("24h").is_err() && moment("last week").is_err());
        assert!((now() - moment("24h").unwrap() - DAY).abs() < 1000);
        let flags = FilterFlags { finished: Some(yesterday), ..Default::default() };
        let filter = flags.filter();
        assert_eq!(filter.finished_since, Some(yesterday));
        assert_eq!(filter.finished_before, Some(today));
    }
}
