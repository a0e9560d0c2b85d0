//! A change of jobs by id or by filter: counted and asked about before, made in short batches, and
//! told after.

mod batches;

use super::filter::FilterArgs;
use super::{Settings, WrongUsage, output, whole};
use acquire_outbox::queue::change::{Change, Refused};
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::job::Status;
use acquire_outbox::store::{ALL, Store};
use anyhow::{Context, Result};
use batches::{Batches, Step};
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

/// Which jobs are changed, and how carefully.
#[derive(clap::Args)]
pub struct BulkArgs {
    /// The jobs, by id
    #[arg(value_name = "ID", value_parser = whole, allow_negative_numbers = true)]
    ids: Vec<i64>,
    #[command(flatten)]
    filters: FilterArgs,
    /// Every job of the states that this command takes by itself, where no filter says less
    #[arg(long)]
    all: bool,
    /// Change nothing; say how many jobs would be changed, with --json which
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before a change by filter; only a terminal is asked
    #[arg(long, short)]
    yes: bool,
    /// One JSON object: how many were changed, and what was refused
    #[arg(long)]
    json: bool,
}

/// The jobs that a command line names.
enum Named {
    Ids(Vec<i64>),
    Filter(Box<Filter>),
    Nothing,
}

#[derive(Serialize)]
struct Done {
    changed: u64,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Planned {
    dry_run: bool,
    would_change: usize,
    ids: Vec<i64>,
    refused: Vec<Refused>,
}

/// Changes what the command line names; by filter, `usual` are the states where it names none.
pub async fn change(
    settings: &Settings,
    change: Change,
    usual: &[Status],
    args: BulkArgs,
) -> Result<ExitCode> {
    match args.named(change, usual)? {
        Named::Ids(ids) => args.by_id(&mut settings.open().await?, change, ids).await,
        Named::Filter(filter) => {
            args.by_filters(&mut settings.open().await?, change, &[*filter]).await
        }
        Named::Nothing => Err(WrongUsage(
            "which jobs? Name them by id, by filters, or take --all; `--help` has examples"
                .to_owned(),
        )
        .into()),
    }
}

impl BulkArgs {
    /// Whether the command line names any jobs.
    pub fn names_any(&self) -> bool {
        self.all || !self.ids.is_empty() || self.filters != FilterArgs::default()
    }

    fn named(&self, change: Change, usual: &[Status]) -> Result<Named, WrongUsage> {
        let by_filter = self.all || self.filters != FilterArgs::default();
        match (self.ids.is_empty(), by_filter) {
            (true, false) => return Ok(Named::Nothing),
            (false, false) => {
                let mut ids = self.ids.clone();
                ids.sort_unstable();
                ids.dedup();
                return Ok(Named::Ids(ids));
            }
            (false, true) => {
                return Err(WrongUsage("ids go without filters and without --all".to_owned()));
            }
            (true, true) => {}
        }
        let mut filter = self.filters.clone().filter();
        if filter.statuses.is_empty() {
            filter.statuses = usual.to_vec();
        }
        if !filter.statuses.iter().all(|status| change.from().contains(status)) {
            let words: Vec<_> = change.from().iter().map(|status| status.as_str()).collect();
            return Err(WrongUsage(format!("--status: must be {}", words.join(" or "))));
        }
        Ok(Named::Filter(Box::new(filter)))
    }

    async fn by_id(&self, store: &mut Store, change: Change, ids: Vec<i64>) -> Result<ExitCode> {
        let step = if self.dry_run { Step::Try(change) } else { Step::Each(change) };
        let mut batches = Batches::of(store, ids.len());
        batches.each(&ids, step).await?;
        let (changed, refused) = batches.end();
        for job in &refused {
            output::note(format!("job {}: {}", job.id, output::plain(&job.sentence)));
        }
        let wrong = !refused.is_empty();
        if self.dry_run {
            let is_refused = |id: &i64| refused.iter().any(|job| job.id == *id);
            let ids = ids.into_iter().filter(|id| !is_refused(id)).collect();
            self.tell_plan(change, ids, refused)?;
        } else {
            self.tell(change, changed, refused)?;
        }
        Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Changes what passes one of the filters now; what comes later is left alone, and so is what no
    /// longer passes when its turn comes.
    pub async fn by_filters(
        &self,
        store: &mut Store,
        change: Change,
        filters: &[Filter],
    ) -> Result<ExitCode> {
        let mut found = Vec::new();
        for filter in filters {
            found.push((filter, store.ids(filter, i64::MIN, ALL).await?));
        }
        let count: usize = found.iter().map(|(_, ids)| ids.len()).sum();
        let pass = if count == 1 { "passes" } else { "pass" };
        output::note(format!("{} {pass}", output::jobs(count as u64)));
        if self.dry_run {
            let ids = found.into_iter().flat_map(|(_, ids)| ids).collect();
            self.tell_plan(change, ids, Vec::new())?;
            return Ok(ExitCode::SUCCESS);
        }
        if count > 0 && !self.yes && !agreed(change, count)? {
            output::note("nothing was changed");
            return Ok(ExitCode::FAILURE);
        }
        let mut batches = Batches::of(store, count);
        for (filter, ids) in &found {
            batches.each(ids, Step::Where(change, filter)).await?;
        }
        let (changed, _) = batches.end();
        self.tell(change, changed, Vec::new())?;
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, change: Change, changed: u64, refused: Vec<Refused>) -> Result<()> {
        if self.json {
            return output::json(&Done { changed, refused });
        }
        output::line(format!("{} {}", output::jobs(changed), done(change)))
    }

    fn tell_plan(&self, change: Change, ids: Vec<i64>, refused: Vec<Refused>) -> Result<()> {
        let would_change = ids.len();
        if self.json {
            return output::json(&Planned { dry_run: true, would_change, ids, refused });
        }
        output::line(format!("{} would be {}", output::jobs(would_change as u64), done(change)))
    }
}

fn done(change: Change) -> &'static str {
    match change {
        Change::Retry => "re-driven",
        Change::Cancel => "cancelled",
        Change::ResolveSent => "resolved as sent",
        Change::ResolveFailed => "resolved as failed",
        Change::Prune => "pruned",
    }
}

/// Asks, where somebody sits at a terminal who can answer.
fn agreed(change: Change, count: usize) -> Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    let jobs = output::jobs(count as u64);
    let question = match change {
        Change::Retry => format!("Send {jobs} again?"),
        Change::Cancel => format!("Cancel {jobs}?"),
        Change::ResolveSent => format!("Resolve {jobs} as sent?"),
        Change::ResolveFailed => format!("Resolve {jobs} as failed?"),
        Change::Prune => format!("Delete {jobs} with their history?"),
    };
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
