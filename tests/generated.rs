//! What the package installs with the program: completions and manual pages are those of the
//! commands as they are.

use crate::support::Program;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const HOW: &str = "bring them up to date with `packaging/generate`";

fn program(folder: &Path) -> Program {
    Program::in_folder(folder)
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.map(named).collect()
}

fn packaged(folder: &str) -> BTreeMap<String, String> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(folder))
}

#[test]
fn the_packages_manual_pages_are_those_of_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("man")).unwrap();
    program(folder.path()).run(&["man", "man"]).expect(0);
    let (fresh, packaged) = (files(&folder.path().join("man")), packaged("man"));
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&packaged), "{HOW}");
    for (name, page) in &fresh {
        assert!(*page == packaged[name], "{name} is not the command's: {HOW}");
    }
    let list = &fresh["acquire-outbox-list.1"];
    assert!(list.contains(".SH EXAMPLES") && list.contains("\\-\\-status"), "{list}");
    let missing = program(folder.path()).run(&["man", "nowhere"]).expect(1);
    assert!(missing.stderr.contains("nowhere/acquire-outbox.1"), "{missing:?}");
}

#[test]
fn the_packages_completions_are_those_of_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let packaged = packaged("completions");
    let shells = [
        ("bash", "acquire-outbox.bash"),
        ("fish", "acquire-outbox.fish"),
        ("zsh", "_acquire-outbox"),
    ];
    for (shell, file) in shells {
        let script = program(folder.path()).run(&["completions", shell]).expect(0).stdout;
        assert!(script == packaged[file], "{file} is not the commands': {HOW}");
    }
}

#[test]
fn bash_completes_commands_and_the_values_of_a_flag() {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions/acquire-outbox.bash");
    let completed = |words: &str| {
        let count = words.split(' ').count() - 1;
        let line = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={count}; [ -n \"${{COMP_WORDS[{count}]}}\" ] || \
             COMP_WORDS[{count}]=; _acquire__outbox acquire-outbox \"${{COMP_WORDS[{count}]}}\" \
             \"${{COMP_WORDS[{count}-1]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let ran = Command::new("bash").args(["-c", &line]).output().expect("bash runs");
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("acquire-outbox sta"), "status");
    assert_eq!(completed("acquire-outbox list --channel s"), "sms");
}
