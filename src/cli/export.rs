//! `export`: jobs and their outcomes, as a file for other programs.

use super::filter_flags::{FilterFlags, ago};
use super::import::FileFormat;
use super::spreadsheet::inert;
use super::{GlobalFlags, duration, output, whole};
use acquire_outbox::links;
use acquire_outbox::queue::payload::{Json, Object};
use acquire_outbox::queue::transfer::{Export, ExportedJob};
use acquire_outbox::store::{ALL, BATCH, Store};
use anyhow::{Context, Result, anyhow};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tempfile::NamedTempFile;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox export --source reminders --format csv -o reminders.csv
  acquire-outbox export --status failed,uncertain
  acquire-outbox export --since-id 1200                jobs that were inserted after job 1200
  acquire-outbox export --finished-since 24h -o yesterday.jsonl

The export has the columns of delivery_status and the receipt (a JSON object), by ascending id. The
message itself is included only with --payload. A file is either complete or not written; it
replaces an older one, and only its owner may read it.

In CSV, text that a spreadsheet would run as a formula (=, +, -, @, even after white space or
quotes) gets a leading apostrophe, which import removes again, and control characters are escaped.
JSON lines keep every value unchanged.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    #[command(flatten)]
    filters: FilterFlags,
    /// Only jobs that finished within this time, like 24h
    #[arg(long, help_heading = "Filters", value_name = "TIME", value_parser = duration)]
    finished_since: Option<Duration>,
    /// Only jobs with a larger id, to continue after an earlier export
    #[arg(long, help_heading = "Filters", value_name = "ID", default_value_t = 0)]
    #[arg(hide_default_value = true, value_parser = whole, allow_negative_numbers = true)]
    since_id: i64,
    /// The format of the file [default: by the extension of --output, or else jsonl]
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Include the messages
    #[arg(long)]
    payload: bool,
    /// Write to this file instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(settings: &GlobalFlags, args: ExportArgs) -> Result<ExitCode> {
    let by_ending = args.output.as_deref().and_then(FileFormat::of);
    let format = args.format.or(by_ending).unwrap_or(FileFormat::Jsonl);
    let export = Export {
        filter: args.filters.filter(),
        finished_since: args.finished_since.map(ago),
        with_payload: args.payload,
    };
    let mut store = settings.open().await?;
    let Written { count, last, cut_off } = match &args.output {
        None => {
            let out = Rows::new(BufWriter::new(io::stdout()), format, args.payload);
            write(&mut store, &export, args.since_id, out).await?
        }
        Some(path) => into_file(&mut store, &export, args.since_id, path, format).await?,
    };
    if cut_off {
        return Ok(ExitCode::SUCCESS);
    }
    output::note(match last {
        Some(last) => {
            format!("{} exported; continue after them with --since-id {last}", output::jobs(count))
        }
        None => "no such jobs".to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}

/// Into a temporary file in the same folder, which is renamed once it is complete and on disk.
async fn into_file(
    store: &mut Store,
    export: &Export,
    after: i64,
    path: &Path,
    format: FileFormat,
) -> Result<Written> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = links::followed(folder.unwrap_or(Path::new(".")))?;
    let file = NamedTempFile::new_in(&folder)
        .with_context(|| format!("cannot write into the folder of {}", path.display()))?;
    let out = Rows::new(BufWriter::new(file.as_file().try_clone()?), format, export.with_payload);
    let done = write(store, export, after, out).await?;
    file.as_file().sync_all().with_context(|| format!("cannot write {}", path.display()))?;
    file.persist(path).map_err(|e| anyhow!("cannot write {}: {}", path.display(), e.error))?;
    Ok(done)
}

struct Written {
    count: u64,
    /// The last job's id.
    last: Option<i64>,
    /// The reader ended before the export did (`| head`), which is no error.
    cut_off: bool,
}

