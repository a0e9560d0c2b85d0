//! The imported file. It is read twice: to check every line, then to insert.

use super::coding::as_text;
use super::json_lines::JsonLines;
use super::row::ImportLine;
use super::table::CsvTable;
use crate::desk::export_rows::RowFormat;
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressBarIter, ProgressStyle};
use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

/// The format of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileFormat {
    /// A header with the columns' names, then values separated by commas, semicolons or tabs
    Csv,
    /// JSON lines: one object per line
    Jsonl,
}

impl FileFormat {
    /// By the file's extension; `None` for an unknown one.
    pub fn of(path: &Path) -> Option<FileFormat> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(FileFormat::Csv),
            "jsonl" | "ndjson" => Some(FileFormat::Jsonl),
            _ => None,
        }
    }
}

impl From<FileFormat> for RowFormat {
    fn from(format: FileFormat) -> RowFormat {
        match format {
            FileFormat::Csv => RowFormat::Csv,
            FileFormat::Jsonl => RowFormat::Jsonl,
        }
    }
}

pub struct Input {
    file: File,
}

impl Input {
    /// Opens a file. Input that can be read only once (the standard input, a pipe) is copied to an
    /// unnamed temporary file first, which disappears with this process.
    ///
    /// # Errors
    /// For a file that is not text, with what it is.
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

    /// The lines from the first one on, with a progress bar labelled `doing`.
    pub fn lines(&mut self, format: FileFormat, doing: &'static str) -> Result<Lines> {
        self.file.rewind()?;
        let bar = bar(self.file.metadata()?.len(), doing);
        let file = bar.wrap_read(self.file.try_clone()?);
        let form = match format {
            FileFormat::Csv => Form::Csv(Box::new(CsvTable::new(file)?)),
            FileFormat::Jsonl => Form::Jsonl(JsonLines::new(file)),
        };
        Ok(Lines { form, bar })
    }
}

fn spooled(input: &mut impl io::Read) -> Result<File> {
    let mut file = tempfile::tempfile().context("cannot create a temporary file")?;
    io::copy(input, &mut file).context("cannot copy the input to a temporary file")?;
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
    Csv(Box<CsvTable<ProgressBarIter<File>>>),
    Jsonl(JsonLines<ProgressBarIter<File>>),
}

impl Lines {
    pub fn next(&mut self) -> Result<Option<ImportLine>> {
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
