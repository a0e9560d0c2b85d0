//! The requests that the sandbox has received: the last ones are kept, and each can be reported on
//! stdout.

use super::kept_message::KeptMessage;
use crate::queue::job::{Channel, Millis};
use crate::spool::{self, Spool, TextOutlet};
use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most requests that are kept.
const KEPT: usize = 10_000;
/// The most bytes of request bodies that are kept: emails with attachments are large.
const KEPT_BYTES: usize = 256 << 20;

/// A request to a sending endpoint, and how it was answered.
#[derive(Debug, Clone, Serialize)]
pub struct ReceivedRequest {
    /// Counts up from 1.
    pub n: u64,
    /// When its body was complete; ISO 8601 in JSON.
    #[serde(serialize_with = "iso")]
    pub received_at: Millis,
    /// The endpoint's channel.
    pub channel: Channel,
    /// The message's id in the answer; `None` if the request was refused.
    pub id: Option<i64>,
    /// Whether a customer would have received it: it has an id and no provider's error.
    pub accepted: bool,
    /// The answer's status; `None`: no answer, or a dropped connection.
    pub status: Option<u16>,
    /// The URL's parameters, decoded.
    pub query: BTreeMap<String, String>,
    /// The request's JSON; a body that is not JSON, as text.
    pub body: Value,
    /// What the read-back calls show, if it was given ids.
    #[serde(skip)]
    pub(super) kept: Option<KeptMessage>,
    #[serde(skip)]
    pub(super) bytes: usize,
}

fn iso<S: Serializer>(time: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&iso_text(*time))
}

/// ISO 8601, UTC, with milliseconds, as the vendor writes times.
pub(super) fn iso_text(time: Millis) -> String {
    DateTime::from_timestamp_millis(time)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The requests that the sandbox has received. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    messages: VecDeque<Arc<ReceivedRequest>>,
    bytes: usize,
    seen: u64,
    accepted: u64,
}

impl Log {
    /// The last 10,000 requests, oldest first.
    pub fn messages(&self) -> Vec<Arc<ReceivedRequest>> {
        self.entries().messages.iter().cloned().collect()
    }

    /// Messages accepted since the start, including those no longer kept.
    pub fn accepted(&self) -> u64 {
        self.entries().accepted
    }

    /// Keeps the request under the next `n`, and drops the oldest ones beyond the limits.
    pub(super) fn push(&self, mut request: ReceivedRequest) {
        let mut entries = self.entries();
        entries.seen += 1;
        entries.accepted += u64::from(request.accepted);
        request.n = entries.seen;
        entries.bytes += request.bytes;
        entries.messages.push_back(Arc::new(request));
        while entries.messages.len() > KEPT || entries.bytes > KEPT_BYTES {
            let Some(oldest) = entries.messages.pop_front() else { break };
            entries.bytes -= oldest.bytes;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often each (channel, body) was sent to a case that refuses the first requests. Limited like
/// the log.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<(HashMap<u64, u32>, VecDeque<u64>)>);

impl Repeats {
    /// Counts a request with this `fingerprint`, and returns how many came before it.
    pub(super) fn count(&self, fingerprint: u64) -> u32 {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, order) = &mut *guard;
        let count = counts.entry(fingerprint).or_insert_with(|| {
            order.push_back(fingerprint);
            0
        });
        let before = *count;
        *count = count.saturating_add(1);
        if order.len() > KEPT
            && let Some(oldest) = order.pop_front()
        {
            counts.remove(&oldest);
        }
        before
    }
}

/// Prints lines to stdout. If too many wait for a slow reader, further ones are dropped: it must not
/// stop the sandbox.
pub(super) type RequestReport = Spool<String>;

pub(super) fn start_report() -> std::io::Result<RequestReport> {
    Spool::start("sandbox-report", TextOutlet(spool::unlocked(&std::io::stdout())?))
}

/// `chat #8289 case 2069 -> 200`: ids and the answer, never the message text.
pub(super) fn report_line(
    channel: Channel,
    id: Option<i64>,
    case: Option<i64>,
    answered: impl std::fmt::Display,
) -> String {
    let mut line = channel.to_string();
    if let Some(id) = id {
        line += &format!(" #{id}");
    }
    if let Some(case) = case {
        line += &format!(" case {case}");
    }
    format!("{line} -> {answered}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize, accepted: bool) -> ReceivedRequest {
        ReceivedRequest {
            n: 0,
            received_at: 1_600_000_000_123,
            channel: Channel::Chat,
            id: None,
            accepted,
            status: Some(400),
            query: BTreeMap::new(),
            body: Value::Null,
            kept: None,
            bytes,
        }
    }

    #[test]
    fn the_log_keeps_the_last_ten_thousand_and_counts_them_all() {
        let log = Log::default();
        for n in 0..KEPT + 5 {
            log.push(request(1, n % 2 == 0));
        }
        let kept = log.messages();
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].n, kept[KEPT - 1].n), (6, KEPT as u64 + 5));
        assert_eq!(log.accepted(), KEPT as u64 / 2 + 3);
    }

    #[test]
    fn the_log_drops_large_mails_before_they_fill_the_memory() {
        let log = Log::default();
        for _ in 0..5 {
            log.push(request(KEPT_BYTES / 3, true));
        }
        assert_eq!(log.messages().len(), 3);
        assert_eq!(log.accepted(), 5);
    }

    #[test]
    fn repeats_are_counted_per_fingerprint_and_eventually_forgotten() {
        let repeats = Repeats::default();
        assert_eq!((repeats.count(1), repeats.count(1), repeats.count(2)), (0, 1, 0));
        for other in 10..10 + KEPT as u64 {
            repeats.count(other);
        }
        assert_eq!(repeats.count(1), 0);
    }

    #[test]
    fn times_are_shown_with_milliseconds() {
        assert_eq!(iso_text(1_600_000_000_123), "2020-09-13T12:26:40.123Z");
    }

    #[test]
    fn a_report_line_has_ids_and_the_answer() {
        let line = report_line(Channel::Chat, Some(8289), Some(2069), 200);
        assert_eq!(line, "chat #8289 case 2069 -> 200");
        assert_eq!(report_line(Channel::Sms, None, Some(9), 503), "sms case 9 -> 503");
        assert_eq!(report_line(Channel::Mail, None, None, "dropped"), "mail -> dropped");
    }
}
