//! What a manual page has besides the help: environment, files and exit status; and the page of the
//! configuration file, acquire-outbox.toml(5).

use super::setting_list::{default, full_name, range};
use crate::config::settings::{VARIABLES, settings};
use std::fmt::Write as _;

const FILES: [(&str, &str); 5] = [
    ("acquire-outbox.toml", "the configuration, in the working folder"),
    (
        "/etc/acquire-outbox/config.toml",
        "the configuration, if there is none in the working folder",
    ),
    (
        "outbox.db",
        "the database, unless another is named; the files next to it whose names begin with outbox.db- belong to it and must never be deleted",
    ),
    ("outbox.db.dispatcher-lock", "the lock of the dispatcher that works on the database"),
    (
        ".outbox.db.dispatcher-answers, .outbox.db.dispatcher-note",
        "the dispatcher's notes, which it needs after a kill or a restored backup",
    ),
];

const EXIT: [(&str, &str); 4] = [
    ("0", "done"),
    ("1", "failed; the last line on standard error says why"),
    ("2", "wrong usage: an unknown command or flag, or a value that is not allowed"),
    (
        "78",
        "the configuration is wrong, or the database must not be used under this name or for this purpose; trying again does not help",
    ),
];

/// What `status --check` adds.
const NOBODY: (&str, &str) = ("3", "with --check: no dispatcher works on the outbox");

/// The sections after the examples of a command's page.
pub fn closing_sections(page: &str) -> String {
    let mut text = String::new();
    section(&mut text, "ENVIRONMENT", VARIABLES);
    section(&mut text, "FILES", &FILES);
    let mut exit = EXIT.to_vec();
    if page == "acquire-outbox-status" {
        exit.push(NOBODY);
    }
    section(&mut text, "EXIT STATUS", &exit);
    text += ".SH SEE ALSO\n\\fBacquire\\-outbox\\fR(1), \\fBacquire\\-outbox.toml\\fR(5)\n";
    text
}

/// The page of section 5.
pub fn configuration_page(source: &str) -> String {
    let mut text = format!(
        ".TH acquire\\-outbox.toml 5 \"\" \"{}\" acquire\\-outbox\n.SH NAME\nacquire\\-outbox.toml \\- the \
         configuration of acquire\\-outbox\n.SH DESCRIPTION\n",
        escaped(source)
    );
    text += "The file is the first of \\fB\\-\\-config\\fR, \\fBACQUIRE_OUTBOX_CONFIG\\fR, \
             acquire\\-outbox.toml in the working folder and /etc/acquire\\-outbox/config.toml. It is TOML. \
             Environment variables override it, and flags override both. Relative paths in it are relative to its \
             folder. Unknown keys are errors that name the key and its line. NAME stands for an account's \
             name, CHANNEL for chat, mail or sms; the settings of [retry] can also be set in \
             [channels.CHANNEL.retry].\n.SH SETTINGS\n";
    for setting in &settings() {
        let _ = writeln!(text, ".TP\n\\fB{}\\fR", escaped(&full_name(setting)));
        let about = [
            format!("{}.", capital(setting.about)),
            format!("{}.", capital(&range(setting))),
            format!("Default: {}.", default(setting)),
            format!("A change takes effect at a {}.", setting.takes_effect),
            named("Variable", setting.variable),
            named("Flag", setting.flag),
        ];
        let about: Vec<_> = about.into_iter().filter(|sentence| !sentence.is_empty()).collect();
        let _ = writeln!(text, "{}", escaped(&about.join(" ")));
    }
    text += ".SH EXAMPLE\n.nf\ndatabase = \"outbox.db\"\n\n[accounts.default]\naccount_id = \"acme\"\n\
             api_key_file = \"/etc/acquire\\-outbox/key\"\n\n[channels.sms]\nrate = \"10/s\"\n\
             on_uncertain = \"hold\"\n.fi\n";
    text + &closing_sections("acquire-outbox.toml")
}

/// `Variable: NAME.`; empty where there is none.
fn named(what: &str, name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{what}: {name}.") }
}

fn section(text: &mut String, heading: &str, entries: &[(&str, &str)]) {
    let _ = writeln!(text, ".SH \"{heading}\"");
    for (name, about) in entries {
        let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", escaped(name), escaped(about));
    }
}

/// A line of roff must not begin with a dot, and a hyphen is one that can be copied.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", chars.as_str())
}
