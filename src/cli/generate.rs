//! `completions` and `man`: generated from the definitions of the commands. The package contains
//! both (`packaging/completions`, `packaging/man`).

use super::manual::{closing_sections, configuration_page};
use super::{Cli, output};
use crate::links;
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const NAME: &str = "acquire-outbox";

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox completions bash \\
      > ~/.local/share/bash-completion/completions/acquire-outbox
  acquire-outbox completions fish \\
      > ~/.config/fish/completions/acquire-outbox.fish
  acquire-outbox completions zsh > ~/.zfunc/_acquire-outbox  (in $fpath)

The Debian package installs them for bash, fish and zsh.")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox man ~/.local/share/man/man1
  man acquire-outbox-list

The Debian package installs them.")]
pub struct ManArgs {
    /// The folder for acquire-outbox.1, acquire-outbox-list.1, ..., acquire-outbox.toml.5
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), NAME, &mut script);
    let script = String::from_utf8(script).context("a script of the names in Cli is text")?;
    // clap_complete 4.6 writes one name and looks for another if the program's name has a hyphen.
    let script = script.replace("acquire__subcmd__outbox__", "acquire__outbox__");
    output::line(script.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

pub fn man(args: &ManArgs) -> Result<ExitCode> {
    let mut command = command();
    command.build();
    page(&command, NAME, &args.folder)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        pages(sub, NAME, &args.folder)?;
    }
    write(&args.folder.join(format!("{NAME}.toml.5")), &configuration_page(&source()))?;
    Ok(ExitCode::SUCCESS)
}

fn source() -> String {
    format!("{NAME} {}", env!("CARGO_PKG_VERSION"))
}

fn command() -> Command {
    Cli::command()
}

/// A command's page and those of the commands below it.
fn pages(command: &Command, above: &str, folder: &Path) -> Result<()> {
    let name = format!("{above}-{}", command.get_name());
    page(command, &name, folder)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        pages(sub, &name, folder)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str, folder: &Path) -> Result<()> {
    let path = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone()).title(name).source(source()).manual(NAME);
    page.render(&mut text).context("a page in memory")?;
    let text = String::from_utf8(text).context("a page of the help is text")?;
    // The text after the options is mostly examples.
    let text = text.replace(".SH EXTRA", ".SH EXAMPLES");
    write(&path, &(text + &closing_sections(name)))
}

fn write(path: &Path, text: &str) -> Result<()> {
    links::followed(path)?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
