//! A chart of the history: how many attempts were sent, retried and failed in each minute, hour or day, and
//! how late.
//!
//! The picture stretches with the page and contains no text. The scales are HTML next to it, and the
//! figures are in a table below it.

use super::display::{length, number};
use crate::queue::outcome_counts::{Interval, Window};
use crate::queue::when::iso;
use maud::{Markup, html};
use std::time::Duration;

/// In units of the picture: a column is ten wide, including a gap of two.
const COLUMN: u32 = 10;
const BAR: u32 = 8;
const BARS_HEIGHT: f64 = 120.0;
const LATE_HEIGHT: f64 = 60.0;

/// The intervals are oldest first; the last one is not over yet.
pub fn history(intervals: &[Interval], window: Window) -> Markup {
    let sum = |of: fn(&Interval) -> u64| intervals.iter().map(of).sum::<u64>();
    let (sent, retried) = (sum(|i| i.tally.sent), sum(|i| i.tally.retried));
    let failed = sum(|i| i.tally.failed);
    let most = round_up(intervals.iter().map(total).max().unwrap_or(0).max(4));
    let decades = Decades::of(intervals);
    let summary = format!(
        "{} sent, {} attempts tried again, {} failed in the last {}",
        number(sent),
        number(retried),
        number(failed),
        window.noun()
    );
    let per = per(window);
    html! {
        div .chart {
            ul .legend {
                li .sent { "sent " b { (number(sent)) } }
                li .retried { "tried again " b { (number(retried)) } }
                li .failed { "failed " b { (number(failed)) } }
            }
            (panel(per, &[number(most), number(most / 2), "0".to_owned()], &bars(intervals, most, &summary, window)))
            ul .legend {
                li .half { "half sent within" }
                li .most { "95% within" }
            }
            (panel("due to sent", &decades.scale(), &late(intervals, &decades)))
            div .hours aria-hidden="true" {
                @for mark in marks(window) { span { (mark) } }
            }
            (table(intervals, window))
        }
    }
}

/// What a bar is.
fn per(window: Window) -> &'static str {
    match window {
        Window::Hour => "per minute",
        Window::Day => "per hour",
        Window::Week => "per 6 hours",
        Window::Month => "per day",
    }
}

fn marks(window: Window) -> [&'static str; 3] {
    match window {
        Window::Hour => ["60 min ago", "30", "now"],
        Window::Day => ["24 h ago", "12", "now"],
        Window::Week => ["7 days ago", "3.5", "now"],
        Window::Month => ["30 days ago", "15", "now"],
    }
}

fn panel(name: &str, scale: &[String; 3], picture: &Markup) -> Markup {
    html! {
        div .panel {
            div .scale aria-hidden="true" { @for mark in scale { span { (mark) } } }
            (picture)
            div .unit aria-hidden="true" { (name) }
        }
    }
}

fn total(interval: &Interval) -> u64 {
    let tally = &interval.tally;
    tally.sent.saturating_add(tally.retried).saturating_add(tally.failed)
}

fn width(minutes: &[Interval]) -> u32 {
    u32::try_from(minutes.len()).unwrap_or(1) * COLUMN
}

fn bars(minutes: &[Interval], most: u64, summary: &str, window: Window) -> Markup {
    let height = |count: u64| count as f64 / most as f64 * BARS_HEIGHT;
    html! {
        svg viewBox={ "0 0 " (width(minutes)) " " (BARS_HEIGHT) } preserveAspectRatio="none"
            role="img" aria-labelledby="bars-title bars-desc" {
            title #bars-title { "Messages " (per(window)) }
            desc #bars-desc { (summary) }
            (grid(width(minutes), BARS_HEIGHT))
            @for (minute, x) in minutes.iter().zip((0..).step_by(COLUMN as usize)) {
                @let parts = [("sent", minute.tally.sent), ("retried", minute.tally.retried), ("failed", minute.tally.failed)];
                @let below = |at: usize| parts[..at].iter().map(|(_, count)| height(*count)).sum::<f64>();
                g .minute {
                    title { (describe(minute, window)) }
                    rect .ground x=(x) y="0" width=(COLUMN) height=(BARS_HEIGHT) {}
                    @for (at, (class, count)) in parts.iter().enumerate() {
                        @if *count > 0 {
                            rect .(class) x=(x + 1) width=(BAR)
                                y=(tenth(BARS_HEIGHT - below(at) - height(*count))) height=(tenth(height(*count))) {}
                        }
                    }
                }
            }
        }
    }
}

