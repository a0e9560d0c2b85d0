//! Reads the sources and checks which modules may depend on which.

use std::fs;
use std::path::{Path, PathBuf};

/// A use of a module or crate that its own module must not know: `src/queue/job.rs:3: crate::store`.
type Violation = String;

/// The modules of the crate, from the lowest to the highest, as `lib.rs` declares them.
fn modules_in_order() -> Vec<String> {
    let lib = fs::read_to_string(source_root().join("lib.rs")).unwrap();
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
    declared.map(|rest| rest.trim_end_matches(';').to_owned()).collect()
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(path: PathBuf, into: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            rust_files(entry.unwrap().path(), into);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        into.push(path);
    }
}

/// The files of a module: `src/NAME.rs` and everything below `src/NAME`.
fn files_of(module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in [source_root().join(format!("{module}.rs")), source_root().join(module)] {
        if path.exists() {
            rust_files(path, &mut files);
        }
    }
    assert!(!files.is_empty(), "{module} has no files");
    files
}

/// Whether `word` is in the text as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

/// Where the module's files, comments and tests included, use a forbidden path such as `crate::store`.
fn violations(module: &str, forbidden: &[String]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files_of(module) {
        for (index, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for path in forbidden.iter().filter(|path| has_word(line, path)) {
                found.push(format!("{}:{}: {path}", file.display(), index + 1));
            }
        }
    }
    found
}

#[track_caller]
fn assert_knows_no_crate(module: &str, crates: &[&str]) {
    let forbidden: Vec<_> = crates.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(violations(module, &forbidden), [] as [Violation; 0]);
}

#[test]
fn a_module_depends_only_on_those_that_lib_rs_declares_before_it() {
    // `reload` makes the dispatcher's routes, and the dispatcher waits for it.
    let exceptions = [("reload", "dispatcher")];
    let modules = modules_in_order();
    assert!(modules.len() > 10, "{modules:?}");
    for (position, module) in modules.iter().enumerate() {
        let higher = modules[position + 1..].iter();
        let forbidden: Vec<_> = higher
            .filter(|other| !exceptions.contains(&(module.as_str(), other.as_str())))
            .map(|other| format!("crate::{other}"))
            .collect();
        assert_eq!(violations(module, &forbidden), [] as [Violation; 0]);
    }
}

#[test]
fn the_queue_knows_no_runtime_database_client_or_command_line() {
    assert_knows_no_crate("queue", &["tokio", "sqlx", "reqwest", "clap"]);
}

#[test]
fn the_configuration_knows_no_runtime_database_or_client() {
    assert_knows_no_crate("config", &["tokio", "sqlx", "reqwest", "clap"]);
}

#[test]
fn acquire_knows_no_database_and_no_command_line() {
    assert_knows_no_crate("acquire", &["sqlx", "clap"]);
}

#[test]
fn the_store_knows_no_http_and_no_command_line() {
    assert_knows_no_crate("store", &["reqwest", "hyper", "axum", "clap"]);
}
