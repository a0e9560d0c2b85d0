//! `export`: jobs and their outcomes, as a file for other programs.

use super::filter_flags::FilterFlags;
use super::import::FileFormat;
use super::{GlobalFlags, output, whole};
use crate::desk::export_rows::ExportRows;
use crate::links;
use crate::queue::transfer::Export;
use crate::store::{ALL, BATCH, Store};
use anyhow::{Context, Result, anyhow};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::NamedTempFile;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox export --source reminders --format csv -o reminders.csv
  acquire-outbox export --status failed,uncertain
  acquire-outbox export --since-id 1200        jobs inserted after job 1200
  acquire-outbox export --finished yesterday -o yesterday.jsonl

The export has the columns of delivery_status and the receipt (a JSON object),
by ascending id. The message itself is included only with --payload. A file is
either complete or not written; it replaces an older one, and only its owner
may read it.

In CSV, text that a spreadsheet would run as a formula (=, +, -, @, even after
white space or quotes) gets a leading apostrophe, which import removes again,
and control characters are escaped. JSON lines keep every value unchanged.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    #[command(flatten)]
    filters: FilterFlags,
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
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(settings: &GlobalFlags, args: ExportArgs) -> Result<ExitCode> {
    let by_ending = args.output.as_deref().and_then(FileFormat::of);
    let format = args.format.or(by_ending).unwrap_or(FileFormat::Jsonl);
    let export = Export { filter: args.filters.filter(), with_payload: args.payload };
    let mut store = settings.open().await?;
    let Written { count, last, cut_off } = match &args.output {
        None => {
            let out = ExportRows::new(BufWriter::new(io::stdout()), format.into(), args.payload);
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
        .with_context(|| format!("cannot write to the folder of {}", path.display()))?;
    let out = ExportRows::new(
        BufWriter::new(file.as_file().try_clone()?),
        format.into(),
        export.with_payload,
    );
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
    mut out: ExportRows<W>,
) -> Result<Written> {
    let end = store.last_id().await?;
    // Where few pass, an index has their ids; along the table every row would be read.
    let mut few = match export.filter.is_of_many() {
        true => None,
        false => Some(store.ids(&export.filter, after, ALL).await?.into_iter()),
    };
    let (mut count, mut last) = (0, None);
    let mut written = out.header();
    while written.is_ok() {
        let jobs = match &mut few {
            Some(ids) => {
                let batch: Vec<i64> = ids.take(BATCH as usize).filter(|id| *id <= end).collect();
                store.export_ids(&batch, export.with_payload).await?
            }
            None => store.export_page(export, after, end, BATCH).await?,
        };
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
