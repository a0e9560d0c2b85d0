//! Fills ids that a payload leaves out, with those of its contact's only active case. Never a guess: no
//! active case, or more than one, is an error that names them.

use super::read_back::{AccountReader, CaseFacts, CaseQuestion};
use crate::queue::job::Channel;
use crate::queue::outcome::{Fault, Outcome};
use crate::queue::payload::missing_ids::{MissingIds, with_ids};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long the cases of a contact are remembered: many messages to one contact ask once, and a case that
/// was closed is noticed soon.
const REMEMBERED: Duration = Duration::from_secs(30);
/// The most contacts that are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// The most questions at once, of an account.
const MAX_QUESTIONS: usize = 4;
/// The most cases that an error names.
const NAMED: usize = 5;

/// Asks one account; its channels share it.
pub struct IdFiller {
    reader: AccountReader,
    known: Mutex<HashMap<i64, (Instant, Vec<CaseFacts>)>>,
    places: Semaphore,
}

impl fmt::Debug for IdFiller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdFiller").finish_non_exhaustive()
    }
}

impl IdFiller {
    pub fn new(reader: AccountReader) -> IdFiller {
        IdFiller { reader, known: Mutex::default(), places: Semaphore::new(MAX_QUESTIONS) }
    }

    /// The payload with its ids; unchanged if none is missing.
    ///
    /// # Errors
    /// What becomes of the job instead: it is invalid, or is tried again later.
    pub async fn fill(&self, channel: Channel, payload: Vec<u8>) -> Result<Vec<u8>, Outcome> {
        let Some(missing) = MissingIds::of(channel, &payload) else { return Ok(payload) };
        let cases = self.cases_of(missing.contact_id).await?;
        let invalid =
            |sentence| Outcome::Invalid { fault: Fault::new("invalid_payload", sentence) };
        let ids = ids_of(channel, &missing, &cases).map_err(invalid)?;
        with_ids(&payload, &ids).ok_or_else(|| invalid("payload: must be a JSON object".to_owned()))
    }

    async fn cases_of(&self, contact: i64) -> Result<Vec<CaseFacts>, Outcome> {
        if let Some(cases) = self.remembered(contact) {
            return Ok(cases);
        }
        let _place = self.places.acquire().await;
        // Another message to the same contact may have asked meanwhile.
        if let Some(cases) = self.remembered(contact) {
            return Ok(cases);
        }
        let cases = self.reader.cases(CaseQuestion::Contact(contact)).await.map_err(|unread| {
            let sentence = format!("the contact's cases cannot be read: {}", unread.fault.message);
            let fault = Fault::new(unread.fault.code, sentence);
            match (unread.account_refused, unread.retry_after) {
                (true, _) => Outcome::AccountRefused { fault },
                (false, Some(_)) => Outcome::Unavailable { fault, retry_after: unread.retry_after },
                (false, None) => Outcome::NotFilled { fault },
            }
        })?;
        // What has no single answer yet is asked again next time.
        if cases.iter().filter(|case| case.is_active()).count() == 1 {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MAX_REMEMBERED {
                known.clear();
            }
            known.insert(contact, (Instant::now(), cases.clone()));
        }
        Ok(cases)
    }

    fn remembered(&self, contact: i64) -> Option<Vec<CaseFacts>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, cases) = known.get(&contact)?;
        (since.elapsed() < REMEMBERED).then(|| cases.clone())
    }
}

