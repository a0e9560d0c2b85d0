//! The README and the pages under docs stay true: configuration, commands and SQL are tried as they
//! stand.

use crate::support::{Database, KEY, Program};
use acquire_outbox::config::{self, ChannelPolicy, Config, Flags, Retention};
use acquire_outbox::queue::job::{Channel, Status};
use acquire_outbox::queue::payload;
use acquire_outbox::queue::retry::RetryPolicy;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const README: &str = include_str!("../README.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");
const GUARANTEES: &str = include_str!("../docs/guarantees.md");
const PRODUCERS: &str = include_str!("../docs/producers.md");

/// Every page that names commands.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
    let docs = docs
        .map(|entry| entry.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "md"));
    docs.map(|page| fs::read_to_string(page).unwrap()).chain([README.to_owned()]).collect()
}

/// The fenced blocks of this language, without their fences.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    // In a list, a block and its fences are indented.
    let ended = |rest: &'a str| rest.split_once("```").expect("a closing fence").0.trim_end();
    page.split(&fence).skip(1).map(ended).collect()
}

/// What stands between backticks in the prose and in the tables.
fn quoted(page: &str) -> Vec<&str> {
    let prose = |(at, part): (usize, _)| at.is_multiple_of(2).then_some(part);
    let paragraphs = page.split("```").enumerate().filter_map(prose);
    paragraphs.flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
}

fn configured(text: &str) -> Config {
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let text = text.replace("/etc/acquire-outbox/key", key.to_str().unwrap());
    let file = folder.path().join("outbox.toml");
    fs::write(&file, text).unwrap();
    let flags = Flags { config: Some(file), database: None, ..Flags::default() };
    config::load(&flags, &|_| None).unwrap()
}

#[test]
fn the_configuration_is_valid_and_gives_the_defaults() {
    let [block] = blocks(CONFIGURATION, "toml")[..] else {
        panic!("one block of TOML is expected")
    };
    let account = "[accounts.default]\naccount_id = \"acme\"\napi_key_file = \"key\"\n";
    let (written, bare) = (configured(block), configured(account));
    assert_eq!(written.channels, bare.channels);
    assert!(written.channels.values().all(|policy| *policy == ChannelPolicy::default()));
    assert_eq!(written.retry, RetryPolicy::default());
    assert_eq!(written.retention, Retention::default());
    assert_eq!(written.shutdown_timeout, bare.shutdown_timeout);
    assert_eq!(written.max_in_flight_bytes, bare.max_in_flight_bytes);
    for config in [&written, &bare] {
        let database = config.database.to_string();
        assert!(Path::new(&database).ends_with("outbox.db"), "{database}");
    }
    assert_eq!(written.accounts["default"].base_url.as_str(), "https://acme.acquire.io/api/v1");
    assert!(block.contains(written.accounts["default"].base_url.as_str()));
}

#[test]
fn what_the_configuration_leaves_in_comments_is_valid_too() {
    let block = blocks(CONFIGURATION, "toml")[0];
    let rate = block.replace("# rate = ", "rate = ");
    let sms = |config: &Config| config.channels[&Channel::Sms].clone();
    let given = sms(&configured(&rate)).rate.unwrap();
    assert_eq!((given.count, given.per), (10, Duration::from_secs(1)));
    let account = block.replace("# base_url", "base_url").replace("# user_type", "user_type");
    let account = configured(&account).accounts["default"].clone();
    assert_eq!(account.base_url.as_str(), "http://127.0.0.1:8787/api/v1");
    assert_eq!(
        account.user_type_parameter,
        configured(block).accounts["default"].user_type_parameter
    );
}

#[test]
fn the_numbers_in_the_guarantees_are_the_defaults() {
    let policy = ChannelPolicy::default();
    let retries = format!("`uncertain_retries` ({})", policy.uncertain_retries);
    let attempts = format!("`max_attempts` ({})", policy.retry.max_attempts);
    let hours = policy.retry.give_up_after.as_secs() / 3600;
    for words in [retries, attempts, format!("`give_up_after` ({hours} h)")] {
        assert!(GUARANTEES.contains(&words), "{words}");
    }
}

#[test]
fn every_command_that_a_page_names_exists_with_its_flags() {
    let tried: usize = pages().iter().map(|page| commands_that_exist(page)).sum();
    assert!(tried >= 60, "only {tried} were found");
}

/// Tries the help of every command that the page names, for each flag that stands with it.
fn commands_that_exist(page: &str) -> usize {
    let program = Program::in_folder(&std::env::temp_dir());
    let shell = blocks(page, "sh").join("\n");
    let typed = shell.lines().filter(|line| !line.starts_with('#')).chain(quoted(page));
    let overview = page.lines().filter(|line| line.starts_with("    acquire-outbox "));
    let mut tried = 0;
    for line in typed.chain(overview) {
        let Some((before, arguments)) = line.split_once("acquire-outbox ") else { continue };
        // A file or a unit of this name, and the settings before a command.
        if !before.is_empty() && !before.ends_with([' ', '(', '$']) || arguments.starts_with('-') {
            continue;
        }
        // The overview gives what is said about a command after wide space. There a bar stands between
        // commands, else before another program.
        let arguments = arguments.trim_end().split("  ").next().unwrap();
        let commands = if line.starts_with("    ") { usize::MAX } else { 1 };
        for command in arguments.split('|').map(str::trim).take(commands) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let flags = words.iter().filter(|word| word.starts_with("--"));
            let flags =
                flags.map(|flag| flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()));
            let Some(&name) = words.first() else { continue };
            if ["chat", "mail", "sms", "..."].contains(&name) || name.starts_with("sms") {
                continue;
            }
            if !name.starts_with(|c: char| c.is_ascii_lowercase()) || before.contains("systemctl") {
                continue;
            }
            let help = program.run(&[name, "--help"]).expect(0).stdout;
            for flag in flags {
                assert!(
                    help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
                    "{flag} in {line}"
                );
            }
            tried += 1;
        }
    }
    tried
}