/// Writes the jobs that exist now, without those that are inserted in the meantime.
async fn write<W: Write>(
    store: &mut Store,
    export: &Export,
    mut after: i64,
    mut out: Rows<W>,
) -> Result<Written> {
    let end = store.last_id().await?;
    let (mut count, mut last) = (0, None);
    let mut written = out.header();
    while written.is_ok() {
        let jobs = store.export_page(export, after, end, BATCH).await?;
        let Some(job) = jobs.last() else { break };
        after = job.delivery.id;
        last = Some(after);
        count += jobs.len() as u64;
        for mut job in jobs {
            if export.with_payload && job.payload.is_none() {
                job.payload = store.payload(job.delivery.id, ALL).await?;
            }
            written = out.row(job);
            if written.is_err() {
                break;
            }
        }
    }
    match written.and_then(|()| out.end()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(Written { count, last, cut_off: true }),
        written => written
            .map(|()| Written { count, last, cut_off: false })
            .context("cannot write the export"),
    }
}

const COLUMNS: [&str; 18] = [
    "id",
    "channel",
    "account",
    "source",
    "idempotency_key",
    "status",
    "attempts",
    "message_id",
    "failure",
    "error_code",
    "error",
    "created_at",
    "send_at",
    "next_attempt_at",
    "finished_at",
    "delivery",
    "delivery_at",
    "receipt",
];

enum Rows<W: Write> {
    Csv(Box<csv::Writer<W>>, Vec<&'static str>),
    Jsonl(W, Vec<&'static str>),
}

impl<W: Write> Rows<W> {
    fn new(out: W, format: FileFormat, with_payload: bool) -> Self {
        let columns = COLUMNS.into_iter().chain(with_payload.then_some("payload")).collect();
        match format {
            FileFormat::Csv => Rows::Csv(Box::new(csv::Writer::from_writer(out)), columns),
            FileFormat::Jsonl => Rows::Jsonl(out, columns),
        }
    }

    fn header(&mut self) -> io::Result<()> {
        match self {
            Rows::Csv(out, columns) => Ok(out.write_record(columns.iter())?),
            Rows::Jsonl(..) => Ok(()),
        }
    }

    fn row(&mut self, job: ExportedJob) -> io::Result<()> {
        let values = values(job)?;
        match self {
            Rows::Csv(out, columns) => {
                let cells = columns.iter().map(|column| values.get(*column).unwrap_or(&Json::Null));
                Ok(out.write_record(cells.map(cell))?)
            }
            Rows::Jsonl(out, columns) => {
                // A map would not keep the order of the columns.
                for (n, column) in columns.iter().enumerate() {
                    let value = values.get(*column).unwrap_or(&Json::Null);
                    write!(out, "{}\"{column}\":{value}", if n == 0 { "{" } else { "," })?;
                }
                writeln!(out, "}}")
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Rows::Csv(out, _) => out.flush(),
            Rows::Jsonl(out, _) => out.flush(),
        }
    }
}

/// The values by column name.
fn values(job: ExportedJob) -> io::Result<Object> {
    let delivery = serde_json::to_string(&job.delivery)?;
    let mut values: Object = match Json::parse(&delivery).map_err(io::Error::other)? {
        Json::Object(values) => values,
        _ => Object::new(),
    };
    // JSON that is stored as text becomes JSON again, with all digits; other text stays text.
    let json = |text: String| Json::parse(&text).unwrap_or(Json::String(text));
    values.insert("receipt".to_owned(), job.receipt.map_or(Json::Null, json));
    values.insert("payload".to_owned(), job.payload.map_or(Json::Null, json));
    Ok(values)
}

/// A cell that is safe to open in a spreadsheet.
fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => inert(text).into_owned(),
        other => escaped(other.to_string()),
    }
}

/// JSON whose control characters are escaped, including those that it allows in a string.
fn escaped(json: String) -> String {
    if !json.contains(char::is_control) {
        return json;
    }
    let escape = |c: char| match c.is_control() {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    };
    json.chars().map(escape).collect()
}
