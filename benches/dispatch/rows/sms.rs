//! `sms`: reading the ids of an answer of nearly 30 KB. The floor only reads the answer, with the same
//! client. The parser is that of the library that the benchmark is built with, so binaries are not
//! compared.

use super::Bench;
use crate::raw::{self, Reading};
use crate::report::Line;
use crate::target::{Answer, Target};
use anyhow::Result;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let answers = bench.plan.answers;
    let target = Target::start(Answer::Sms)?;
    let measure = |reading| raw::measure(&target, answers, bench.plan.in_flight, reading);
    let sides = [Reading::Sms];
    let pairs =
        bench.over_shared("sms", &sides, || measure(Reading::Only), |side| measure(*side))?;
    let micros = |ended: &crate::process::Ended| ended.cpu_seconds * 1e6 / answers as f64;
    let what = "client CPU per answer, read for its ids";
    Ok(vec![Line::over("sms", what, "us", "read only", &pairs, micros).at_most(1.3, 1.1)])
}