#[test]
fn its_sql_runs_on_a_fresh_outbox() {
    let folder = TempDir::new().unwrap();
    Program::in_folder(folder.path()).run(&["init"]).expect(0);
    let database = Database::at(folder.path().join("outbox.db"));
    for block in
        [README, GUARANTEES, CONFIGURATION].into_iter().flat_map(|page| blocks(page, "sql"))
    {
        for statement in block.split_inclusive(';') {
            database.query(statement);
        }
    }
    for update in quoted(GUARANTEES).into_iter().filter(|text| text.starts_with("UPDATE ... SET")) {
        database.query(&format!("{} WHERE id = 1", update.replace("...", "outbox")));
    }
}

/// The first cell of each row of a table, and the row, between these two headings.
fn rows<'a>(page: &'a str, from: &str, to: &str) -> Vec<(&'a str, &'a str)> {
    let section = page.split_once(from).unwrap().1.split_once(to).unwrap().0;
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| (line.split('`').nth(1).unwrap(), line)).collect()
}

#[test]
fn its_tables_name_the_columns_the_fields_and_the_states() {
    let folder = TempDir::new().unwrap();
    Program::in_folder(folder.path()).run(&["init"]).expect(0);
    let database = Database::at(folder.path().join("outbox.db"));
    let columns = database.query("SELECT name FROM pragma_table_info('outbox')");
    let (producer, payload): (Vec<_>, Vec<_>) =
        rows(PRODUCERS, "## The columns", "## What an INSERT")
            .into_iter()
            .partition(|(name, _)| columns.iter().any(|column| column["name"] == *name));
    assert_eq!(producer.len(), 10, "{producer:?}");
    assert_eq!(payload.len(), Channel::ALL.len(), "{payload:?}");
    for (channel, row) in payload {
        for field in payload::known_fields(channel.parse().unwrap()) {
            assert!(*field == "extra" || row.contains(&format!("`{field}`")), "{field} in {row}");
        }
    }
    let states: Vec<&str> = rows(GUARANTEES, "## States", "## Guarantees")
        .into_iter()
        .map(|(state, _)| state)
        .filter(|word| word.parse::<Status>().is_ok())
        .collect();
    assert_eq!(states, Status::ALL.map(Status::as_str));
}

/// The tour up to the real delivery, as written except for its folder; without the command that
/// serves.
#[test]
fn its_tour_runs_as_written_and_stays_in_its_own_file() {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !there("sqlite3") || !there("python3") {
        return crate::support::skipped(
            "sqlite3 or python3 is not installed, so the tour was not run",
        );
    }
    let folder = TempDir::new().unwrap();
    let (tour, elsewhere) = (folder.path().join("tour"), folder.path().join("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    Program::in_folder(&elsewhere).run(&["init"]).expect(0);
    let blocks = blocks(README, "sh");
    let start = blocks.iter().position(|block| block.contains("init --sandbox")).unwrap();
    let end = blocks.iter().position(|block| block.contains("ACQUIRE_ACCOUNT_ID")).unwrap();
    let script: Vec<_> = blocks[start..end]
        .iter()
        .flat_map(|block| block.lines())
        .filter(|line| !line.starts_with("cargo ") && !line.contains("--listen"))
        .collect();
    let script = script.join("\n").replace("/tmp/tour", tour.to_str().unwrap());
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let program = env!("CARGO_BIN_EXE_acquire-outbox");
    std::os::unix::fs::symlink(program, bin.join("acquire-outbox")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    // As on a machine whose configuration names a database.
    let ran = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path)
        .env_remove("CARGO_HOME")
        .env("ACQUIRE_OUTBOX_DATABASE", elsewhere.join("outbox.db"))
        .current_dir(&elsewhere)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let database = Database::at(tour.join("outbox.db"));
    let sent =
        "SELECT count(*) FROM outbox WHERE status = 'sent' AND json_extract(receipt, '$.sandbox')";
    assert_eq!(database.number(sent), 2, "{said}");
    let untouched = Database::at(elsewhere.join("outbox.db"));
    assert_eq!(untouched.number("SELECT count(*) FROM outbox"), 0);
    assert_eq!(untouched.number("SELECT epoch FROM outbox_dispatcher"), 0);
}

/// The tour's commands of producers, each as it stands, in the outbox that the tour begins with.
#[test]
fn its_producers_run_as_written() {
    let folder = TempDir::new().unwrap();
    Program::in_folder(folder.path()).run(&["init"]).expect(0);
    let database = Database::at(folder.path().join("outbox.db"));
    let starts = [("sqlite3", "sqlite3 "), ("python3", "python3 - ")];
    for (program, start) in starts {
        if Command::new(program).arg("--version").output().is_err() {
            eprintln!("SKIPPED: {program} is not installed, so its blocks were not tried");
            continue;
        }
        for block in blocks(README, "sh").into_iter().filter(|block| block.starts_with(start)) {
            let script = block.split("\nexport ").next().unwrap();
            let mut shell = Command::new("sh");
            let ran = shell.args(["-c", script]).current_dir(folder.path()).output().unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            match block.split_once("\n# outbox.") {
                Some((_, refusal)) => assert!(said.contains(refusal.trim()), "{said}\n{block}"),
                None => assert!(ran.status.success(), "{said}\n{block}"),
            }
        }
        assert!(database.number("SELECT count(*) FROM outbox") > 0, "{program}");
        database.query("DELETE FROM outbox");
    }
}
