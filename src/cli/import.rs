//! `import`: inserts jobs from a file. Every line is checked before the first job is inserted.

mod coding;
mod input;
mod json_lines;
mod keys;
mod row;
mod table;

use super::{GlobalFlags, WrongUsage, error_text, output};
use crate::config::DEFAULT_ACCOUNT;
use crate::queue::change::Mode;
use crate::queue::transfer::NewRow;
use crate::store::{BATCH, Store, StoreError};
use anyhow::{Result, anyhow, bail};
pub use input::FileFormat;
use input::{Input, Lines};
use keys::Keys;
use row::ImportLine;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::time::{Instant, sleep_until};

/// The longest line, and the longest record of a CSV file.
const LINE_BYTES: u64 = 16 << 20;
/// The columns that are numbers; the others are text.
const NUMERIC: [&str; 4] = ["priority", "max_attempts", "send_at", "expires_at"];
const TOO_LONG: &str = "is longer than 16 MiB";
const NOT_UTF8: &str = "is not UTF-8 text (it may be Windows-1252 or Latin-1); save the file in UTF-8, or \
                        convert it with iconv";
const NUL: &str = "must not contain a NUL character";
/// The size of a batch is limited, too, to keep its transaction short.
const BATCH_BYTES: usize = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox import reminders.csv --dry-run
  acquire-outbox import reminders.csv --source reminders
  produce-messages | acquire-outbox import -

A JSON line has the columns of the table outbox, with the payload as an
object:
  {\"channel\": \"chat\", \"payload\": {\"caseId\": 2069, \"message\": \"Hello\"}}

A CSV file names the columns in its first line. The payload's fields may have
their own columns; an empty cell means no value; several addresses are
separated by semicolons:
  channel,payload.caseId,payload.message,send_at
  chat,2069,Hello,2026-11-22T09:00:00+02:00
The separator may also be a semicolon or a tab; the first line may be sep=; as
Excel writes it. Columns without a name and lines of empty cells, as
spreadsheets leave them, are skipped. An apostrophe that `export` put before
=, +, - or @ is removed again.

Text is UTF-8 or UTF-16, lines end in LF, CR or both. A time without an offset
is UTC.

All lines are checked first, by the rules for an INSERT and by the daemon's.
If any are wrong, each of them is reported and nothing is inserted.

Importing a file twice sends nothing twice. A line without an idempotency_key
gets one that is made from its content (import:, a hash of everything but its
source, and :2, :3 for the second and third line with the same content), so an
interrupted import can simply be run again. Jobs that have been deleted since
then (sent jobs after [retention] sent, 30 days) are sent again.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The format of the file [default: by its extension, .csv, .tsv, .jsonl or .ndjson; jsonl for -]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// The source label for lines without one
    #[arg(long, value_name = "LABEL")]
    source: Option<String>,
    /// The account for lines without one
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ACCOUNT)]
    account: String,
    /// Check every line and insert nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object: how many lines there were, and how many jobs were inserted or existed already
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: &GlobalFlags, args: ImportArgs) -> Result<ExitCode> {
    let accounts = settings.accounts()?;
    let (format, file) = (args.format(), args.file);
    let defaults = Defaults { source: args.source, account: args.account, accounts };
    // Before the long work, so that a wrong --database fails at once.
    let store = if args.dry_run { None } else { Some(settings.open().await?) };
    let mut input = Input::open(&file)?;
    let format = format?;
    let found = check(LineReader::new(input.lines(format, "checking")?, &defaults)).await?;
    if found.wrong > 0 {
        let verb = if found.wrong == 1 { "is" } else { "are" };
        bail!("{} of {} {verb} wrong; nothing was inserted", found.wrong, lines(found.all));
    }
    let counted = |done: &ImportTally| ImportJson {
        lines: found.all,
        inserted: done.inserted,
        existing: done.existing,
    };
    let Some(mut store) = store else {
        if args.json {
            output::json(&counted(&ImportTally::default()))?;
            return Ok(ExitCode::SUCCESS);
        }
        output::line(format!("{} can be imported; nothing was inserted", lines(found.all)))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut done = ImportTally::default();
    let reader = LineReader::new(input.lines(format, "inserting")?, &defaults);
    let inserted = insert(&mut store, reader, &mut done).await;
    inserted.map_err(|e| {
        let so_far = done.inserted + done.existing;
        anyhow!(
            "{}; {so_far} of {} were inserted; run the import again for the rest",
            error_text::sentence_of(&e),
            lines(found.all)
        )
    })?;
    if args.json {
        output::json(&counted(&done))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{} inserted, {} existed already", done.inserted, done.existing))?;
    Ok(ExitCode::SUCCESS)
}

/// With `--dry-run`, nothing is inserted.
#[derive(Serialize)]
struct ImportJson {
    lines: u64,
    inserted: u64,
    existing: u64,
}

impl ImportArgs {
    fn format(&self) -> Result<FileFormat, WrongUsage> {
        // Only for reading: exported CSV has commas.
        let tabs = self.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("tsv"));
        let format =
            self.format.or_else(|| FileFormat::of(&self.file)).or(tabs.then_some(FileFormat::Csv));
        if self.file.as_os_str() == "-" {
            return Ok(format.unwrap_or(FileFormat::Jsonl));
        }
        format.ok_or_else(|| {
            WrongUsage(
                "the file's extension does not show its format; name it with --format".to_owned(),
            )
        })
    }
}

/// The values for lines that name none.
struct Defaults {
    source: Option<String>,
    account: String,
    /// The configured accounts, if they are known.
    accounts: Option<Vec<String>>,
}

/// Up to [`BATCH`] lines, with the wrong ones kept apart.
#[derive(Default)]
struct LineBatch {
    rows: Vec<NewRow>,
    /// The line of each row.
    numbers: Vec<u64>,
    wrong: Vec<(u64, String)>,
}

impl LineBatch {
    fn len(&self) -> usize {
        self.rows.len() + self.wrong.len()
    }
}

struct LineReader<'a> {
    lines: Lines,
    keys: Keys,
    defaults: &'a Defaults,
}