fn late(minutes: &[Interval], decades: &Decades) -> Markup {
    html! {
        svg .late viewBox={ "0 0 " (width(minutes)) " " (LATE_HEIGHT) } preserveAspectRatio="none"
            role="img" aria-labelledby="late-title" {
            title #late-title { "From due to sent: half of the messages, and 95%" }
            (grid(width(minutes), LATE_HEIGHT))
            @for (class, quantile) in [("most", 0.95), ("half", 0.5)] {
                @for path in paths(minutes, quantile, decades) {
                    path .(class) d=(path) vector-effect="non-scaling-stroke" {}
                }
            }
        }
    }
}

/// The lines at both ends and in the middle of the scale.
fn grid(width: u32, height: f64) -> Markup {
    html! {
        @for share in [0.0, 0.5, 1.0] {
            line .grid x1="0" x2=(width) y1=(tenth(height * share)) y2=(tenth(height * share))
                vector-effect="non-scaling-stroke" {}
        }
    }
}

/// A line through the minutes in which something was sent, with a new one after each gap.
fn paths(minutes: &[Interval], quantile: f64, decades: &Decades) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    let mut open = false;
    for (at, minute) in (0..).zip(minutes) {
        let Some(late) = minute.tally.lateness(quantile) else {
            open = false;
            continue;
        };
        let (left, y) = (at * COLUMN + 1, tenth(LATE_HEIGHT * (1.0 - decades.height(late))));
        let verb = if open { 'L' } else { 'M' };
        // A minute is as wide as its bar, so that a single one is visible.
        let step = format!("{verb}{left} {y}H{}", left + BAR);
        match paths.last_mut().filter(|_| open) {
            Some(path) => path.push_str(&step),
            None => paths.push(step),
        }
        open = true;
    }
    paths
}

