//! Which jobs a page is about: a filter, an order and a page, as parameters of an address.

use super::error_page::ErrorPage;
use super::posted::FormFields;
use crate::queue::filter::{Filter, Page, SortBy, WaitState};
use crate::queue::follow_up::DeliveryState;
use crate::queue::job::{Channel, Millis, Status};
use crate::queue::overview::FailureGroup;
use chrono::{DateTime, NaiveDateTime};
use std::str::FromStr;
use url::form_urlencoded::Serializer;

/// Rows on a page.
pub const ROWS: u32 = 50;
/// Nobody pages further than this; a filter finds older jobs.
const PAGES: u64 = 100_000;

/// By default all jobs, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobQuery {
    pub filter: Filter,
    pub sort: SortBy,
    pub ascending: bool,
    /// Counted from 0.
    pub page: u64,
}

impl JobQuery {
    pub fn of_status(status: Status) -> JobQuery {
        JobQuery::of_filter(Filter { statuses: vec![status], ..Filter::default() })
    }

    pub fn of_channel(channel: Channel) -> JobQuery {
        JobQuery::of_filter(Filter { channel: Some(channel), ..Filter::default() })
    }

    /// Of every channel where none is named.
    pub fn of_wait(channel: Option<Channel>, wait: WaitState) -> JobQuery {
        JobQuery::of_filter(Filter { channel, wait: Some(wait), ..Filter::default() })
    }

    pub fn of(channel: Channel, status: Status) -> JobQuery {
        let filter = Filter { channel: Some(channel), statuses: vec![status], ..Filter::default() };
        JobQuery::of_filter(filter)
    }

    /// Messages whose delivery state is one of these.
    pub fn of_deliveries(states: &[DeliveryState]) -> JobQuery {
        JobQuery::of_filter(Filter { deliveries: states.to_vec(), ..Filter::default() })
    }

    /// The jobs of a group, and those whose error contains this group's error.
    pub fn of_failures(group: &FailureGroup) -> JobQuery {
        JobQuery::of_filter(Filter {
            statuses: group.status.parse().into_iter().collect(),
            error_code: group.error_code.clone(),
            // Its beginning says enough, and keeps the address short.
            error: group.error.as_ref().map(|error| error.chars().take(80).collect()),
            ..Filter::default()
        })
    }

    pub fn of_filter(filter: Filter) -> JobQuery {
        JobQuery { filter, ..JobQuery::default() }
    }

    /// An invalid value is an error: ignoring it would show, or change, too many jobs.
    pub fn read(fields: &FormFields) -> Result<JobQuery, ErrorPage> {
        let text = |name| fields.get(name).map(str::to_owned);
        let statuses = fields.all("status").map(|word| parsed("status", word));
        let deliveries = fields.all("delivery").map(|word| parsed("delivery", word));
        let page: u64 = fields.get("page").map_or(Ok(1), |given| parsed("page", given))?;
        Ok(JobQuery {
            filter: Filter {
                statuses: statuses.collect::<Result<_, _>>()?,
                wait: fields.get("wait").map(|word| parsed("wait", word)).transpose()?,
                channel: fields.get("channel").map(|word| parsed("channel", word)).transpose()?,
                account: text("account"),
                source: text("source"),
                failure: fields.get("failure").map(|word| parsed("failure", word)).transpose()?,
                error_code: text("code"),
                deliveries: deliveries.collect::<Result<_, _>>()?,
                case: text("case"),
                contact: text("contact"),
                // A number or an address would be in the browser's history and in a proxy's log.
                recipient: None,
                message_id: text("message"),
                idempotency_key: text("key"),
                error: text("error"),
                created_before: fields.get("before").map(|at| time("before", at)).transpose()?,
                created_since: fields.get("since").map(|at| time("since", at)).transpose()?,
                finished_since: fields.get("ended").map(|at| time("ended", at)).transpose()?,
                finished_before: fields.get("done").map(|at| time("done", at)).transpose()?,
                up_to_id: None,
                in_backoff: false,
            },
            sort: fields.get("sort").map_or(Ok(SortBy::default()), |word| parsed("sort", word))?,
            ascending: match fields.get("order") {
                None | Some("descending") => false,
                Some("ascending") => true,
                Some(_) => return Err(wrong("order", "must be ascending or descending")),
            },
            page: page.clamp(1, PAGES) - 1,
        })
    }

    /// One row more than the page shows, to find out whether there is another page.
    pub fn page(&self) -> Page {
        let offset = self.page * u64::from(ROWS);
        Page { sort: self.sort, ascending: self.ascending, limit: ROWS + 1, offset }
    }

    pub fn at_page(&self, page: u64) -> JobQuery {
        JobQuery { page, ..self.clone() }
    }