impl<'a> LineReader<'a> {
    fn new(lines: Lines, defaults: &'a Defaults) -> Self {
        LineReader { lines, keys: Keys::default(), defaults }
    }

    /// The next lines; an empty batch at the end of the file.
    fn batch(&mut self) -> Result<LineBatch> {
        let (mut batch, mut bytes) = (LineBatch::default(), 0);
        while batch.len() < BATCH as usize && bytes < BATCH_BYTES {
            let Some(ImportLine { number, row }) = self.lines.next()? else { break };
            match row.and_then(|row| self.complete(row, number)) {
                Ok(row) => {
                    bytes += row.values().filter_map(Value::as_str).map(str::len).sum::<usize>();
                    batch.rows.push(row);
                    batch.numbers.push(number);
                }
                Err(sentence) => batch.wrong.push((number, sentence)),
            }
        }
        Ok(batch)
    }

    fn complete(&mut self, mut row: NewRow, number: u64) -> Result<NewRow, String> {
        row.entry("account").or_insert_with(|| self.defaults.account.as_str().into());
        if let Some(source) = &self.defaults.source {
            row.entry("source").or_insert_with(|| source.as_str().into());
        }
        row::read_times(&mut row)?;
        row::check(&row, self.defaults.accounts.as_deref())?;
        self.keys.give(&mut row, number)?;
        Ok(row)
    }
}

#[derive(Default)]
struct CheckedLines {
    all: u64,
    wrong: u64,
}

/// Reports every wrong line.
async fn check(mut reader: LineReader<'_>) -> Result<CheckedLines> {
    // For the rules of the triggers, without a lock on the real file.
    let mut rehearsal = Store::in_memory().await?;
    let mut found = CheckedLines::default();
    loop {
        let mut batch = reader.batch()?;
        if batch.len() == 0 {
            return Ok(found);
        }
        found.all += batch.len() as u64;
        rehearse(&mut rehearsal, &mut batch).await?;
        found.wrong += batch.wrong.len() as u64;
        reader.lines.bar.suspend(|| report(&mut batch.wrong));
    }
}

/// All rows together, and one by one only if any is wrong.
async fn rehearse(store: &mut Store, batch: &mut LineBatch) -> Result<(), StoreError> {
    if breach(store, &batch.rows).await?.is_none() {
        return Ok(());
    }
    for (row, number) in batch.rows.iter().zip(&batch.numbers) {
        if let Some(sentence) = breach(store, std::slice::from_ref(row)).await? {
            let sentence = sentence.strip_prefix("outbox.").unwrap_or(&sentence).to_owned();
            batch.wrong.push((*number, sentence));
        }
    }
    Ok(())
}

/// The sentence of the rule that one of the rows breaks.
async fn breach(store: &mut Store, rows: &[NewRow]) -> Result<Option<String>, StoreError> {
    match store.import(rows, Mode::Rehearse).await {
        Ok(_) => Ok(None),
        Err(e) => Ok(Some(e.rule().map(str::to_owned).ok_or(e)?)),
    }
}

fn report(wrong: &mut [(u64, String)]) {
    wrong.sort_by_key(|(number, _)| *number);
    for (number, sentence) in wrong {
        output::note(format!("line {number}: {}", output::plain(sentence)));
    }
}

#[derive(Default)]
struct ImportTally {
    inserted: u64,
    /// Jobs that existed already.
    existing: u64,
}

/// One transaction per batch, then a rest half as long, so that other writers are not held up. The
/// next batch is read during the rest.
async fn insert(
    store: &mut Store,
    mut reader: LineReader<'_>,
    done: &mut ImportTally,
) -> Result<()> {
    let mut next_at = Instant::now();
    loop {
        let batch = reader.batch()?;
        if batch.len() == 0 {
            return Ok(());
        }
        if let Some((number, sentence)) = batch.wrong.first() {
            bail!("the file changed during the import: line {number}: {sentence}");
        }
        sleep_until(next_at).await;
        let start = Instant::now();
        let inserted = store.import(&batch.rows, Mode::Apply).await?;
        done.inserted += inserted;
        done.existing += batch.rows.len() as u64 - inserted;
        next_at = Instant::now() + start.elapsed() / 2;
    }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}
