//! The file that is imported: read twice, first to check every line, then to insert.

use super::coding::as_text;
use super::json_lines::JsonLines;
use super::row::Line;
use super::table::Table;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressBarIter, ProgressStyle};
use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

/// How the lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A header with the columns' names, then values between commas, semicolons or tabs
    Csv,
    /// JSON lines: one object a line
    Jsonl,
}

impl Format {
    /// By the file's ending; `None` for one that says nothing.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            _ => None,
        }
    }
}

pub struct Input {
    file: File,
}

impl Input {
    /// What can be read only once (the standard input, a pipe) goes to a temporary file without a
    /// name first, which is gone when this process is.
    ///
    /// # Errors For a file that is not text, with what it is.
    pub fn open(path: &Path) -> Result<Input> {
        let file = if path == Path::new("-") {
            spooled(&mut io::stdin().lock())?
        } else {
            let named = || format!("cannot read {}", path.display());
            let mut file = File::open(path).with_context(named)?;
            if file.metadata().with_context(named)?.is_file() { file } else { spooled(&mut file)? }
        };
        Ok(Input { file: as_text(file)? })
    }

    /// The lines from the first one on, with a bar on a terminal that says `doing`.
    pub fn lines(&mut self, format: Format, doing: &'static str) -> Result<Lines> {
        self.file.rewind()?;
        let bar = bar(self.file.metadata()?.len(), doing);
        let file = bar.wrap_read(self.file.try_clone()?);
        let form = match format {
            Format::Csv => Form::Csv(Box::new(Table::new(file)?)),
            Format::Jsonl => Form::Jsonl(JsonLines::new(file)),
        };
        Ok(Lines { form, bar })
    }
}

fn spooled(input: &mut impl io::Read) -> Result<File> {
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    io::copy(input, &mut file).context("cannot keep the input in a temporary file")?;
    Ok(file)
}

fn bar(bytes: u64, doing: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(bytes).with_message(doing);
    match ProgressStyle::with_template("{msg} {wide_bar} {percent:>3}%  {elapsed}, {eta} to go") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

pub struct Lines {
    form: Form,
    /// Drawn on stderr, where that is a terminal.
    pub bar: ProgressBar,
}

enum Form {
    Csv(Box<Table<ProgressBarIter<File>>>),
    Jsonl(JsonLines<ProgressBarIter<File>>),
}

impl Lines {
    pub fn next(&mut self) -> Result<Option<Line>> {
        let line = match &mut self.form {
            Form::Csv(table) => table.next(),
            Form::Jsonl(lines) => lines.next(),
        };
        line.context("cannot read the file")
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
