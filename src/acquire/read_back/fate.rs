//! What became of a message that was sent: of a chat or an SMS by its id among the messages of its case, of a
//! mail by its thread.

use super::AccountReader;
use super::case_messages::ListPage;
use super::read_answer::ReadFailure;
use super::seen_message::{SeenMessage, id_text};
use crate::queue::follow_up::{DeliveryEvent, FollowUp, FollowedJob};
use crate::queue::job::{Channel, Millis};
use serde_json::Value;

/// The emails that were created this long before ours was recorded need not be read: clocks differ.
const SURELY_BEFORE: Millis = 3_600_000;
/// What Acquire says where it does not have what was asked for.
const NO_SUCH: [&str; 2] = ["ERROR_RECORD_NOT_FOUND", "no_such_case"];

impl AccountReader {
    /// What Acquire says of a message.
    pub async fn what_became_of(&self, job: &FollowedJob) -> FollowUp {
        let found = match (job.channel, job.case) {
            (Channel::Mail, Some(case)) => match self.mail_of(job, case).await {
                // What its case says of it is less, but something.
                Err(ReadFailure::NotOffered(_)) if job.case_message_id.is_some() => {
                    self.case_message_of(job).await
                }
                found => found,
            },
            _ => self.case_message_of(job).await,
        };
        match found {
            Ok(seen) => FollowUp::Answer(seen.and_then(|seen| DeliveryEvent::of_all(&seen.fate))),
            Err(ReadFailure::Later { fault, retry_after, .. }) => {
                FollowUp::Later { fault, retry_after }
            }
            Err(ReadFailure::Broken(fault) | ReadFailure::NotOffered(fault))
                if NO_SUCH.contains(&fault.code.as_str()) =>
            {
                FollowUp::Answer(None)
            }
            Err(ReadFailure::Broken(fault)) => FollowUp::Unclear(fault),
            Err(ReadFailure::NotOffered(fault)) => FollowUp::Impossible(fault),
        }
    }

    async fn mail_of(
        &self,
        job: &FollowedJob,
        case: i64,
    ) -> Result<Option<SeenMessage>, ReadFailure> {
        let found = self.thread_of_case(case, job.sent_at - SURELY_BEFORE, &[]).await?;
        let is_it = |seen: &SeenMessage| {
            let case_message = seen.fields.get("caseMessageId").and_then(id_text);
            job.message_id.as_ref() == Some(&seen.id)
                || case_message.is_some() && case_message == job.case_message_id
        };
        match (found.messages.into_iter().find(is_it), found.gap) {
            (Some(seen), _) => Ok(Some(seen)),
            (None, Some(gap)) => Err(ReadFailure::Broken(gap)),
            (None, None) => Ok(None),
        }
    }

    /// `GET /crm/objects/case-message/{messageId}`, or else the list with the documented filter.
    async fn case_message_of(&self, job: &FollowedJob) -> Result<Option<SeenMessage>, ReadFailure> {
        // It becomes part of an address.
        let id = job.among_case_messages().filter(|id| is_plain(id));
        let Some(id) = id else { return Ok(None) };
        let one = match self.ask(&format!("/crm/objects/case-message/{id}"), &[], &[]).await {
            Ok(answer) => message_with(id, [&answer.data])
                .map(Some)
                .ok_or_else(|| ReadFailure::shape("the message has a different id")),
            Err(failure) => Err(failure),
        };
        let failure = match one {
            Ok(_) | Err(ReadFailure::Later { .. }) => return one,
            Err(failure) => failure,
        };
        let filter = format!("id|eq|{id}");
        let parameters = [("where", filter.as_str())];
        let listed = self.ask("/crm/objects/case-message", &parameters, &[]).await;
        match listed.and_then(ListPage::read) {
            Ok(page) => match message_with(id, &page.items) {
                None if !page.items.is_empty() => {
                    Err(ReadFailure::shape("it does not filter by `id`"))
                }
                found => Ok(found),
            },
            Err(later @ ReadFailure::Later { .. }) => Err(later),
            Err(_) => Err(failure),
        }
    }
}

fn message_with<'a>(id: &str, values: impl IntoIterator<Item = &'a Value>) -> Option<SeenMessage> {
    let mut all = values.into_iter().filter_map(|value| SeenMessage::read(value, None));
    all.find(|seen| seen.id == id)
}

fn is_plain(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
