//! How results are printed: as a table on a terminal, as tab-separated lines in a pipe, or as JSON.

pub use crate::desk::spreadsheet::plain;
pub use crate::log::note;
use crate::queue::job::Millis;
pub use crate::queue::when::{iso, relative, span};
use crate::spool::{Spool, TextOutlet, unlocked};
use anyhow::{Context, Result};
use chrono::DateTime;
use comfy_table::{ColumnConstraint, ContentArrangement, presets};
use serde::Serialize;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

/// How long a command that spools its results waits at its end for them to be read.
const LAST_RESULTS: Duration = Duration::from_secs(1);

/// A column that is cut still shows at least this many characters.
const LEAST_ROOM: usize = 12;

/// Rows under a header.
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// On a narrow terminal the widest column is cut, with an ellipsis, instead of wrapped.
    cuts: bool,
}

impl Table {
    pub fn new<H: ToString>(header: impl IntoIterator<Item = H>) -> Self {
        Table {
            header: header.into_iter().map(|name| name.to_string()).collect(),
            rows: vec![],
            cuts: false,
        }
    }

    /// Names and values, one pair per line, without a header.
    pub fn of_fields() -> Self {
        Table { header: vec![], rows: vec![], cuts: false }
    }

    /// Each row is one line, whatever the width of the terminal.
    pub fn one_line_each(self) -> Self {
        Table { cuts: true, ..self }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell.into())).collect());
    }

    /// A field; left out if it has no value.
    pub fn field(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.row([name.to_owned(), value.into()]);
        }
    }

    /// On a terminal, aligned to its width; elsewhere, a line per row with tabs between the cells.
    pub fn print(&self) -> Result<()> {
        line(self.text())
    }

    /// The text that [`Table::print`] prints.
    pub fn text(&self) -> String {
        if to_people() { self.aligned(comfy_table::Table::new()) } else { self.separated() }
    }

    /// On a narrow terminal only the widest column is wrapped: it has text, the others numbers and
    /// times.
    fn aligned(&self, mut table: comfy_table::Table) -> String {
        let mut again = comfy_table::Table::new();
        if let Some(width) = table.width() {
            again.set_width(width);
        }
        // A terminal that does not know its size reports zero.
        let arrangement = match table.width() {
            None | Some(0) => ContentArrangement::Disabled,
            Some(_) => ContentArrangement::Dynamic,
        };
        table.load_style(presets::NOTHING).set_content_arrangement(arrangement);
        let filled = self.filled();
        let only_filled = |cells: &[String]| -> Vec<String> {
            let cells = cells.iter().enumerate().filter(|(at, _)| filled.contains(at));
            cells.map(|(_, cell)| cell.clone()).collect()
        };
        if !self.header.is_empty() {
            table.set_header(only_filled(&self.header));
        }
        table.add_rows(self.rows.iter().map(|row| only_filled(row)));
        let widths = table.column_max_content_widths();
        let widest = (0..widths.len()).max_by_key(|&at| widths[at]);
        if let (true, Some(widest), Some(width @ 1..)) = (self.cuts, widest, table.width()) {
            let gaps = 2 * widths.len();
            let others: usize = widths.iter().map(|width| usize::from(*width)).sum::<usize>()
                - usize::from(widths[widest]);
            let room = usize::from(width).saturating_sub(others + gaps).max(LEAST_ROOM);
            let is_long = |cells: &[String]| {
                cells.get(filled[widest]).is_some_and(|c| c.chars().count() > room)
            };
            if self.rows.iter().any(|row| is_long(row)) {
                return self.cut(filled[widest], room).aligned(again);
            }
        }
        for at in (0..widths.len()).filter(|&at| Some(at) != widest) {
            if let Some(column) = table.column_mut(at) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table.trim_fmt()
    }

    /// The same with this column's cells cut to this many characters.
    fn cut(&self, column: usize, room: usize) -> Table {
        let cut = |(at, cell): (usize, &String)| match at == column && cell.chars().count() > room {
            true => cell.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
            false => cell.clone(),
        };
        let rows = self.rows.iter().map(|row| row.iter().enumerate().map(cut).collect()).collect();
        Table { header: self.header.clone(), rows, cuts: false }
    }

    /// The columns that are not empty; a terminal has no room for the others.
    fn filled(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0).max(self.header.len());
        let has_text =
            |at: &usize| self.rows.iter().any(|row| row.get(*at).is_some_and(|c| !c.is_empty()));
        (0..columns).filter(|at| self.rows.is_empty() || has_text(at)).collect()
    }

    fn separated(&self) -> String {
        let header = (!self.header.is_empty()).then_some(&self.header);
        let lines: Vec<String> =
            header.into_iter().chain(&self.rows).map(|r| r.join("\t")).collect();
        lines.join("\n")
    }
}

