//! How the pages show numbers, times and states.

use crate::queue::job::Millis;
use crate::queue::when::{iso, relative, span};
use chrono::DateTime;
use maud::{Markup, html};
use std::borrow::Cow;
use std::time::Duration;

/// How many characters of other people's text are shown in a line.
pub const LINE: usize = 1000;

/// A relative time; a tooltip has the exact one.
pub fn time(at: Millis, now: Millis) -> Markup {
    let exact = iso(at);
    html! { time datetime=(exact) title=(spoken(&exact)) { (relative(at, now)) } }
}

/// [`time`] for a time that the database returned as text.
pub fn time_of(iso: &str, now: Millis) -> Markup {
    match DateTime::parse_from_rfc3339(iso) {
        Ok(at) => time(at.timestamp_millis(), now),
        Err(_) => html! { (iso) },
    }
}

/// `2026-11-22 09:00:00.000 UTC`.
pub fn spoken(iso: &str) -> String {
    iso.replace('T', " ").replace('Z', " UTC")
}

/// A text of any length, shortened to what a page has room for.
pub fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LINE) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// `1,234,567`.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 job`, `2,000 jobs`.
pub fn jobs(count: u64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{} jobs", number(count)) }
}

/// `4 ms`, `1.3 s`, `2m 5s`.
pub fn length(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => span(i64::try_from(ms).unwrap_or(i64::MAX)),
    }
}

/// A state: its word, a sign and a colour.
pub fn status(status: &str, failure: Option<&str>) -> Markup {
    let sign = match status {
        "pending" => "◷",
        "sending" => "➤",
        "sent" => "✓",
        "failed" => "✕",
        "uncertain" => "?",
        _ => "–",
    };
    html! {
        span .status .(class(status)) {
            span .sign aria-hidden="true" { (sign) }
            (status)
            @if let Some(failure) = failure { span .why { ": " (failure) } }
        }
    }
}

/// The CSS class of a state.
fn class(status: &str) -> &str {
    let known = crate::queue::job::Status::ALL.iter().any(|known| known.as_str() == status);
    if known { status } else { "unknown" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(number(count), text);
        }
        assert_eq!((jobs(1).as_str(), jobs(1000).as_str()), ("1 job", "1,000 jobs"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(short("short"), "short");
        let whole = "é".repeat(LINE);
        assert_eq!(short(&whole), whole);
        assert_eq!(short(&format!("{whole}x")), format!("{whole}…"));
    }

    #[test]
    fn lengths_have_a_suitable_unit() {
        for (ms, text) in [(0, "0 ms"), (999, "999 ms"), (1350, "1.3 s"), (125_000, "2m 5s")] {
            assert_eq!(length(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn a_relative_time_has_the_exact_one_as_a_tooltip() {
        let shown = time_of("2026-11-22T09:00:00.000Z", 1_795_338_065_000).into_string();
        assert!(shown.contains("1m 5s ago"), "{shown}");
        assert!(shown.contains("title=\"2026-11-22 09:00:00.000 UTC\""), "{shown}");
        assert_eq!(time_of("<b>", 0).into_string(), "&lt;b&gt;");
    }
}
