//! Programs that a test puts somewhere and runs from there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Copies a program to a path, to be run from there at once.
///
/// Another process copies it. If this one did, a child that another test starts meanwhile would hold the copy open for
/// writing until its own exec, and running the copy would fail: "Text file busy".
pub fn installed(program: impl AsRef<Path>, at: PathBuf) -> PathBuf {
    let copy = Command::new("install")
        .args(["-m", "755"])
        .arg(program.as_ref())
        .arg(&at)
        .output()
        .unwrap();
    assert!(copy.status.success(), "{copy:?}");
    at
}

/// Writes a shell script that can be run at once.
pub fn script(at: PathBuf, text: &str) -> PathBuf {
    let written = at.with_extension("written");
    fs::write(&written, format!("#!/bin/sh\n{text}")).unwrap();
    installed(written, at)
}
