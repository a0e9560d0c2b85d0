//! What must hold after every run.

use super::journal::{Fate, Journal, Message};
use super::vendor::{Deed, Delivery};
use crate::support::Row;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

/// Everything that is known after a run.
pub struct Verdict<'a> {
    pub journal: &'a Journal,
    pub deliveries: Vec<Delivery>,
    /// `outbox`, and its attempts by job.
    pub rows: Vec<Row>,
    pub attempts: Vec<Row>,
    /// Under `on_uncertain = "hold"`.
    pub hold: bool,
    pub forgotten: Option<Forgotten>,
}

/// What a database may have forgotten: whatever was done in this time.
#[derive(Clone, Copy, Debug)]
pub struct Forgotten {
    pub from: Instant,
    pub to: Instant,
    /// Until then, nodes may send what they claimed in the time that is forgotten.
    pub noticed: Instant,
}

/// One message, seen from all sides.
struct Case<'a> {
    name: &'a str,
    message: Option<&'a Message>,
    row: Option<&'a Row>,
    attempts: &'a [&'a Row],
    deliveries: &'a [&'a Delivery],
}

impl Verdict<'_> {
    /// Notes what is wrong in the journal, each with the message's history.
    pub fn reach(&self) {
        let messages = self.journal.messages();
        let mut rows: HashMap<&str, &Row> = HashMap::new();
        for row in &self.rows {
            let name = row.text("idempotency_key");
            if !messages.contains_key(name) {
                self.wrong(name, "is in the outbox, and nobody has inserted it");
            }
            rows.insert(name, row);
        }
        let mut attempts: HashMap<i64, Vec<&Row>> = HashMap::new();
        for attempt in &self.attempts {
            attempts.entry(attempt.int("job_id")).or_default().push(attempt);
        }
        let mut deliveries: HashMap<&str, Vec<&Delivery>> = HashMap::new();
        for delivery in &self.deliveries {
            deliveries.entry(&delivery.name).or_default().push(delivery);
        }
        let names: HashSet<&str> =
            messages.keys().map(String::as_str).chain(deliveries.keys().copied()).collect();
        for name in names {
            let row = rows.get(name).copied();
            let case = Case {
                name,
                message: messages.get(name),
                row,
                attempts: row.and_then(|row| attempts.get(&row.int("id"))).map_or(&[][..], |a| a),
                deliveries: deliveries.get(name).map_or(&[][..], |d| d),
            };
            self.judge(&case);
        }
        self.journal.count("requests", self.deliveries.len() as u64);
        self.order(&messages, &deliveries, &attempts);
    }

    fn wrong(&self, name: &str, what: impl std::fmt::Display) {
        // No more than are shown.
        let history = match self.journal.wrongs().len() {
            0..5 => self.journal.history(name),
            _ => String::new(),
        };
        self.journal.wrong(format!("{name} {what}\n{history}"));
    }

    /// Whether the database may have forgotten what was done to it then.
    fn may_be_forgotten(&self, at: Instant) -> bool {
        self.forgotten.is_some_and(|forgotten| (forgotten.from..forgotten.to).contains(&at))
    }

    fn judge(&self, case: &Case<'_>) {
        let Some(message) = case.message else {
            return self.wrong(case.name, "was sent, and nobody has inserted it");
        };
        let accepted = case.deliveries.iter().filter(|d| d.is_accepted()).count();
        self.journal.count("accepted", accepted as u64);
        match (message.fate, case.row) {
            (Fate::Never, Some(_)) => self.bad(case, "is there, although it was rolled back"),
            (Fate::Never, None) if !case.deliveries.is_empty() => {
                self.bad(case, "was sent, although it was rolled back");
            }
            (Fate::Committed(at), None)
                if !message.may_be_deleted && !self.may_be_forgotten(at) =>
            {
                self.bad(case, "is lost");
            }
            (Fate::Unknown, None)
                if !case.deliveries.is_empty()
                    && !message.may_be_deleted
                    && !self.may_be_forgotten(message.begun) =>
            {
                self.bad(case, "was sent, and is not there");
            }
            _ => {}
        }
        self.judge_times(case, message, accepted);
        if let Some(row) = case.row {
            self.judge_row(case, row, accepted);
        }
    }

    /// How often the vendor has accepted it.
    fn judge_times(&self, case: &Case<'_>, message: &Message, accepted: usize) {
        let more = accepted.saturating_sub(1);
        let by_operators = more.min(message.retries);
        self.journal.count("sent again by operators' retries", by_operators as u64);
        let twice = more - by_operators;
        if twice == 0 {
            return;
        }
        self.journal.count("duplicates", twice as u64);
        let interrupted = case.attempts.iter().any(|a| a["outcome"] == "uncertain");
        if self.hold {
            self.bad(case, format!("was accepted {accepted} times under `hold`"));
        } else if case.row.is_some() && !interrupted {
            self.bad(
                case,
                format!("was accepted {accepted} times, with no attempt of unknown outcome"),
            );
        }
    }

    fn judge_row(&self, case: &Case<'_>, row: &Row, accepted: usize) {
        let status = row.text("status");
        let made = row.int("attempts");
        let numbers: Vec<i64> = case.attempts.iter().map(|a| a.int("attempt")).collect();
        if !numbers.iter().copied().eq(1..=made) {
            self.bad(case, format!("has counted {made} attempts, and its history {numbers:?}"));
        }
        // What was forgotten was sent without a row for it.
        let old = self.forgotten.is_some_and(|f| case.deliveries.iter().any(|d| d.at < f.noticed));
        if case.deliveries.len() > case.attempts.len() && !old {
            self.bad(case, "had more requests than attempts");
        }
        let last = case.attempts.last().map(|a| a.text("outcome"));
        let rejected = case.deliveries.iter().any(|d| d.deed == Deed::Rejected);
        let fault = match status {
            "sent" if accepted == 0 => Some("is sent, and the server never accepted it"),
            "sent" if last != Some("accepted") => {
                Some("is sent, and its last attempt was not accepted")
            }
            "failed" => match row.text("failure") {
                "rejected" if !rejected => Some("is rejected, but not by the server"),
                "rejected" | "expired" => None,
                "exhausted" => None,
                _ => Some("failed without a reason"),
            },
            "uncertain" if row["error_code"] == "restored" => None,
            "uncertain" if last != Some("uncertain") => {
                Some("is uncertain, and its last attempt was not")
            }
            "pending" | "sending" => Some("is not at its end"),
            _ => None,
        };
        if let Some(fault) = fault {
            self.bad(case, fault);
        }
        if !row["holds"].is_null() || !row["claimed_by"].is_null() || !row["wait"].is_null() {
            self.bad(case, "has ended, and still has a place in the queue");
        }
        self.journal.count(ended_as(status), 1);
        let cut_short = case.attempts.iter().filter(|a| a["error_code"] == "interrupted").count();
        self.journal.count("attempts cut short", cut_short as u64);
    }

    fn bad(&self, case: &Case<'_>, what: impl std::fmt::Display) {
        let mut text = format!("{what}\n  row: {:?}", case.row);
        for attempt in case.attempts {
            text += &format!("\n  attempt: {attempt:?}");
        }
        for delivery in case.deliveries {
            text += &format!("\n  request: {:9.3} {delivery:?}", self.journal.seconds(delivery.at));
        }
        self.wrong(case.name, text);
    }

    /// In each lane a job came before those whose INSERT began after its commit.
    fn order(
        &self,
        messages: &HashMap<String, Message>,
        deliveries: &HashMap<&str, Vec<&Delivery>>,
        attempts: &HashMap<i64, Vec<&Row>>,
    ) {
        let mut lanes: BTreeMap<&str, Vec<(&str, &Message, usize)>> = BTreeMap::new();
        for (name, message) in messages.iter().filter(|(_, m)| !m.loose && !m.key.is_empty()) {
            let accepted =
                deliveries.get(name.as_str()).into_iter().flatten().find(|d| d.is_accepted());
            if let Some(first) = accepted {
                lanes.entry(&message.key).or_default().push((name, message, first.number));
            }
        }
        for lane in lanes.values() {
            let mut pairs = 0;
            for (later, b, came) in lane {
                let earlier = lane.iter().filter(|(_, a, _)| is_before(a, b));
                for (name, a, number) in earlier {
                    pairs += 1;
                    if number < came {
                        continue;
                    }
                    // A request that was on its way when its node died may arrive late; so may what a database has forgotten.
                    let history = attempts.get(&a.id).map_or(&[][..], |a| a);
                    let late = history
                        .iter()
                        .any(|a| a["error_code"] == "interrupted" || a["error_code"] == "restored");
                    if late || self.forgotten.is_some_and(|f| b.begun > f.from) {
                        self.journal.count("late arrivals", 1);
                        continue;
                    }
                    self.wrong(name, format!("came as number {number}, after {later} of its key, number {came}, begun {:.3}", self.journal.seconds(b.begun)));
                }
            }
            self.journal.count("pairs in order", pairs);
        }
    }
}

/// Whether the database must send `a` before `b`.
fn is_before(a: &Message, b: &Message) -> bool {
    let Fate::Committed(at) = a.fate else { return false };
    match a.producer == b.producer {
        true => a.begun < b.begun,
        false => at < b.begun,
    }
}

fn ended_as(status: &str) -> &'static str {
    match status {
        "sent" => "ended as sent",
        "failed" => "ended as failed",
        "cancelled" => "ended as cancelled",
        "uncertain" => "ended as uncertain",
        _ => "not ended",
    }
}
