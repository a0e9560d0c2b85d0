//! Which calls an account has to read messages back, found out without a message of ours: on whatever the
//! account has.

use super::AccountReader;
use super::case_messages::ListPage;
use super::read_answer::ReadFailure;
use super::seen_message::{SeenMessage, id_text};
use crate::queue::job::{Channel, Millis};
use crate::queue::outcome::Fault;
use serde_json::Value;
use std::fmt;

/// How the messages of a case can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `GET /crm/objects/case-message?where=caseId|eq|N`
    CaseMessage,
    /// `GET /crm/objects/case?where=id|eq|N&relations=messages`
    CaseRelation,
    /// `GET /mail/messages?threadId=N`
    MailThread,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Way::CaseMessage => "case-message",
            Way::CaseRelation => "case",
            Way::MailThread => "thread",
        })
    }
}

/// Whether messages of a channel can be read back.
#[derive(Debug, Clone, PartialEq)]
pub enum Capability {
    /// It answers, in a shape that is known.
    By(Way),
    /// The account has nothing yet to try it on; it will be found out at the first use.
    Untried,
    /// No way answers; why.
    Impossible(Fault),
    /// It could not be found out now.
    Later(Fault),
}

impl fmt::Display for Capability {
    /// To follow the channel's name: `by case-message`, `not possible here`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Capability::By(way) => write!(f, "by {way}"),
            Capability::Untried => f.write_str("not tried, as the account has no message yet"),
            Capability::Impossible(_) => f.write_str("not possible here"),
            Capability::Later(_) => f.write_str("not known now"),
        }
    }
}

impl AccountReader {
    /// Tries the calls on the account's own newest or oldest cases.
    pub async fn capability(&self, channel: Channel) -> Capability {
        let case = match self.any_case(channel).await {
            Ok(Some(case)) => case,
            Ok(None) => return Capability::Untried,
            Err(ReadFailure::NotOffered(fault) | ReadFailure::Broken(fault)) => {
                return Capability::Impossible(fault);
            }
            Err(ReadFailure::Later { fault, .. }) => return Capability::Later(fault),
        };
        let ways = match channel {
            Channel::Mail => &[Way::MailThread][..],
            Channel::Chat | Channel::Sms => &[Way::CaseMessage, Way::CaseRelation],
        };
        let mut refused = None;
        for way in ways {
            let found = match way {
                // The pages of the last hours are enough to see that it can be paged.
                Way::CaseMessage => self.list_of_case(case, Millis::MAX, &[]).await,
                Way::CaseRelation => self.messages_in_case(case, &[]).await,
                Way::MailThread => self.thread_of_case(case, Millis::MAX, &[]).await,
            };
            match found {
                Ok(found) if found.gap.is_none() && !found.messages.is_empty() => {
                    let told_apart = found.messages.iter().any(|seen| seen.is_sms);
                    return match channel {
                        Channel::Sms if !told_apart => Capability::Untried,
                        _ => Capability::By(*way),
                    };
                }
                Ok(found) => refused = refused.or(found.gap),
                Err(ReadFailure::Later { fault, .. }) => return Capability::Later(fault),
                Err(failure) => refused = refused.or(Some(failure.fault().clone())),
            }
        }
        refused.map_or(Capability::Untried, Capability::Impossible)
    }

    /// A case with a message of the channel, among the first ones that are listed.
    async fn any_case(&self, channel: Channel) -> Result<Option<i64>, ReadFailure> {
        let parameters = [("limit", "20"), ("offset", "0"), ("relations", "case")];
        let listed = self.ask("/crm/objects/case-message", &parameters, &[]).await;
        let mut of_other_channels = false;
        match listed.and_then(ListPage::read) {
            Ok(page) => {
                for item in &page.items {
                    let Some(seen) = SeenMessage::read(item, None) else { continue };
                    let Some(case) = seen.case_id.as_ref().and_then(|id| id.parse().ok()) else {
                        return Err(ReadFailure::shape("a message does not say its case"));
                    };
                    if is_of(channel, item, &seen) {
                        return Ok(Some(case));
                    }
                    of_other_channels = true;
                }
                if of_other_channels || channel == Channel::Sms {
                    return self.any_case_of(channel).await;
                }
            }
            Err(later @ ReadFailure::Later { .. }) => return Err(later),
            Err(_) => {}
        }
        self.any_case_of(channel).await
    }

    /// The same by the list of cases.
    async fn any_case_of(&self, channel: Channel) -> Result<Option<i64>, ReadFailure> {
        let parameters = [("limit", "20"), ("offset", "0")];
        let page = ListPage::read(self.ask("/crm/objects/case", &parameters, &[]).await?)?;
        let mut cases = page.items.iter().filter(|case| case_is_of(channel, case));
        Ok(cases.find_map(|case| case.get("id").and_then(id_text)?.parse().ok()))
    }
}

fn is_of(channel: Channel, item: &Value, seen: &SeenMessage) -> bool {
    let case = item.get("case").unwrap_or(&Value::Null);
    match channel {
        Channel::Sms => seen.is_sms,
        Channel::Chat | Channel::Mail => seen
            .channel
            .as_deref()
            .map_or_else(|| case_is_of(channel, case), |of| of == channel.as_str()),
    }
}

fn case_is_of(channel: Channel, case: &Value) -> bool {
    let name = case.get("channel").and_then(Value::as_str);
    match channel {
        Channel::Chat => name.is_none_or(|name| name == "chat"),
        Channel::Mail => name.is_some_and(|name| name.contains("mail")),
        Channel::Sms => name.is_some_and(|name| name == "sms" || name == "voip"),
    }
}
