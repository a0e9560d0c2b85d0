//! What was measured, beside what is asked: a table for people, JSON for programs.

use crate::plan::Plan;
use anyhow::{Context, Result};
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    AtLeast(f64),
    AtMost(f64),
}

impl Asked {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Asked::AtLeast(bound) => value >= bound,
            Asked::AtMost(bound) => value <= bound,
        }
    }

    fn bound(self) -> f64 {
        match self {
            Asked::AtLeast(bound) | Asked::AtMost(bound) => bound,
        }
    }
}

/// One figure: its value in every round.
#[derive(Clone, Debug)]
pub struct Line {
    row: &'static str,
    what: String,
    unit: &'static str,
    rounds: Vec<f64>,
    /// What must hold, and what is aimed at; None for a limit or for context.
    asked: Option<(Asked, Asked)>,
}

impl Line {
    pub fn new(
        row: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        rounds: Vec<f64>,
    ) -> Line {
        Line { row, what: what.into(), unit, rounds, asked: None }
    }

    pub fn at_least(self, required: f64, aim: f64) -> Line {
        Line { asked: Some((Asked::AtLeast(required), Asked::AtLeast(aim))), ..self }
    }

    pub fn at_most(self, required: f64, aim: f64) -> Line {
        Line { asked: Some((Asked::AtMost(required), Asked::AtMost(aim))), ..self }
    }

    fn median(&self) -> f64 {
        percentile(&self.rounds, 50)
    }

    fn is_met(&self) -> Option<bool> {
        self.asked.map(|(required, _)| required.is_met_by(self.median()))
    }

    fn verdict(&self) -> &'static str {
        match self.asked {
            None => "",
            Some((_, aim)) if aim.is_met_by(self.median()) => "aim reached",
            Some((required, _)) if required.is_met_by(self.median()) => "enough",
            Some(_) => "MISSED",
        }
    }

    fn json(&self) -> Value {
        let bound = |asked: Asked| match asked {
            Asked::AtLeast(bound) => json!({"at_least": bound}),
            Asked::AtMost(bound) => json!({"at_most": bound}),
        };
        json!({
            "row": self.row, "what": self.what, "unit": self.unit,
            "median": self.median(), "min": percentile(&self.rounds, 0),
            "max": percentile(&self.rounds, 100), "rounds": self.rounds,
            "required": self.asked.map(|(required, _)| bound(required)),
            "aim": self.asked.map(|(_, aim)| bound(aim)), "met": self.is_met(),
        })
    }
}

/// By the nearest rank, so it is a value that was measured; NaN of nothing.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Three digits that mean something.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => format!("{:.1}k", value / 1000.0),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || value == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// `busy`: what [`busy_cores`] said before.
pub fn table(lines: &[Line], plan: &Plan, busy: f64) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["row", "measured", "median", "min..max", "unit", "required", "aim", ""]);
    let mut row = "";
    for line in lines {
        let [min, max] = [0, 100].map(|percent| shown(percentile(&line.rounds, percent)));
        let asked = |asked: Asked| match asked {
            Asked::AtLeast(bound) => format!(">= {bound}"),
            Asked::AtMost(bound) => format!("<= {bound}"),
        };
        table.add_row([
            if row == line.row { "" } else { line.row }.to_owned(),
            line.what.clone(),
            shown(line.median()),
            format!("{min}..{max}"),
            line.unit.to_owned(),
            line.asked.map_or(String::new(), |(required, _)| asked(required)),
            line.asked.map_or(String::new(), |(_, aim)| asked(aim)),
            line.verdict().to_owned(),
        ]);
        row = line.row;
    }
    for column in [2, 3, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let others = format!("Other programs used {busy:.2} cores just before.");
    format!("{table}\n{}\n{others}", plan.describe())
}

/// The sentence about what fell short; None where all is well.
pub fn missed(lines: &[Line]) -> Option<String> {
    let missed: Vec<_> = lines
        .iter()
        .filter(|line| line.is_met() == Some(false))
        .map(|line| {
            let bound = line.asked.map_or(f64::NAN, |(required, _)| required.bound());
            format!("{}: {} is {}, not {bound}", line.row, line.what, shown(line.median()))
        })
        .collect();
    (!missed.is_empty()).then(|| missed.join("; "))
}

pub fn write_json(path: &Path, lines: &[Line], plan: &Plan, busy: f64) -> Result<()> {
    let report = json!({
        "benchmark": "dispatch", "plan": plan,
        "busy_cores_before": busy,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "lines": lines.iter().map(Line::json).collect::<Vec<_>>(),
    });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, format!("{report:#}\n"))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// How many cores other programs use, over a second in which this one does nothing.
pub fn busy_cores() -> Result<f64> {
    // Ticks that were not idle, and all ticks, summed over the cores.
    let ticks = || -> Result<(f64, f64)> {
        let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        let first = text.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<f64> = first.split_whitespace().flat_map(str::parse).collect();
        // user nice system idle iowait irq softirq steal; the rest is counted in user already.
        let all: f64 = ticks.iter().take(8).sum();
        Ok((all - ticks.iter().skip(3).take(2).sum::<f64>(), all))
    };
    let before = ticks()?;
    std::thread::sleep(Duration::from_secs(1));
    let after = ticks()?;
    let cores = std::thread::available_parallelism()?.get() as f64;
    Ok((after.0 - before.0) / (after.1 - before.1).max(1.0) * cores)
}
