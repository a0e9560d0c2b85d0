//! The figures as ratios to their floors, with the limits: a table for people, JSON for programs.

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

    fn json(self) -> Value {
        match self {
            Asked::AtLeast(bound) => json!({"at_least": bound}),
            Asked::AtMost(bound) => json!({"at_most": bound}),
        }
    }

    fn text(self) -> String {
        match self {
            Asked::AtLeast(bound) => format!(">= {bound}"),
            Asked::AtMost(bound) => format!("<= {bound}"),
        }
    }
}

/// One figure of one binary: its value in every round and, if it has a floor, the floor's.
#[derive(Clone, Debug)]
pub struct Series {
    value: Vec<f64>,
    floor: Option<Vec<f64>>,
}

impl Series {
    /// What the limit applies to: the ratio to the floor of the same round, or the value itself.
    fn judged(&self) -> Vec<f64> {
        match &self.floor {
            Some(floor) => {
                self.value.iter().zip(floor).map(|(value, floor)| value / floor).collect()
            }
            None => self.value.clone(),
        }
    }
}

/// One figure of the table.
#[derive(Clone, Debug)]
pub struct Line {
    row: &'static str,
    what: String,
    unit: &'static str,
    /// What the floor is.
    floor: Option<String>,
    /// The measured binary, and the one that it is compared with, if any.
    sides: Vec<Series>,
    /// The limit and the aim; None for information only.
    asked: Option<(Asked, Asked)>,
}

impl Line {
    /// A figure without a floor; `sides`: the rounds of each binary, or of the machine itself.
    pub fn absolute(
        row: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        sides: Vec<Vec<f64>>,
    ) -> Line {
        let sides = sides.into_iter().map(|value| Series { value, floor: None }).collect();
        Line { row, what: what.into(), unit, floor: None, sides, asked: None }
    }

    /// A figure over its floor; `sides`: for each binary the pairs of floor and value, by round.
    pub fn over<T>(
        row: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        floor: impl Into<String>,
        sides: &[Vec<(T, T)>],
        figure: impl Fn(&T) -> f64,
    ) -> Line {
        let series = |pairs: &Vec<(T, T)>| Series {
            value: pairs.iter().map(|(_, value)| figure(value)).collect(),
            floor: Some(pairs.iter().map(|(floor, _)| figure(floor)).collect()),
        };
        let sides = sides.iter().map(series).collect();
        Line { row, what: what.into(), unit, floor: Some(floor.into()), sides, asked: None }
    }

    pub fn at_least(self, limit: f64, aim: f64) -> Line {
        Line { asked: Some((Asked::AtLeast(limit), Asked::AtLeast(aim))), ..self }
    }

    pub fn at_most(self, limit: f64, aim: f64) -> Line {
        Line { asked: Some((Asked::AtMost(limit), Asked::AtMost(aim))), ..self }
    }

    /// Of the measured binary.
    fn judged(&self) -> Vec<f64> {
        self.sides.first().map(Series::judged).unwrap_or_default()
    }

    fn median(&self) -> f64 {
        median(&self.judged())
    }

    fn is_met(&self) -> Option<bool> {
        self.asked.map(|(limit, _)| limit.is_met_by(self.median()))
    }

