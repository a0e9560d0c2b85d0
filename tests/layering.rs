//! Reads the sources and checks what each layer may know of the others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust source below a folder of `src`, with its path from `src` on.
fn sources(folder: &str) -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut left) = (Vec::new(), vec![src.join(folder)]);
    while let Some(folder) = left.pop() {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) =
            entries.partition(|path| path.is_dir());
        left.extend(folders);
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
            let name = file.strip_prefix(&src).unwrap().display().to_string();
            found.push((name, fs::read_to_string(file).unwrap()));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing in {folder}");
    found
}

/// What the program does: without comments and without tests, by line number.
fn code(text: &str) -> Vec<(usize, &str)> {
    let tests = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(crate) mod tests {"];
    let end = tests.iter().filter_map(|start| text.find(start)).min().unwrap_or(text.len());
    let lines = text[..end].lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).collect()
}

/// Code that needs to know how an outbox is stored.
fn is_the_stores_own(file: &str) -> bool {
    file.starts_with("store/sqlite/")
        || file.starts_with("store/postgres/")
        || matches!(
            file,
            "store/mod.rs"
                | "store/answer_note.rs"
                | "store/reads.rs"
                | "store/tenure.rs"
                | "store/read_back_work.rs"
                | "store/move_over.rs"
                | "config/database.rs"
        )
}

