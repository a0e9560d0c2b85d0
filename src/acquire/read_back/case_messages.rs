//! The messages of a case: by the list of case messages, page by page, or within the case itself.

use super::read_answer::{ReadAnswer, ReadFailure};
use super::seen_message::{SeenMessage, id_text};
use super::server_clock::ServerClock;
use super::{AccountReader, FoundMessages};
use crate::queue::job::Millis;
use crate::queue::outcome::Fault;
use serde_json::Value;
use std::collections::BTreeMap;

/// The page size that the vendor's own examples ask for.
const PAGE: u64 = 20;
/// The most requests for one list: 600 messages of the attempt's time.
const MAX_PAGES: usize = 30;

/// The documented fields of a case message.
const SELECT: [&str; 10] = [
    "id",
    "caseId",
    "senderId",
    "senderType",
    "type",
    "message",
    "dateCreated",
    "dateUpdated",
    "seen",
    "meta",
];

/// One page of a list.
pub(super) struct ListPage {
    pub items: Vec<Value>,
    /// How many there are altogether, as far as the answer says.
    count: Option<u64>,
    limit: u64,
    clock: Option<ServerClock>,
}

impl ListPage {
    /// `data: {page, offset, limit, count, data: [...]}`; some lists of the vendor's are `data: [...]`.
    pub fn read(answer: ReadAnswer) -> Result<ListPage, ReadFailure> {
        let ReadAnswer { data, clock } = answer;
        let number = |name: &str| match data.get(name)? {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        let (count, limit) = (number("count"), number("limit").filter(|limit| *limit > 0));
        let items = match data {
            Value::Array(items) => items,
            Value::Object(mut fields) => match fields.remove("data") {
                Some(Value::Array(items)) => items,
                _ => return Err(ReadFailure::shape("the list has no `data.data`")),
            },
            _ => return Err(ReadFailure::shape("`data` is not a list")),
        };
        Ok(ListPage { items, count, limit: limit.unwrap_or(PAGE), clock })
    }

    /// There are more than this page has.
    pub fn is_part(&self) -> bool {
        let length = self.items.len() as u64;
        self.count.is_some_and(|count| count > length) || (length > 0 && length >= self.limit)
    }
}

/// The pages that were read so far.
#[derive(Default)]
struct ReadPages {
    messages: BTreeMap<String, SeenMessage>,
    gap: Option<Fault>,
    requests: usize,
}

/// What a page added.
struct Added {
    is_new: bool,
    /// All of its messages are older than what is needed.
    is_older: bool,
    /// Newer ones come first; `None`: it cannot be told.
    is_descending: Option<bool>,
}

impl ReadPages {
    fn add(&mut self, page: &ListPage, case: &str, from: Millis) -> Result<Added, ReadFailure> {
        let mut added =
            Added { is_new: false, is_older: !page.items.is_empty(), is_descending: None };
        let mut ids = Vec::new();
        for item in &page.items {
            let seen = SeenMessage::read(item, page.clock)
                .ok_or_else(|| ReadFailure::shape("a message has no id"))?;
            match &seen.case_id {
                Some(id) if id == case => {}
                Some(_) => return Err(ReadFailure::shape("it does not filter by `caseId`")),
                None => return Err(ReadFailure::shape("a message does not say its case")),
            }
            added.is_older &= seen.created.is_some_and(|span| span.latest < from);
            ids.push(seen.id.parse::<u64>().ok());
            added.is_new |= self.messages.insert(seen.id.clone(), seen).is_none();
        }
        if let [Some(first), .., Some(last)] = ids[..] {
            added.is_descending = (first != last).then_some(first > last);
        }
        Ok(added)
    }

    fn found(self) -> FoundMessages {
        FoundMessages { messages: self.messages.into_values().collect(), gap: self.gap }
    }
}

pub(super) fn gap(sentence: impl Into<String>) -> Option<Fault> {
    Some(Fault::new("read_incomplete", sentence))
}

impl AccountReader {
    /// The messages of a case since `from`, by our clock; older ones as they come.
    pub(super) async fn messages_of_case(
        &self,
        case: i64,
        from: Millis,
        texts: &[&str],
    ) -> Result<FoundMessages, ReadFailure> {
        let listed = match self.list_of_case(case, from, texts).await {
            Ok(found) if !found.messages.is_empty() => return Ok(found),
            Err(later @ ReadFailure::Later { .. }) => return Err(later),
            listed => listed,
        };
        let within = self.messages_in_case(case, texts).await;
        match (listed, within) {
            (_, Ok(found)) => Ok(found),
            (_, Err(later @ ReadFailure::Later { .. })) => Err(later),
            // An empty list is no proof: a filter that is not known may match nothing.
            (Ok(mut found), Err(_)) => {
                found.gap = found.gap.or_else(|| {
                    gap("Acquire lists no message of the case, and nothing confirms that there is none")
                });
                Ok(found)
            }
            (Err(ReadFailure::NotOffered(fault)), Err(ReadFailure::NotOffered(_))) => {
                Err(ReadFailure::NotOffered(fault))
            }
            (Err(failure), Err(_)) => Err(ReadFailure::Broken(failure.fault().clone())),
        }
    }

    /// `GET /crm/objects/case-message?where=caseId|eq|N`. In the vendor's order, older ones come first, so
    /// a long list is read from its end.
    pub(super) async fn list_of_case(
        &self,
        case: i64,
        from: Millis,
        texts: &[&str],
    ) -> Result<FoundMessages, ReadFailure> {
        let name = case.to_string();
        let mut pages = ReadPages::default();
        let first = self.list_page(case, 0, texts, &mut pages).await?;
        let added = pages.add(&first, &name, from)?;
        let read = first.items.len() as u64;
        // A `count` that is not larger may be that of the page.
        let total = first.count.filter(|count| *count > read);
        let may_be_more = read > 0 && (total.is_some() || read >= first.limit);
        if !may_be_more || (added.is_older && added.is_descending == Some(true)) {
            return Ok(pages.found());
        }
        match total {
            Some(total) if added.is_descending == Some(false) => {
                self.read_from_the_end(case, from, texts, &mut pages, (read, total)).await?;
            }
            total => self.read_on(case, from, texts, &mut pages, read, total).await?,
        }
        Ok(pages.found())
    }

