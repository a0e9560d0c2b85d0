//! The colours of `status` on a terminal. NO_COLOR and CLICOLOR=0 turn them off, CLICOLOR_FORCE=1 on.

use crate::desk::assessment::Condition;
use crate::queue::job::Status;
use console::{Style, StyledObject};

/// The verdict's word: green, yellow or red.
pub fn verdict(condition: Condition) -> StyledObject<&'static str> {
    let style = match condition {
        Condition::Well => Style::new().green(),
        Condition::Attention => Style::new().yellow(),
        Condition::Down => Style::new().red(),
    };
    style.bold().apply_to(condition.as_str())
}

/// The table of counts by channel and state: failed and uncertain jobs stand out.
pub fn counts(table: &str) -> String {
    let lines: Vec<String> = table.lines().map(count_line).collect();
    lines.join("\n")
}

/// Coloured after the table is laid out, because colour codes have no width.
fn count_line(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut column = 0_usize;
    for piece in line.split_inclusive(char::is_whitespace) {
        let cell = piece.trim_end();
        if cell.is_empty() {
            text += piece;
            continue;
        }
        // The first column is the channel.
        let status = column.checked_sub(1).and_then(|at| Status::ALL.get(at));
        let style = match status {
            Some(Status::Failed) => Style::new().red().bold(),
            Some(Status::Uncertain) => Style::new().magenta().bold(),
            _ => Style::new(),
        };
        match cell.parse::<u64>() {
            Ok(1..) => text += &style.apply_to(cell).to_string(),
            _ => text += cell,
        }
        text += &piece[cell.len()..];
        column += 1;
    }
    text
}