/// A file of tests alone.
fn is_of_tests(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// Words of SQL; in capitals, as all of ours is written.
const SQL: [&str; 12] = [
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "UPDATE outbox",
    "DELETE FROM ",
    "PRAGMA ",
    "CREATE TABLE",
    "DROP TABLE",
    "BEGIN IMMEDIATE",
    "ON CONFLICT",
    "sqlx::",
    "outbox_migrations",
];

/// What only somebody who knows that the outbox is a file would write.
const FILE: [&str; 8] =
    ["-wal", "-shm", "sqlite", ".ino()", ".nlink()", "inotify", "Database::File", "try_lock("];

/// Where such a word is allowed outside the store, and why.
const ALLOWED: [(&str, &str, &str); 12] = [
    ("cli/demo.rs", "INSERT INTO ", "the demo shows a producer's own SQL"),
    ("cli/demo.rs", "INSERT OR ", "the demo shows a producer's own SQL"),
    ("cli/demo.rs", "SELECT ", "the demo suggests a query"),
    ("cli/demo.rs", "sqlite3", "the demo suggests a query"),
    ("cli/retry_cancel.rs", "UPDATE outbox", "help: the same in SQL, which is a full client"),
    ("cli/list.rs", "SELECT ", "help: the same in SQL"),
    ("cli/pause_resume.rs", "INSERT INTO ", "help: the same in SQL"),
    ("cli/pause_resume.rs", "DELETE FROM ", "help: the same in SQL"),
    (
        "store/migrations.rs",
        "sqlx::",
        "the migrations of both engines are compiled in the same way",
    ),
    ("store/migrations.rs", "outbox_migrations", "and recorded in the same table"),
    ("cli/nodes.rs", "SQLite", "help: what only PostgreSQL has"),
    (
        "cli/import/coding.rs",
        "SQLite",
        "a database given as the file to import is recognised by its first bytes",
    ),
];

#[test]
fn only_the_store_knows_sql_and_the_file() {
    let mut wrong = Vec::new();
    for (file, text) in sources("") {
        if is_the_stores_own(&file) || is_of_tests(&file) {
            continue;
        }
        for (number, line) in code(&text) {
            let lower = line.to_ascii_lowercase();
            let found = SQL.iter().filter(|word| line.contains(**word));
            let found = found.chain(FILE.iter().filter(|word| {
                let word = word.to_ascii_lowercase();
                lower.contains(&word)
            }));
            for word in found {
                let is_allowed = ALLOWED.iter().any(|(allowed, part, _)| {
                    *allowed == file && line.to_lowercase().contains(&part.to_lowercase())
                });
                if !is_allowed {
                    wrong.push(format!("src/{file}:{number}: `{word}`: {}", line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// An exception that nothing needs any more goes.
#[test]
fn every_exception_is_needed() {
    for (file, word, why) in ALLOWED {
        let sources = sources("");
        let text = sources.iter().find(|(name, _)| name == file).map(|(_, text)| text);
        let needed = text.is_some_and(|text| {
            code(text).iter().any(|(_, line)| line.to_lowercase().contains(&word.to_lowercase()))
        });
        assert!(needed, "{file}: {word}: {why}");
    }
}

/// The modules of the crate, from the lowest to the highest, as `lib.rs` declares them.
fn modules_in_order() -> Vec<String> {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let lib = fs::read_to_string(lib).unwrap();
    let declared = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod "));
    declared.map(|rest| rest.trim_end_matches(';').to_owned()).collect()
}

/// Whether `word` is in the text as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

/// Where a module, comments and tests included, mentions one of these paths, such as `crate::store`.
fn mentions(module: &str, paths: &[String]) -> Vec<String> {
    let (file_name, folder) = (format!("{module}.rs"), format!("{module}/"));
    let is_of_module = |file: &str| file == file_name || file.starts_with(&folder);
    let mut found = Vec::new();
    let files = sources("").into_iter().filter(|(file, _)| is_of_module(file));
    for (file, text) in files {
        for (index, line) in text.lines().enumerate() {
            for path in paths.iter().filter(|path| has_word(line, path)) {
                found.push(format!("src/{file}:{}: {path}", index + 1));
            }
        }
    }
    found
}

#[test]
fn a_module_depends_only_on_those_that_lib_rs_declares_before_it() {
    // `reload` makes the dispatcher's routes, and the dispatcher waits for it.
    let exceptions = [("reload", "dispatcher")];
    let modules = modules_in_order();
    assert!(modules.len() > 10, "{modules:?}");
    let mut wrong = Vec::new();
    for (position, module) in modules.iter().enumerate() {
        let higher = modules[position + 1..].iter();
        let forbidden: Vec<_> = higher
            .filter(|other| !exceptions.contains(&(module.as_str(), other.as_str())))
            .map(|other| format!("crate::{other}"))
            .collect();
        wrong.extend(mentions(module, &forbidden));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_lower_layers_know_no_crate_of_a_higher_one() {
    let mut wrong = Vec::new();
    for (module, crates) in [
        ("queue", &["tokio", "sqlx", "reqwest", "clap"][..]),
        ("config", &["tokio", "sqlx", "reqwest", "clap"]),
        ("acquire", &["sqlx", "clap"]),
        ("store", &["reqwest", "hyper", "axum", "clap"]),
    ] {
        let crates: Vec<_> = crates.iter().map(|name| (*name).to_owned()).collect();
        wrong.extend(mentions(module, &crates));
    }
    // Errors without a type are for whoever only prints them.
    let typed = modules_in_order().into_iter().filter(|name| name != "cli" && name != "program");
    for module in typed {
        wrong.extend(mentions(&module, &["anyhow".to_owned()]));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The two engines have the same parts, and give them the same names.
fn is_of_both_engines(files: &[String]) -> bool {
    let of = |engine: &str| files.iter().filter(|file| file.starts_with(engine)).count();
    files.len() == 2 && of("store/sqlite/") == 1 && of("store/postgres/") == 1
}

/// The names that are given more than once, each with the files that give it.
fn repeated(names: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, file) in names {
        files.entry(name).or_default().push(file);
    }
    let repeated =
        files.into_iter().filter(|(_, files)| files.len() > 1 && !is_of_both_engines(files));
    repeated.map(|(name, files)| format!("{name}: {}", files.join(", "))).collect()
}

#[test]
fn a_file_has_a_name_that_no_other_has() {
    let name = |(file, _): (String, String)| (file.rsplit('/').next().unwrap().to_owned(), file);
    let names = sources("").into_iter().map(name);
    let repeated = repeated(names.filter(|(name, _)| name != "mod.rs" && name != "tests.rs"));
    assert!(repeated.is_empty(), "\n{}", repeated.join("\n"));
}

/// The type that this line declares. Associated types are indented, and named by their trait.
fn declared_type(line: &str) -> Option<String> {
    let is_indented = line.starts_with(' ');
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
    match words.next()? {
        "type" if is_indented => None,
        "struct" | "enum" | "trait" | "union" | "type" => {
            let name = words.next()?;
            let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
            name.starts_with(|c: char| c.is_uppercase()).then(|| name[..end].to_owned())
        }
        _ => None,
    }
}

#[test]
fn a_type_has_a_name_that_no_other_has() {
    let mut names = Vec::new();
    for (file, text) in sources("").into_iter().filter(|(file, _)| !is_of_tests(file)) {
        let types = code(&text).into_iter().filter_map(|(_, line)| declared_type(line));
        names.extend(types.map(|name| (name, file.clone())));
    }
    assert!(names.len() > 200, "only {} types were found", names.len());
    let repeated = repeated(names.into_iter());
    assert!(repeated.is_empty(), "\n{}", repeated.join("\n"));
}
