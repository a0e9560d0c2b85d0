//! The verdict on top of every page: whether the outbox is well, why not, and what to do.

use super::Shared;
use super::display::jobs;
use super::guard::Caller;
use super::layout::csrf_field;
use super::parameters::JobQuery;
use super::reader::ReadError;
use crate::desk::assessment::{Assessment, Concern, Condition};
use crate::desk::checkup::{check_up, dispatching};
use crate::queue::job::Channel;
use crate::queue::when::now;
use maud::{Markup, html};
use std::sync::Arc;

/// At most this many reasons are shown at once, the others on demand.
const SHOWN: usize = 4;

impl Shared {
    /// The verdict, from the cache while it is fresh. Where nothing can be read, the verdict says so.
    pub async fn assessment(&self) -> Arc<Assessment> {
        let read = async {
            let dispatching = dispatching(&self.metrics, self.watcher.database()).await;
            let mut reading = self.watcher.read().await?;
            let assessment = check_up(&mut reading, dispatching, now()).await?;
            reading.done();
            Ok::<_, ReadError>(Arc::new(assessment))
        };
        let counted = self.assessments.get(read).await;
        counted
            .ok()
            .and_then(|counted| counted.value)
            .unwrap_or_else(|| Arc::new(Assessment::unreadable()))
    }
}

/// The first words of a tab's title; empty if all is well.
pub fn title_prefix(assessment: &Assessment) -> &'static str {
    match assessment.condition {
        Condition::Well => "",
        Condition::Attention => "▲ Attention · ",
        Condition::Down => "✕ Down · ",
    }
}

/// The tab's icon.
pub fn icon(assessment: &Assessment) -> &'static str {
    match assessment.condition {
        Condition::Well => "/assets/icon.svg",
        Condition::Attention => "/assets/icon-attention.svg",
        Condition::Down => "/assets/icon-down.svg",
    }
}

pub fn bar(assessment: &Assessment, caller: &Caller) -> Markup {
    let (sign, word) = match assessment.condition {
        Condition::Well => ("●", "Well"),
        Condition::Attention => ("▲", "Attention"),
        Condition::Down => ("✕", "Down"),
    };
    let concerns = &assessment.concerns;
    html! {
        section #verdict .verdict.(assessment.condition.as_str()) aria-label="Verdict" data-live {
            p .lamp { span aria-hidden="true" { (sign) " " } strong { (word) } }
            @if !concerns.is_empty() {
                div .why {
                    ul { @for one in concerns.iter().take(SHOWN) { (reason(one, caller)) } }
                    @if concerns.len() > SHOWN {
                        details #more-reasons {
                            summary { (concerns.len() - SHOWN) " more" }
                            ul { @for one in concerns.iter().skip(SHOWN) { (reason(one, caller)) } }
                        }
                    }
                }
            }
        }
    }
}

fn reason(concern: &Concern, caller: &Caller) -> Markup {
    html! {
        li data-reason=(concern.code) {
            a href=(link(concern)) { (concern.text) }
            @if let Some(count) = concern.waiting() { " (" (jobs(count)) ")" }
            " " span .do {
                @if !concern.remedy.command.is_empty() { code { (concern.remedy.command) } " " }
                (concern.remedy.advice)
            }
            @if let Some(pause) = concern.pause.as_ref().filter(|pause| !pause.is_of_restored() && caller.may_act()) {
                " " form .inline method="post" action="/pauses/resume" {
                    (csrf_field(caller))
                    input type="hidden" name="account" value=(pause.account.as_deref().unwrap_or_default());
                    input type="hidden" name="channel" value=(pause.channel.map_or("", Channel::as_str));
                    button type="submit" aria-label={ "Resume " (pause.subject()) } { "Resume" }
                }
            }
        }
    }
}

/// Where the reason is explained: its jobs, or a part of a page.
fn link(concern: &Concern) -> String {
    match (&concern.filter, concern.code) {
        (Some(filter), _) => JobQuery::of_filter(filter.clone()).path(),
        (None, "paused" | "restored_backup") => "/pauses".to_owned(),
        (None, "set_aside") => "/#set-aside".to_owned(),
        (None, _) => "/".to_owned(),
    }
}
