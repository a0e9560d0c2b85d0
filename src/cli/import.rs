//! `import`: many jobs from a file. Every line is checked before the first is inserted.

mod coding;
mod input;
mod json_lines;
mod keys;
mod row;
mod table;

use super::{Settings, WrongUsage, output, problem};
use acquire_outbox::config::DEFAULT_ACCOUNT;
use acquire_outbox::queue::change::Mode;
use acquire_outbox::queue::transfer::NewRow;
use acquire_outbox::store::{BATCH, Store, StoreError};
use anyhow::{Result, anyhow, bail};
pub use input::Format;
use input::{Input, Lines};
use keys::Keys;
use row::Line;
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
/// A batch ends at so many bytes, too: its transaction is short.
const BATCH_BYTES: usize = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox import reminders.csv --dry-run
  acquire-outbox import reminders.csv --source reminders
  produce-messages | acquire-outbox import -

JSON lines have the columns of the table outbox, the payload as an object:
  {\"channel\": \"chat\", \"payload\": {\"caseId\": 2069, \"message\": \"Hello\"}, \"priority\": 5}

CSV names the columns in its first line; the payload's fields may have their own columns, an empty
cell is a value that is left out, several addresses are separated by semicolons:
  channel,payload.caseId,payload.message,send_at
  chat,2069,Hello,2026-11-22T09:00:00+02:00
The separator may also be a semicolon or a tab; the first line may be sep=; as Excel writes it.
Columns without a name and lines of empty cells, as spreadsheets leave them, are skipped. An
apostrophe that `export` put before =, +, - or @ is removed again.

Text is UTF-8 or UTF-16, lines end in LF, CR or both. A time without an offset is UTC.

Every line is checked first, by the rules of an INSERT and by the daemon's: where one is wrong, all
wrong ones are named and nothing is inserted.

Running it a second time sends nothing twice. A line without an idempotency_key gets one
made from its content (import:, a hash of all but its source, and :2, :3 for the second and
third line with the same content), so an import that was interrupted is simply run again. What has
been deleted since (sent jobs after [retention] sent, 30 days) is not known any more.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file, or - for the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How it is written [default: by its ending, .csv, .tsv, .jsonl or .ndjson; - is jsonl]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The source label of the lines that name none
    #[arg(long, value_name = "LABEL")]
    source: Option<String>,
    /// The account of the lines that name none
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ACCOUNT)]
    account: String,
    /// Check every line and insert nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    // Where there is a configuration with accounts: a producer's machine may have none.
    let accounts = settings.load().ok().map(|config| config.accounts.into_keys().collect());
    let (format, file) = (args.format(), args.file);
    let defaults = Defaults { source: args.source, account: args.account, accounts };
    // Before the long work, so that a wrong --database is told at once.
    let store = if args.dry_run { None } else { Some(settings.open().await?) };
    let mut input = Input::open(&file)?;
    let format = format?;
    let found = check(Reader::new(input.lines(format, "checking")?, &defaults)).await?;
    if found.wrong > 0 {
        bail!("{} of {} are wrong; nothing was inserted", found.wrong, lines(found.all));
    }
    let Some(mut store) = store else {
        output::line(format!("{} can be imported; nothing was inserted", lines(found.all)))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut done = Done::default();
    let reader = Reader::new(input.lines(format, "inserting")?, &defaults);
    let inserted = insert(&mut store, reader, &mut done).await;
    inserted.map_err(|e| {
        let so_far = done.inserted + done.there;
        anyhow!(
            "{}; {so_far} of {} are in, run it again for the rest",
            problem::told(&e),
            lines(found.all)
        )
    })?;
    output::line(format!("{} inserted, {} were there already", done.inserted, done.there))?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn format(&self) -> Result<Format, WrongUsage> {
        // Only to read: what is written as CSV has commas.
        let tabs = self.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("tsv"));
        let told = self.format.or_else(|| Format::of(&self.file)).or(tabs.then_some(Format::Csv));
        if self.file.as_os_str() == "-" {
            return Ok(told.unwrap_or(Format::Jsonl));
        }
        told.ok_or_else(|| {
            WrongUsage("the file's ending does not say how it is written; name --format".to_owned())
        })
    }
}

/// What a line has that does not say it.
struct Defaults {
    source: Option<String>,
    account: String,
    /// The configured ones, where that is known.
    accounts: Option<Vec<String>>,
}

/// Up to [`BATCH`] lines, those that are wrong apart.
#[derive(Default)]
struct Batch {
    rows: Vec<NewRow>,
    /// Of each row.
    numbers: Vec<u64>,
    wrong: Vec<(u64, String)>,
}

impl Batch {
    fn len(&self) -> usize {
        self.rows.len() + self.wrong.len()
    }
}

struct Reader<'a> {
    lines: Lines,
    keys: Keys,
    defaults: &'a Defaults,
}

impl<'a> Reader<'a> {
    fn new(lines: Lines, defaults: &'a Defaults) -> Self {
        Reader { lines, keys: Keys::default(), defaults }
    }

    /// The next lines; none at the end of the file.
    fn batch(&mut self) -> Result<Batch> {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        while batch.len() < BATCH as usize && bytes < BATCH_BYTES {
            let Some(Line { number, row }) = self.lines.next()? else { break };
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
struct Found {
    all: u64,
    wrong: u64,
}

/// Names every line that is wrong.
async fn check(mut reader: Reader<'_>) -> Result<Found> {
    // The triggers' part of the rules, without a lock on the real file.
    let mut rehearsal = Store::in_memory().await?;
    let mut found = Found::default();
    loop {
        let mut batch = reader.batch()?;
        if batch.len() == 0 {
            return Ok(found);
        }
        found.all += batch.len() as u64;
        rehearse(&mut rehearsal, &mut batch).await?;
        found.wrong += batch.wrong.len() as u64;
        reader.lines.bar.suspend(|| tell(&mut batch.wrong));
    }
}

/// All rows at once; one by one only where one of them is wrong.
async fn rehearse(store: &mut Store, batch: &mut Batch) -> Result<(), StoreError> {
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

fn tell(wrong: &mut [(u64, String)]) {
    wrong.sort_by_key(|(number, _)| *number);
    for (number, sentence) in wrong {
        output::note(format!("line {number}: {}", output::plain(sentence)));
    }
}

#[derive(Default)]
struct Done {
    inserted: u64,
    there: u64,
}

/// One transaction per batch, and then a wait half as long, during which the next one is read, so
/// that nobody else is held up.
async fn insert(store: &mut Store, mut reader: Reader<'_>, done: &mut Done) -> Result<()> {
    let mut next_at = Instant::now();
    loop {
        let batch = reader.batch()?;
        if batch.len() == 0 {
            return Ok(());
        }
        if let Some((number, sentence)) = batch.wrong.first() {
            bail!("the file was changed while it was imported: line {number}: {sentence}");
        }
        sleep_until(next_at).await;
        let start = Instant::now();
        let inserted = store.import(&batch.rows, Mode::Apply).await?;
        done.inserted += inserted;
        done.there += batch.rows.len() as u64 - inserted;
        next_at = Instant::now() + start.elapsed() / 2;
    }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}