    /// As parameters of an address, or as hidden fields of a form.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let filter = &self.filter;
        let statuses = filter.statuses.iter().map(|s| ("status", Some(s.to_string())));
        let others = [
            ("wait", filter.wait.map(|wait| wait.to_string())),
            ("channel", filter.channel.map(|channel| channel.to_string())),
            ("account", filter.account.clone()),
            ("source", filter.source.clone()),
            ("failure", filter.failure.map(|failure| failure.to_string())),
            ("code", filter.error_code.clone()),
            ("case", filter.case.clone()),
            ("contact", filter.contact.clone()),
            ("message", filter.message_id.clone()),
            ("key", filter.idempotency_key.clone()),
            ("error", filter.error.clone()),
            ("since", filter.created_since.map(minute)),
            ("before", filter.created_before.map(minute)),
            ("ended", filter.finished_since.map(minute)),
            ("done", filter.finished_before.map(minute)),
            ("sort", (self.sort != SortBy::default()).then(|| self.sort.to_string())),
            ("order", self.ascending.then(|| "ascending".to_owned())),
            ("page", (self.page > 0).then(|| (self.page + 1).to_string())),
        ];
        let deliveries = filter.deliveries.iter().map(|d| ("delivery", Some(d.to_string())));
        statuses
            .chain(deliveries)
            .chain(others)
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// The address of the list.
    pub fn path(&self) -> String {
        self.address("/jobs", None)
    }

    /// This path with the query's parameters, and one more.
    pub fn address(&self, path: &str, more: Option<(&'static str, String)>) -> String {
        let pairs: Vec<_> = self.pairs().into_iter().chain(more).collect();
        if pairs.is_empty() {
            return path.to_owned();
        }
        format!("{path}?{}", Serializer::new(String::new()).extend_pairs(pairs).finish())
    }

    /// The address of everything that passes, as a file.
    pub fn export_path(&self, format: &str) -> String {
        self.at_page(0).address("/jobs/export", Some(("format", format.to_owned())))
    }
}

pub fn parsed<T: FromStr<Err: std::fmt::Display>>(field: &str, word: &str) -> Result<T, ErrorPage> {
    word.parse().map_err(|e: T::Err| wrong(field, &e.to_string()))
}

pub fn wrong(field: &str, problem: &str) -> ErrorPage {
    ErrorPage::bad(format!("{field}: {problem}"))
}

/// In the format of a browser's field for a time, as UTC; or with an offset.
fn time(field: &str, text: &str) -> Result<Millis, ErrorPage> {
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"];
    let found = local.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let exact = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
    let example = "must be a time in UTC, such as 2026-11-22T09:00";
    found
        .map(|at| at.and_utc().timestamp_millis())
        .or_else(exact)
        .ok_or_else(|| wrong(field, example))
}

/// In the format of a browser's field for a time.
pub fn minute(at: Millis) -> String {
    let time = DateTime::from_timestamp_millis(at).unwrap_or_default();
    let form = if at % 1000 != 0 {
        "%Y-%m-%dT%H:%M:%S%.3f"
    } else if at % 60_000 != 0 {
        "%Y-%m-%dT%H:%M:%S"
    } else {
        "%Y-%m-%dT%H:%M"
    };
    time.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<JobQuery, ErrorPage> {
        JobQuery::read(&FormFields::parse(text.as_bytes()))
    }

    #[test]
    fn a_query_is_read_as_it_is_written() {
        for path in [
            "/jobs",
            "/jobs?status=failed&status=uncertain&channel=sms&account=a%26b&failure=rejected",
            "/jobs?delivery=bounced&delivery=failed&channel=mail",
            "/jobs?wait=backoff&source=shop&code=http_503&case=7&contact=8&message=9&key=k&error=no+such+%3Ccase%3E",
            "/jobs?since=2026-11-22T09%3A00&before=2026-11-22T10%3A00%3A01&ended=2026-11-22T10%3A30&done=2026-11-22T11%3A00&sort=due&order=ascending&page=3",
        ] {
            let query = read(path.split_once('?').map_or("", |(_, query)| query)).unwrap();
            assert_eq!(query.path(), path);
        }
    }

    #[test]
    fn an_invalid_value_is_an_error() {
        for (text, words) in [
            ("status=lost", "status: `lost` is not one of pending, sending"),
            ("channel=fax", "channel: `fax` is not one of chat, mail, sms"),
            ("failure=x", "failure: `x` is not one of"),
            ("delivery=lost", "delivery: `lost` is not one of delivered, seen, bounced, failed"),
            ("sort=size", "sort: `size` is not one of id, created"),
            ("order=up", "order: must be"),
            ("since=yesterday", "since: must be a time"),
            ("page=-1", "page: "),
        ] {
            let problem = format!("{:?}", read(text).unwrap_err());
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn the_page_is_limited() {
        assert_eq!(read("page=0").unwrap().page, 0);
        assert_eq!(read("page=18446744073709551615").unwrap().page, PAGES - 1);
    }
}
