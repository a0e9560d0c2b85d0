//! `prune`: deletes finished jobs, by the retention settings or as a person says.

use super::bulk::{self, BulkArgs};
use super::{Settings, output};
use acquire_outbox::config::Retention;
use acquire_outbox::queue::change::Change;
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::job::Status;
use acquire_outbox::queue::when::now;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox prune                                by [retention] of the configuration, as `run` does
  acquire-outbox prune --dry-run
  acquire-outbox prune --status cancelled --older-than 7d
  acquire-outbox prune 17 18

What is deleted is gone, with its history. Only jobs that are sent, failed or cancelled are deleted.
What is free in the file is used again, or given back by a running daemon: docs/retention.md.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "acquire-outbox prune\n       acquire-outbox prune ID...\n       \
                            acquire-outbox prune FILTERS")]
pub struct Args {
    #[command(flatten)]
    bulk: BulkArgs,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    if args.bulk.names_any() {
        return bulk::change(settings, Change::Prune, Change::Prune.from(), args.bulk).await;
    }
    let kept = settings.outline()?.retention;
    output::note(format!("by the retention settings: {}", sentence(&kept)));
    let mut store = settings.open().await?;
    args.bulk.by_filters(&mut store, Change::Prune, &ended_before(&kept)).await
}

fn ages(kept: &Retention) -> [(Status, Option<Duration>); 3] {
    [(Status::Sent, kept.sent), (Status::Failed, kept.failed), (Status::Cancelled, kept.cancelled)]
}

fn ended_before(kept: &Retention) -> Vec<Filter> {
    let of = |(status, age): (Status, Option<Duration>)| {
        let age = i64::try_from(age?.as_millis()).unwrap_or(i64::MAX);
        let finished_before = Some(now().saturating_sub(age));
        Some(Filter { statuses: vec![status], finished_before, ..Filter::default() })
    };
    ages(kept).into_iter().filter_map(of).collect()
}

/// `sent 30days, failed for ever, cancelled for ever`.
fn sentence(kept: &Retention) -> String {
    let of = |(status, age): (Status, Option<Duration>)| match age {
        Some(age) => format!("{status} jobs are kept for {}", humantime::format_duration(age)),
        None => format!("{status} jobs for ever"),
    };
    ages(kept).map(of).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_ever_is_never_looked_for() {
        let kept = Retention::default();
        assert_eq!(
            sentence(&kept),
            "sent jobs are kept for 30days, failed jobs for ever, cancelled jobs for ever"
        );
        let filters = ended_before(&kept);
        assert_eq!(filters.len(), 1);
        assert_eq!(filters[0].statuses, [Status::Sent]);
        assert!(filters[0].finished_before.unwrap() < now());
        assert!(ended_before(&Retention { sent: None, failed: None, cancelled: None }).is_empty());
    }
}
