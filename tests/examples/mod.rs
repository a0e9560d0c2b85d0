//! The example producers, each run as it stands against the real daemon.

mod files;
mod servers;

use crate::support::skipped;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A way to start an example; `None`, and a line that says so, where its runtime is missing.
/// With `CI` (the gate, which installs them) a missing one fails.
fn runtime(language: &str, probe: &mut Command) -> Option<()> {
    let there = probe.output().is_ok_and(|done| done.status.success());
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{language} or its driver is not installed: {probe:?}"
    );
    if !there {
        skipped(&format!("{language} or its driver is not installed, its example was not run"));
    }
    there.then_some(())
}

/// In this folder of the repository.
fn command(folder: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository().join(folder));
    command
}

/// Where `npm install --prefix target/producers` has put its modules, or NODE_PATH says.
fn node(folder: &str, arguments: &[&str]) -> Command {
    let modules = repository().join("target/producers/node_modules");
    let path = std::env::var("NODE_PATH").unwrap_or_else(|_| modules.display().to_string());
    let mut node = command(folder, "node", arguments);
    node.env("NODE_PATH", path);
    node
}

/// With the libraries that Debian packages.
fn go(folder: &str, arguments: &[&str]) -> Command {
    let mut go = command(folder, "go", arguments);
    go.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "");
    go
}

/// Standard output without its line end; panics unless the exit code is this one.
#[track_caller]
fn said(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned()
}

/// Panics unless a compiler was content.
#[track_caller]
fn built(compiler: &mut Command) {
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The programs of a folder of examples, without its README.
fn programs(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(repository().join(folder)).unwrap().flatten();
    let files = entries.map(|entry| entry.path()).filter(|path| path.is_file());
    let names = files.map(|path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name != "README.md").collect()
}
