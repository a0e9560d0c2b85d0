//! A change of jobs by id or by filter: what `retry`, `cancel`, `resolve` and `prune` share.

mod progress_bar;

use super::filter_flags::FilterFlags;
use super::{GlobalFlags, WrongUsage, output, whole};
use crate::desk::changes::{Batches, Selection, Tally};
use crate::desk::vocabulary;
use crate::queue::change::{Change, Mode, Refused, TRY_NOW};
use crate::queue::filter::Filter;
use crate::queue::job::Status;
use crate::store::{ALL, Store};
use anyhow::{Context, Result};
use progress_bar::run_with_bar;
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

/// Which jobs to change, and how carefully.
#[derive(clap::Args)]
pub struct ChangeArgs {
    /// The jobs, by id
    #[arg(value_name = "ID", value_parser = whole, allow_negative_numbers = true)]
    ids: Vec<i64>,
    #[command(flatten)]
    filters: FilterFlags,
    /// Every job in a state that this command changes by default
    #[arg(long)]
    all: bool,
    /// Change nothing; print how many jobs would be changed, or with --json which ones
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before a change by filter; the question appears only on a terminal
    #[arg(long, short)]
    yes: bool,
    /// One JSON object: how many jobs were changed, and which were refused
    #[arg(long)]
    json: bool,
}

/// The result as JSON.
#[derive(Serialize)]
struct ChangedJson {
    changed: u64,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct DryRunJson {
    dry_run: bool,
    would_change: usize,
    ids: Vec<i64>,
    refused: Vec<Refused>,
}

/// Changes the jobs that the command line names.
pub async fn run(settings: &GlobalFlags, change: Change, args: ChangeArgs) -> Result<ExitCode> {
    match args.selection(change)? {
        Selection::Ids(ids) => args.by_ids(&mut settings.open().await?, change, ids).await,
        Selection::Filter(filter) => {
            args.by_filters(&mut settings.open().await?, change, &[*filter]).await
        }
    }
}

impl ChangeArgs {
    /// Whether the command line names any jobs.
    pub fn names_any(&self) -> bool {
        self.by_filter() || !self.ids.is_empty()
    }

    /// The one job that the command line names.
    pub fn only_id(&self) -> Result<i64, WrongUsage> {
        match (&self.ids[..], self.by_filter()) {
            ([id], false) => Ok(*id),
            _ => Err(WrongUsage("--payload is for one job: give its id, and no filter".to_owned())),
        }
    }

    /// Prints what became of one job.
    pub fn report_one(&self, change: Change, refused: Option<Refused>) -> Result<ExitCode> {
        let refused: Vec<_> = refused.into_iter().collect();
        for job in &refused {
            output::note(format!("job {}: {}", job.id, output::plain(&job.sentence)));
        }
        let (changed, code) = match refused.is_empty() {
            true => (1, ExitCode::SUCCESS),
            false => (0, ExitCode::FAILURE),
        };
        self.print_changed(change, changed, refused)?;
        Ok(code)
    }

    fn by_filter(&self) -> bool {
        self.all || self.filters != FilterFlags::default()
    }

    fn selection(&self, change: Change) -> Result<Selection, WrongUsage> {
        let wrong = |sentence: &str| Err(WrongUsage(sentence.to_owned()));
        match (self.ids.is_empty(), self.by_filter()) {
            (true, false) => wrong("which jobs? Give ids, filters or --all; `--help` has examples"),
            (false, true) => wrong("ids cannot be combined with filters or --all"),
            (false, false) => Ok(Selection::of_ids(self.ids.clone())),
            (true, true) => {
                let filter = self.filters.clone().filter();
                if !filter.statuses.iter().all(|status| change.from().contains(status)) {
                    let states: Vec<_> = change.from().iter().map(|s| s.as_str()).collect();
                    let states = states.join(" or ");
                    let hint = match change {
                        Change::Retry if filter.statuses.contains(&Status::Pending) => {
                            format!("; {TRY_NOW}")
                        }
                        _ => String::new(),
                    };
                    return wrong(&format!("--status: must be {states}{hint}"));
                }
                Ok(Selection::of_filter(filter, change))
            }
        }
    }

    async fn by_ids(&self, store: &mut Store, change: Change, ids: Vec<i64>) -> Result<ExitCode> {
        let mode = if self.dry_run { Mode::Rehearse } else { Mode::Apply };
        let mut batches = Batches::of_ids(store, change, &ids, mode);
        run_with_bar(&mut batches, ids.len()).await?;
        let Tally { changed, refused, .. } = batches.into_tally();
        for job in &refused {
            output::note(format!("job {}: {}", job.id, output::plain(&job.sentence)));
        }
        let code = if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        if self.dry_run {
            let is_refused = |id: &i64| refused.iter().any(|job| job.id == *id);
            let ids = ids.into_iter().filter(|id| !is_refused(id)).collect();
            self.print_dry_run(change, ids, refused)?;
        } else {
            self.print_changed(change, changed, refused)?;
        }
        Ok(code)
    }

    /// Changes what passes one of the filters now. Jobs that are inserted later are left alone, and
    /// so are those that no longer pass when their batch is due.
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
        let (jobs, verb) =
            (output::jobs(count as u64), if count == 1 { "matches" } else { "match" });
        output::note(format!("{jobs} {verb}"));
        if self.dry_run {
            let ids = found.into_iter().flat_map(|(_, ids)| ids).collect();
            self.print_dry_run(change, ids, Vec::new())?;
            return Ok(ExitCode::SUCCESS);
        }
        if count > 0 && !self.yes && !is_confirmed(&vocabulary::question(change, &jobs))? {
            output::note("nothing was changed");
            return Ok(ExitCode::FAILURE);
        }
        let mut tally = Tally::default();
        for (filter, ids) in &found {
            let mut batches = Batches::of_list(store, change, ids, filter).after(tally);
            run_with_bar(&mut batches, count).await?;
            tally = batches.into_tally();
        }
        self.print_changed(change, tally.changed, Vec::new())?;
        Ok(ExitCode::SUCCESS)
    }

    fn print_changed(&self, change: Change, changed: u64, refused: Vec<Refused>) -> Result<()> {
        if self.json {
            return output::json(&ChangedJson { changed, refused });
        }
        let done = vocabulary::change_labels(change).done;
        output::line(format!("{} {done}", output::jobs(changed)))
    }

    fn print_dry_run(&self, change: Change, ids: Vec<i64>, refused: Vec<Refused>) -> Result<()> {
        let would_change = ids.len();
        if self.json {
            return output::json(&DryRunJson { dry_run: true, would_change, ids, refused });
        }
        let done = vocabulary::change_labels(change).done;
        output::line(format!("{} would be {done}", output::jobs(would_change as u64)))
    }
}

/// Asks on a terminal; elsewhere nobody could answer, and the answer is yes.
fn is_confirmed(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
