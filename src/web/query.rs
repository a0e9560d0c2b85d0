//! Which jobs a page is about: a filter, an order and a page, as they stand in an address.

use super::error_page::Problem;
use super::posted::Fields;
use crate::queue::filter::{Filter, Page, Sort};
use crate::queue::job::{Channel, Millis, Status};
use crate::queue::overview::FailureGroup;
use chrono::{DateTime, NaiveDateTime};
use clap::ValueEnum;
use std::str::FromStr;
use url::form_urlencoded::Serializer;

/// Rows on a page.
pub const ROWS: u32 = 50;
/// Far enough for anybody to turn pages; a filter goes further.
const PAGES: u64 = 100_000;

/// What is asked for; by default all jobs, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pub filter: Filter,
    pub sort: Sort,
    pub ascending: bool,
    /// From 0.
    pub page: u64,
}

impl Query {
    pub fn of_status(status: Status) -> Query {
        Query::of_filter(Filter { statuses: vec![status], ..Filter::default() })
    }

    pub fn of_channel(channel: Channel) -> Query {
        Query::of_filter(Filter { channel: Some(channel), ..Filter::default() })
    }

    pub fn of(channel: Channel, status: Status) -> Query {
        let filter = Filter { channel: Some(channel), statuses: vec![status], ..Filter::default() };
        Query::of_filter(filter)
    }

    /// The jobs of a group. An error that begins like another finds that one's jobs, too.
    pub fn of_failures(group: &FailureGroup) -> Query {
        Query::of_filter(Filter {
            statuses: group.status.parse().into_iter().collect(),
            error_code: group.error_code.clone(),
            error: group.error.clone(),
            ..Filter::default()
        })
    }

    pub fn of_filter(filter: Filter) -> Query {
        Query { filter, ..Query::default() }
    }

    /// A value that is not understood is told, never passed over: it would show, or change, too
    /// many jobs.
    pub fn read(fields: &Fields) -> Result<Query, Problem> {
        let text = |name| fields.get(name).map(str::to_owned);
        let statuses = fields.all("status").map(|word| parsed("status", word));
        let page: u64 = fields.get("page").map_or(Ok(1), |given| parsed("page", given))?;
        Ok(Query {
            filter: Filter {
                statuses: statuses.collect::<Result<_, _>>()?,
                channel: fields.get("channel").map(|word| parsed("channel", word)).transpose()?,
                account: text("account"),
                source: text("source"),
                failure: fields.get("failure").map(|word| parsed("failure", word)).transpose()?,
                error_code: text("code"),
                case: text("case"),
                idempotency_key: text("key"),
                error: text("error"),
                created_before: fields.get("before").map(|at| time("before", at)).transpose()?,
                created_since: fields.get("since").map(|at| time("since", at)).transpose()?,
                finished_before: fields.get("done").map(|at| time("done", at)).transpose()?,
                up_to_id: None,
            },
            sort: fields.get("sort").map_or(Ok(Sort::default()), sort)?,
            ascending: match fields.get("order") {
                None | Some("descending") => false,
                Some("ascending") => true,
                Some(_) => return Err(wrong("order", "must be ascending or descending")),
            },
            page: page.clamp(1, PAGES) - 1,
        })
    }

    /// One row more than a page has: whether there is another.
    pub fn page(&self) -> Page {
        let offset = self.page * u64::from(ROWS);
        Page { sort: self.sort, ascending: self.ascending, limit: ROWS + 1, offset }
    }

    pub fn at_page(&self, page: u64) -> Query {
        Query { page, ..self.clone() }
    }

    /// Its part of an address, or of a form's hidden fields.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let filter = &self.filter;
        let statuses = filter.statuses.iter().map(|s| ("status", Some(s.to_string())));
        let others = [
            ("channel", filter.channel.map(|channel| channel.to_string())),
            ("account", filter.account.clone()),
            ("source", filter.source.clone()),
            ("failure", filter.failure.map(|failure| failure.to_string())),
            ("code", filter.error_code.clone()),
            ("case", filter.case.clone()),
            ("key", filter.idempotency_key.clone()),
            ("error", filter.error.clone()),
            ("since", filter.created_since.map(minute)),
            ("before", filter.created_before.map(minute)),
            ("done", filter.finished_before.map(minute)),
            ("sort", (self.sort != Sort::default()).then(|| name(self.sort))),
            ("order", self.ascending.then(|| "ascending".to_owned())),
            ("page", (self.page > 0).then(|| (self.page + 1).to_string())),
        ];
        statuses.chain(others).filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The address of its list.
    pub fn path(&self) -> String {
        let pairs = self.pairs();
        if pairs.is_empty() {
            return "/jobs".to_owned();
        }
        format!("/jobs?{}", Serializer::new(String::new()).extend_pairs(pairs).finish())
    }
}

/// An order's word.
pub fn name(sort: Sort) -> String {
    sort.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn sort(word: &str) -> Result<Sort, Problem> {
    let known = Sort::ALL.map(name).join(", ");
    let found = Sort::ALL.into_iter().find(|sort| name(*sort) == word);
    found.ok_or_else(|| wrong("sort", &format!("must be one of {known}")))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(field: &str, word: &str) -> Result<T, Problem> {
    word.parse().map_err(|e: T::Err| wrong(field, &e.to_string()))
}

fn wrong(field: &str, problem: &str) -> Problem {
    Problem::bad(format!("{field}: {problem}"))
}

/// As a browser's field for a time gives it, taken for UTC; or with its offset.
fn time(field: &str, text: &str) -> Result<Millis, Problem> {
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"];
    let found = local.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let exact = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
    let example = "must be a time in UTC, such as 2026-11-22T09:00";
    found
        .map(|at| at.and_utc().timestamp_millis())
        .or_else(exact)
        .ok_or_else(|| wrong(field, example))
}

/// As a browser's field for a time takes it.
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

    fn read(text: &str) -> Result<Query, Problem> {
        Query::read(&Fields::parse(text.as_bytes()))
    }

    #[test]
    fn what_is_asked_for_is_read_and_written_alike() {
        for path in [
            "/jobs",
            "/jobs?status=failed&status=uncertain&channel=sms&account=a%26b&failure=rejected",
            "/jobs?source=shop&code=http_503&case=7&key=k&error=no+such+%3Ccase%3E",
            "/jobs?since=2026-11-22T09%3A00&before=2026-11-22T10%3A00%3A01&done=2026-11-22T11%3A00&sort=due&order=ascending&page=3",
        ] {
            let query = read(path.split_once('?').map_or("", |(_, query)| query)).unwrap();
            assert_eq!(query.path(), path);
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (text, words) in [
            ("status=lost", "status: `lost` is not one of pending, sending"),
            ("channel=fax", "channel: `fax` is not one of chat, mail, sms"),
            ("failure=x", "failure: `x` is not one of"),
            ("sort=size", "sort: must be one of id, created"),
            ("order=up", "order: must be"),
            ("since=yesterday", "since: must be a time"),
            ("page=-1", "page: "),
        ] {
            let problem = format!("{:?}", read(text).unwrap_err());
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn pages_have_an_end() {
        assert_eq!(read("page=0").unwrap().page, 0);
        assert_eq!(read("page=18446744073709551615").unwrap().page, PAGES - 1);
    }
}
