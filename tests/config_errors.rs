//! Where the configuration is read from, and invalid ones, which end with status 78.

use crate::support::{Finished, KEY, Outbox, Program, Server, never_shows};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// Runs `command` in a directory with a key file and this configuration.
#[track_caller]
fn configured(config: &str, command: &[&str]) -> Finished {
    let folder = TempDir::new().unwrap();
    write_key(&folder.path().join("key"), KEY);
    fs::write(folder.path().join("outbox.toml"), config).unwrap();
    let file = folder.path().join("outbox.toml");
    let program = Program::in_folder(folder.path());
    program.env("ACQUIRE_OUTBOX_CONFIG", file.to_str().unwrap()).run(command)
}

const GOOD: &str = "database = \"outbox.db\"\n[accounts.default]\naccount_id = \"acme\"\n\
                    api_key_file = \"key\"\nbase_url = \"http://127.0.0.1:9/api/v1\"\n";

/// `run` and `check` end with 78 and a message that contains all of the words.
#[track_caller]
fn assert_wrong(config: &str, words: &[&str]) {
    for command in ["run", "check"] {
        let finished = configured(config, &[command]).expect(78);
        let said = finished.output();
        for word in words {
            assert!(said.contains(word), "no {word:?} in {finished:?}");
        }
        never_shows("the error", &said, KEY);
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    assert_wrong(&format!("{GOOD}api_kee = 1\n"), &["api_kee", "line 6"]);
    assert_wrong(&format!("colour = \"red\"\n{GOOD}"), &["colour", "line 1"]);
    assert_wrong(&format!("{GOOD}[retry]\nmax_atempts = 3\n"), &["max_atempts", "line 7"]);
    assert_wrong(&format!("{GOOD}[channels.chat]\nratee = \"1/s\"\n"), &["ratee", "line 7"]);
    assert_wrong(&format!("{GOOD}[channels.fax]\nrate = \"1/s\"\n"), &["fax"]);
}

#[test]
fn a_database_that_is_not_a_file_is_refused_wherever_it_is_set() {
    let folder = TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    for given in [":memory:", "file:x.db", "file:x.db?mode=memory", "sqlite:x.db", "sqlite://x.db"]
    {
        let by_file = GOOD.replace("outbox.db", given);
        for command in [&["init"][..], &["status"], &["run", "--sandbox"], &["check"], &["list"]] {
            let by_flag = program.run(&[&["--database", given], command].concat());
            let by_variable = program.clone().env("ACQUIRE_OUTBOX_DATABASE", given).run(command);
            let by_file = configured(&by_file, command);
            for (finished, place) in [
                (by_flag, "--database: "),
                (by_variable, "environment variable ACQUIRE_OUTBOX_DATABASE: "),
                (by_file, "line 1: `database`: "),
            ] {
                let said = finished.expect(78).output();
                assert!(said.contains(place) && said.contains("such as outbox.db"), "{said}");
            }
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn invalid_toml_is_reported_with_its_line() {
    assert_wrong(&format!("{GOOD}[retry\n"), &["outbox.toml", "line 6"]);
}

#[test]
fn an_invalid_value_is_named() {
    let in_retry = |line: &str| format!("{GOOD}[retry]\n{line}\n");
    let in_chat = |line: &str| format!("{GOOD}[channels.chat]\n{line}\n");
    assert_wrong(&in_retry("initial = \"soon\""), &["initial"]);
    assert_wrong(&in_retry("initial = 5"), &["initial"]);
    assert_wrong(&in_retry("multiplier = 0.5"), &["multiplier"]);
    assert_wrong(&in_retry("jitter = 2.0"), &["jitter"]);
    assert_wrong(&in_retry("max_attempts = 0"), &["max_attempts"]);
    assert_wrong(&in_chat("rate = \"quick\""), &["rate"]);
    assert_wrong(&in_chat("max_in_flight = 0"), &["max_in_flight"]);
    assert_wrong(&in_chat("on_uncertain = \"pray\""), &["on_uncertain", "hold"]);
}

#[test]
fn an_account_without_a_key_or_an_address_is_named() {
    let account = "database = \"outbox.db\"\n[accounts.support]\n";
    let key = "api_key_file = \"key\"\n";
    let id = "account_id = \"acme\"\n";
    assert_wrong(&format!("{account}{id}"), &["support", "api_key"]);
    assert_wrong(&format!("{account}{key}"), &["support", "account_id"]);
    let missing = format!("{account}{id}api_key_file = \"no-such-file\"\n");
    assert_wrong(&missing, &["no-such-file"]);
    let unset = format!("{account}{id}api_key_env = \"NO_SUCH_API_KEY\"\n");
    assert_wrong(&unset, &["NO_SUCH_API_KEY"]);
}

#[test]
fn plain_http_is_only_for_this_machine() {
    let remote = GOOD.replace("127.0.0.1:9", "acquire.example");
    assert_wrong(&remote, &["base_url", "https"]);
    assert_wrong(&GOOD.replace("http://127.0.0.1:9/api/v1", "nonsense"), &["base_url"]);
}

#[test]
fn a_key_written_into_the_file_is_refused_without_showing_it() {
    let inside = GOOD.replace("api_key_file = \"key\"", &format!("api_key = \"{KEY}\""));
    assert_wrong(&inside, &["api_key", "line 4"]);
}

#[test]
fn an_empty_or_broken_key_is_refused_without_showing_it() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("outbox.toml"), GOOD).unwrap();
    let file = folder.path().join("outbox.toml");
    let program = Program::in_folder(folder.path());
    let program = program.env("ACQUIRE_OUTBOX_CONFIG", file.to_str().unwrap());
    for content in [String::new(), " \n".into(), format!("{KEY}\n{KEY}"), format!("{KEY}\u{1}")] {
        write_key(&folder.path().join("key"), &content);
        let finished = program.run(&["run"]).expect(78);
        never_shows("the error", &finished.output(), KEY);
        assert!(finished.stderr.contains("key"), "{finished:?}");
    }
}

#[test]
fn a_named_configuration_that_is_missing_is_an_error() {
    let folder = TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let finished = program.run(&["--config", "not-there.toml", "run"]).expect(78);
    assert!(finished.stderr.contains("not-there.toml"), "{finished:?}");
}

#[test]
fn without_a_configuration_the_error_says_what_to_set() {
    let folder = TempDir::new().unwrap();
    let finished = Program::in_folder(folder.path()).run(&["run"]).expect(78);
    assert!(finished.stderr.contains("ACQUIRE_"), "{finished:?}");
}

#[test]
fn a_key_file_that_everyone_can_read_is_refused_with_the_command_that_fixes_it() {
    let (server, folder) = (Server::start(), TempDir::new().unwrap());
    let key = folder.path().join("key");
    fs::write(&key, KEY).unwrap();
    let program = Program::in_folder(folder.path())
        .env("ACQUIRE_API_KEY_FILE", key.to_str().unwrap())
        .env("ACQUIRE_BASE_URL", server.base_url());
    let run = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        program.run(&["run", "--init", "--until-empty"])
    };
    let refused = run(0o644).expect(78);
    assert!(refused.stderr.contains(&format!("chmod o-r {}", key.display())), "{refused:?}");
    run(0o640).expect(0);
}

/// A key file that only its owner can read.
fn write_key(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Sends one job with whatever configuration the program finds.
#[track_caller]
fn assert_sends(program: &Program, global: &[&str], database: &Path, server: &Server) {
    let run = |arguments: &[&str]| {
        let all: Vec<&str> = global.iter().chain(arguments).copied().collect();
        program.run(&all).expect(0)
    };
    run(&["init"]);
    run(&["send", "chat", "--case-id", "9", "--message", "hi"]);
    run(&["run", "--until-empty"]);
    assert_eq!(server.words(), ["hi"]);
    let bearer = format!("Bearer {KEY}");
    assert_eq!(server.requests()[0].header("authorization"), Some(bearer.as_str()));
    assert!(database.exists(), "{} is not there", database.display());
}

#[test]
fn the_environment_alone_is_enough() {
    for from_file in [false, true] {
        let (server, folder) = (Server::start(), TempDir::new().unwrap());
        let database = folder.path().join("of-env.db");
        let key = folder.path().join("key");
        write_key(&key, &format!("{KEY}\n"));
        let program = Program::in_folder(folder.path())
            .env("ACQUIRE_OUTBOX_DATABASE", database.to_str().unwrap())
            .env("ACQUIRE_ACCOUNT_ID", "acme")
            .env("ACQUIRE_BASE_URL", server.base_url());
        let program = if from_file {
            program.env("ACQUIRE_API_KEY_FILE", key.to_str().unwrap())
        } else {
            program.env("ACQUIRE_API_KEY", KEY)
        };
        assert_sends(&program, &[], &database, &server);
    }
}

#[test]
fn the_file_is_found_by_flag_by_variable_and_in_the_working_directory() {
    for way in ["flag", "variable", "folder"] {
        let (server, folder) = (Server::start(), TempDir::new().unwrap());
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let home = if way == "folder" { folder.path() } else { elsewhere.as_path() };
        let file = home.join("acquire-outbox.toml");
        let config = GOOD.replace("http://127.0.0.1:9/api/v1", &server.base_url());
        fs::write(&file, config).unwrap();
        write_key(&home.join("key"), KEY);
        let file = file.to_str().unwrap();
        let program = Program::in_folder(folder.path());
        // Relative paths in the file are relative to the file.
        let database = home.join("outbox.db");
        match way {
            "flag" => assert_sends(&program, &["--config", file], &database, &server),
            "variable" => {
                let program = program.env("ACQUIRE_OUTBOX_CONFIG", file);
                assert_sends(&program, &[], &database, &server);
            }
            _ => assert_sends(&program, &[], &database, &server),
        }
    }
}

#[test]
fn a_flag_overrides_the_environment_which_overrides_the_file() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let path = |name: &str| outbox.folder().join(name);
    let by_env = outbox.program().env("ACQUIRE_OUTBOX_DATABASE", path("env.db").to_str().unwrap());
    by_env.run(&["init"]).expect(0);
    assert!(path("env.db").exists() && !path("outbox.db").exists());
    by_env.run(&["--database", path("flag.db").to_str().unwrap(), "init"]).expect(0);
    assert!(path("flag.db").exists() && !path("outbox.db").exists());
    by_env.run(&["init", "--database", path("after.db").to_str().unwrap()]).expect(0);
    assert!(path("after.db").exists(), "a global flag may follow the command");
}
