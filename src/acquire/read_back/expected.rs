//! Whether a message that was read is the one that was sent. Never a guess: a message is the same only
//! if nothing about it differs; if anything leaves a doubt, it is possible, with the reason.

use super::seen_message::{SeenMail, SeenMessage};
use super::text_forms::{TextMatch, compare};
use crate::queue::job::Millis;
use crate::queue::payload::{ChatPayload, MailPayload, Payload, SmsPayload, UserType};
use crate::queue::verification::Likeness;

/// The vendor's servers need not have the same time as the one that wrote the `Date`.
const SLACK: Millis = 2_000;
/// A message that was created this long before the attempt is not the attempt's, whatever the clocks.
const SURELY_BEFORE: Millis = 120_000;
/// The same if it is not known what time it was by our clock.
const SURELY_BEFORE_UNKNOWN: Millis = 24 * 3_600_000;

/// What was sent, and when.
pub(super) struct Expected<'a> {
    pub payload: &'a Payload,
    pub since: Millis,
    pub until: Millis,
}

/// When a message was created, compared with the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Age {
    Before,
    Within,
    Doubtful(&'static str),
}

impl Expected<'_> {
    /// `None`: it is another message.
    pub fn likeness(&self, seen: &SeenMessage) -> Option<Likeness> {
        let age = self.age(seen);
        if age == Age::Before {
            return None;
        }
        let doubt = match self.payload {
            Payload::Chat(chat) => of_chat(chat, seen, &age)?,
            Payload::Mail(mail) => of_mail(mail, seen, &age)?,
            Payload::Sms(sms) => of_sms(sms, seen, &age)?,
        };
        let doubt = doubt.or(match age {
            Age::Doubtful(why) => Some(why),
            Age::Within | Age::Before => None,
        });
        Some(match doubt {
            None => Likeness::Same,
            Some(why) => Likeness::Possible(why.to_owned()),
        })
    }

    /// Messages before this time, by our clock, need not be read.
    pub fn needed_from(&self) -> Millis {
        self.since - SURELY_BEFORE
    }

    fn age(&self, seen: &SeenMessage) -> Age {
        match (seen.created, seen.created_theirs) {
            (Some(span), _) if span.latest < self.since - SURELY_BEFORE => Age::Before,
            (Some(span), _) if span.latest < self.since - SLACK => {
                Age::Doubtful("it was created shortly before the attempt")
            }
            (Some(span), _) if span.earliest > self.until + SLACK => {
                Age::Doubtful("it was created after the attempt had been given up")
            }
            (Some(_), _) => Age::Within,
            (None, Some(theirs)) if theirs < self.since - SURELY_BEFORE_UNKNOWN => Age::Before,
            (None, _) => Age::Doubtful("it is not known when it was created"),
        }
    }
}

/// A difference that makes it another message is `None`; a doubt is `Some(Some(why))`.
type Doubt = Option<Option<&'static str>>;

const NO_TEXT: &str = "its text cannot be read";

/// The text of a message of the case. Only what was created in the attempt's time can be the message in
/// another form; at any other time it is the same text or another message.
fn of_text(sent: &str, seen: &SeenMessage, may_be_translated: bool, age: &Age) -> Doubt {
    let Some(read) = &seen.text else { return Some(Some(NO_TEXT)) };
    match compare(sent, read) {
        TextMatch::Same => Some(None),
        TextMatch::Loose => Some(Some("its text is written differently")),
        TextMatch::Contained => Some(Some("its text is longer or shorter")),
        TextMatch::Different if *age != Age::Within => None,
        TextMatch::Different if seen.was_edited => Some(Some("it was edited")),
        TextMatch::Different if may_be_translated || seen.was_translated => {
            Some(Some("it may be a translation"))
        }
        TextMatch::Different => None,
    }
}

fn sender_doubt(user_type: UserType, seen: &SeenMessage) -> Option<&'static str> {
    match seen.sender_type.as_deref() {
        Some(kind) if kind == user_type.as_str() => None,
        Some(_) => Some("it has a different sender"),
        None => Some("it does not say who sent it"),
    }
}

/// Whether a text that differs can be neither an edit nor a translation: somebody else's message.
fn is_the_other_sides(user_type: UserType, seen: &SeenMessage) -> bool {
    let other = match user_type {
        UserType::User => UserType::Contact,
        UserType::Contact => UserType::User,
    };
    seen.sender_type.as_deref() == Some(other.as_str())
}