fn table(intervals: &[Interval], window: Window) -> Markup {
    let busy: Vec<&Interval> = intervals.iter().rev().filter(|one| total(one) > 0).collect();
    html! {
        details #figures {
            summary { "Figures as a table" }
            @if busy.is_empty() {
                p .hint { "Nothing was sent, tried again or failed in the last " (window.noun()) "." }
            } @else {
                div .wide tabindex="0" role="region" aria-label={ "The last " (window.noun()) } {
                    table {
                        thead { tr {
                            th scope="col" { "from (UTC)" } th scope="col" .num { "sent" }
                            th scope="col" .num { "tried again" } th scope="col" .num { "failed" }
                            th scope="col" .num { "uncertain" }
                            th scope="col" .num { "half within" } th scope="col" .num { "95% within" }
                        } }
                        tbody {
                            @for one in busy {
                                @let tally = &one.tally;
                                tr {
                                    th scope="row" { (clock(one, window)) }
                                    td .num { (tally.sent) } td .num { (tally.retried) } td .num { (tally.failed) }
                                    td .num { (tally.uncertain) }
                                    td .num { (within(one, 0.5)) } td .num { (within(one, 0.95)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn describe(interval: &Interval, window: Window) -> String {
    let tally = &interval.tally;
    let mut text = format!("{} UTC: {} sent", clock(interval, window), number(tally.sent));
    for (count, word) in [(tally.retried, "tried again"), (tally.failed, "failed")] {
        if count > 0 {
            text += &format!(", {} {word}", number(count));
        }
    }
    match tally.lateness(0.95) {
        Some(late) => text + &format!("; 95% within {}", length(late)),
        None => text,
    }
}

/// `09:41`, or `2026-11-22`, or both, as far as the steps are that fine.
fn clock(interval: &Interval, window: Window) -> String {
    let iso = iso(interval.begins_at).replace('T', " ");
    let (from, length) = match window {
        Window::Hour => (11, 5),
        Window::Month => (0, 10),
        Window::Day | Window::Week => (0, 16),
    };
    iso.chars().skip(from).take(length).collect()
}

fn within(interval: &Interval, quantile: f64) -> String {
    interval.tally.lateness(quantile).map_or_else(|| "–".to_owned(), length)
}

/// The next 1, 2, 4 or 10 times a power of ten: half of it is a round number, too.
fn round_up(count: u64) -> u64 {
    let mut power = 1_u64;
    while power.saturating_mul(10) < count {
        power = power.saturating_mul(10);
    }
    [1, 2, 4, 10]
        .map(|n| power.saturating_mul(n))
        .into_iter()
        .find(|n| *n >= count)
        .unwrap_or(count)
}

/// A logarithmic scale of lateness in milliseconds, since a few jobs may be a thousand times later
/// than the others. It has an even number of decades, so that its middle is a power of ten, too.
struct Decades {
    from: i32,
    count: i32,
}

impl Decades {
    fn of(minutes: &[Interval]) -> Decades {
        let ms = |late: Duration| late.as_secs_f64().max(0.001) * 1000.0;
        let least =
            minutes.iter().filter_map(|m| m.tally.lateness(0.5)).map(ms).fold(f64::MAX, f64::min);
        let most =
            minutes.iter().filter_map(|m| m.tally.lateness(0.95)).map(ms).fold(1.0, f64::max);
        let from = least.min(most).log10().floor() as i32;
        let needed = (most.log10().ceil() as i32 - from).max(2);
        Decades { from, count: needed + needed % 2 }
    }

    /// The height on the scale, from 0 to 1.
    fn height(&self, late: Duration) -> f64 {
        let power = (late.as_secs_f64() * 1000.0).max(0.001).log10();
        ((power - f64::from(self.from)) / f64::from(self.count)).clamp(0.0, 1.0)
    }

    fn scale(&self) -> [String; 3] {
        [self.from + self.count, self.from + self.count / 2, self.from].map(|power| {
            let of = |power: i32| 10_u64.pow(power.clamp(0, 18).unsigned_abs());
            if power < 3 {
                format!("{} ms", of(power))
            } else {
                format!("{} s", number(of(power - 3)))
            }
        })
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::outcome_counts::OutcomeCounts;

    fn minute(begins_at: i64, sent: u64, failed: u64) -> Interval {
        let mut tally = OutcomeCounts { failed, ..OutcomeCounts::default() };
        (0..sent).for_each(|_| tally.add(&OutcomeCounts::of_sent(20)));
        Interval { begins_at, tally }
    }

    #[test]
    fn the_scale_ends_with_a_round_number() {
        for (count, end) in [(1, 1), (3, 4), (5, 10), (10, 10), (11, 20), (399, 400), (401, 1000)] {
            assert_eq!(round_up(count), end);
        }
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn the_scale_of_lateness_has_powers_of_ten_at_its_ends_and_in_its_middle() {
        let decades = Decades { from: 1, count: 4 };
        assert_eq!(decades.scale(), ["100 s", "1 s", "10 ms"]);
        let height = |ms| decades.height(Duration::from_millis(ms));
        assert!((height(1000) - 0.5).abs() < 1e-9);
        assert_eq!((height(0), height(10), height(1_000_000)), (0.0, 0.0, 1.0));
        assert_eq!(Decades::of(&[]).scale(), ["100 ms", "10 ms", "1 ms"]);
    }

    #[test]
    fn an_empty_hour_is_drawn_too() {
        let empty: Vec<Interval> = (0..60).map(|n| minute(n * 60_000, 0, 0)).collect();
        let chart = history(&empty, Window::Hour).into_string();
        assert!(chart.contains("Nothing was sent"), "{chart}");
        assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart}");
    }

    #[test]
    fn the_figures_are_in_the_picture_and_in_the_table() {
        let minutes = [minute(0, 3, 1), minute(60_000, 0, 0), minute(120_000, 1200, 0)];
        let chart = history(&minutes, Window::Hour).into_string();
        for text in [
            "1,203 sent, 0 attempts tried again, 1 failed in the last hour",
            "<title>00:00 UTC: 3 sent, 1 failed",
            "<th scope=\"row\">00:02</th>",
            "<span>2,000</span>",
        ] {
            assert!(chart.contains(text), "{text} in {chart}");
        }
    }
}