/// Whether the results go to a terminal.
pub fn to_people() -> bool {
    io::stdout().is_terminal()
}

/// Whether a table has to leave out what is not needed at once.
pub fn is_narrow() -> bool {
    comfy_table::Table::new().width().is_some_and(|width| (1..100).contains(&width))
}

/// For a command that keeps running while it prints.
static SPOOL: OnceLock<Spool<String>> = OnceLock::new();

/// From now on a slow reader of the results cannot hold up the command; lines that it does not read
/// in time are dropped.
pub fn spool() -> Result<()> {
    let spool = unlocked(&io::stdout()).and_then(|out| Spool::start("results", TextOutlet(out)));
    let _ = SPOOL.set(spool.context("cannot write to standard output")?);
    Ok(())
}

/// Waits until the results are read, at most a second.
pub fn flush() {
    if let Some(spool) = SPOOL.get() {
        spool.flush(LAST_RESULTS);
    }
}

/// Prints a line of results at once. A reader that has ended (`| head`) is no error.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    if let Some(spool) = SPOOL.get() {
        spool.put(text.as_ref().to_owned());
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush());
    match written {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result to standard output"),
    }
}

pub fn json(value: &impl Serialize) -> Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// A time in a table: relative on a terminal, elsewhere unchanged.
pub fn when(iso: &str, now: Millis) -> String {
    match DateTime::parse_from_rfc3339(iso) {
        Ok(time) if to_people() => relative(time.timestamp_millis(), now),
        _ => iso.to_owned(),
    }
}

/// Only the first unit of a relative time, for a narrow column: `3m ago`.
pub fn roughly(when: String) -> String {
    match when.split(' ').collect::<Vec<_>>().as_slice() {
        ["in", first, _] => format!("in {first}"),
        [first, _, "ago"] => format!("{first} ago"),
        _ => when,
    }
}

/// `812 B`, `1.4 MiB`.
pub fn bytes(count: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| count >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", count as f64 / *unit as f64),
        None => format!("{count} B"),
    }
}

/// `1 job`, `2 jobs`.
pub fn jobs(count: u64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_are_made_visible() {
        assert_eq!(plain("a\tb\n\u{1b}[2Jé\u{9b}"), "a\\tb\\n\\u{1b}[2Jé\\u{9b}");
    }

    #[test]
    fn on_a_narrow_terminal_the_widest_column_is_wrapped_between_words() {
        let mut table = Table::new(["id", "status", "error"]);
        table.row(["17", "failed: exhausted", "Acquire answered 503: down for maintenance"]);
        let mut narrow = comfy_table::Table::new();
        narrow.set_width(48);
        let text = table.aligned(narrow);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].trim(), "17  failed: exhausted  Acquire answered 503:", "{text}");
        assert_eq!(lines[2].trim(), "down for maintenance", "{text}");
    }

    #[test]
    fn a_row_that_is_to_be_one_line_is_cut_with_an_ellipsis() {
        let mut table = Table::new(["id", "status", "error"]).one_line_each();
        table.row(["17", "failed: exhausted", "Acquire answered 503: down for maintenance"]);
        table.row(["18", "sent", "8289"]);
        let mut narrow = comfy_table::Table::new();
        narrow.set_width(48);
        let text = table.aligned(narrow);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].ends_with('…') && lines.iter().all(|l| l.chars().count() <= 48), "{text}");
        assert!(lines[1].contains("Acquire answered"), "{text}");
        let mut wide = comfy_table::Table::new();
        wide.set_width(200);
        assert!(table.aligned(wide).contains("down for maintenance"));
    }

    #[test]
    fn a_size_has_its_largest_unit() {
        assert_eq!([0, 1023, 1536, 5 << 20].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 MiB"]);
    }

    #[test]
    fn a_narrow_column_has_the_first_unit_of_a_time() {
        assert_eq!(roughly(relative(0, 90_061_000)), "1d ago");
        assert_eq!(roughly(relative(3_723_000, 0)), "in 1h");
        assert_eq!(roughly(relative(0, 5000)), "5s ago");
    }
}
