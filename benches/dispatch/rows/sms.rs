//! `sms`: an answer of nearly 30 KB, read for its ids, against reading it only.

use super::{Bench, ratios};
use crate::raw::{self, Reading};
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::Result;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let answers = bench.plan.answers;
    let target = Target::start(Answer::Sms)?;
    let measure = |reading| raw::measure(&target, answers, bench.plan.in_flight, reading);
    let pairs = bench.pairs("sms", || measure(Reading::Only), || measure(Reading::Sms))?;
    let [only, parsed, ratio] = ratios(&pairs, |ended| ended.cpu_seconds * 1e6 / answers as f64);
    Ok(vec![
        Line::new("sms", "client CPU per answer, read only", "us", only),
        Line::new("sms", "read, and parsed by the daemon's parser", "us", parsed),
        Line::new("sms", "multiple of reading only", "ratio", ratio).at_most(1.3, 1.1),
    ])
}
