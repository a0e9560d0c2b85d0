//! What the sandbox was sent, the last of it.

use super::message::CaseMessage;
use crate::queue::job::{Channel, Millis};
use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests remembered, at most.
const KEPT: usize = 10_000;
/// Bytes of request bodies remembered, at most: mails with attachments are large.
const KEPT_BYTES: usize = 256 << 20;

/// One request to a sending endpoint, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// 1 for the first since the start, then growing.
    pub n: u64,
    /// When its body had been read; ISO 8601 in JSON.
    #[serde(serialize_with = "iso")]
    pub received_at: Millis,
    /// Whose endpoint it came to.
    pub channel: Channel,
    /// The message's id, as its answer has it; `None` where the request was refused.
    pub id: Option<i64>,
    /// Whether a customer would have got it: an id, and no provider's error.
    pub accepted: bool,
    /// The status answered; `None`: silence, or a dropped connection.
    pub status: Option<u16>,
    /// The URL's parameters, decoded.
    pub query: BTreeMap<String, String>,
    /// The request's JSON; a body that is none, as text.
    pub body: Value,
    /// As the read-back calls show it.
    #[serde(skip)]
    pub(super) shown: Option<CaseMessage>,
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

/// A handle on what the sandbox was sent. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
    seen: u64,
    accepted: u64,
}

impl Log {
    /// The last 10,000 requests, oldest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.entries().messages.iter().cloned().collect()
    }

    /// Messages accepted since the start, also those no longer remembered.
    pub fn accepted(&self) -> u64 {
        self.entries().accepted
    }

    /// Remembers `message` under the next `n`, and forgets the oldest beyond the limits.
    pub(super) fn push(&self, mut message: Message) {
        let mut entries = self.entries();
        entries.seen += 1;
        entries.accepted += u64::from(message.accepted);
        message.n = entries.seen;
        entries.bytes += message.bytes;
        entries.messages.push_back(Arc::new(message));
        while entries.messages.len() > KEPT || entries.bytes > KEPT_BYTES {
            let Some(oldest) = entries.messages.pop_front() else { break };
            entries.bytes -= oldest.bytes;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often each (channel, body) came to a case that refuses the first ones. As bounded as the
/// log.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<(HashMap<u64, u32>, VecDeque<u64>)>);

impl Repeats {
    /// Counts one more request with this `fingerprint`; gives how many came before it.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize, accepted: bool) -> Message {
        Message {
            n: 0,
            received_at: 1_600_000_000_123,
            channel: Channel::Chat,
            id: None,
            accepted,
            status: Some(400),
            query: BTreeMap::new(),
            body: Value::Null,
            shown: None,
            bytes,
        }
    }

    #[test]
    fn the_log_keeps_the_last_ten_thousand_and_counts_them_all() {
        let log = Log::default();
        for n in 0..KEPT + 5 {
            log.push(message(1, n % 2 == 0));
        }
        let kept = log.messages();
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].n, kept[KEPT - 1].n), (6, KEPT as u64 + 5));
        assert_eq!(log.accepted(), KEPT as u64 / 2 + 3);
    }

    #[test]
    fn the_log_forgets_large_mails_before_they_fill_the_memory() {
        let log = Log::default();
        for _ in 0..5 {
            log.push(message(KEPT_BYTES / 3, true));
        }
        assert_eq!(log.messages().len(), 3);
        assert_eq!(log.accepted(), 5);
    }

    #[test]
    fn repeats_are_counted_per_fingerprint_and_forgotten_in_the_end() {
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
}
