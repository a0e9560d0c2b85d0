//! The fields of a message in a form.

use crate::desk::message_form::{EntryKind, MessageField, MessageForm};
use crate::web::posted::FormFields;
use maud::{Markup, html};

/// Comes before the field's name in the form.
const PREFIX: &str = "field.";

/// Takes over what was typed, including fields that only the job's own payload has.
pub fn fill(form: &mut MessageForm, fields: &FormFields) {
    form.fill(|name| fields.raw(&format!("{PREFIX}{name}")));
}

/// The error of the whole message, then the fields: first the required and filled-in ones; the others are collapsed.
pub fn entries(form: &MessageForm) -> Markup {
    let is_first = |field: &&MessageField| {
        field.required || !field.text.is_empty() || field.fault.is_some() || is_usual(field)
    };
    let (first, others): (Vec<_>, Vec<_>) = form.fields.iter().partition(is_first);
    let is_wrong = form.fault.is_some() || form.fields.iter().any(|field| field.fault.is_some());
    html! {
        @if is_wrong {
            p #wrong .notice.bad role="alert" {
                "Nothing was sent. "
                @match &form.fault { Some(fault) => (fault), None => "See the errors next to the fields." }
            }
        }
        @for field in first { (entry(field)) }
        @if !others.is_empty() {
            details { summary { "More fields" } div .stack { @for field in others { (entry(field)) } } }
        }
    }
}

/// Not required, but usually filled in: an email's text, and ids that `fill_missing` may supply.
fn is_usual(field: &MessageField) -> bool {
    ["caseId", "textBody", "threadId", "timelineId"].contains(&field.name.as_str())
}

fn entry(field: &MessageField) -> Markup {
    let (name, id) = (format!("{PREFIX}{}", field.name), format!("field-{}", field.name));
    let about = format!("{id}-about");
    let said = field.fault.is_some() || hint(field.kind).is_some();
    let described = said.then_some(about.as_str());
    let invalid = field.fault.is_some().then_some("true");
    let text = field.text.as_str();
    html! {
        div .entry {
            label for=(id) { (field.name) @if !field.required { small { " (optional)" } } }
            @match field.kind {
                EntryKind::Line => input id=(id) name=(name) type="text" value=(text) required[field.required]
                    aria-invalid=[invalid] aria-describedby=[described];,
                EntryKind::Whole => input id=(id) name=(name) type="text" inputmode="numeric" value=(text)
                    required[field.required] aria-invalid=[invalid] aria-describedby=[described];,
                // Browsers drop the first line break in a text area.
                EntryKind::Text | EntryKind::Addresses | EntryKind::AnyJson => textarea id=(id) name=(name)
                    rows=(rows(field)) required[field.required] aria-invalid=[invalid] aria-describedby=[described]
                    { "\n" (text) },
                EntryKind::Choice(words) => select id=(id) name=(name) aria-invalid=[invalid] aria-describedby=[described] {
                    option value="" selected[text.is_empty()] { "default" }
                    @for word in words { option value=(word) selected[text == *word] { (word) } }
                    @if !text.is_empty() && !words.contains(&text) { option value=(text) selected { (text) } }
                },
            }
            @if said {
                p id=(about) .hint {
                    @if let Some(fault) = &field.fault { strong .fault { (fault) } " " }
                    @if let Some(hint) = hint(field.kind) { (hint) }
                }
            }
        }
    }
}

fn rows(field: &MessageField) -> usize {
    let least = if field.kind == EntryKind::Text { 4 } else { 2 };
    (field.text.lines().count() + 1).clamp(least, 16)
}

fn hint(kind: EntryKind) -> Option<&'static str> {
    match kind {
        EntryKind::Addresses => Some("One address on each line."),
        EntryKind::AnyJson => Some("JSON; empty to leave it out."),
        _ => None,
    }
}
