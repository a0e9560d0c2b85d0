//! `settings`: every setting, as the reference has it.

use super::output;
use crate::config::settings::{Setting, VARIABLES, settings};
use anyhow::Result;
use std::fmt::Write as _;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox settings                     every setting, with its default
  acquire-outbox settings --json
  acquire-outbox settings --markdown > settings.md

The configuration file is the first of --config, ACQUIRE_OUTBOX_CONFIG,
acquire-outbox.toml in the working folder and /etc/acquire-outbox/config.toml.
Environment variables override it, and flags override both.")]
pub struct SettingsArgs {
    /// One JSON array
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// The page docs/settings.md
    #[arg(long)]
    markdown: bool,
}

pub fn run(args: &SettingsArgs) -> Result<ExitCode> {
    if args.json {
        output::json(&settings())?;
    } else if args.markdown {
        output::line(markdown().trim_end())?;
    } else {
        table().print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table() -> output::Table {
    let mut table = output::Table::new(["setting", "default", "range", "about"]);
    for setting in &settings() {
        table.row([full_name(setting), default(setting), range(setting), setting.about.to_owned()]);
    }
    table
}

/// `channels.CHANNEL.rate`
pub fn full_name(setting: &Setting) -> String {
    match setting.section {
        "" => setting.key.to_owned(),
        section => format!("{section}.{}", setting.key),
    }
}

pub fn default(setting: &Setting) -> String {
    if setting.default.is_empty() { "none" } else { setting.default }.to_owned()
}

/// `duration: 1ms to 1h`
pub fn range(setting: &Setting) -> String {
    match setting.range {
        "" => setting.kind.to_owned(),
        range => format!("{}: {range}", setting.kind),
    }
}

const INTRODUCTION: &str = "\
# Every setting

Made by `packaging/generate` from the program itself (`acquire-outbox settings --markdown`);
[configuration.md](configuration.md) explains them. `NAME` is an account's name, `CHANNEL` is `chat`, `mail` or `sms`.
The settings of `[retry]` can also be set for one channel, in `[channels.CHANNEL.retry]`. A secret (the API key, the
token, the password) is set by one of its three keys. *Reload*: `systemctl reload acquire-outbox` (SIGHUP) is enough.
";

const VARIABLES_INTRODUCTION: &str = "
## Environment variables

They override the file, and flags override them. An empty one counts as unset.
";

/// The page docs/settings.md.
fn markdown() -> String {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let mut page = INTRODUCTION.to_owned();
    let mut section = None;
    for setting in &settings() {
        if section != Some(setting.section) {
            section = Some(setting.section);
            let heading = match setting.section {
                "" => "Top level".to_owned(),
                section => format!("[{section}]"),
            };
            let _ = writeln!(
                page,
                "\n## {heading}\n\n| key | type and range | default | takes effect | variable, flag | what it sets |\n|---|---|---|---|---|---|"
            );
        }
        let others = [setting.variable, setting.flag].map(code);
        let others: Vec<_> = others.into_iter().filter(|name| !name.is_empty()).collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} |",
            setting.key,
            range(setting),
            code(setting.default),
            setting.takes_effect,
            others.join(", "),
            setting.about
        );
    }
    page += VARIABLES_INTRODUCTION;
    page += "\n| variable | what it sets |\n|---|---|\n";
    for (name, about) in VARIABLES {
        let _ = writeln!(page, "| `{name}` | {about} |");
    }
    page
}
