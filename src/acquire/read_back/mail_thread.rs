//! The emails of a case's thread. Pages are linked by opaque cursors, in both directions, and the vendor's
//! examples have cursors at the end of a thread, too.

use super::case_messages::gap;
use super::expected::Expected;
use super::read_answer::ReadFailure;
use super::seen_message::{SeenMessage, id_text};
use super::{AccountReader, FoundMessages};
use crate::queue::job::Millis;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most requests for one thread.
const MAX_PAGES: usize = 30;
/// A page with fewer emails is not full.
const PAGE: usize = 20;

/// One page of a thread.
struct MailPage {
    mails: Vec<SeenMessage>,
    previous: Option<String>,
    next: Option<String>,
}

impl AccountReader {
    /// The emails of a case since the attempt. A thread without any counts only if the case has no message
    /// either that could be the email.
    pub(super) async fn mails_of_case(
        &self,
        case: i64,
        expected: &Expected<'_>,
        texts: &[&str],
    ) -> Result<FoundMessages, ReadFailure> {
        let from = expected.needed_from();
        let mut found = self.thread_of_case(case, from, texts).await?;
        if found.messages.is_empty() && found.gap.is_none() {
            let confirmed = match self.messages_of_case(case, from, texts).await {
                Ok(FoundMessages { messages, gap: None }) => !messages.iter().any(|seen| {
                    let is_later = seen.created.is_none_or(|span| span.latest >= from);
                    is_later
                        && seen.kind.as_deref() != Some("event")
                        && seen.sender_type.as_deref() != Some("contact")
                }),
                Err(later @ ReadFailure::Later { .. }) => return Err(later),
                _ => false,
            };
            if !confirmed {
                found.gap = gap(
                    "Acquire shows no email of the case, and nothing confirms that there is none",
                );
            }
        }
        Ok(found)
    }

    /// `GET /mail/messages?threadId=N`, with the thread of the case.
    pub(super) async fn thread_of_case(
        &self,
        case: i64,
        from: Millis,
        texts: &[&str],
    ) -> Result<FoundMessages, ReadFailure> {
        let facts = self.case_facts(case, texts).await?;
        let thread = facts.thread_id.ok_or_else(|| ReadFailure::shape("the case has no thread"))?;
        let thread = thread.to_string();
        let mut found = self.thread(&thread, from, texts).await?;
        let case = case.to_string();
        found.messages.retain(|seen| seen.case_id.as_ref().is_none_or(|id| *id == case));
        Ok(found)
    }

    async fn thread(
        &self,
        thread: &str,
        from: Millis,
        texts: &[&str],
    ) -> Result<FoundMessages, ReadFailure> {
        let first = self.mail_page(thread, None, texts).await?;
        let is_full = first.mails.len() >= PAGE;
        let mut all: BTreeMap<String, SeenMessage> = BTreeMap::new();
        let mut missing = None;
        let mut requests = 1;
        let (previous, next) = (first.previous.clone(), first.next.clone());
        all.extend(first.mails.into_iter().map(|mail| (mail.id.clone(), mail)));
        for (name, mut cursor) in [("next", next), ("previous", previous)] {
            while let Some(at) = cursor.take() {
                requests += 1;
                if requests > MAX_PAGES {
                    missing =
                        gap(format!("the thread has too many emails: {MAX_PAGES} pages were read"));
                    break;
                }
                let page = self.mail_page(thread, Some((name, &at)), texts).await?;
                let is_older = !page.mails.is_empty()
                    && page
                        .mails
                        .iter()
                        .all(|mail| mail.created.is_some_and(|span| span.latest < from));
                let (before, is_empty) = (all.len(), page.mails.is_empty());
                all.extend(page.mails.into_iter().map(|mail| (mail.id.clone(), mail)));
                if is_empty || is_older {
                    break;
                }
                if all.len() == before {
                    // The same page again. If it is not full, it was the only one.
                    if is_full {
                        missing =
                            gap(format!("the pages of the thread repeat: `{name}` has no effect"));
                    }
                    break;
                }
                cursor = if name == "next" { page.next } else { page.previous };
                if cursor.as_ref() == Some(&at) {
                    missing = gap("a page of the thread is followed by itself");
                    break;
                }
            }
        }
        Ok(FoundMessages { messages: all.into_values().collect(), gap: missing })
    }

    async fn mail_page(
        &self,
        thread: &str,
        cursor: Option<(&str, &str)>,
        texts: &[&str],
    ) -> Result<MailPage, ReadFailure> {
        let mut parameters = vec![("threadId", thread)];
        parameters.extend(cursor);
        let answer = self.ask("/mail/messages", &parameters, texts).await?;
        let Some(Value::Array(messages)) = answer.data.get("messages") else {
            return Err(ReadFailure::shape("the thread has no `messages`"));
        };
        let mut mails = Vec::new();
        for message in messages {
            let seen = SeenMessage::read(message, answer.clock)
                .ok_or_else(|| ReadFailure::shape("an email has no id"))?;
            mails.push(seen);
        }
        let cursor = |name: &str| answer.data.get(name).and_then(id_text);
        Ok(MailPage { mails, previous: cursor("previous"), next: cursor("next") })
    }
}