    /// The pages from `total` down to `read`, until one is older than what is needed.
    async fn read_from_the_end(
        &self,
        case: i64,
        from: Millis,
        texts: &[&str],
        pages: &mut ReadPages,
        (read, total): (u64, u64),
    ) -> Result<(), ReadFailure> {
        let name = case.to_string();
        let mut end = total;
        while end > read {
            let offset = end.saturating_sub(read.min(PAGE)).max(read);
            let page = self.list_page(case, offset, texts, pages).await?;
            let added = pages.add(&page, &name, from)?;
            let length = page.items.len() as u64;
            if end == total && offset + length < page.count.unwrap_or(total) {
                // There are more by now.
                self.read_on(case, from, texts, pages, offset + length, page.count).await?;
            } else if offset + length < end {
                pages.gap = gap("a page has fewer messages than were asked for");
            }
            if !added.is_new && length > 0 {
                pages.gap = gap("the pages repeat: `offset` has no effect");
            }
            if added.is_older || pages.gap.is_some() {
                return Ok(());
            }
            end = offset;
        }
        Ok(())
    }

    /// The pages from `offset` on.
    async fn read_on(
        &self,
        case: i64,
        from: Millis,
        texts: &[&str],
        pages: &mut ReadPages,
        mut offset: u64,
        total: Option<u64>,
    ) -> Result<(), ReadFailure> {
        let name = case.to_string();
        loop {
            let page = self.list_page(case, offset, texts, pages).await?;
            let length = page.items.len() as u64;
            if length == 0 {
                if total.is_some_and(|total| offset < total) {
                    pages.gap = gap("the list ends before its `count`");
                }
                return Ok(());
            }
            let added = pages.add(&page, &name, from)?;
            if !added.is_new {
                pages.gap = gap("the pages repeat: `offset` has no effect");
                return Ok(());
            }
            offset += length;
            let is_end = match page.count.filter(|count| *count > length).or(total) {
                Some(total) => offset >= total,
                None => length < page.limit,
            };
            let is_older = added.is_older && added.is_descending == Some(true);
            if is_end || is_older || pages.gap.is_some() {
                return Ok(());
            }
        }
    }

    /// Past the limit of requests, a page without messages, and the gap is noted.
    async fn list_page(
        &self,
        case: i64,
        offset: u64,
        texts: &[&str],
        pages: &mut ReadPages,
    ) -> Result<ListPage, ReadFailure> {
        pages.requests += 1;
        if pages.requests > MAX_PAGES {
            pages.gap = gap(format!("the case has too many messages: {MAX_PAGES} pages were read"));
            return Ok(ListPage { items: Vec::new(), count: None, limit: PAGE, clock: None });
        }
        let (filter, limit) = (format!("caseId|eq|{case}"), PAGE.to_string());
        let offset = offset.to_string();
        let mut parameters = vec![
            ("limit", limit.as_str()),
            ("offset", offset.as_str()),
            ("where", filter.as_str()),
            ("relations", "case"),
        ];
        parameters.extend(SELECT.map(|field| ("select", field)));
        ListPage::read(self.ask("/crm/objects/case-message", &parameters, texts).await?)
    }

    /// `GET /crm/objects/case?where=id|eq|N&relations=messages`.
    pub(super) async fn messages_in_case(
        &self,
        case: i64,
        texts: &[&str],
    ) -> Result<FoundMessages, ReadFailure> {
        let filter = format!("id|eq|{case}");
        let parameters = [("where", filter.as_str()), ("relations", "messages")];
        let answer = self.ask("/crm/objects/case", &parameters, texts).await?;
        let clock = answer.clock;
        let name = case.to_string();
        let page = ListPage::read(answer)?;
        if page.items.iter().any(|item| item.get("id").and_then(id_text).is_none()) {
            return Err(ReadFailure::shape("a case has no id"));
        }
        let is_it = |found: &&Value| found.get("id").and_then(id_text).as_ref() == Some(&name);
        let found = page.items.iter().find(is_it).ok_or_else(|| no_such_case(case))?;
        let messages = match found.get("messages") {
            Some(Value::Array(messages)) => messages,
            Some(Value::Object(list)) => match list.get("data") {
                Some(Value::Array(messages)) => messages,
                _ => return Err(ReadFailure::shape("the case has no list of messages")),
            },
            _ => return Err(ReadFailure::shape("the case has no messages")),
        };
        let mut all = Vec::new();
        for message in messages {
            let seen = SeenMessage::read(message, clock)
                .ok_or_else(|| ReadFailure::shape("a message has no id"))?;
            if seen.case_id.as_ref().is_none_or(|id| *id == name) {
                all.push(seen);
            }
        }
        // It is not documented whether a case has all of its messages, or as many as fit on a page.
        let count = messages.len();
        let may_be_cut = count > 0 && (count % 20 == 0 || count % 25 == 0);
        let gap = may_be_cut
            .then(|| gap(format!("the case has {count} messages, which may be a page of more")));
        Ok(FoundMessages { messages: all, gap: gap.flatten() })
    }
}

pub(super) fn no_such_case(case: i64) -> ReadFailure {
    ReadFailure::Broken(Fault::new("no_such_case", format!("Acquire shows no case {case}")))
}