/// The ids of the only active case that agrees with what the payload says.
fn ids_of(
    channel: Channel,
    missing: &MissingIds,
    cases: &[CaseFacts],
) -> Result<Vec<(&'static str, i64)>, String> {
    let agrees = |said: Option<i64>, known: Option<i64>| said.is_none() || said == known;
    let fitting: Vec<&CaseFacts> = cases
        .iter()
        .filter(|case| case.is_active())
        .filter(|case| agrees(missing.thread_id, Some(thread_of(case))))
        .filter(|case| agrees(missing.timeline_id, case.timeline_id))
        .collect();
    let field = if channel == Channel::Mail { "caseId" } else { "threadId" };
    let contact = missing.contact_id;
    match fitting[..] {
        [case] if channel == Channel::Mail => Ok(vec![("caseId", case.case_id)]),
        [case] => match case.timeline_id {
            Some(timeline) => Ok(vec![("threadId", thread_of(case)), ("timelineId", timeline)]),
            None => Err(format!(
                "payload.timelineId: left out, and Acquire shows no timeline of case {}",
                case.case_id
            )),
        },
        [] => Err(format!(
            "payload.{field}: left out, and contact {contact} has no active case that it could be; {}",
            named(cases.iter().collect())
        )),
        ref several => Err(format!(
            "payload.{field}: left out, and contact {contact} has {} active cases; name one: {}",
            several.len(),
            named(several.to_vec())
        )),
    }
}

/// The thread of an SMS is its case, unless the case names another.
fn thread_of(case: &CaseFacts) -> i64 {
    case.thread_id.unwrap_or(case.case_id)
}

/// `case 7 (active, chat, thread 7, timeline 8), ...`
fn named(cases: Vec<&CaseFacts>) -> String {
    let one = |case: &&CaseFacts| {
        let mut facts = vec![case.status.clone().unwrap_or_else(|| "of unknown status".to_owned())];
        facts.extend(case.channel.clone());
        facts.extend(case.thread_id.map(|id| format!("thread {id}")));
        facts.extend(case.timeline_id.map(|id| format!("timeline {id}")));
        format!("case {} ({})", case.case_id, facts.join(", "))
    };
    let mut text: Vec<String> = cases.iter().take(NAMED).map(one).collect();
    if cases.len() > NAMED {
        text.push(format!("and {} more", cases.len() - NAMED));
    }
    if text.is_empty() { "Acquire shows none at all".to_owned() } else { text.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(id: i64, status: &str) -> CaseFacts {
        CaseFacts {
            case_id: id,
            contact_id: Some(3),
            channel: Some("chat".to_owned()),
            status: Some(status.to_owned()),
            thread_id: Some(id),
            timeline_id: Some(id + 1),
        }
    }

    const NOTHING: MissingIds = MissingIds { contact_id: 3, thread_id: None, timeline_id: None };

    #[test]
    fn only_one_active_case_is_an_answer() {
        let closed = case(7, "closed");
        let of = |channel, cases: &[CaseFacts]| ids_of(channel, &NOTHING, cases);
        let ids = Ok(vec![("threadId", 9), ("timelineId", 10)]);
        assert_eq!(of(Channel::Sms, &[closed.clone(), case(9, "active")]), ids);
        assert_eq!(of(Channel::Mail, &[case(9, "active")]), Ok(vec![("caseId", 9)]));
        assert_eq!(
            of(Channel::Mail, &[closed]).unwrap_err(),
            "payload.caseId: left out, and contact 3 has no active case that it could be; case 7 \
             (closed, chat, thread 7, timeline 8)"
        );
        let none = of(Channel::Sms, &[]).unwrap_err();
        assert!(none.ends_with("Acquire shows none at all"), "{none}");
        let several = of(Channel::Sms, &[case(7, "active"), case(9, "active")]).unwrap_err();
        assert!(several.contains("has 2 active cases; name one: case 7 (active"), "{several}");
    }

    #[test]
    fn what_the_payload_names_decides_among_several() {
        let cases = [case(7, "active"), case(9, "active")];
        let of = |missing| ids_of(Channel::Sms, &missing, &cases);
        let ids = Ok(vec![("threadId", 9), ("timelineId", 10)]);
        assert_eq!(of(MissingIds { thread_id: Some(9), ..NOTHING }), ids);
        assert_eq!(of(MissingIds { timeline_id: Some(10), ..NOTHING }), ids);
        assert!(of(MissingIds { thread_id: Some(8), ..NOTHING }).is_err());
    }
}
