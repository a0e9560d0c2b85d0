//! What somebody looks for by a case, a contact, a number, an address, an id or a key: every reading of it
//! that has jobs.

use crate::queue::filter::{Filter, Page};
use crate::queue::recipient::{address, is_surely_a_phone, phone};
use crate::queue::story::Delivery;
use crate::store::{Store, StoreError};

/// Longer text than this is none of the things that are looked for.
const LONGEST: usize = 2000;
/// Jobs of one reading are counted up to here.
pub const COUNTED: u64 = 1000;
/// A number of fewer digits is no whole phone number unless it is written as one.
const PHONE_DIGITS: usize = 7;

/// What a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextReading {
    Job,
    Case,
    Contact,
    Phone,
    Address,
    MessageId,
    Key,
    Source,
}

impl TextReading {
    /// What it is called: `case`, in `case 2069`.
    pub fn noun(self) -> &'static str {
        match self {
            TextReading::Job => "job",
            TextReading::Case => "case",
            TextReading::Contact => "contact",
            TextReading::Phone => "phone number",
            TextReading::Address => "email address",
            TextReading::MessageId => "message id",
            TextReading::Key => "idempotency key",
            TextReading::Source => "source",
        }
    }

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            TextReading::Job => "job",
            TextReading::Case => "case",
            TextReading::Contact => "contact",
            TextReading::Phone => "phone",
            TextReading::Address => "address",
            TextReading::MessageId => "message_id",
            TextReading::Key => "idempotency_key",
            TextReading::Source => "source",
        }
    }

    /// Whether it names a person: then it is in no address of a page.
    pub fn is_personal(self) -> bool {
        matches!(self, TextReading::Phone | TextReading::Address)
    }

    /// The jobs of this reading; for [`TextReading::Job`], which is found by its id, all.
    fn filter(self, text: &str) -> Filter {
        let value = Some(text.to_owned());
        match self {
            TextReading::Job => Filter::default(),
            TextReading::Case => Filter { case: value, ..Filter::default() },
            TextReading::Contact => Filter { contact: value, ..Filter::default() },
            TextReading::Phone => Filter { recipient: phone(text), ..Filter::default() },
            TextReading::Address => Filter { recipient: address(text), ..Filter::default() },
            TextReading::MessageId => Filter { message_id: value, ..Filter::default() },
            TextReading::Key => Filter { idempotency_key: value, ..Filter::default() },
            TextReading::Source => Filter { source: value, ..Filter::default() },
        }
    }
}

/// A reading that has jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundReading {
    pub reading: TextReading,
    pub filter: Filter,
    /// Up to [`COUNTED`], which stands for any number from there on.
    pub count: u64,
    /// The newest of them, newest first.
    pub jobs: Vec<Delivery>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindResult {
    pub findings: Vec<FoundReading>,
    /// What the text was looked for as.
    pub tried: Vec<TextReading>,
    /// Readings that this user of the database may not look for.
    pub withheld: Vec<TextReading>,
}

/// How a text can be read, the likeliest first. `#17` is a job, and what is written as a phone number is no case.
fn readings(text: &str) -> Vec<TextReading> {
    use TextReading::{Address, Case, Contact, Job, Key, MessageId, Phone, Source};
    if text.strip_prefix('#').is_some_and(|id| id.parse::<i64>().is_ok()) {
        return vec![Job, Key];
    }
    if is_surely_a_phone(text) {
        return vec![Phone, MessageId, Key, Source];
    }
    if text.parse::<i64>().is_ok() {
        let is_long = text.len() >= PHONE_DIGITS;
        let numbers = [Job, Case, Contact].into_iter().chain(is_long.then_some(Phone));
        return numbers.chain([MessageId, Key, Source]).collect();
    }
    let mail = address(text).map(|_| Address);
    mail.into_iter().chain([MessageId, Key, Source]).collect()
}

/// Every reading of `text` that has jobs, each with the `limit` newest of them. Each is a few entries of an index.
pub async fn find(store: &mut Store, text: &str, limit: u32) -> Result<FindResult, StoreError> {
    let text = text.trim();
    let mut found = FindResult::default();
    if text.is_empty() || text.len() > LONGEST {
        return Ok(found);
    }
    for reading in readings(text) {
        if reading.is_personal() && !store.may_see_recipients().await? {
            found.withheld.push(reading);
            continue;
        }
        found.tried.push(reading);
        let filter = reading.filter(text);
        let (count, jobs) = match reading {
            TextReading::Job => {
                let id = text.trim_start_matches('#').parse().unwrap_or_default();
                let job = store.delivery(id).await?;
                (u64::from(job.is_some()), Vec::from_iter(job))
            }
            _ => {
                let jobs = store.deliveries(&filter, &Page::newest(limit)).await?;
                let all = jobs.len() < limit as usize;
                let count = match all {
                    true => jobs.len() as u64,
                    false => store.count_up_to(&filter, COUNTED).await?,
                };
                (count, jobs)
            }
        };
        if count > 0 {
            found.findings.push(FoundReading { reading, filter, count, jobs });
        }
    }
    Ok(found)
}

/// `job, case or contact`.
pub fn either(readings: &[TextReading]) -> String {
    let nouns: Vec<_> = readings.iter().map(|reading| reading.noun()).collect();
    match nouns.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TextReading::*;

    #[test]
    fn a_text_has_the_readings_that_it_looks_like() {
        let ids = [MessageId, Key, Source];
        for (text, before) in [
            ("2069", vec![Job, Case, Contact]),
            ("12513183181", vec![Job, Case, Contact, Phone]),
            ("+12513183181", vec![Phone]),
            ("(251) 318-3181", vec![Phone]),
            ("anne@example.com", vec![Address]),
            ("order-7", vec![]),
        ] {
            assert_eq!(readings(text), [&before[..], &ids].concat(), "{text}");
        }
        assert_eq!(readings("#17"), [Job, Key]);
        assert_eq!(either(&readings("#17")), "job or idempotency key");
    }
}