    fn verdict(&self) -> &'static str {
        match self.asked {
            None => "",
            Some((_, aim)) if aim.is_met_by(self.median()) => "aim reached",
            Some((limit, _)) if limit.is_met_by(self.median()) => "enough",
            Some(_) => "MISSED",
        }
    }

    /// The value as a multiple of the other binary's in the same round. These are absolute values, because
    /// both were measured alternately.
    fn change(&self) -> Option<Vec<f64>> {
        let [new, old] = self.sides.as_slice() else { return None };
        Some(new.value.iter().zip(&old.value).map(|(new, old)| new / old).collect())
    }

    fn json(&self) -> Value {
        let side = |series: &Series| {
            let judged = series.judged();
            let absolute = json!({
                "unit": self.unit, "median": median(&series.value), "rounds": series.value,
            });
            let floor = series.floor.as_ref().map(|floor| {
                json!({
                    "what": self.floor, "unit": self.unit, "median": median(floor), "rounds": floor,
                })
            });
            let ratio = floor.is_some().then(|| median(&judged));
            json!({
                "median": median(&judged), "min": percentile(&judged, 0),
                "max": percentile(&judged, 100), "rounds": judged,
                "ratio": ratio, "floor": floor, "absolute": absolute,
            })
        };
        let mut line = json!({
            "row": self.row, "what": self.what,
            "unit": if self.floor.is_some() { "ratio" } else { self.unit },
            "required": self.asked.map(|(limit, _)| limit.json()),
            "limit": self.asked.map(|(limit, _)| limit.json()),
            "aim": self.asked.map(|(_, aim)| aim.json()), "met": self.is_met(),
            "against": self.sides.get(1).map(side),
            "change": self.change().map(|change| median(&change)),
        });
        if let (Some(line), Some(Value::Object(own))) =
            (line.as_object_mut(), self.sides.first().map(side))
        {
            line.extend(own);
        }
        line
    }

    fn cells(&self, compared: bool) -> Vec<String> {
        let judged = self.judged();
        let [min, max] = [0, 100].map(|percent| shown(percentile(&judged, percent)));
        let first = self.sides.first();
        let value = first.map_or(f64::NAN, |series| median(&series.value));
        let floor = first.and_then(|series| series.floor.as_ref()).map(|floor| median(floor));
        let floor_cell =
            floor.zip(self.floor.as_ref()).map(|(value, what)| format!("{} {what}", shown(value)));
        let mut cells = vec![
            self.what.clone(),
            format!("{} {}", shown(value), self.unit),
            floor_cell.unwrap_or_default(),
            floor.map_or(String::new(), |_| shown(self.median())),
            format!("{min}..{max}"),
            self.asked.map_or(String::new(), |(limit, _)| limit.text()),
            self.asked.map_or(String::new(), |(_, aim)| aim.text()),
            self.verdict().to_owned(),
        ];
        if compared {
            let old = self.sides.get(1).map(|series| shown(median(&series.judged())));
            let change = self.change().map(|change| shown(median(&change)));
            cells.extend([old.unwrap_or_default(), change.unwrap_or_default()]);
        }
        cells
    }
}

fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// By the nearest rank, so the result is a measured value; NaN if there are none.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Three significant digits.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => format!("{:.1}k", value / 1000.0),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || value == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// `busy` is what [`busy_cores`] returned before. The ratio is the median of the rounds' ratios, which
/// is not always the quotient of the two medians that are shown.
pub fn table(lines: &[Line], plan: &Plan, busy: f64) -> String {
    let compared = lines.iter().any(|line| line.sides.len() > 1);
    let mut header =
        vec!["row", "measured", "absolute", "floor", "ratio", "min..max", "limit", "aim", ""];
    if compared {
        header.extend(["against", "new/old"]);
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(header);
    let mut row = "";
    for line in lines {
        let mut cells = line.cells(compared);
        cells.insert(0, if row == line.row { "" } else { line.row }.to_owned());
        table.add_row(cells);
        row = line.row;
    }
    for column in [2, 4, 5, 6, 7, 9, 10] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let others = format!("Other programs used {busy:.2} cores just before.");
    format!("{table}\n{}\n{others}", plan.describe())
}

/// A sentence about the limits that were missed; None if every limit is met.
pub fn missed(lines: &[Line]) -> Option<String> {
    let missed: Vec<_> = lines
        .iter()
        .filter(|line| line.is_met() == Some(false))
        .map(|line| {
            let limit = line.asked.map_or(f64::NAN, |(limit, _)| limit.bound());
            format!("{}: {} is {}, not {limit}", line.row, line.what, shown(line.median()))
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

/// How many cores other programs use, measured over a second in which this one does nothing.
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
