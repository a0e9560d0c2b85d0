//! Who did what to a job.

use super::display::{short, time_of};
use super::job_page::json;
use crate::desk::vocabulary;
use crate::queue::job::Millis;
use crate::queue::payload::Json;
use crate::queue::story::Story;
use maud::{Markup, html};

/// What people and programs have done to the job; nothing if nobody has done anything.
pub fn acts(story: &Story, now: Millis) -> Markup {
    html! {
        @if !story.acts.is_empty() {
            section aria-labelledby="acts" {
                h2 #acts { "Who did what" }
                div .wide {
                    table .cards {
                        thead { tr { th scope="col" { "when" } th scope="col" { "done" } th scope="col" { "by" } } }
                        tbody { @for act in &story.acts {
                            tr {
                                th scope="row" { (time_of(&act.at, now)) }
                                td data-label="done" {
                                    (short(&vocabulary::act(act)))
                                    @if let Some(payload) = &act.payload { (earlier(payload)) }
                                    @else if act.keeps_payload { small { " (the earlier text is kept)" } }
                                }
                                td data-label="by" { (short(&act.by())) }
                            }
                        } }
                    }
                }
            }
        }
    }
}

/// The payload before a correction, if it was requested.
fn earlier(payload: &Json) -> Markup {
    let text = payload.to_string();
    let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
    html! {
        details { summary { "The earlier text" } (json(None, &text, bytes)) }
    }
}
