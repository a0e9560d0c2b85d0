//! The ids that a producer may not know: the cases of a contact, their threads and timelines.

use super::AccountReader;
use super::case_messages::{ListPage, no_such_case};
use super::read_answer::ReadFailure;
use super::seen_message::id_text;
use crate::queue::outcome::Fault;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// What is known of a case; in JSON with the vendor's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseFacts {
    pub case_id: i64,
    pub contact_id: Option<i64>,
    /// `chat`, `mail`, ...
    pub channel: Option<String>,
    /// Only an `active` case receives messages.
    pub status: Option<String>,
    pub thread_id: Option<i64>,
    pub timeline_id: Option<i64>,
}

impl CaseFacts {
    pub fn is_active(&self) -> bool {
        self.status.as_deref() == Some("active")
    }

    fn read(value: &Value) -> Option<CaseFacts> {
        let number = |value: Option<&Value>| id_text(value?)?.parse().ok();
        let word = |name: &str| value.get(name).and_then(id_text);
        let timeline = value.get("timeline");
        let of_timeline = |name: &str| number(timeline.and_then(|timeline| timeline.get(name)));
        let contact = number(value.get("contactId"))
            .or_else(|| number(value.get("contact").and_then(|contact| contact.get("id"))))
            .or_else(|| of_timeline("contactId"));
        Some(CaseFacts {
            case_id: number(value.get("id"))?,
            contact_id: contact,
            channel: word("channel"),
            status: word("status"),
            thread_id: of_timeline("threadId").or_else(|| number(value.get("threadId"))),
            timeline_id: of_timeline("id"),
        })
    }
}

/// Whose cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaseQuestion {
    Case(i64),
    /// All cases of a contact.
    Contact(i64),
}

/// Why cases could not be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", fault.message)]
pub struct CasesUnread {
    pub fault: Fault,
    /// It may be answered another time; `false`: this account has no such call.
    pub may_be_read_later: bool,
    /// 401 or a redirect.
    pub account_refused: bool,
    pub retry_after: Option<Duration>,
}

impl From<ReadFailure> for CasesUnread {
    fn from(failure: ReadFailure) -> CasesUnread {
        let may_be_read_later = !matches!(failure, ReadFailure::NotOffered(_));
        let (account_refused, retry_after) = match &failure {
            ReadFailure::Later { account_refused, retry_after, .. } => {
                (*account_refused, *retry_after)
            }
            _ => (false, None),
        };
        let fault = failure.fault().clone();
        CasesUnread { fault, may_be_read_later, account_refused, retry_after }
    }
}

/// The most cases that one answer has; more would have to be paged.
const LIMIT: usize = 100;

impl AccountReader {
    /// The cases; none if Acquire knows no such case or contact.
    ///
    /// # Errors
    /// [`CasesUnread`] if they could not be read, or not all of them.
    pub async fn cases(&self, question: CaseQuestion) -> Result<Vec<CaseFacts>, CasesUnread> {
        let found = match question {
            CaseQuestion::Case(case) => match self.case_facts(case, &[]).await {
                Ok(facts) => Ok(vec![facts]),
                Err(ReadFailure::Broken(fault)) if fault.code == "no_such_case" => Ok(Vec::new()),
                Err(failure) => Err(failure),
            },
            CaseQuestion::Contact(contact) => self.cases_of_contact(contact).await,
        };
        Ok(found?)
    }

    pub(super) async fn case_facts(
        &self,
        case: i64,
        texts: &[&str],
    ) -> Result<CaseFacts, ReadFailure> {
        let filter = format!("id|eq|{case}");
        let parameters = [("where", filter.as_str()), ("relations", "timeline")];
        let listed = match self.ask("/crm/objects/case", &parameters, texts).await {
            Ok(answer) => {
                facts_in(ListPage::read(answer)?)?.into_iter().find(|it| it.case_id == case)
            }
            Err(ReadFailure::NotOffered(_) | ReadFailure::Broken(_)) => None,
            Err(later) => return Err(later),
        };
        match listed {
            Some(facts) => Ok(facts),
            None => {
                let path = format!("/crm/objects/case/{case}");
                match self.ask(&path, &[], texts).await {
                    Ok(answer) => CaseFacts::read(&answer.data)
                        .filter(|facts| facts.case_id == case)
                        .ok_or_else(|| ReadFailure::shape("the case has no id")),
                    Err(ReadFailure::NotOffered(fault))
                        if fault.code == "ERROR_RECORD_NOT_FOUND" =>
                    {
                        Err(no_such_case(case))
                    }
                    Err(failure) => Err(failure),
                }
            }
        }
    }

    /// `GET /crm/objects/case?where=contactId|eq|N`.
    async fn cases_of_contact(&self, contact: i64) -> Result<Vec<CaseFacts>, ReadFailure> {
        let (filter, limit) = (format!("contactId|eq|{contact}"), LIMIT.to_string());
        let parameters = [
            ("limit", limit.as_str()),
            ("offset", "0"),
            ("where", filter.as_str()),
            ("relations", "timeline"),
        ];
        let page = ListPage::read(self.ask("/crm/objects/case", &parameters, &[]).await?)?;
        if page.is_part() {
            let sentence = format!(
                "the contact has more cases than Acquire shows on a page ({})",
                page.items.len()
            );
            return Err(ReadFailure::Broken(Fault::new("read_incomplete", sentence)));
        }
        let cases = facts_in(page)?;
        match cases.iter().all(|case| case.contact_id == Some(contact)) {
            true => Ok(cases),
            false => Err(ReadFailure::shape("it does not filter by `contactId`")),
        }
    }
}

fn facts_in(page: ListPage) -> Result<Vec<CaseFacts>, ReadFailure> {
    let read =
        |item: &Value| CaseFacts::read(item).ok_or_else(|| ReadFailure::shape("a case has no id"));
    page.items.iter().map(read).collect()
}