fn of_chat(chat: &ChatPayload, seen: &SeenMessage, age: &Age) -> Doubt {
    if seen.kind.as_deref() == Some("event") && chat.kind != "event" {
        return None;
    }
    let doubt = of_text(&chat.message, seen, chat.translate_lang_key.is_some(), age)?;
    let is_same =
        seen.text.as_ref().is_some_and(|read| compare(&chat.message, read) == TextMatch::Same);
    if !is_same && is_the_other_sides(chat.user_type, seen) {
        return None;
    }
    Some(doubt.or_else(|| sender_doubt(chat.user_type, seen)).or_else(
        || match seen.kind.as_deref() {
            Some(kind) if kind == chat.kind => None,
            Some(_) => Some("it has a different type"),
            None => Some("it does not say what type it has"),
        },
    ))
}

fn of_sms(sms: &SmsPayload, seen: &SeenMessage, age: &Age) -> Doubt {
    if seen.kind.as_deref() == Some("event") {
        return None;
    }
    let doubt = of_text(&sms.body, seen, false, age)?;
    let is_same =
        seen.text.as_ref().is_some_and(|read| compare(&sms.body, read) == TextMatch::Same);
    if !is_same && is_the_other_sides(sms.user_type, seen) {
        return None;
    }
    Some(doubt.or_else(|| sender_doubt(sms.user_type, seen)).or({
        if seen.is_sms || seen.channel.as_deref() == Some("sms") {
            None
        } else {
            Some("it does not say that it is an SMS")
        }
    }))
}

/// In the attempt's time, an email to the same people is possible if its subject or its body is like this
/// one's; at any other time its body has to be.
fn of_mail(mail: &MailPayload, seen: &SeenMessage, age: &Age) -> Doubt {
    // An email is always an agent's.
    if is_the_other_sides(UserType::User, seen) {
        return None;
    }
    let Some(read) = &seen.mail else { return Some(Some("it does not read like an email")) };
    let to = sorted(&mail.to);
    if !read.to.is_empty() && !read.to.iter().any(|address| to.contains(address)) {
        return None;
    }
    let subject = match &read.subject {
        Some(subject) => compare(&mail.subject, subject),
        None => TextMatch::Contained,
    };
    let body = body_match(mail, read);
    let is_another = match age {
        Age::Within => subject.max(body) == TextMatch::Different,
        _ => body == TextMatch::Different,
    };
    if is_another {
        return None;
    }
    Some(if read.is_draft {
        Some("it is a draft")
    } else if subject != TextMatch::Same {
        Some("its subject is different")
    } else if read.from.as_deref() != Some(bare(&mail.from).as_str()) {
        Some("it has a different sender")
    } else if to != read.to || sorted(&mail.cc) != read.cc {
        Some("it has different recipients")
    } else {
        match body {
            TextMatch::Same => None,
            TextMatch::Loose => Some("its HTML or its text was rewritten"),
            TextMatch::Contained => Some("its body is longer or shorter"),
            TextMatch::Different => Some("its body is different"),
        }
    })
}

/// Both bodies, as far as they were sent: the one that is less alike counts.
fn body_match(mail: &MailPayload, read: &SeenMail) -> TextMatch {
    let bodies = [(&mail.text_body, &read.text_body), (&mail.html_body, &read.html_body)];
    let matches = bodies.into_iter().filter_map(|(sent, read)| {
        let sent = sent.as_deref().filter(|text| !text.is_empty())?;
        Some(read.as_deref().map_or(TextMatch::Different, |read| compare(sent, read)))
    });
    let matches: Vec<TextMatch> = matches.collect();
    match (matches.iter().min(), matches.iter().max()) {
        (Some(TextMatch::Different), Some(best)) if *best > TextMatch::Different => {
            TextMatch::Contained
        }
        (Some(worst), _) => *worst,
        (None, _) => TextMatch::Different,
    }
}

fn sorted(addresses: &[String]) -> Vec<String> {
    let mut all: Vec<String> = addresses.iter().map(|address| bare(address)).collect();
    all.sort();
    all.dedup();
    all
}

/// `anne@example.com` of `Anne <Anne@example.com>`.
fn bare(address: &str) -> String {
    let inner = address.rsplit_once('<').and_then(|(_, rest)| rest.split('>').next());
    inner.unwrap_or(address).trim().to_lowercase()
}

#[cfg(test)]
mod tests;
